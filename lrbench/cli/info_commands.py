"""The commands that train nothing and read no tables: `list`, `plan`, `status`, `doctor` and `speed`."""

from __future__ import annotations

from typing import Annotated

import typer

from lrbench.cli.arguments import Devices, Overrides, ResultsPath, StudyName, Trust, device_count
from lrbench.cli.output import print_text


def list_(
    kind: Annotated[
        str | None, typer.Argument(metavar="[KIND", help="A kind, such as optimizer or study.")
    ] = None,
    name: Annotated[str | None, typer.Argument(metavar="[NAME]]", help="One entry of that kind.")] = None,
) -> None:
    """List what can be named in studies and commands.

    The kinds are problem, optimizer, schedule, probe, metric, table, plot, launcher, exporter, experiment and study.
    """
    from lrbench.cli.listing import listing

    print_text(listing(kind, name))


def plan(
    study: StudyName,
    overrides: Overrides = None,
    devices: Devices = "all",
    trust: Trust = False,
    launcher: Annotated[
        str, typer.Option(metavar="NAME", help="The launcher that would distribute the packs: ray or slurm.")
    ] = "local",
    nodes: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="The number of nodes like this machine [the study's jobs]."),
    ] = None,
) -> None:
    """Print what a study would cost, before anything is trained.

    That is programs, packs, bytes per lane, and estimates of the time.
    """
    from lrbench.execution.plan import plan_text
    from lrbench.study.spec import read

    print_text(plan_text(read(study, overrides or (), trust=trust), device_count(devices), launcher, nodes))


def status(folder: ResultsPath) -> None:
    """Print the progress of a study.

    That is completed and missing runs, Slurm jobs and the pace, from any machine that sees the folder.
    """
    from lrbench.execution.status import status_text

    print_text(status_text(folder))


def doctor() -> None:
    """Print what this machine has, and what is missing."""
    from lrbench.cli.doctor import diagnosis

    print_text(diagnosis())


def speed() -> None:
    """Measure how many model-steps per second this machine trains."""
    from lrbench.cli.speed import speed_table

    print_text("training the same network in four ways; this takes about half a minute", err=True)
    print_text(speed_table())
