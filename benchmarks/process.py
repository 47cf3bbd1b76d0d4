"""Measuring whole processes: how long they took, how much memory, and how much other work ran beside them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import tomli_w

from benchmarks.table import ROOT, clean_environment

TIMEOUT = 300.0


class Point(NamedTuple):
    """A study of a size: seconds and memory of its process."""

    runs: int
    training: float
    """Seconds of training, evaluating and writing parts."""
    judged: float
    """The same with the tables."""
    whole: float
    """Seconds of the process."""
    peak_mib: float

    @property
    def cost(self) -> float:
        """Judged seconds per run."""
        return self.judged / self.runs


class Watch:
    """Seconds that a block took, and the share of all cores that other processes took meanwhile."""

    seconds: float
    others: float | None
    """From 0 to 1; None where /proc/stat is missing."""

    def __enter__(self) -> Watch:
        self._began, self._all, self._own = time.perf_counter(), _machine_seconds(), sum(os.times()[:4])
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._began
        now = _machine_seconds()
        self.others = None
        if now is not None and self._all is not None:
            used = now - self._all - (sum(os.times()[:4]) - self._own)
            self.others = max(0.0, used / self.seconds / (os.cpu_count() or 1))


class Job(NamedTuple):
    """What one `lrbench run` took."""

    seconds: float
    peak_mib: float
    """Most memory that was resident at a time."""
    manifest: dict[str, Any]


def run_study(study: dict[str, Any] | str, place: Path, cache: Path, *options: str) -> Job:
    """Run `lrbench run <study> <options>` as a user would, with results in `place`/results and this cache folder.

    `study` is a table, or the name of a built-in one. Raises RuntimeError where the command fails or a run is missing.
    """
    name = study if isinstance(study, str) else str(study["name"])
    file = name
    if not isinstance(study, str):
        file = f"{name}.toml"
        (place / file).write_text(tomli_w.dumps(study), encoding="utf-8")
    command = [*lrbench_command(), "run", file, "--quiet", "--out", f"results/{name}", *options]
    seconds, peak = run_command(command, place, XDG_CACHE_HOME=str(cache))
    text = (place / "results" / name / "manifest.json").read_text(encoding="utf-8")
    manifest: dict[str, Any] = json.loads(text)
    if manifest["runs"]["left"] or manifest["failures"]:
        raise RuntimeError(f"{name}: not all runs were trained: {manifest['runs']}, {manifest['failures']}")
    return Job(seconds, peak, manifest)


def run_command(command: list[str], place: Path, **environment: str) -> tuple[float, float]:
    """Seconds until a process and all that it started have ended, and the peak resident MiB of the largest of them.

    Raises RuntimeError with the end of its stderr where it fails.
    """
    began = time.perf_counter()
    with subprocess.Popen(
        command,
        cwd=place,
        env=clean_environment(PYTHONPATH=str(ROOT), **environment),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        clock = threading.Timer(TIMEOUT, process.kill)
        clock.start()
        try:
            errors = process.stderr.read() if process.stderr else b""  # ends once nobody has it any more
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - began
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            clock.cancel()
            if process.returncode is None:
                process.kill()
    if process.returncode:
        last = "\n".join(errors.decode(errors="replace").strip().splitlines()[-15:])
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{last}")
    unit = 2**20 if sys.platform == "darwin" else 2**10  # of ru_maxrss in a MiB: bytes there, KiB elsewhere
    return seconds, usage.ru_maxrss / unit


def lrbench_command() -> list[str]:
    """The installed command of this environment."""
    script = Path(sys.executable).with_name("lrbench")
    return [str(script)] if script.exists() else [sys.executable, "-m", "lrbench"]


def beside(others: float | None) -> str:
    """What a note says of other work."""
    return "" if others is None else f"other work took {others:.0%} of the cores"


def say(text: str) -> None:
    """One line of progress, with the load of the machine."""
    load = f" [load {os.getloadavg()[0]:.1f}]" if hasattr(os, "getloadavg") else ""
    print(text + load, file=sys.stderr, flush=True)


def _machine_seconds() -> float | None:
    """CPU seconds that all processes of the machine have used, and that its host has taken from it."""
    try:
        user, nice, system, _, _, *interrupts = Path("/proc/stat").read_text(encoding="ascii").split()[1:9]
    except (OSError, ValueError):
        return None
    return sum(map(int, [user, nice, system, *interrupts])) / os.sysconf("SC_CLK_TCK")
