"""Ctrl-C and SIGTERM: exit code 130 and one line, at once or after what is worth saving; the same command goes on.

docs/faults.md names these tests. See also those of processes that are killed, in tests/execution/test_faults.py.
"""

from __future__ import annotations

import atexit
import collections
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w

from lrbench.__main__ import main
from lrbench.cli import commands, interrupt
from lrbench.engine import pieces
from lrbench.engine.lane_batch import LaneBatch
from lrbench.execution.execute import execute
from lrbench.execution.listener import Listener
from lrbench.launchers import slurm
from lrbench.results import drawing, pictures
from lrbench.results.folder import ResultsFolder
from tests.helpers.paths import ROOT

SMALL = {"name": "small", "steps": 8, "seeds": 1, "problem": ["quadratic"], "optimizer": ["sgd", "adam"]}
SMALL |= {"learning_rate": {"values": [0.1, 1.0]}, "probes": [], "lanes_per_chunk": 2, "evaluate_every": 2}


def _tables(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for kind in ("csv", "parquet") for path in folder.glob(f"*.{kind}")}


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("parts/*/[!.]*.parquet"))


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed") / "out"
    execute(SMALL, folder, report=False)
    return _tables(folder)


Command = Callable[..., int]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Command]:
    """Give the command line in this process, which does not end with it; signals are as before afterwards."""
    (tmp_path / "small.toml").write_text(tomli_w.dumps(SMALL))
    before = {number: signal.getsignal(number) for number in interrupt.SIGNALS}

    def end(code: int) -> None:
        raise SystemExit(code)

    def run(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["lrbench", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    with monkeypatch.context() as patched:
        patched.setattr(os, "_exit", end)
        patched.setattr(interrupt, "PATIENCE", 1000)
        try:
            yield run
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)
            atexit.unregister(interrupt._ignore)


def _send(number: int) -> None:
    """Signal this process; the thread that waits for it takes a moment."""
    os.kill(os.getpid(), number)
    time.sleep(0.05)


def _after(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, count: int, number: int) -> None:
    """Send a signal at the end of the `count`-th call of a function."""
    called, calls = getattr(owner, name), []

    def patched(*given: Any, **named: Any) -> Any:
        found = called(*given, **named)
        calls.append(name)
        if len(calls) == count:
            _send(number)
        return found

    monkeypatch.setattr(owner, name, patched)


RUN = ["run", "small.toml", "--out", "out", "-q", "--no-report"]


# ---- one signal, wherever it comes ----


def test_a_pack_that_is_whole_is_saved(
    command: Command, expected: dict[str, bytes], capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        _after(patched, ResultsFolder, "write_part", 1, signal.SIGTERM)
        assert command(*RUN) == commands.INTERRUPTED
    assert capfd.readouterr() == ("", interrupt.LINE + "\n")
    assert len(_parts(Path("out"))) == 1
    assert command(*RUN) == commands.DONE
    assert _tables(Path("out")) == expected


@pytest.mark.parametrize("segments", [2, 5])
def test_training_ends_after_its_segment(
    segments: int, command: Command, expected: dict[str, bytes], capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pack is kept as it is, if so much was trained that this is worth it; its last segment makes it whole."""
    folder = Path("out")
    with monkeypatch.context() as patched:
        patched.setattr(pieces, "WORTH_SAVING", 0.0)
        _after(patched, LaneBatch, "update_diverged", segments, signal.SIGINT)
        assert command(*RUN) == commands.INTERRUPTED
    assert capfd.readouterr() == ("", interrupt.LINE + "\n")
    assert len(_parts(folder)) == (segments == 5)
    kept = [path.name for path in folder.glob("checkpoints/*/*")]
    assert kept == ([] if segments == 5 else ["0-2.npz"])
    assert command(*RUN) == commands.DONE
    assert _tables(folder) == expected
    assert not (folder / "checkpoints").exists()


@pytest.mark.slow
@pytest.mark.parametrize(("owner", "name"), [(ResultsFolder, "write_table"), (pictures, "write")])
def test_tables_and_plots_end_after_the_one_in_hand(
    owner: Any,
    name: str,
    command: Command,
    expected: dict[str, bytes],
    capfd: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert command(*RUN) == commands.DONE
    report, folder = ["report", "out"], Path("out")
    capfd.readouterr()
    written: list[Any] = []
    with monkeypatch.context() as patched:
        patched.setattr(drawing, "MOST_HELPERS", 0)
        patched.setattr(pictures, "write", lambda *given: written.append(given))
        _after(patched, owner, name, 1, signal.SIGINT)
        assert command(*report) == commands.INTERRUPTED
        assert len(written) == (owner is pictures)
        assert capfd.readouterr() == ("", interrupt.LINE + "\n")
        assert command(*report) == commands.DONE
    assert _tables(folder) == expected
    assert not list(folder.rglob(".new-*"))


def test_waiting_for_slurm_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    class Work:
        def check(self) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr(slurm.time, "sleep", lambda seconds: pytest.fail("slept"))
    with pytest.raises(KeyboardInterrupt):
        slurm._sleep(20.0, Work())  # type: ignore[arg-type]


def test_from_python_an_interrupt_goes_through(tmp_path: Path, expected: dict[str, bytes]) -> None:
    """No handler is installed; the folder is sound, and nobody works on it any more."""
    before = [signal.getsignal(number) for number in interrupt.SIGNALS]

    class Impatient(Listener):
        def advance(self, runs: int, steps: int) -> None:
            if steps:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        execute(SMALL, tmp_path / "out", report=False, listener=Impatient())
    assert [signal.getsignal(number) for number in interrupt.SIGNALS] == before
    execute(SMALL, tmp_path / "out", report=False)
    assert _tables(tmp_path / "out") == expected


# ---- what does not look, and a second signal ----

BUSY = """
import hashlib, os, sys
from lrbench.cli import interrupt
interrupt.PATIENCE = float(sys.argv[1])
asked = interrupt.Interrupt()
asked.catch()
if len(sys.argv) > 2:
    asked.stopping()
os.write(1, b"ready")
hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)  # minutes, in which Python runs no handler
"""


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        (["1000"], [signal.SIGINT]),
        (["1000", "looks"], [signal.SIGINT, signal.SIGTERM]),
        (["0.2", "looks"], [signal.SIGTERM]),
    ],
    ids=["has nothing to save", "second signal", "takes too long"],
)
def test_a_busy_process_ends_at_once(words: list[str], numbers: list[int]) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BUSY, *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdout.read(5) == b"ready"
        for number in numbers:
            process.send_signal(number)
            time.sleep(2 * interrupt.TOGETHER)
        try:
            _, errors = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, errors.decode()) == (interrupt.CODE, interrupt.LINE + "\n")


SAVING = """
import os, time
from lrbench.cli.interrupt import Interrupt
asked = Interrupt()
asked.catch()
asked.stopping()  # who never checked is ended at once
os.write(1, b"ready")
while not asked.stopping():
    time.sleep(0.01)
time.sleep(0.2)
os.write(1, b", saved")
asked.end()
"""


def test_signals_that_come_together_are_one_request() -> None:
    """`timeout` signals a process and then its group, which is no impatient user."""
    with subprocess.Popen(
        [sys.executable, "-c", SAVING], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdout.read(5) == b"ready"
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(0.02)
        seen, errors = process.communicate(timeout=20)
    assert (process.returncode, seen, errors.decode()) == (interrupt.CODE, b", saved", interrupt.LINE + "\n")


LATE = """
import os, signal
from lrbench.cli.interrupt import Interrupt
Interrupt().catch()
class Late:
    def __del__(self, kill=os.kill, pid=os.getpid(), numbers=(signal.SIGINT, signal.SIGTERM)):
        for number in numbers:
            kill(pid, number)
late = Late()
"""


def test_a_signal_while_python_ends_comes_too_late() -> None:
    done = subprocess.run([sys.executable, "-c", LATE], cwd=ROOT, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


# ---- at any moment ----

SIGNALLED = 30
STUDY = SMALL | {"steps": 400, "evaluate_every": 100, "problem": ["quadratic", "house_prices"], "seeds": 2}


def _start(*words: str) -> subprocess.Popen[str]:
    """Start a real command, and return once it takes signals: before, Python itself starts."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_NUM_CPU_DEVICES": "2"}
    command = [sys.executable, "-m", "lrbench", *words]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and not _catches(process.pid, signal.SIGTERM):
        time.sleep(0.001)
    return process


def _catches(pid: int, number: int) -> bool:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except FileNotFoundError:
        return True
    (mask,) = (line.split()[1] for line in lines if line.startswith("SigCgt:"))
    return bool(int(mask, 16) >> (number - 1) & 1)


def _lasts(*words: str) -> float:
    process, began = _start(*words), time.monotonic()
    _, errors = process.communicate()
    assert process.returncode == 0, errors
    return time.monotonic() - began


@pytest.mark.slow
@pytest.mark.timeout(1200)  # a shared machine takes its time
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_signals_at_random_moments(tmp_path: Path) -> None:
    """From the first import to the end of Python, of `run` and of `report`; one signal or two, until a command is done."""
    seed = int(np.random.SeedSequence().generate_state(1)[0])
    print(f"seed {seed}")
    chance, hits = random.Random(seed), collections.Counter[str]()
    (tmp_path / "study.toml").write_text(tomli_w.dumps(STUDY))
    commands = {"run": ["run", "study.toml", "--quiet", "--out"], "report": ["report"]}
    _lasts(*commands["run"], "warm")
    lasts = {"run": _lasts(*commands["run"], "whole"), "report": _lasts("report", "whole")}
    expected, folders = _tables(Path("whole")), dict[str, Path]()

    def done(name: str) -> None:
        folder = folders.pop(name)
        assert _tables(folder) == expected, name
        assert not list(folder.rglob(".new-*"))
        assert not (folder / "checkpoints").exists()
        assert (folder / "report.html").exists()

    for turn in range(SIGNALLED):
        name = "run" if turn % 3 else "report"
        if name not in folders:
            folders[name] = Path(f"out{turn}")
            if name == "report":
                shutil.copytree("whole", folders[name])
        numbers = chance.choices(interrupt.SIGNALS, k=chance.choice([1, 1, 2]))
        moment = chance.uniform(0, lasts[name])
        process = _start(*commands[name], str(folders[name]))
        time.sleep(moment)
        began = time.monotonic()
        for number in numbers:
            process.send_signal(number)
            time.sleep(chance.choice([0, 0.1]))
        _, errors = process.communicate(timeout=60)
        took = time.monotonic() - began
        what = f"{name} after {moment:.2f} s of {lasts[name]:.2f}, {numbers}, {took:.2f} s: {errors}"
        print(what)
        hits[f"{name} {process.returncode}"] += 1
        if process.returncode:
            assert (process.returncode, errors) == (interrupt.CODE, interrupt.LINE + "\n"), what
        else:
            assert errors == "", what
            done(name)
        assert took < 2 + 3, what  # of a machine that others use, too
    for name in list(folders):
        _lasts(*commands[name], str(folders[name]))
        done(name)
    print(dict(hits))
