"""The exceptions that lrbench raises on purpose: each is one sentence a user can act on."""

LONGEST = 3000
"""The most characters of a message; a study may hold a list of a million numbers, which nobody wants to read."""


class LrbenchError(Exception):
    """Base of every error that a user can mend; the command line prints it as one line and exits with 2."""

    def __init__(self, message: str) -> None:
        """Make one line of the message, whatever a file that it quotes says."""
        super().__init__(one_line(message))


class StudyError(LrbenchError):
    """A study, an override or a name in it is wrong."""


class ProblemError(LrbenchError):
    """A problem's functions do not fit together (shapes, types, what they return)."""


class DataError(LrbenchError):
    """Data are missing, empty, or not of the kind a problem needs."""


class LaunchError(LrbenchError):
    """A launcher or a device that was asked for cannot be used."""


class StoreError(LrbenchError):
    """A results folder cannot be read or written."""


def one_line(text: str) -> str:
    r"""Return a text as one line that a terminal shows and does not obey: control characters escaped, the middle cut out.

    >>> one_line("a\n b\x1b[2J")
    'a b\\x1b[2J'
    """
    line = " ".join(text.split())
    if len(line) > LONGEST:
        line = f"{line[: LONGEST // 2]} … {line[-LONGEST // 2 :]}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
