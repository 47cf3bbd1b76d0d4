"""Plots and the report drawn by several processes: the same files, whoever draws them, and nobody left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from lrbench import machine
from lrbench.cli import commands
from lrbench.errors import StoreError
from lrbench.execution.execute import run
from lrbench.results import drawing, helpers, pictures
from lrbench.results.drawing import Helpers
from lrbench.results.results import Results, load
from tests.helpers.paths import ROOT

STUDY = {"name": "drawn", "steps": 4, "seeds": 2, "problem": "quadratic", "optimizer": ["sgd", "adam"]}
STUDY |= {"learning_rate": {"values": [0.1, 1.0]}, "evaluate_every": 1}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return run(STUDY, tmp_path_factory.mktemp("drawn"), report=False)


@pytest.fixture
def results(trained: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    """Give a copy of the results, on a machine with two cores."""
    monkeypatch.setattr(machine, "cores", lambda: 2)
    shutil.copytree(trained.folder, tmp_path / "copy")
    return load(tmp_path / "copy")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give the names of what this process is to draw, which takes too long here."""
    names: list[str] = []
    monkeypatch.setattr(pictures, "write", lambda results, name: names.append(name))
    return names


class ForHelpers(deque[str]):
    """Names that this process leaves to helpers."""

    def pop(self) -> str:  # type: ignore[override]
        raise IndexError


def _drawn(results: Results) -> dict[str, bytes]:
    """What is written; of an SVG, which has a date and random names, that it is."""
    files = [path for path in results.folder.rglob("*") if path.suffix in {".png", ".svg", ".html"}]
    return {path.name: b"" if path.suffix == ".svg" else path.read_bytes() for path in files}


def test_a_helper_draws_what_this_process_draws(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    drawing.write_all(results)
    expected = _drawn(results)
    pictures.remove(results)
    monkeypatch.setattr(drawing, "deque", ForHelpers)
    monkeypatch.setattr(pictures, "write", lambda results, name: pytest.fail("drawn here"))
    with Helpers(results.folder, 40) as others:
        others.start()
        others.start()  # once is enough
        process = others.running[0].process
        drawing.write_all(results, helpers=others)
    assert process.poll() is not None
    assert _drawn(results) == expected


def test_what_a_dead_helper_leaves_is_drawn_here(results: Results, here: list[str]) -> None:
    with Helpers(results.folder, 40) as others:
        others.start()
        process = others.running[0].process
        process.kill()
        process.wait()
        drawing.write_all(results, helpers=others)
    assert sorted(here) == sorted(pictures.names())


@pytest.mark.slow
def test_an_error_of_a_helper_is_raised_here(
    results: Results, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    (results.folder / "plots").write_text("in the way")
    monkeypatch.setattr(drawing, "deque", ForHelpers)
    with Helpers(results.folder, 40) as others:
        others.start()
        with pytest.raises(StoreError, match="plots"):
            drawing.write_all(results, helpers=others)
    assert capfd.readouterr().err == ""


def test_work_can_be_stopped_while_a_helper_draws(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    def check() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(drawing, "deque", ForHelpers)
    monkeypatch.setattr(helpers, "SECONDS", 0.001)
    with Helpers(results.folder, 40) as others:
        others.start()
        process = others.running[0].process
        with pytest.raises(KeyboardInterrupt):
            drawing.write_all(results, check, others)
    assert process.poll() == 0


PARENT = """
import sys, time
from pathlib import Path
from lrbench import machine
from lrbench.results.drawing import Helpers
machine.cores = lambda: 2
helpers = Helpers(Path("nowhere"), 40)
helpers.start()
print(helpers.running[0].process.pid, flush=True)
time.sleep(100)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_helper_ends_with_the_process_that_started_it(number: int) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        helper = int(parent.stdout.readline())
        parent.send_signal(number)
    until = time.monotonic() + 60
    while _lives(helper) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _lives(helper)


def _lives(pid: int) -> bool:
    """Whether there is such a process; one that nobody has waited for yet is none."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat")
        return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize(
    ("cores", "rows", "started"),
    [(1, 40, 0), (2, 40, 1), (64, 40, drawing.MOST_HELPERS), (64, drawing.SHARED_ROWS + 1, 0)],
)
def test_a_helper_needs_a_core_and_memory(
    cores: int, rows: int, started: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "cores", lambda: cores)
    monkeypatch.setattr(helpers, "_PROGRAM", "import sys; {path!r}; {prepare!r}; sys.stdin.read()")
    with Helpers(tmp_path, rows) as others:
        others.start()
        assert len(others.running) == started


def test_a_helper_that_does_not_end_is_killed(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helpers, "_PATIENCE", 0.01)
    monkeypatch.setattr(helpers, "_PROGRAM", "import time; {path!r}; {prepare!r}; time.sleep(100)")
    with Helpers(results.folder, 40) as others:
        others.start()
        process = others.running[0].process
    assert process.poll() == -signal.SIGKILL


def test_a_helper_that_cannot_be_started_is_done_without(
    results: Results, here: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    with Helpers(results.folder, 40) as others:
        others.start()
        drawing.write_all(results, helpers=others)
    assert sorted(here) == sorted(pictures.names())


@pytest.mark.slow
def test_only_commands_that_draw_start_helpers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[bool] = []
    monkeypatch.setattr(Helpers, "start", lambda self: started.append(True))
    monkeypatch.setattr(drawing, "write_all", lambda results, check, helpers: None)
    (tmp_path / "study.toml").write_text(tomli_w.dumps(STUDY))
    folder = str(tmp_path / "out")
    trains = ["run", str(tmp_path / "study.toml"), "--out", folder, "--quiet"]
    run(STUDY, folder)
    commands.app([*trains, "--no-report"], standalone_mode=False)
    assert not started
    commands.app(trains, standalone_mode=False)
    assert started
    started.clear()
    commands.app(["report", folder], standalone_mode=False)
    assert started
