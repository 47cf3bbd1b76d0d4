"""The command line: thin, and quick to start; every choice it offers comes from the catalog."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import threading
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lrbench.cli.interrupt import CODE, Interrupt
from lrbench.errors import LrbenchError, escaped, one_line

if TYPE_CHECKING:
    from lrbench.execution.execute import Finished

DONE, BUG, MISTAKE, FAILED, INTERRUPTED = 0, 1, 2, 3, CODE

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_UsageError: Any = typer.BadParameter.__bases__[0]
"""What a wrong option or a missing argument raises; typer gives it no public name."""

StudyName = Annotated[
    str, typer.Argument(metavar="STUDY", help="A study file, or the name of a built-in study.")
]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A results folder.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a key, such as learning_rate.num=32."),
]
Trust = Annotated[bool, typer.Option("--trust", help="Run the code that the study names (file.py:function).")]
Devices = Annotated[str, typer.Option("--devices", metavar="N|all", help="How many devices are used.")]


def _print(text: str, *, err: bool = False) -> None:
    """Print lines; names in them are of anybody's making, and no character of them reaches the terminal as a command."""
    typer.echo("\n".join(map(escaped, text.split("\n"))), err=err)


def _print_version(asked: bool) -> None:
    if asked:
        _print(f"lrbench {metadata.version('lrbench')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train every model of a learning-rate study at once, and learn which rate to use."""


@app.command()
def run(
    context: typer.Context,
    study: StudyName,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Results folder [results/NAME].")] = None,
    overrides: Overrides = None,
    launcher: Annotated[str, typer.Option(metavar="NAME", help="Where packs are executed.")] = "local",
    detach: Annotated[
        bool, typer.Option("--detach", help="With --launcher slurm: submit the jobs, and wait for nothing.")
    ] = False,
    devices: Devices = "all",
    trust: Trust = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Set aside what the folder holds; start anew.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the answer alone.")] = False,
    no_report: Annotated[
        bool, typer.Option("--no-report", help="Make tables, but no plots and report.")
    ] = False,
    profile: Annotated[
        bool, typer.Option("--profile", help="Trace the first half second of training, for Perfetto.")
    ] = False,
) -> None:
    """Train a study and print the answer; what its folder already holds is not trained again."""
    from lrbench.cli.progress import listener
    from lrbench.execution.execute import execute

    if detach and launcher != "slurm":
        raise LrbenchError(f"--detach: goes with --launcher slurm alone, not with --launcher {launcher}")
    done = execute(
        study,
        out,
        launcher=launcher,
        devices=_count(devices),
        overrides=[*(overrides or ()), *(["launcher.slurm.detach=true"] if detach else [])],
        trust=trust,
        fresh=fresh,
        report=not no_report,
        profile=profile,
        listener=listener(quiet, context.ensure_object(Interrupt)),
    )
    _print_answer(done.results.folder)
    _print_written(done.results.folder, pictures=not no_report)
    if done.profile:
        _print(str(done.profile))
    if done.failures:
        _print_failures(done)
        raise typer.Exit(FAILED)


@app.command()
def find(
    context: typer.Context,
    study: StudyName,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Results folder [results/NAME_find].")
    ] = None,
    overrides: Overrides = None,
    devices: Devices = "all",
    trust: Trust = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the suggestions alone.")] = False,
) -> None:
    """Sweep the learning rate as finders do, and print what four rules suggest."""
    from lrbench.cli.progress import listener
    from lrbench.execution.find import execute_tests, text

    done = execute_tests(
        study,
        out,
        devices=_count(devices),
        overrides=overrides or (),
        trust=trust,
        listener=listener(quiet, context.ensure_object(Interrupt)),
    )
    if not done.results.finders.empty:
        _print(text(done.results))
        _print_paths(done.results.folder, ["finders.csv", "finders.parquet", "plots/range_test.png"])
    if done.failures:
        _print_failures(done)
        raise typer.Exit(FAILED)


@app.command()
def plan(
    study: StudyName,
    overrides: Overrides = None,
    devices: Devices = "all",
    trust: Trust = False,
    launcher: Annotated[
        str, typer.Option(metavar="NAME", help="Who would share the packs out: ray or slurm.")
    ] = "local",
    nodes: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="To so many nodes like this machine [the study's jobs]."),
    ] = None,
) -> None:
    """Print programs, packs, bytes per lane and an estimate of the time, before anything is run."""
    from lrbench.execution.plan import plan as made
    from lrbench.study.spec import read

    _print(made(read(study, overrides or (), trust=trust), _count(devices), launcher, nodes))


@app.command()
def status(folder: Folder) -> None:
    """Print how far a study is: runs done and left, its jobs, and its pace; from any machine that sees the folder."""
    from lrbench.execution.status import status as made

    _print(made(folder))


@app.command("list")
def list_(
    kind: Annotated[
        str | None, typer.Argument(metavar="[KIND", help="problem, optimizer, schedule, ...")
    ] = None,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]]", help="One of that kind.")] = None,
) -> None:
    """List what can be named: problems, optimizers, schedules, probes, plots, launchers, exporters, experiments, studies, ..."""
    from lrbench.cli.listing import listing

    _print(listing(kind, name))


@app.command()
def report(context: typer.Context, folder: Folder) -> None:
    """Make every table, plot and the report of a folder anew from its parts."""
    from lrbench.cli.progress import listener
    from lrbench.execution.rebuild import rebuild
    from lrbench.results.folder import ResultsFolder

    rebuild(ResultsFolder(folder), listener=listener(False, context.ensure_object(Interrupt)))
    _print_written(folder, pictures=True)


