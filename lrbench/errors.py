"""The exceptions that lrbench raises on purpose, each one sentence that a user can act on, and the wording of messages."""

from __future__ import annotations

import os
import re
from pathlib import Path

LONGEST = 3000
"""The most characters of a message; a study may hold a list of a million numbers, which nobody wants to read."""
LONGEST_FILE_NAME, LONGEST_PATH = 255, 4000
"""The most bytes in the name of a file or folder, and in a path: systems allow 4,096, and lrbench appends names of its own."""


_URL = re.compile("[a-z][a-z0-9+.-]*:/")
"""How a URL begins once it was taken for a path."""


class LrbenchError(Exception):
    """Base of every error that a user can correct; the command line prints it as one line and exits with code 2."""

    def __init__(self, message: str) -> None:
        """Make one line of the message, whatever the text that it quotes."""
        super().__init__(one_line(message))


class StudyError(LrbenchError):
    """A study, an override or a name in it is wrong."""


class ProblemError(LrbenchError):
    """A problem's functions do not fit together (shapes, types, what they return)."""


class DataError(LrbenchError):
    """Data are missing, empty, or not of the kind that a problem requires."""


class LaunchError(LrbenchError):
    """A requested launcher or device cannot be used."""


class StoreError(LrbenchError):
    """A results folder cannot be read or written."""


def counted(number: int, noun: str) -> str:
    """Return a number and its noun, in the plural unless the number is 1, for messages.

    >>> counted(1, "run"), counted(1200, "run"), counted(2, "retry"), counted(2, "batch")
    ('1 run', '1,200 runs', '2 retries', '2 batches')
    """
    if number == 1:
        return f"1 {noun}"
    if noun.endswith("y") and noun[-2:-1] not in set("aeiou"):
        return f"{number:,} {noun[:-1]}ies"
    return f"{number:,} {noun}{'es' if noun.endswith(('s', 'x', 'ch', 'sh')) else 's'}"


def duration(seconds: float) -> str:
    """Return a duration in seconds, minutes or hours, whichever reads best.

    >>> duration(0), duration(89), duration(200), duration(9000)
    ('1 s', '89 s', '3 min', '2.5 h')
    """
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def one_line(text: str) -> str:
    r"""Return a text as one line that is safe to print: control characters escaped, the middle of a long text cut out.

    >>> one_line("a\n b\x1b[2J")
    'a b\\x1b[2J'
    """
    line = " ".join(text.split())
    if len(line) > LONGEST:
        line = f"{line[: LONGEST // 2]} … {line[-LONGEST // 2 :]}"
    return escaped(line)


def escaped(text: str) -> str:
    r"""Escape every character that a terminal would obey, or that would hide or reorder others.

    >>> escaped("a\tb\x1b[2J")
    'a\\tb\\x1b[2J'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def path_of(given: str | os.PathLike[str]) -> Path:
    """Return the path that a user gave, if a file system allows such a name.

    Raises:
        StoreError: if it is a URL, or a name in it is too long, or is not UTF-8.
    """
    path = Path(given)
    if _URL.match(str(path)):
        raise StoreError(f"{given}: is a URL, and this must be a folder or a file of this machine")
    try:
        encoded = str(path).encode()
    except UnicodeEncodeError as error:
        raise StoreError(f"{str(path)!r}: is not UTF-8; a name must be Unicode text") from error
    if len(encoded) > LONGEST_PATH or any(len(n) > LONGEST_FILE_NAME for n in encoded.split(b"/")):
        raise StoreError(
            f"{path}: is too long; the name of a file or folder may have at most {LONGEST_FILE_NAME} bytes, and a path {LONGEST_PATH:,}"
        )
    return path
