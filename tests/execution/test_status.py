"""`lrbench status`: what is completed and missing, and a pace only where the times of the parts show one."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from lrbench.execution.execute import execute
from lrbench.execution.status import status_text
from lrbench.results.folder import ResultsFolder
from lrbench.study.grid import of_study
from lrbench.study.spec import read

STUDY = {"name": "paced", "steps": 4, "seeds": 1, "problem": "quadratic", "optimizer": ["sgd", "adam"]}
STUDY |= {"schedule": ["constant", "cosine"], "learning_rate": {"values": [0.1, 1.0]}, "probes": []}
STUDY |= {"deterministic": True}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A study of which a third is missing: two parts, the second written ten minutes after the first."""
    folder = tmp_path / "out"
    execute(STUDY, folder, report=False)
    store = ResultsFolder(folder)
    grown = of_study(read(STUDY | {"optimizer": ["sgd", "adam", "lion"]}))
    store.write_manifest(dict(store.manifest) | {"grid": grown.asdict()})
    first, second = sorted(store.part_paths(), key=lambda path: path.stat().st_mtime)
    ended = second.stat().st_mtime
    os.utime(first, (ended - 600, ended - 600))
    return folder


def test_the_pace_is_that_of_the_parts(folder: Path) -> None:
    lines = status_text(folder).splitlines()
    assert lines[0] == f"{folder}: paced: 8 of 12 runs completed, 4 missing"
    assert lines[1] == "lately 24 runs an hour: about 10 min more at that pace"
    assert re.fullmatch(r"the last part was written \d+ s ago", lines[2])


def test_a_copied_folder_has_no_pace(folder: Path, tmp_path: Path) -> None:
    """Its parts carry the time of the copy, however far apart: none of them can be younger than a table made of it."""
    shutil.copytree(folder, tmp_path / "copy", copy_function=shutil.copyfile)
    assert "lately" not in status_text(tmp_path / "copy")
    for number, part in enumerate(ResultsFolder(tmp_path / "copy").part_paths()):
        later = part.stat().st_mtime + 600 * (number + 1)
        os.utime(part, (later, later))
    assert "lately" not in status_text(tmp_path / "copy")


def test_parts_written_together_have_no_pace(folder: Path) -> None:
    """As by jobs that started together: one of them took longer than the time between them."""
    for part in ResultsFolder(folder).part_paths():
        os.utime(part, (1e9, 1e9))
    assert "lately" not in status_text(folder)
