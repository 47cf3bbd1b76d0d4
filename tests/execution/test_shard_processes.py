"""Shards as processes of their own, in a folder and at a URL: one is killed in the middle of a pack and started again, and the tables are the same."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from lrbench.execution.execute import execute
from lrbench.results.places import place_of
from lrbench.results.results import load
from tests.helpers.paths import ROOT
from tests.helpers.s3 import s3

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

STUDY = """
name = "shared"
steps = 200000
evaluate_every = 5000
seeds = 2
confirm = 2
refine = 1
problem = ["quadratic", "rosenbrock"]
optimizer = ["sgd", "adam"]
schedule = ["constant", "cosine"]
probes = []
deterministic = true
checkpoint_every = 0.2
learning_rate = {min = 0.001, max = 10.0, num = 5}
"""
TABLES = "runs", "summary", "sensitivity", "comparison", "ranking", "shorter_runs"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a study with stages."""
    path = tmp_path_factory.mktemp("shared") / "shared.toml"
    path.write_text(STUDY)
    return path


@pytest.fixture(scope="module")
def alone(study: Path) -> Path:
    """Its results, by one process."""
    folder = study.with_name("alone")
    execute(study, folder, report=False)
    return folder


@contextlib.contextmanager
def _folder(tmp_path: Path, patch: pytest.MonkeyPatch) -> Iterator[str]:
    yield str(tmp_path / "out")


@contextlib.contextmanager
def _bucket(tmp_path: Path, patch: pytest.MonkeyPatch) -> Iterator[str]:
    """Give the URL of a folder in an S3 on loopback; the processes have their caches elsewhere."""
    patch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with s3() as store:
        yield store.url("shared")


def _start(study: Path, out: str, shard: str, wait: int = 200) -> subprocess.Popen[str]:
    words = ["run", str(study), "--out", out, "--no-report", "--shard", shard, "--wait", str(wait)]
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "2", "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-m", "lrbench", *words], stdout=pipe, stderr=pipe, text=True, env=environment
    )


def _ended(process: subprocess.Popen[str], code: int = 0) -> str:
    """Return what a process has printed, once it has ended."""
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, err
    return out


def _same(one: Path, other: Path) -> None:
    for name in TABLES:
        tables = [pd.read_csv(folder / f"{name}.csv", dtype=str) for folder in (one, other)]
        pd.testing.assert_frame_equal(*(each.drop(columns="pack_id", errors="ignore") for each in tables))


@pytest.mark.parametrize("where", [_folder, _bucket])
def test_one_is_killed_and_started_again(
    where: Callable[..., contextlib.AbstractContextManager[str]],
    study: Path,
    alone: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with where(tmp_path, monkeypatch) as out:
        place = place_of(out)
        killed = _start(study, out, "2/4")
        while not (saved := place.stamps("checkpoints")):
            assert killed.poll() is None, killed.communicate()
            time.sleep(0.05)
        killed.send_signal(signal.SIGKILL)
        killed.communicate()
        assert not place.stamps("parts")
        others = [_start(study, out, f"{number}/4") for number in (3, 0, 1)]
        again = _start(study, out, "2/4")
        said = {number: _ended(each) for number, each in zip((3, 0, 1, 2), (*others, again), strict=True)}
        assert len(saved) == 1
        assert not place.stamps("checkpoints")
        trained = 0
        for number in (1, 2, 3):
            line = said[number].splitlines()[-1]
            assert line.startswith(f"shard {number}/4: trained "), line
            assert line.endswith(f" runs; shard 0 makes the tables, in {place.name}")
            trained += int(line.split()[3])
        assert said[0].splitlines()[-1] == f"{place.name}/winners.csv"
        assert trained > 0.6 * (len(pd.read_csv(alone / "runs.csv")))
        _same(load(out).folder, alone)


def test_two_of_a_number_do_no_harm(study: Path, alone: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    each = [_start(study, out, f"{number}/2") for number in (1, 0, 1, 0)]
    for process in each:
        _ended(process)
    _same(tmp_path / "out", alone)
    assert not (tmp_path / "out" / "checkpoints").exists()
