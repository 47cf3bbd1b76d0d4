"""Packs as Slurm jobs, on a real Slurm of one node where one can be started: as root, with slurm-wlm and munge."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrbench.errors import LaunchError
from lrbench.execution.execute import execute
from lrbench.execution.plan import plan_text
from lrbench.execution.status import status_text
from lrbench.launchers import ray, slurm
from lrbench.results.folder import ResultsFolder
from lrbench.results.places import FolderPlace
from lrbench.study.spec import read
from tests.helpers.heard import Heard
from tests.helpers.pages import files
from tests.helpers.paths import ROOT
from tests.helpers.tables import written

STUDY = {
    "name": "on_slurm",
    "steps": 200,
    "seeds": 2,
    "problem": "quadratic",
    "optimizer": ["sgd", "adam"],
    "learning_rate": {"min": 0.01, "max": 1.0, "num": 4},
}
GATED = """\
import os, time
from pathlib import Path
import jax.numpy as jnp
import lrbench as lb

def gated():
    def loss(w, batch, key):
        while "SLURM_JOB_ID" in os.environ and Path(os.environ["GATE"]).exists():
            time.sleep(0.1)
        return jnp.sum(w * w)

    return lb.problem(name="gated", init=lambda key: jnp.ones(2), loss=loss)
