"""The command line as a user meets it: output, exit codes, one line for a mistake."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

from lrbench.cli import commands, output
from lrbench.results.answer_schema import WholeAnswer
from lrbench.study import catalog

SMALL = [
    "--set",
    "steps=20",
    "--set",
    "evaluate_every=10",
    "--set",
    "learning_rate.num=5",
    "--set",
    "seeds=2",
]

WRITTEN = [
    f"results/house_prices/{name}"
    for name in (
        "comparison.csv curves.parquet interactions.csv ranking.csv runs.csv sensitivity.csv summary.csv tuning_budget.csv winners.csv"
    ).split()
]


def lrbench(*words: str | Path, folder: Path, wait: float = 100) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "lrbench", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        timeout=wait,
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("ran")
    return folder, lrbench("run", "house_prices", *SMALL, "--no-report", folder=folder)


def test_run_prints_the_answer_and_then_what_was_written(
    ran: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, done = ran
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    answer, blank, written = lines[: -len(WRITTEN) - 1], lines[-len(WRITTEN) - 1], lines[-len(WRITTEN) :]
    assert blank == ""
    assert answer[0].startswith("house_prices: ")
    assert any(line.split()[:3] == ["optimizer", "schedule", "use"] for line in answer)
    assert all(sum(line.startswith(name) for line in answer) == 1 for name in ("adam ", "sgd(momentum=0.9) "))
    assert written == WRITTEN
    assert all((folder / line).exists() for line in written)
    assert "training 30 runs of 20 steps" in done.stderr
    assert not (folder / "results/house_prices/report.html").exists()


@pytest.mark.slow
def test_running_again_trains_nothing(ran: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, done = ran
    again = lrbench("run", "house_prices", *SMALL, "--no-report", folder=folder)
    assert again.returncode == 0
    assert "runs are cached; nothing to train" in again.stderr
    assert again.stdout == done.stdout
    quiet = lrbench("run", "house_prices", *SMALL, "--no-report", "--quiet", folder=folder)
    assert ([*quiet.stdout.splitlines(), "", *WRITTEN], quiet.stderr) == (done.stdout.splitlines(), "")


def test_best_and_report(ran: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, done = ran
    best = lrbench("best", "results/house_prices", folder=folder)
    assert [*best.stdout.splitlines(), "", *WRITTEN] == done.stdout.splitlines()
    (folder / "results/house_prices/runs.csv").unlink()
    report = lrbench("report", "results/house_prices", folder=folder)
    assert report.returncode == 0
    assert report.stdout.splitlines()[-1] == "results/house_prices/report.html"
    assert all((folder / line).exists() for line in report.stdout.splitlines())
    names = {path.name for path in (folder / "results/house_prices/plots").iterdir()}
    # Of other studies, and of those that keep first hits; one problem ranks nobody, and a constant rate has no shape.
    other = {"contours", "range_test", "ecdf", "critical_difference", "performance_profile", "schedules"}
    drawn = set(catalog.names("plot")) - other
    assert names == {f"{plot}.{kind}" for plot in drawn for kind in ("png", "svg")}


@pytest.mark.slow
def test_best_in_sentences_and_as_json(ran: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, done = ran
    table = done.stdout.splitlines()
    found = lrbench("best", "results/house_prices", "--sentences", "--top", "2", folder=folder)
    head = table[: table.index("")]
    lines = found.stdout.splitlines()
    assert lines[: len(head)] == head
    said = lines[len(head) : lines.index("")]
    assert len(said) == 2
    assert all(" + constant: use " in line for line in said)
    found = lrbench("best", "results/house_prices", "--json", "--problem", "house_prices", folder=folder)
    answer = WholeAnswer.model_validate_json(found.stdout)
    assert (answer.study, [len(problem.lines) for problem in answer.problems]) == ("house_prices", [3])
    assert f"  {answer.problems[0].lines[0].answer}" == said[0]


def test_the_answer_is_as_wide_as_the_terminal(
    ran: tuple[Path, subprocess.CompletedProcess[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = ran
    for columns in (80, 200):
        monkeypatch.setattr("sys.stdout", Terminal())
        monkeypatch.setenv("COLUMNS", str(columns))
        output.print_answer(folder / "results/house_prices")
        seen = sys.stdout.getvalue()  # type: ignore[attr-defined]
        assert max(map(len, seen.splitlines())) <= columns
        assert ("\noptimizer " in seen) == (columns == 200)


class Terminal(io.StringIO):
    """What is written to it is seen by a person."""

    def isatty(self) -> bool:
        return True


@pytest.mark.slow
def test_plan_trains_nothing(tmp_path: Path) -> None:
    done = lrbench("plan", "quickstart", "--set", "seeds=2", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        "quickstart: 384 runs of 500 steps (2 problems × 3 optimizers × 2 schedules × 16"
    )
    assert "KiB/lane" in done.stdout
    assert "estimate: about" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "quickstat"], "unknown study or problem 'quickstat'; nearest: quickstart, "),
        (["run", "quickstart", "--set", "stepz=1"], "quickstart: stepz = 1: unknown key 'stepz'"),
        (["run", "quickstart", "--devices", "many"], "--devices many: must be a number of 1 or more, or all"),
        (["run", "quickstart", "--launcher", "cloud"], "unknown launcher 'cloud'; allowed: "),
        (
            ["run", "house_prices", "--set", "schedule={name='warmup_cosine', warmup=2}"],
            "warmup = 2.0: must be a share",
        ),
        (["best", "nowhere"], "nowhere: is not a results folder"),
        (["best", "nowhere", "--json", "--sentences"], "--sentences: does not go together with --json"),
        (["best", "nowhere", "--top", "0"], "Invalid value for '--top'"),
        (["report", "nowhere"], "nowhere: is not a results folder"),
        (["run", "quickstart", "--oout", "x"], "No such option: --oout"),
        (["run"], "Missing argument 'STUDY'"),
        (["rum"], "No such command 'rum'"),
        (["list", "optimisers"], "unknown kind or name 'optimisers'; nearest: optimizers, "),
        (["list", "optimizer", "adm"], "unknown optimizer 'adm'; nearest: adam, adamw, "),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(tmp_path: Path, words: list[str], message: str) -> None:
    done = lrbench(*words, folder=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file where a folder should be")
    done = lrbench("run", "house_prices", *SMALL, folder=tmp_path)
    assert done.returncode == 2
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_interrupted_and_gone_on(tmp_path: Path) -> None:
    """Ctrl-C: exit code 130, one line; what was finished is there and is not trained again."""
    words = [
        "run",
        "quickstart",
        "--no-report",
        "--set",
        "steps=300",
        "--set",
        "problem=['house_prices', 'mnist_mlp']",
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "lrbench", *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    parts = tmp_path / "results/quickstart/parts"
    until = time.monotonic() + 90
    while time.monotonic() < until and not list(parts.glob("*/[!.]*.parquet")):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors.splitlines()[-1].startswith("lrbench: interrupted; finished packs are saved")
    assert "Traceback" not in errors
    held = {path: path.stat().st_mtime_ns for path in parts.glob("*/[!.]*.parquet")}
    assert held
    again = lrbench(
        "run",
        "quickstart",
        "--no-report",
        "--set",
        "steps=300",
        "--set",
        "problem='house_prices'",
        folder=tmp_path,
    )
    assert again.returncode == 0, again.stderr
    assert re.search(r"[0-9]+ of (288|[3-9][0-9]{2}) runs are cached", again.stderr)
    assert all(path.stat().st_mtime_ns == changed for path, changed in held.items())


@pytest.mark.slow
def test_own_code_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import jax.numpy as jnp, optax, lrbench\n"
        "def bowl(*, power: float = 2.0):\n"
        "    return lrbench.problem(name='bowl', init=lambda key: jnp.ones(3),\n"
        "                           loss=lambda w, batch, key: jnp.sum(jnp.abs(w) ** power))\n"
        "def slow(learning_rate, *, factor: float = 0.5):\n"
        "    return optax.sgd(learning_rate * factor)\n"
    )
    (tmp_path / "own.toml").write_text(
        'name = "own"\nsteps = 10\nseeds = 1\n[[problem]]\nname = "mine.py:bowl"\npower = [2.0, 4.0]\n'
        '[[optimizer]]\nname = "mine.py:slow"\nfactor = [0.5, 1.0]\n[learning_rate]\nvalues = [0.1, 0.2]\n'
    )
    refused = lrbench("run", "own.toml", folder=tmp_path)
    assert refused.returncode == 2
    assert "allow it with --trust" in refused.stderr
    done = lrbench("run", "own.toml", "--trust", "--no-report", "--quiet", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    header, *rows = (tmp_path / "results/own/runs.csv").read_text().splitlines()
    assert "problem_power" in header
    assert "optimizer_factor" in header
    assert len(rows) == 8


@pytest.mark.slow
def test_a_failed_pack_is_exit_code_3(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import jax.numpy as jnp, lrbench\n"
        "def broken():\n"
        "    return lrbench.problem(name='broken', init=lambda key: jnp.ones(3), loss=lambda w, batch, key: w)\n"
    )
    (tmp_path / "own.toml").write_text(
        'name = "own"\nsteps = 10\nseeds = 1\nproblem = ["quadratic", "mine.py:broken"]\noptimizer = "sgd"\n'
        "[learning_rate]\nvalues = [0.1, 0.2]\n"
    )
    done = lrbench("run", "own.toml", "--trust", "--no-report", folder=tmp_path)
    assert done.returncode == 3
    assert (
        "2 runs are missing; the others are saved; the same command tries them again"
        in done.stderr.splitlines()[-1]
    )
    assert "Traceback" not in done.stderr


def test_list_names_everything() -> None:
    from lrbench.cli.listing import listing

    text = listing()
    for kind in catalog.FOLDERS:
        assert all(f"  {name} " in text for name in catalog.names(kind))
        for name in catalog.names(kind):
            assert listing(kind, name).startswith(f"{kind} {name}\n")
            assert listing(f"{kind}s", name) == listing(kind, name)
    assert listing("studies", "quickstart").startswith("# Which learning rate")


def test_help_is_sentences() -> None:
    """Every command and every option has a sentence; `lrbench --help` has room for the whole sentence of each command."""
    group = typer.main.get_command(commands.app)
    context = typer.Context(group)
    assert isinstance(group, typer.core.TyperGroup)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        assert command.get_short_help_str(64).endswith(".")
        assert not command.get_short_help_str(64).endswith("...")
        assert all(
            parameter.help.rstrip("]").endswith(("NAME", ".", "NAME_find", "jobs"))
            for parameter in command.params
        )


def test_output_that_nobody_reads_is_no_error(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    process = subprocess.Popen(
        [sys.executable, "-m", "lrbench", "list"],
        stdout=write,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        text=True,
    )
    os.close(write)
    _, errors = process.communicate(timeout=30)
    assert "Traceback" not in errors


def test_a_table_without_csv_is_named_as_parquet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("runs.parquet", "summary.csv", "summary.parquet", "curves.csv", "curves.parquet"):
        (tmp_path / name).touch()
    output.print_written(tmp_path, str(tmp_path), pictures=True)
    names = [Path(line).name for line in capsys.readouterr().out.splitlines()]
    assert names == ["curves.parquet", "runs.parquet", "summary.csv"]
