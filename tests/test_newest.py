"""Several versions of Python and of JAX: flags that only some know, and how the newest Python is found."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.helpers import xla_flags
from tests.helpers.paths import ROOT

FIND = ROOT / ".ci" / "newest-python"


def test_only_flags_that_the_installed_xla_knows_are_set() -> None:
    asked = "--xla_nonsense=1 --xla_force_host_platform_device_count=3"
    assert xla_flags.known(asked) == "--xla_force_host_platform_device_count=3"
    assert xla_flags.known("") == ""


def test_xla_agrees_on_what_it_knows() -> None:
    """A process that names a flag ends well exactly where the flag is known: tests on jaxlib 0.12 died without a word."""
    flag = "--xla_cpu_use_fusion_emitters=false"
    command = [sys.executable, "-c", "from jaxlib import xla_client; xla_client.make_cpu_client()"]
    environment = os.environ | {"XLA_FLAGS": flag}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode == 0) == bool(xla_flags.known(flag)), ended.stderr


def test_nothing_shipped_sets_a_flag_of_xla() -> None:
    """A flag that a later XLA does not know would end a user's process; so the product reads XLA_FLAGS, and sets none.

    Options of one program end nothing: those that XLA does not know are left out (tests/engine/test_tuner.py).
    """
    for path in [*(ROOT / "lrbench").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]:
        assert "--xla_" not in path.read_text(), f"{path} sets a flag of XLA"


def python(folder: Path, minor: int, code: int = 0) -> Path:
    """Make a Python of that version that starts, or one that ends with `code`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"python3.{minor}"
    path.write_text(f"#!/bin/sh\nexit {code}\n")
    path.chmod(0o755)
    return path


def newest(home: Path, *folders: Path) -> subprocess.CompletedProcess[str]:
    """Search those folders, and no other of this machine's."""
    tools = home / "tools"
    tools.mkdir(parents=True, exist_ok=True)
    for name in ("bash", "ls", "sort"):
        (tools / name).unlink(missing_ok=True)
        (tools / name).symlink_to(str(shutil.which(name)))
    path = os.pathsep.join(str(folder) for folder in [*folders, tools])
    environment = {"PATH": path, "PYENV_ROOT": str(home)}
    return subprocess.run([FIND], env=environment, capture_output=True, text=True, check=False)


def test_the_newest_python_that_starts_is_found(tmp_path: Path) -> None:
    """A shim of pyenv stands on PATH for versions that it does not start; those lie in a folder of its own."""
    shims, good, home = tmp_path / "shims", tmp_path / "a place", tmp_path / "pyenv"
    python(shims, 14, 127)
    expected = python(good, 13)
    python(good, 12)
    assert newest(home, shims, good).stdout == f"{expected}\n"
    python(home / "versions" / "3.14.2" / "bin", 14)
    later = python(home / "versions" / "3.14.10" / "bin", 14)
    assert newest(home, shims, good).stdout == f"{later}\n"


def test_a_python_no_newer_than_the_locks_is_not_taken(tmp_path: Path) -> None:
    python(tmp_path, 11)
    found = newest(tmp_path / "pyenv", tmp_path)
    assert (found.returncode, found.stdout, found.stderr) == (1, "", "")
