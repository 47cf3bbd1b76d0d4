"""`lrbench` and `python -m lrbench`: the command line."""

from lrbench.cli.interrupt import Interrupt


def main() -> None:
    """Run the command line; signals are taken first of all, since what it imports takes a second or more."""
    interrupt = Interrupt()
    interrupt.catch()
    try:
        from lrbench.cli import commands as cli

        cli.main(interrupt)
    except KeyboardInterrupt:
        interrupt.end()


if __name__ == "__main__":
    main()
