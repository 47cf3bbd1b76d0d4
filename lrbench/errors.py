"""The exceptions that lrbench raises on purpose: each is one sentence a user can act on."""

from __future__ import annotations

import os
from pathlib import Path

LONGEST = 3000
"""The most characters of a message; a study may hold a list of a million numbers, which nobody wants to read."""


LONGEST_FILE_NAME, LONGEST_PATH = 255, 4000
"""The most bytes of a name of a file or folder, and of a whole path: systems allow 4,096, and names of ours follow."""


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
    return escaped(line)


def escaped(text: str) -> str:
    r"""Return a text with every character escaped that a terminal would obey, or that would hide or reorder others.

    >>> escaped("a\tb\x1b[2J")
    'a\\tb\\x1b[2J'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def path_of(given: str | os.PathLike[str]) -> Path:
    """Return a path that a user gave, if a file system can hold one of that name.

    Raises:
        StoreError: if a name in it is too long, or is no UTF-8.
    """
    path = Path(given)
    try:
        encoded = str(path).encode()
    except UnicodeEncodeError as error:
        raise StoreError(f"{str(path)!r}: is no UTF-8; give a name of Unicode characters") from error
    if len(encoded) > LONGEST_PATH or any(len(n) > LONGEST_FILE_NAME for n in encoded.split(b"/")):
        raise StoreError(
            f"{path}: is too long; a name of a file or folder has at most {LONGEST_FILE_NAME} bytes, and a path {LONGEST_PATH:,}"
        )
    return path
