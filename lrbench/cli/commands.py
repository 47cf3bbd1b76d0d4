"""The `lrbench` command: every subcommand, and what becomes of a mistake."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from lrbench.cli import info_commands, interrupt, result_commands, train_commands
from lrbench.cli.interrupt import Interrupt
from lrbench.cli.output import print_text
from lrbench.errors import LrbenchError, one_line

DONE, BUG, MISTAKE, FAILED, INTERRUPTED = 0, 1, result_commands.MISTAKE, train_commands.FAILED, interrupt.CODE

_COMMANDS: dict[str, Callable[..., None]] = {
    "run": train_commands.run,
    "find": train_commands.find,
    "plan": info_commands.plan,
    "status": info_commands.status,
    "list": info_commands.list_,
    "report": result_commands.report,
    "best": result_commands.best,
    "train": train_commands.train,
    "plot": result_commands.plot,
    "open": result_commands.open_,
    "query": result_commands.query,
    "export": result_commands.export,
    "compare": result_commands.compare,
    "experiment": train_commands.experiment,
    "doctor": info_commands.doctor,
    "speed": info_commands.speed,
}
"""In the order in which `lrbench --help` lists them."""

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for name, command in _COMMANDS.items():
    app.command(name)(command)

_UsageError: Any = typer.BadParameter.__bases__[0]
"""What a wrong option or a missing argument raises; typer gives it no public name."""


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata  # slow to import

        print_text(f"lrbench {metadata.version('lrbench')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Train every model of a learning-rate study at once, and find out which rate to use."""


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
            message = one_line(error.format_message())
            print_text(f"lrbench: {message.rstrip('.')}; `lrbench --help` lists the commands", err=True)
        sys.exit(MISTAKE)
    except LrbenchError as error:
        print_text(f"lrbench: {error}", err=True)
        sys.exit(MISTAKE)
    if code == BUG:  # typer's, where it completes nothing in a shell
        sys.exit(MISTAKE)
    if code == INTERRUPTED:  # typer turns KeyboardInterrupt into this exit code
        raise KeyboardInterrupt
    sys.exit(code or DONE)


def _check_arguments() -> None:
    """Refuse arguments that are not Unicode: neither a TOML file nor a table could hold them."""
    for argument in sys.argv[1:]:
        try:
            argument.encode()
        except UnicodeEncodeError as error:
            raise LrbenchError(f"{argument!r}: is not UTF-8; arguments must be Unicode text") from error
