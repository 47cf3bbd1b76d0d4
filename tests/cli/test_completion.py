"""What the shell is offered, and what offering it costs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from lrbench.cli import commands
from lrbench.study import catalog
from tests.helpers.command import lrbench


def offered(*words: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what bash is offered for the last of some words."""
    monkeypatch.setenv("COMP_WORDS", " ".join(["lrbench", *words]))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    monkeypatch.setenv("_LRBENCH_COMPLETE", "complete_bash")
    return lrbench(list(words))[1].split()


@pytest.fixture
def folder() -> None:
    """A results folder in `results/`, another beside it, and a study file."""
    for name in ("results/digits", "elsewhere"):
        Path(name).mkdir(parents=True)
        Path(name, "manifest.json").write_text(
            json.dumps({"problems": [{"name": "digits_mlp"}, {"name": "own"}]})
        )
    Path("results/nothing").mkdir()
    Path("digits.toml").touch()


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (
            ["run", "digits"],
            ["digits.toml", *(n for n in catalog.names("problem") if n.startswith("digits"))],
        ),
        (["plan", "quick"], ["quickstart"]),
        (["best", ""], ["elsewhere", "results/digits"]),
        (["open", "results/"], ["results/digits"]),
        (["compare", "elsewhere", "r"], ["results/digits"]),
        (["plot", "results/digits", "heat"], ["heatmap"]),
        (["plot", "results/digits", "heatmap", "--problem", ""], ["digits_mlp", "own"]),
        (["best", "results/digits", "--problem", "o"], ["own"]),
        (["best", "nowhere", "--problem", ""], []),
        (["list", "problem"], ["problem", "problems"]),
        (["list", "adamw"], ["adamw"]),
        (["list", "schedules", "wsd"], ["wsd"]),
        (["list", "adam", "a"], []),
        (["export", "x", "--to", "c"], ["csv"]),
        (["run", "x", "--launcher", "s"], ["slurm"]),
        (["plan", "x", "--for", "h"], ["h100", "h200"]),
        (["experiment", "fin"], ["finder_truth"]),
        (["pl"], ["plan", "plot"]),
    ],
)
def test_what_is_offered(words: list[str], wanted: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert sorted(offered(*words, monkeypatch=monkeypatch)) == sorted(wanted)


def test_offering_imports_nothing_slow(tmp_path: Path) -> None:
    program = (
        "import os, sys; os.environ.update(COMP_WORDS='lrbench run d', COMP_CWORD='2', _LRBENCH_COMPLETE='complete_bash')\n"
        "sys.argv = ['lrbench', 'run', 'd']\n"
        "from lrbench.cli import commands\n"
        "try: commands.main()\n"
        "except SystemExit: print('|', *sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    offers, _, loaded = done.stdout.partition("|")
    assert "digits_mlp" in offers.split()
    assert not {"jax", "pandas", "pyarrow", "matplotlib", "numpy"} & set(loaded.split())


def test_a_shell_that_cannot_complete_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("typer.completion._get_shell_name", lambda: "tcsh")
    code, said = lrbench(["--show-completion"])
    assert (code, said) == (2, "Shell tcsh not supported.\n")
    monkeypatch.setattr("typer.completion._get_shell_name", lambda: "bash")
    code, said = lrbench(["--show-completion"])
    assert code == 0
    assert "complete -o default -F _lrbench_completion lrbench" in said


def test_help_fits_into_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    group = typer.main.get_command(commands.app)
    assert isinstance(group, typer.core.TyperGroup)
    for name in ("", *group.list_commands(typer.Context(group))):
        code, said = lrbench([*name.split(), "--help"])
        assert code == 0
        assert max(map(len, said.splitlines())) <= 80
        assert "…" not in said
        shown = " ".join(said.split())
        command = group.get_command(typer.Context(group), name) if name else group
        assert command is not None
        for parameter in command.params:
            assert " ".join((getattr(parameter, "help", "") or "").split()) in shown, parameter.name
            assert all(option in shown for option in parameter.opts if option.startswith("-"))
