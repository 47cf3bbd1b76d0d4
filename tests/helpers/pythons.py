"""The Pythons of this machine that lrbench supports, and environments in which nothing else is set."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.helpers.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# A build without the global lock, or ahead of its release, finds no wheels.
USABLE = """
import ensurepip, sys, sysconfig, venv
sys.exit(sys.version_info.releaselevel != "final" or bool(sysconfig.get_config_var("Py_GIL_DISABLED")))
"""
# Where packages come from is the machine's affair, not the user's: all else of the environment is left behind.
KEPT = re.compile(r"PIP_|SSL_CERT_|(https?|all|no)_proxy$", re.IGNORECASE)


def supported() -> list[str]:
    """Return the versions, such as "3.11", that the classifiers name."""
    named = re.findall(r"Python :: (3\.\d+)$", "\n".join(PROJECT["classifiers"]), re.MULTILINE)
    return sorted(named, key=lambda version: int(version.partition(".")[2]))


def find(version: str) -> Path | None:
    """Return a Python of that version, on PATH, this one or the newest of pyenv's; none if there is none that makes environments."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    kept = sorted(
        pyenv.glob(f"versions/{version}.*"),
        key=lambda path: [int(number) for number in re.findall(r"\d+", path.name)],
        reverse=True,
    )
    # The Python of this environment may be nowhere on PATH.
    own = Path(sys.base_prefix, "bin", f"python{version}")
    candidates = [
        shutil.which(f"python{version}"),
        own,
        *(path / "bin" / f"python{version}" for path in kept),
    ]
    for python in filter(None, candidates):
        # A shim of pyenv stands on PATH for versions that it does not start.
        if Path(python).exists() and _ends_well([python, "-c", USABLE]):
            return Path(python)
    return None


def clean(home: Path, *folders: Path) -> dict[str, str]:
    """Return the environment of somebody who has just come: an empty home, and nothing set but where packages come from."""
    home.mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if KEPT.match(name)}
    path = os.pathsep.join([*map(str, folders), "/usr/bin", "/bin"])
    return {"HOME": str(home), "PATH": path, "LANG": "C.UTF-8", **kept}


def _ends_well(command: list[str | Path]) -> bool:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return done.returncode == 0
