"""The `lrbench` command and `python -m lrbench`."""

from lrbench.cli.interrupt import Interrupt


def main() -> None:
    """Run the command line; signals are caught first, since the imports that follow take a second or more."""
    interrupt = Interrupt()
    interrupt.catch()
    try:
        from lrbench.cli import commands

        commands.main(interrupt)
    except KeyboardInterrupt:
        interrupt.end()


if __name__ == "__main__":
    main()
