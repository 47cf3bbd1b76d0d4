"""The `lrbench` command and `python -m lrbench`."""

from lrbench.cli.interrupt import Interrupt
from lrbench.cli.leave import Leave


def main() -> None:
    """Run the command line; signals are caught first, since the imports that follow take a second or more."""
    leave = Leave()
    interrupt = Interrupt()
    interrupt.catch()
    try:
        from lrbench.cli import commands

        commands.main(interrupt)
    except KeyboardInterrupt:
        interrupt.end()
    except SystemExit as done:
        leave.code = int(done.code or 0)
        raise


if __name__ == "__main__":
    main()
