"""A Ray cluster that starts with a study ends with it, however that ends, and leaves neither processes nor files."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from lrbench.execution.execute import execute
from lrbench.results.folder import ResultsFolder
from tests.helpers.paths import ROOT
from tests.helpers.processes import Process, family, left

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),  # a cluster takes seconds to start, and each process of it imports JAX
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc"),
]


@pytest.fixture
def sessions() -> Iterator[Path]:
    """Where Ray puts its sessions; the path of a socket in them may have 107 bytes at most."""
    pytest.importorskip("ray", reason="NO RAY IS INSTALLED: pip install 'lrbench[ray]'")
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def command(table: dict[str, Any], sessions: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Runs a study of 24 packs on a cluster of its own, in this folder."""
    rates = {"min": 0.01, "max": 10.0, "num": 12}
    Path("many.toml").write_text(tomli_w.dumps(table | {"deterministic": True, "learning_rate": rates}))
    for name in ("out", "here"):
        Path(name).mkdir()
        ResultsFolder(Path(name)).write_manifest({"lanes_per_pack": [1]})
    words = "run many.toml --out out --no-report --launcher ray --set launcher.ray.address=local".split()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "RAY_TMPDIR": str(sessions)}
    with contextlib.ExitStack() as started:

        def start() -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [sys.executable, "-m", "lrbench", *words], env=environment, stderr=subprocess.PIPE, text=True
            )
            started.callback(process.kill)
            return started.enter_context(process)

        yield start


def _until_a_part(driver: subprocess.Popen[str]) -> set[Process]:
    """Wait until a part is written; return every process that was seen to be the driver's."""
    seen: set[Process] = set()
    while driver.poll() is None and not ResultsFolder(Path("out")).part_paths():
        seen |= family(driver.pid)
        time.sleep(0.02)
    return seen | family(driver.pid)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 130), (signal.SIGINT, 130)]
)
def test_a_driver_that_is_killed_takes_its_cluster_with_it(
    number: int, code: int, command: Callable[[], subprocess.Popen[str]], sessions: Path
) -> None:
    driver = command()
    seen = _until_a_part(driver)
    assert len(seen) >= 6, "the server, the node, its agents and a worker were not seen"
    driver.send_signal(number)
    _, errors = driver.communicate()
    assert driver.returncode == code, errors
    assert "Traceback" not in errors
    assert left(seen) == []
    assert [*sessions.rglob("session*")] == []
    before = {path: path.stat().st_mtime_ns for path in ResultsFolder(Path("out")).part_paths()}
    assert 0 < len(before) < 24


def test_a_study_that_is_killed_goes_on_with_the_same_command(
    command: Callable[[], subprocess.Popen[str]], sessions: Path
) -> None:
    first = command()
    _until_a_part(first)
    first.kill()
    first.wait()
    before = {path: path.stat().st_mtime_ns for path in ResultsFolder(Path("out")).part_paths()}
    assert 0 < len(before) < 24
    again = command()
    seen: set[Process] = set()
    while again.poll() is None:
        seen |= family(again.pid)
        time.sleep(0.1)
    assert again.returncode == 0, again.communicate()[1]
    assert {path: path.stat().st_mtime_ns for path in before} == before
    execute("many.toml", "here", report=False)
    for name in ("runs.csv", "curves.parquet", "summary.csv"):
        assert Path("out", name).read_bytes() == Path("here", name).read_bytes(), name
    assert left(seen) == []
    assert [*sessions.rglob("session*")] == []
