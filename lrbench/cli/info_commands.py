"""The commands that train nothing and read no tables: `list`, `plan`, `status`, `doctor` and `speed`."""

from __future__ import annotations

from typing import Annotated

import typer

from lrbench.cli import completion
from lrbench.cli.arguments import (
    Devices,
    Json,
    Launcher,
    Overrides,
    ResultsPath,
    StudyName,
    Trust,
    Unset,
    default_study,
    device_count,
    read_study,
)
from lrbench.cli.output import print_json, print_text
from lrbench.engine.known_devices import DEVICES


def list_(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="KIND|NAME",
            help="A kind, such as optimizers; or part of a name of any kind.",
            autocompletion=completion.kinds_and_names,
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="One entry of that kind.",
            autocompletion=completion.names_of_kind,
            show_default=False,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """List what can be named in studies and commands.

    The kinds are problem, optimizer, schedule, probe, metric, table, plot,
    launcher, exporter, experiment and study. `list study PROBLEM` shows the
    study that `lrbench run PROBLEM` trains.
    """
    from lrbench.cli.listing import listing

    if json:
        from lrbench.cli.json_schema import as_listing

        print_json(as_listing(what, name))
    else:
        print_text(listing(what, name))


def plan(
    study: StudyName,
    overrides: Overrides = None,
    unset: Unset = None,
    devices: Devices = "all",
    trust: Trust = False,
    launcher: Launcher = "local",
    nodes: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="The number of nodes like this machine, or of shards [the study's jobs]."
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="DEVICE",
            help=f"Plan lanes and memory for devices that this machine lacks: {', '.join(DEVICES)}.",
            autocompletion=completion.known_devices,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Print what a study would cost, before anything is trained.

    It lists programs, packs, bytes per lane and estimated times. With --for, it lists lanes and memory of a pack, and no times.
    """
    from lrbench.execution import plan as plans

    checked = read_study(study, overrides, unset, trust=trust)
    if said := default_study(study, checked):
        print_text(said, err=True)
    if json:
        print_json(plans.plan(checked, device_count(devices), launcher, nodes, device))
    else:
        print_text(plans.plan_text(checked, device_count(devices), launcher, nodes, device))


def status(folder: ResultsPath, json: Json = False) -> None:
    """Print the progress of a study.

    It shows completed and missing runs, Slurm jobs and the speed. It works from any machine that sees the folder.
    """
    from lrbench.execution import status as progress

    if json:
        print_json(progress.status(folder))
    else:
        print_text(progress.status_text(folder))


def doctor(json: Json = False) -> None:
    """Print what this machine has, and what is missing."""
    from lrbench.cli.doctor import facts_of_machine, text

    facts = facts_of_machine()
    if json:
        from lrbench.cli.json_schema import as_diagnosis

        print_json(as_diagnosis(facts))
    else:
        print_text(text(facts))


def speed() -> None:
    """Measure how many model-steps per second this machine trains."""
    from lrbench.cli.speed import speed_table

    print_text("training the same network in four ways; this takes about half a minute", err=True)
    print_text(speed_table())