"""


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A Slurm that runs; what was started for it is ended."""
    if shutil.which("slurmctld") is None:
        pytest.skip("NO SLURM HERE: --launcher slurm is NOT TESTED; as root: apt-get install slurm-wlm munge")
    # One machine has one Slurm: whoever tests another checkout waits for it.
    with (Path(tempfile.gettempdir()) / "lrbench-slurm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield from _running(tmp_path_factory.mktemp("slurm"))


def _running(folder: Path) -> Iterator[None]:
    started = subprocess.run(
        [ROOT / "tests" / "helpers" / "slurm.sh", folder],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if started.returncode:
        said = started.stderr.strip().splitlines()[-1:]
        pytest.skip(f"SLURM DOES NOT START: --launcher slurm is NOT TESTED: {said}")
    yield
    if started.stdout.split():
        subprocess.run(["kill", *started.stdout.split()], check=False)
    until = time.monotonic() + 15
    while slurm.states() is not None and time.monotonic() < until:  # until it answers no more
        time.sleep(0.2)


def _run(out: Path, **launcher: Any) -> tuple[Any, list[str]]:
    heard = Heard()
    table = {**STUDY, "launcher": {"slurm": {"minutes": 5, **launcher}}}
    return execute(table, out, launcher="slurm", report=False, trust=True, listener=heard), heard.lines


@pytest.mark.slow
@pytest.mark.timeout(400)  # jobs wait for the machine
def test_a_cancelled_job_costs_its_last_pack_and_the_tables_are_those_of_local(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second problem waits, in jobs alone, for as long as there is a file."""
    (tmp_path / "mine.py").write_text(GATED)
    monkeypatch.setenv("GATE", str(tmp_path / "gate"))
    (tmp_path / "gate").touch()
    asked = {**STUDY, "problem": ["quadratic", f"{tmp_path}/mine.py:gated"], "optimizer": "sgd"}
    monkeypatch.setattr(sys.modules[__name__], "STUDY", asked)
    local = execute(asked, tmp_path / "local", report=False, trust=True).results
    out = tmp_path / "out"
    submitted, lines = _run(out, detach=True)
    assert submitted.trained == 0
    (job,) = slurm.submitted(FolderPlace(out))
    assert lines[-1] == f"submitted 2 packs in 1 job: {job}"
    assert f"Slurm jobs: 1 {slurm.states()[job].lower()}" in status_text(out)
    until = time.monotonic() + 180
    while not ResultsFolder(out).part_paths() and time.monotonic() < until:
        time.sleep(0.02)
    subprocess.run(["scancel", job], check=True)
    while job in slurm.states() and time.monotonic() < until:
        time.sleep(0.2)
    (part,) = ResultsFolder(out).part_paths()
    before = part.stat().st_mtime_ns
    told = status_text(out)
    assert "8 of 16 runs completed, 8 missing\nSlurm jobs: 1 ended\nthe last part was written" in told
    (tmp_path / "gate").unlink()
    done, lines = _run(out, jobs=3)
    assert re.fullmatch(r"submitted 1 pack in 1 job: \d+", lines[-1])
    assert done.trained == 8
    assert not done.failures
    assert part.stat().st_mtime_ns == before
    for name in ("runs", "curves", "sensitivity"):
        pd.testing.assert_frame_equal(getattr(done.results, name), getattr(local, name), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.timeout(240)  # jobs wait for the machine
def test_shards_that_srun_starts_make_the_tables_of_one_process(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As docs/anywhere.md does it, without submitit; on the one node there is, which has a task for each shard."""
    given = files("anywhere.md")
    script = given["study.sbatch"]
    for line, instead in {"--nodes=4": "--nodes=1", "task=16": "task=1", "per-node=1": "per-node=2"}.items():
        assert script.count(line) == 1
        script = script.replace(line, instead)
    (tmp_path / "study.sbatch").write_text(script)
    (tmp_path / "study.toml").write_text(given["study.toml"])
    (tmp_path / "lrbench").write_text(f'#!/bin/sh\nexec {sys.executable} -m lrbench "$@" --no-report\n')
    (tmp_path / "lrbench").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    submit = ["sbatch", "--wait", "study.sbatch"]
    done = subprocess.run(submit, cwd=tmp_path, check=False, capture_output=True, text=True)
    said = "\n".join(path.read_text() for path in tmp_path.glob("slurm-*.out"))
    assert done.returncode == 0, f"{done.stderr}\n{said}"
    assert "shard 1/2: trained " in said
    execute(tomllib.loads(given["study.toml"]), tmp_path / "one", report=False)
    assert written(tmp_path / "results" / "anywhere") == written(tmp_path / "one")


@pytest.mark.slow
def test_what_slurm_refuses_is_one_line(cluster: None, tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match=r"--launcher slurm: Slurm rejected the jobs: .*partition"):
        _run(tmp_path / "out", partition="nowhere")


def test_without_slurm_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm.shutil, "which", lambda _: None)
    with pytest.raises(
        LaunchError, match="sbatch was not found; run the command where jobs can be submitted"
    ):
        _run(tmp_path / "out")


def test_a_pack_that_fails_or_whose_job_is_gone_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slurm is out of sight for a while, which ends no job."""
    answers: Iterator[dict[str, str] | None] = iter([{"7_0": "RUNNING", "7_1": "RUNNING"}, None, {}, {}])
    asked: list[Any] = []
    monkeypatch.setattr(slurm, "states", lambda: next(answers))
    monkeypatch.setattr(slurm.time, "sleep", asked.append)
    work = _Work(tmp_path)
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "7_0.errors.json").write_text('{"a": "ValueError: no"}')
    jobs = {"7_0": ["a", "b"], "7_1": ["c"]}
    outcomes = list(slurm._wait([_Pack("a"), _Pack("b"), _Pack("c")], work, jobs))
    log = tmp_path / "jobs"
    assert outcomes == [
        "LaunchError: ValueError: no",
        f"LaunchError: job 7_0 ended before this pack was trained; its log is {log}/7_0_0_log.err",
        f"LaunchError: job 7_1 ended before this pack was trained; its log is {log}/7_1_0_log.err",
    ]
    assert sum(asked) == pytest.approx(0.6 + 0.72 + 0.864)


class _Pack:
    def __init__(self, pack_id: str) -> None:
        self.pack_id = pack_id


class _Work:
    """Work that never sees a part."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def look(self, pack: _Pack) -> None:
        """See nothing."""

    def check(self) -> None:
        """Go on."""

    def failed(self, pack: _Pack, error: Exception) -> str:
        return f"{type(error).__name__}: {error}"


def test_a_share_that_is_put_back_is_the_same_share(tmp_path: Path) -> None:
    share = slurm.Share(_Work(tmp_path), ())  # type: ignore[arg-type]
    assert share.checkpoint().function is share


@given(st.lists(st.floats(0.1, 10), max_size=40), st.integers(1, 12))
def test_shares_are_of_about_equal_cost(costs: list[float], shares: int) -> None:
    found = slurm.shares(costs, shares)
    assert [n for share in found for n in share] == list(range(len(costs)))
    assert len(found) <= shares
    mean = sum(costs) / shares
    assert all(sum(costs[n] for n in share) <= mean + max(costs) + 1e-9 for share in found)


def test_a_plan_for_nodes() -> None:
    lines = plan_text(read(STUDY), launcher="slurm", nodes=3).splitlines()[-7:]
    assert lines[0] == "slurm, over 3 nodes like this one: 2 packs, 1 each; 1 node would be idle"
    assert lines[2].split("  ")[0] == "node"
    assert sorted(line.split()[0] for line in lines[3:5]) == ["1", "2"]
    assert re.match(
        r"estimate: about .*; balance (\d+)% \(mean over most\); (\d+)% of the nodes' time is training",
        lines[6],
    )
    alike = plan_text(read(STUDY | {"launcher": {"slurm": {"jobs": 3}}}), launcher="slurm").splitlines()[-7:]
    assert alike[0] == lines[0]
    assert "ray, over 1 node like this one" in plan_text(read(STUDY), launcher="ray")
    shards = plan_text(read(STUDY), nodes=3).splitlines()[-8:]
    assert shards[0] == "--shard, over 3 nodes like this one: 4 packs, 1 to 2 each"
    assert shards[2].split("  ")[0] == "shard"
    assert sorted(line.split()[0] for line in shards[3:6]) == ["0", "1", "2"]


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=40), st.integers(1, 12))
def test_ray_gives_a_pack_to_the_node_that_is_free_first(costs: list[float], nodes: int) -> None:
    found = ray.shares(costs, nodes)
    assert sorted(n for share in found for n in share) == list(range(len(costs)))
    times = [sum(costs[n] for n in share) for share in found]
    # When the last pack of a node began, no other was free.
    assert all(time - costs[share[-1]] <= min(times) + 1e-9 for share, time in zip(found, times, strict=True))


@pytest.mark.slow
def test_status_without_jobs(tmp_path: Path) -> None:
    done = execute({**STUDY, "optimizer": "sgd"}, tmp_path / "out", report=False)
    manifest = dict(done.results.manifest)
    whole = {**manifest["grid"], "seeds": [0, 1, 2]}
    ResultsFolder(tmp_path / "out").write_manifest({**manifest, "grid": whole})
    assert "on_slurm: 8 of 12 runs completed, 4 missing\n" in status_text(tmp_path / "out")
    assert "lately" not in status_text(tmp_path / "out")
