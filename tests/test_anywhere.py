"""One study gives the same tables wherever it is trained and wherever its results are, with a process killed on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tomli_w

import lrbench as lb
from lrbench.execution.execute import execute
from lrbench.results.folder import ResultsFolder
from lrbench.results.places import Place, place_of
from tests.helpers.s3 import Store, s3
from tests.launchers.test_slurm import cluster  # noqa: F401 -- a fixture

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
STUDY = {
    "name": "anywhere",
    "steps": 2_000,
    "evaluate_every": 200,
    "seeds": 2,
    "deterministic": True,
    "problem": "quadratic",
    "optimizer": ["sgd", "adam"],
    "learning_rate": {"min": 1e-4, "max": 1.0, "num": 4},
    "confirm": 2,
}
SHARDS = 4
PACK = 4
OPTIONS: dict[str, list[list[str]]] = {
    "local": [[]],
    "shards": [["--shard", f"{number}/{SHARDS}"] for number in range(SHARDS)],
    "ray": [["--launcher", "ray", "--set", "launcher.ray.address=local"]],
    "slurm": [["--launcher", "slurm", "--set", "launcher.slurm.jobs=2"]],
}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> lb.Results:
    """The results of one process that nobody disturbs."""
    return execute(STUDY, tmp_path_factory.mktemp("here") / "out", report=False).results


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    """A bucket."""
    with s3() as found:
        yield found


@pytest.mark.parametrize("where", ["folder", "url"])
@pytest.mark.parametrize("how", list(OPTIONS))
def test_the_same_tables_with_a_process_killed(
    how: str, where: str, here: lb.Results, store: Store, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if how == "slurm":
        request.getfixturevalue("cluster")
    (tmp_path / "anywhere.toml").write_text(tomli_w.dumps(STUDY))
    out = str(tmp_path / "out") if where == "folder" else store.url(f"{how}/out")
    place = place_of(out)
    _small_packs(place, tmp_path / "seed")
    processes = [
        _start(out, options, tmp_path / f"{number}.log") for number, options in enumerate(OPTIONS[how])
    ]
    _until(lambda: any(name.endswith(".parquet") for name in place.stamps("parts")), processes)
    victim = len(processes) // 2
    os.kill(processes[victim].pid, signal.SIGKILL)
    processes[victim].wait()
    processes[victim] = _start(out, OPTIONS[how][victim], tmp_path / "again.log")
    said = [path.read_text() for path in sorted(tmp_path.glob("*.log"))]
    assert [process.wait(300) for process in processes] == [0] * len(processes), said
    found = lb.load(out)
    for name in ("runs", "curves", "summary", "sensitivity", "comparison"):
        pd.testing.assert_frame_equal(_plain(found, name), _plain(here, name), check_exact=True)


def _small_packs(place: Place, seed: Path) -> None:
    """Say at a place, before anything is trained, how small packs are."""
    ResultsFolder(seed).write_manifest({"lanes_per_pack": [PACK] * 2})
    place.write("manifest.json", (seed / "manifest.json").read_bytes())


def _start(out: str, options: list[str], log: Path) -> subprocess.Popen[bytes]:
    words = ["run", "anywhere.toml", "--out", out, "--no-report", "--quiet", *options]
    with log.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "lrbench", *words], cwd=log.parent, stdout=file, stderr=file
        )


def _until(is_so: Callable[[], bool], processes: list[subprocess.Popen[bytes]]) -> None:
    until = time.monotonic() + 200
    while not is_so():
        assert time.monotonic() < until
        assert all(process.poll() in (None, 0) for process in processes)
        time.sleep(0.05)


def _plain(results: Any, name: str) -> pd.DataFrame:
    """Return a table without the packs, by which curves are ordered: they are others where a stage is cut into shares."""
    table = getattr(results, name).drop(columns="pack_id", errors="ignore")
    return table.sort_values(["run_id", "step"], ignore_index=True) if name == "curves" else table
