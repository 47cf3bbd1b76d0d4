"""README and docs: every command and example runs, every link leads somewhere, every key and column is explained."""

from __future__ import annotations

import contextlib
import functools
import gc
import io
import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest

import lrbench as lb
from lrbench.analysis import Thresholds, label
from lrbench.cli.commands import BUG, DONE, FAILED, INTERRUPTED, MISTAKE
from lrbench.study import catalog
from lrbench.study.grid import of_study
from lrbench.study.learning_rates import LearningRates
from lrbench.study.spec import Study, read
from tests.helpers.command import lrbench
from tests.helpers.pages import PAGES, Block, blocks, commands
from tests.helpers.paths import ROOT
from tests.helpers.shell import LATE, Shell

# Sets a machine up, or belongs to the Makefile: it must be real, but is not run here.
SETUP = ("make", "pip", ".")
# All else of the README is run as it is written. These are not: what is run instead, or nothing, and why.
NOT_AS_WRITTEN = {
    "make run": ".venv/bin/lrbench run quickstart 2> progress",  # what it ends with; it sets up the environment that runs this test
    "make test": "",  # runs this test
    "pip install .": "",  # would put another lrbench, and others of its packages, in place of those that are tested
}
FRAGMENT = {
    "name": "x",
    "steps": 1,
    "problem": "quadratic",
    "optimizer": "sgd",
    "learning_rate": {"values": [1.0]},
}


def execute(command: str) -> tuple[int, str]:
    """Run one line of a shell block; what sets a machine up is only compared with the Makefile and pyproject.toml."""
    words = shlex.split(command)
    if words[0] in SETUP:
        is_real(command)
        return 0, ""
    if words[0] != "lrbench":
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # where lrbench is
        shell = {"env": {**os.environ, "PATH": path}, "capture_output": True, "text": True}
        done = subprocess.run(["bash", "-c", command], check=False, **shell)
        return done.returncode, done.stdout + done.stderr
    file = words[words.index(">") + 1] if ">" in words else None
    code, output = lrbench(words[1 : words.index(">")] if file else words[1:])
    if file:
        Path(file).write_text(output)
    return code, output


class Terminal:
    """A terminal in the folder of a clone whose `.venv` is the environment that runs the tests; JAX is as a reader has it."""

    SECONDS = 300
    """A command that takes longer hangs, and is killed: the longest takes 40 on two cores of its own."""

    def __init__(self, folder: Path) -> None:
        (folder / ".venv").symlink_to(sys.prefix)
        ours = ("JAX_NUM_CPU_DEVICES", "JAX_DISABLE_MOST_OPTIMIZATIONS", "XLA_FLAGS")
        environment = {name: value for name, value in os.environ.items() if name not in ours}
        environment["PYTHONPATH"] = f"{ROOT}{os.pathsep}{folder}"
        self._folder = folder
        self._shell = Shell(folder, environment, self.SECONDS)

    def type(self, command: str) -> tuple[int, str]:
        """Run a command; return its exit code and what is seen."""
        if command in NOT_AS_WRITTEN:
            is_real(command)
        return self._shell.type(NOT_AS_WRITTEN.get(command, command))

    def python(self, text: str) -> str:
        """Run a program; return what it prints."""
        (self._folder / "typed.py").write_text(text)
        code, seen = self.type("python typed.py 2> progress")
        assert code == 0, (self._folder / "progress").read_text()
        return seen


def test_what_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    """A command that waits for ever fails its test instead of stopping all of them."""
    shell = Shell(tmp_path, os.environ, 0.5)
    assert shell.type("echo typed; exit 3") == (3, "typed\n")
    code, seen = shell.type("echo begun; (sleep 60; touch alive) & wait")
    assert code == LATE
    assert seen.startswith("begun\n")
    assert "not done after 0.5 s" in seen


