"""A finished study for the tests of folders that others wrote."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import tomli_w

from lrbench.execution.execute import execute
from lrbench.results.results import Results
from lrbench.study import catalog
from tests.helpers.foreign import STUDY


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study."""
    folder = tmp_path_factory.mktemp("foreign") / "made"
    execute(STUDY, folder, report=False)
    return folder


@pytest.fixture
def sbatch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that takes jobs, and does nothing with them."""
    Path("bin").mkdir()
    for name in ("sbatch", "srun"):  # submitit looks for srun too
        Path("bin", name).write_text("#!/bin/sh\necho Submitted batch job 1\n")
        Path("bin", name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{Path('bin').resolve()}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def folder(made: Path, sbatch: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, of which reports are quick: one picture, and a page without its script."""
    names = catalog.names
    monkeypatch.setattr(catalog, "names", lambda kind: ["schedules"] if kind == "plot" else names(kind))
    monkeypatch.setattr(Results, "report", lambda self: "page")
    Path("foreign.toml").write_text(tomli_w.dumps(STUDY))
    return Path(shutil.copytree(made, "out"))
