"""The commands that train: `run`, `find`, `train` and `experiment`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lrbench.cli import completion
from lrbench.cli.arguments import (
    Devices,
    Launcher,
    Overrides,
    ResultsPath,
    StudyName,
    Trust,
    Unset,
    beside_results,
    default_study,
    device_count,
    read_study,
)
from lrbench.cli.interrupt import Interrupt
from lrbench.cli.output import print_answer, print_failures, print_paths, print_text, print_written
from lrbench.errors import LrbenchError

FAILED = 3
"""The exit code where some packs failed."""


def run(
    context: typer.Context,
    study: StudyName,
    out: Annotated[
        str | None, typer.Option(metavar="DIR|URL", help="Results folder, or its URL [results/NAME].")
    ] = None,
    overrides: Overrides = None,
    unset: Unset = None,
    launcher: Launcher = "local",
    detach: Annotated[
        bool, typer.Option("--detach", help="With --launcher slurm: submit the jobs and return at once.")
    ] = False,
    devices: Devices = "all",
    trust: Trust = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Rename the existing folder and start again.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the answer.")] = False,
    no_report: Annotated[
        bool, typer.Option("--no-report", help="Write tables, but no plots and no report.")
    ] = False,
    profile: Annotated[
        bool, typer.Option("--profile", help="Trace the first half second of training, for Perfetto.")
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N|auto|auto/N",
            help="Train one of N shares of the runs, I from 0, while other processes train the rest; auto asks the scheduler.",
        ),
    ] = None,
    wait: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", help="With --shard: stop after this long without news from the others [3600]."
        ),
    ] = None,
) -> None:
    """Train a study and print the answer.

    Runs that are already in the results folder are not trained again.
    """
    from lrbench.cli.progress import listener
    from lrbench.execution.execute import execute
    from lrbench.execution.shards import shard_of

    if detach and launcher != "slurm":
        raise LrbenchError(f"--detach: works only with --launcher slurm, not with --launcher {launcher}")
    detached = ["launcher.slurm.detach=true"] if detach else []
    checked = read_study(study, [*(overrides or ()), *detached], unset, trust=trust)
    share = shard_of(shard, wait, launcher, fresh=fresh, profile=profile)
    shows = listener(quiet, context.ensure_object(Interrupt), str(share or ""))
    if said := default_study(study, checked):
        shows.notify(said)
    done = execute(
        checked,
        out,
        launcher=launcher,
        devices=device_count(devices),
        fresh=fresh,
        report=not no_report,
        profile=profile,
        listener=shows,
        helpers=True,
        shard=share.given if share else None,
        wait=wait,
    )
    if done.instead:
        print_text(done.instead)
    else:
        print_answer(done.results.folder)
    if not (done.instead or quiet):
        print_text("")
        print_written(done.results.folder, done.name, pictures=not no_report)
        if done.profile:
            print_text(str(done.profile))
    if done.failures:
        print_failures(done)
        raise typer.Exit(FAILED)


def find(
    context: typer.Context,
    study: StudyName,
    out: Annotated[
        str | None, typer.Option(metavar="DIR|URL", help="Results folder, or its URL [results/NAME_find].")
    ] = None,
    overrides: Overrides = None,
    unset: Unset = None,
    devices: Devices = "all",
    trust: Trust = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the suggestions.")] = False,
) -> None:
    """Sweep the learning rate as a learning-rate finder does.

    It prints the suggestions of four rules.
    """
    from lrbench.cli.progress import listener
    from lrbench.execution.find import execute_range_tests, suggestion_tables

    checked = read_study(study, overrides, unset, trust=trust)
    shows = listener(quiet, context.ensure_object(Interrupt))
    if said := default_study(study, checked):
        shows.notify(said)
    done = execute_range_tests(checked, out, devices=device_count(devices), listener=shows)
    if not done.results.finders.empty:
        print_text(suggestion_tables(done.results))
    if not (done.results.finders.empty or quiet):
        print_paths(
            done.results.folder, done.name, ["finders.csv", "finders.parquet", "plots/range_test.png"]
        )
    if done.failures:
        print_failures(done)
        raise typer.Exit(FAILED)


def train(
    context: typer.Context,
    folder: ResultsPath,
    problem: Annotated[str | None, typer.Option(metavar="NAME", help="Train for this problem.")] = None,
    optimizer: Annotated[
        str | None, typer.Option(metavar="NAME", help="This optimizer, as `lrbench best` prints it.")
    ] = None,
    schedule: Annotated[
        str | None, typer.Option(metavar="NAME", help="This schedule, as `lrbench best` prints it.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="This seed [the one with the median loss].")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Train for this many steps; the schedule is stretched with them."
        ),
    ] = None,
    run_id: Annotated[
        str | None, typer.Option("--run", metavar="RUN_ID", help="This run, instead of all of the above.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Weights [DIR/weights/RUN_ID.safetensors].")
    ] = None,
    trust: Trust = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the path.")] = False,
) -> None:
    """Train the recommended run again and keep its weights.

    Without options, it takes the best line, at its rate to use. It writes the weights as a safetensors file, and the curve as a CSV
    file beside it.
    """
    from lrbench.cli.progress import listener
    from lrbench.execution.train_best import check_target, train_best
    from lrbench.results.remote_folder import read_copy
    from lrbench.results.results import load

    weights = beside_results(folder, "weights") if out is None else out
    if out is not None:
        check_target(out)
    trained = train_best(
        load(read_copy(folder, parts=True)),
        problem=problem,
        optimizer=optimizer,
        schedule=schedule,
        seed=seed,
        steps=steps,
        run=run_id,
        trust=trust,
        listener=listener(quiet, context.ensure_object(Interrupt)),
    )
    path = trained.save(out or weights / f"{trained.run_id}.safetensors")
    curve = trained.save_curve(path.with_name(f"{path.stem}.curve.csv"))
    if not quiet:
        print_text(trained.summary())
        print_text(str(curve))
    print_text(str(path))


def experiment(
    context: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="One of `lrbench list experiments`.",
            autocompletion=completion.experiments,
        ),
    ],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Its folder [results/NAME].")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Set a parameter, such as steps=200."),
    ] = None,
    devices: Devices = "all",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the answer.")] = False,
) -> None:
    """Run an experiment.

    An experiment answers a question with studies, tables and pictures.
    """
    from lrbench.cli.progress import listener
    from lrbench.experiments.bench import Unfinished, perform

    try:
        answer = perform(
            name,
            out,
            overrides=overrides or (),
            devices=device_count(devices),
            listener=listener(quiet, context.ensure_object(Interrupt)),
        )
    except Unfinished as error:
        print_failures(error.finished)
        raise typer.Exit(FAILED) from error
    for line in [*answer.lines, *([] if quiet else map(str, answer.paths))]:
        print_text(line)
