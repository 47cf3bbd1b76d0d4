"""What follows the pages to the letter: each step in order, in a shell of its own, and a step that fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import stranger
from tests.helpers import pages
from tests.helpers.paths import ROOT


def test_steps_are_those_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        '```sh\nmake run  # a comment\n. .venv/bin/activate\n```\n```python title="a.py"\nprint(1)\n```\n'
        "```python\nx = 1\nprint(x)\n```\n```text\nnothing\n```\n"
    )
    monkeypatch.setitem(pages.PAGES, "page.md", page)
    assert [*stranger.steps("page.md", tmp_path)] == [
        ("make run", "make run"),
        (". .venv/bin/activate", ". .venv/bin/activate"),
        ("python: print(x)", "python typed_3.py"),
    ]
    assert (tmp_path / "a.py").read_text() == "print(1)\n"


def test_the_pages_of_a_newcomer_begin_with_an_installation(tmp_path: Path) -> None:
    first = [next(command for _, command in stranger.steps(page, tmp_path)) for page in stranger.READ]
    assert first == ["make run", "pip install ."]


@pytest.mark.slow
def test_an_hour_prints_each_step_and_what_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```sh\necho name=1 > set\n. ./set\ntest $name = 1\ntest -e README.md\ntest -z $JAX_PLATFORMS\n"
        "echo a reason && false\necho hidden\nmake test\n```\n"
    )
    monkeypatch.setitem(pages.PAGES, "page.md", page)
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert not stranger.hour(Path(sys.executable), ["make test"], ["page.md"])
    printed = capsys.readouterr().out
    assert printed.count("EXIT CODE") == 1
    assert "s  echo a reason && false\nEXIT CODE 1\na reason\n" in printed
    assert "\n  skipped  make test\n" in printed
    assert "hidden\nhidden" not in printed


@pytest.mark.parametrize("module", ["lowering", "mutants", "packages", "stranger"])
def test_what_make_runs_is_found_beside_a_package_of_the_same_name(module: str, tmp_path: Path) -> None:
    """A package that we install for tests puts a package `tests` of its own into the environment."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "__init__.py").touch()
    find = f"import importlib.util; print(importlib.util.find_spec('tests.{module}').origin)"
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", find]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert Path(done.stdout.strip()) == ROOT / "tests" / f"{module}.py", done.stderr