def is_real(command: str) -> None:
    """Check a command that sets a machine up against the Makefile and pyproject.toml."""
    words = shlex.split(command)
    if words[0] == "make":
        makefile = (ROOT / "Makefile").read_text()
        given = dict(word.split("=", 1) for word in words[1:] if "=" in word)
        targets = re.findall(r"^([a-z-]+):", makefile, re.MULTILINE)
        assert {word for word in words[1:] if "=" not in word} <= set(targets), command
        assert set(given) <= set(re.findall(r"^([A-Z]+) +\?=", makefile, re.MULTILINE)), command
        assert "BENCH" not in given or (ROOT / "benchmarks" / f"{given['BENCH']}.py").exists(), command
    elif words[0] == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        assert re.fullmatch(r"pip install '?\.(\[(\w+)\])?'?", command), command
        assert set(re.findall(r"\[(\w+)\]", command)) <= set(extras), command
    else:
        assert command == ". .venv/bin/activate"


def matches(shown: str, printed: str) -> bool:
    """Whether what a page shows is what was printed; a line `...` stands for any lines."""
    parts = re.split(r"^ *\.\.\.\n", shown, flags=re.MULTILINE)
    return re.fullmatch(".*?".join(map(re.escape, parts)), printed, re.DOTALL) is not None


def shape(text: str) -> list[str]:
    """Return the lines without what differs between machines: numbers, what is known of a program, and of an answer all but
    what it is about: which of two close lines is first is not the same everywhere.
    """
    if ANSWER in text:
        text = "\n".join(what_is_answered(text))
    text = re.sub(r"\b(guessed|measured|rule)\b", "known", text)
    # A program that was measured here has options of XLA's compiler, too.
    text = re.sub(r"chosen +options", "chosen", re.sub(r"known +with\w+", "known", text))
    return sorted(" ".join(re.sub(r"[\d.,e-]*\d", "#", line).split()) for line in text.splitlines())


def is_shape_of(shown: str, printed: str) -> bool:
    """Whether what a page shows is what was printed, but for numbers; if it ends in a line `...`, whether it is of the same problem."""
    if shown.endswith("\n...\n"):
        return printed.startswith(shown.partition(":")[0] + ": ")
    return shape(shown) == shape(printed)


ANSWER = "\noptimizer "
"""How the table of an answer begins."""


def what_is_answered(text: str) -> Iterator[str]:
    """Yield of an answer the problems, the lines of each table, and what the best rate moves with; and what is not of an answer."""
    columns, problem = None, ""
    for line in re.sub(r"\n  (?=\S)", " ", text).splitlines():  # sentences are wrapped
        if line.startswith(ANSWER.strip() + " "):
            columns = line.index("schedule"), line.index("  use") + 5
            yield f"{problem}: {' '.join(line.split()[:5])}"
        elif columns and line:
            schedule = line[columns[0] :].split()[0]
            yield f"{problem}: {line[: columns[0]].strip()} + {schedule}"
        elif line.startswith(("band: ", "( ): ", "≈: ")) or not line:
            columns = None
        elif found := re.match(r"(\w+): .* (?:at|trains) ", line):
            problem = found[1]
        elif found := re.match(r"(\w+, .* \+ .*): the best rate ", line):
            yield found[1]
        else:
            yield line


def run_python(text: str, names: dict[str, object]) -> str:
    """Run a program in this process, with the names that those before it left; return what it prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(text, "<docs>", "exec"), names)
    return out.getvalue()


def run_block(
    block: Block, printed: str, command: Callable[[str], tuple[int, str]], python: Callable[[str], str]
) -> str:
    """Do what a reader would do with a block, `printed` being what the one before it printed; return what this prints."""
    output = ""
    if block.title:
        Path(block.title).write_text(block.text)
        if block.language == "toml":
            read(block.title, trust=True)
    elif block.language in {"sh", "console"}:
        for line, shown in commands(block):
            code, found = command(line)
            assert code == (2 if shown.startswith("lrbench: ") else 0), f"{line}\n{found}"
            assert matches(shown, found) or block.language == "sh", f"{line}\n{found}"
            output = found or output
    elif block.language == "python":
        output = python(block.text)
    elif block.language == "toml":
        read(FRAGMENT | tomllib.loads(block.text))
    elif block.language == "output":
        assert matches(block.text, printed)
    else:
        assert block.language == "text", f"{block.language}: what is a reader to do with this block?"
        # Commands that are not typed here take hours, or other machines: they are no output.
        assert not printed or block.text.startswith("lrbench ") or is_shape_of(block.text, printed)
    return output


# The folder of a sweep that is not saved goes away with its results, which Python calls implicit.
@pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")
@pytest.mark.timeout(400)  # a page trains several studies, and each compiles; a shared machine takes its time
@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if page != "README.md" and blocks(page)])
def test_every_block_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page is one session, in one folder, from its first block to its last; the README is typed in the next test."""
    monkeypatch.syspath_prepend(tmp_path)
    # A reader's programs find lrbench, since they have activated the environment; make test does not.
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    monkeypatch.setattr("webbrowser.open", lambda address: True)
    # Drawing takes seconds for each study, and other tests draw every plot and page.
    if page != "command-line.md":
        monkeypatch.setattr("lrbench.results.drawing.write_all", lambda results, check, helpers: None)
    monkeypatch.setattr("lrbench.results.drawing.MOST_HELPERS", 0)
    names: dict[str, object] = {"__name__": "__docs__"}
    printed = ""
    jax.config.update("jax_numpy_rank_promotion", "allow")  # a reader has the default
    try:
        for block in blocks(page):
            printed = run_block(block, printed, execute, functools.partial(run_python, names=names))
    finally:
        jax.config.update("jax_numpy_rank_promotion", "raise")
        names.clear()
        gc.collect()
        sys.modules.pop("mine", None)