@app.command()
def best(folder: Folder) -> None:
    """Print the answer: best rate, good band, cliff and confidence, per problem, optimizer and schedule."""
    _print_answer(folder)


@app.command()
def query(
    folder: Folder,
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One statement, in DuckDB's dialect.")],
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="End it after so many seconds; 0 is never.")
    ] = 60.0,
) -> None:
    """Print what a statement of SQL selects from the tables: runs, curves, summary, sensitivity, ..."""
    from lrbench.results.query import shown
    from lrbench.results.results import load

    tables = load(folder).tables
    with _ended(timeout):
        said = shown(tables, sql, timeout)
    _print(said)


@app.command()
def export(
    folder: Folder,
    to: Annotated[str, typer.Option("--to", metavar="NAME", help="One of `lrbench list exporters`.")],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="A new or empty folder [DIR/NAME].")] = None,
) -> None:
    """Write the results for another tool."""
    from lrbench.results.results import load

    _print(load(folder).export(to, out))
    _print(str(out if out is not None else folder / to))


@app.command()
def experiment(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="One of `lrbench list experiments`.")],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Its folder [results/NAME].")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set a parameter, such as steps=200."),
    ] = None,
    devices: Devices = "all",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the answer alone.")] = False,
) -> None:
    """Run an experiment: studies that answer a question, with a table and a picture of their own."""
    from lrbench.cli.progress import listener
    from lrbench.experiments.bench import Unfinished, perform

    try:
        answer = perform(
            name,
            out,
            overrides=overrides or (),
            devices=_count(devices),
            listener=listener(quiet, context.ensure_object(Interrupt)),
        )
    except Unfinished as error:
        _print_failures(error.finished)
        raise typer.Exit(FAILED) from error
    for line in answer.lines:
        _print(line)
    for path in answer.paths:
        _print(str(path))


@app.command()
def compare(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR DIR...", help="Two results folders or more.")],
) -> None:
    """Print two or more results side by side: best rates, losses, and whether they differ, paired by seed."""
    from lrbench.results.compare import as_text
    from lrbench.results.results import compare as made

    _print(as_text(made(*folders)))


@app.command()
def doctor() -> None:
    """Print what this machine has, what is missing, and how to get it."""
    from lrbench.cli.doctor import doctor as made

    _print(made())


@app.command()
def speed() -> None:
    """Measure how many model-steps per second this machine trains."""
    from lrbench.cli.speed import speed as made

    _print("training the same network in four ways; this takes about half a minute", err=True)
    _print(made())


def main(interrupt: Interrupt | None = None) -> None:
    """Run the command line; a user's mistake is one line and exit code 2.

    Args:
        interrupt: says whether long work is to end.

    Raises:
        KeyboardInterrupt: if it ended for that.
    """
    try:
        _check_arguments()
        code = app(standalone_mode=False, obj=interrupt)
    except _UsageError as error:
        if not sys.argv[1:]:
            error.show()
        else:
            said = one_line(error.format_message())
            _print(f"lrbench: {said} `lrbench --help` lists what there is", err=True)
        sys.exit(MISTAKE)
    except LrbenchError as error:
        _print(f"lrbench: {error}", err=True)
        sys.exit(MISTAKE)
    if code == INTERRUPTED:  # typer has made this of it
        raise KeyboardInterrupt
    sys.exit(code or DONE)


def _check_arguments() -> None:
    """Refuse arguments that are no text: neither a file of TOML nor a table could hold them."""
    for argument in sys.argv[1:]:
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            raise LrbenchError(f"{argument!r}: is no UTF-8; give arguments of Unicode characters") from error


def _count(devices: str) -> int | None:
    if devices == "all":
        return None
    if not re.fullmatch("0*[1-9][0-9]{0,8}", devices):
        raise LrbenchError(f"--devices {devices}: must be a number from 1 up, or all")
    return int(devices)


@contextlib.contextmanager
def _ended(timeout: float) -> Iterator[None]:
    """End the process where a statement goes on after its time: DuckDB is interrupted between the calls of functions alone."""
    from lrbench.results.query import PATIENCE, too_long

    def end() -> None:
        os.write(2, f"lrbench: {too_long(timeout)}\n".encode())
        os._exit(MISTAKE)

    timer = threading.Timer(timeout + PATIENCE, end)
    timer.daemon = True
    if 0 < timeout < threading.TIMEOUT_MAX - PATIENCE:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _print_answer(folder: Path) -> None:
    from lrbench.results.results import load

    results = load(folder)
    answers = results.best()
    if answers.empty:
        _print("no run is finished yet; there is nothing to answer from")
    for problem, rows in answers.groupby("problem", sort=False):
        _print(f"{problem}")
        for answer in rows["answer"]:
            _print(f"  {answer}")


def _print_failures(done: Finished) -> None:
    for failed in done.failures:
        _print(f"pack {failed.pack.pack_id} failed: {failed.error}", err=True)
    left = done.results.manifest["runs"]["left"]
    _print(f"{left:,} runs are left; the others are saved; the same command tries those again", err=True)


def _print_written(folder: Path, *, pictures: bool) -> None:
    tables = ["runs", "curves", "summary", "sensitivity", "comparison", "ranking", "tuning_budget"]
    names = [_table(folder, name) for name in [*tables, "failures"]]
    if pictures:
        names += ["plots", "report.html"]
    _print_paths(folder, names)


def _table(folder: Path, name: str) -> str:
    """Return the file of a table that people open: the CSV, or Parquet where there is none, or of curves."""
    csv = f"{name}.csv"
    return csv if name != "curves" and (folder / csv).exists() else f"{name}.parquet"


def _print_paths(folder: Path, names: list[str]) -> None:
    for name in names:
        if (folder / name).exists():
            _print(str(folder / name))