@pytest.mark.slow
@pytest.mark.timeout(3000)  # a command that hangs is killed long before
def test_the_readme_is_typed_as_it_is_written(tmp_path: Path) -> None:
    """Every command in a process of its own, with as many devices as the machine has cores, and XLA as a reader has it."""
    terminal = Terminal(tmp_path)
    printed = ""
    for block in blocks("README.md"):
        printed = run_block(block, printed, terminal.type, terminal.python)


def test_what_the_readme_has_and_is_not_typed() -> None:
    typed = {command for block in blocks("README.md") for command, _ in commands(block)}
    assert set(NOT_AS_WRITTEN) <= typed
    assert {command for command in typed if command.split()[0] in SETUP} == {
        *NOT_AS_WRITTEN,
        ". .venv/bin/activate",
    }


def test_the_answer_shows_what_quickstart_prints() -> None:
    """Every line of the answer is there, of this study's shape; the numbers are those of one machine."""
    study = read("quickstart")
    grid = of_study(study)
    runs = pd.DataFrame(grid.columns(np.arange(len(grid))))
    variants = zip(*(label(runs, part) for part in ("problem", "optimizer", "schedule")), strict=True)
    wanted = {f"{problem}: {optimizer} + {schedule}" for problem, optimizer, schedule in variants}
    shown = next(block.text for block in blocks("answer.md") if block.language == "text")
    assert wanted == {line for line in what_is_answered(shown) if re.match(r"\w+: .* \+ ", line)}
    for problem in {
        line.partition(":")[0] for line in wanted
    }:  # a winner in a sentence, which all lines follow
        assert re.search(
            rf"^{problem}: .+ at .+ on {study.confirm} fresh seeds", re.sub(r"\n  ", " ", shown), re.MULTILINE
        )
    assert f"{len(grid):,} models" in PAGES["README.md"].read_text()


def test_catalogue_is_current() -> None:
    script = ROOT / "docs" / "make_catalogue.py"
    assert runpy.run_path(str(script))["page"]() == PAGES["catalogue.md"].read_text(), f"run python {script}"
    light = f"import runpy, sys; runpy.run_path({str(script)!r}); sys.exit('jax' in sys.modules)"
    subprocess.run([sys.executable, "-c", light], check=True)


def test_the_keys_of_the_answer_are_current() -> None:
    script = ROOT / "docs" / "make_answer.py"
    made = runpy.run_path(str(script))
    assert made["page"]() == PAGES["answer.md"].read_text(), f"run python {script}"
    assert all(set(model.model_fields) <= _explained("answer.md") for model in made["MODELS"].values())


def test_commands_are_current() -> None:
    script = ROOT / "docs" / "make_commands.py"
    made = runpy.run_path(str(script))
    assert made["page"]() == PAGES["command-line.md"].read_text(), f"run python {script}"
    assert all(set(model.model_fields) <= _explained("command-line.md") for model in made["MODELS"].values())


def test_figures_of_speed_are_current() -> None:
    script = ROOT / "docs" / "make_speed.py"
    assert runpy.run_path(str(script))["page"]() == PAGES["speed.md"].read_text(), f"run python {script}"


def test_the_numbers_of_the_first_screen_are_those_of_the_tables() -> None:
    first = PAGES["README.md"].read_text().partition("make run")[0]
    tables = ROOT / "results"
    speed = pd.read_csv(tables / "speed/throughput.csv").set_index("peer")["ratio"]
    assert f"**{speed['PyTorch eager, one at a time'].iloc[0]:.0f} times as fast**" in first
    targets = pd.read_csv(tables / "answers/targets.csv").set_index("what")
    confirmed = "lines that lose more than 5 % at use: 3 seeds, 10 confirm"
    refined = targets.loc[f"{confirmed}, 1 refine"]
    low, high = map(float, re.findall(r"([\d.]+)%", refined["note"])[:2])
    assert f"**{100 * refined['value']:.1f} %** of" in first
    assert f"(95 % interval {low:.0f} to {high:.1f} %)" in first
    assert f"without `refine` {100 * targets.loc[confirmed, 'value']:.1f} %" in first
    for name, what, marked in (
        ("deepobs", "rows that DeepOBS published and lrbench meets", "**"),
        ("optax_convergence", "runs that optax's tests require", ""),
    ):
        found = pd.read_csv(tables / name / "findings.csv")
        (row,) = found[found["finding"].str.startswith(what)].to_dict("records")
        assert f"{marked}{row['value']:.0f} {row['unit']}{marked} runs" in first


def test_tables_are_current() -> None:
    script = ROOT / "docs" / "make_tables.py"
    assert runpy.run_path(str(script))["page"]() == PAGES["results.md"].read_text(), f"run python {script}"


def test_names_of_the_readme_are_in_the_catalogue() -> None:
    section = PAGES["README.md"].read_text().split("## What is in the catalogue")[1].split("\n## ")[0]
    known = {name for kind in catalog.FOLDERS for name in catalog.names(kind)}
    named = set(re.findall(r"`(\w+)`", section))
    assert named
    assert named <= known


def _anchors(page: Path) -> set[str]:
    """Return the anchors that a page's headings get, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_resolve(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page].read_text()):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        path = (PAGES[page].parent / file).resolve() if file else PAGES[page]
        assert path.exists(), target
        assert not anchor or anchor in _anchors(path), target


def _explained(page: str) -> set[str]:
    """Return what stands as code in the first column of a page's tables."""
    rows = re.findall(r"^\| (.+?) \|", PAGES[page].read_text(), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def test_every_key_and_threshold_is_explained() -> None:
    assert {*Study.model_fields, *LearningRates.model_fields} <= _explained("study-file.md")
    assert set(Thresholds().asdict()) <= _explained("definitions.md")
    codes = {DONE, BUG, MISTAKE, FAILED, INTERRUPTED}
    assert all(f"\n| {code} | " in PAGES["study-file.md"].read_text() for code in codes)


def test_defaults_of_keys_are_true() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| [^|]+ \| (`[^|]+`) \|", PAGES["study-file.md"].read_text(), re.MULTILINE
    )
    study = read(FRAGMENT).table(Path())
    for key, shown in rows:
        given = tomllib.loads(f"value = {shown.strip('`')}")["value"] if "/" not in shown else None
        if given is not None:
            assert read(FRAGMENT | {key: given}).table(Path()) == study, key


def test_every_column_is_explained() -> None:
    results = lb.sweep(
        "house_prices", optimizers="sgd", learning_rates=[0.01, 1.0], seeds=2, steps=10, out="here"
    )
    known = _explained("results.md")
    assert set(results.manifest) <= known
    assert {re.sub("valid_r2$", "valid_<metric>", name) for name in (*results.runs, *results.curves)} <= known
    known_of_other = {f"other_{column}" for column in known}
    tables = results.comparison, results.ranking, results.tuning_budget, results.compare(results)
    assert {column for table in tables for column in table} <= known | known_of_other | {
        f"difference{kind}_{end}" for kind in ("", "_normalised") for end in ("low", "high")
    }
    for column in (*results.summary, *results.sensitivity):
        column = column.replace("valid_r2", "valid_<metric>")
        assert column in known or re.sub("_(mean|median|iqm|low|high)$", "", column) in known
