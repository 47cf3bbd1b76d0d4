"""Texts as examples: pieces of a fixed number of characters."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from lrbench.datasets import files
from lrbench.datasets.data import Data
from lrbench.errors import DataError

ALICE = Path(__file__).with_name("alice.txt")
"""Chapters I to VI of Lewis Carroll's Alice's Adventures in Wonderland (1865), in the public domain everywhere."""
VALID_SHARE = 0.1
"""The share of a text, at its end, that is for validation."""
MOST_CHARACTERS = 512
"""A text with more distinct characters is probably not text in an alphabet."""


class Corpus(NamedTuple):
    """A text in pieces, and its number of distinct characters."""

    data: Data
    characters: int


def read(path: str, context: int) -> Corpus:
    """Read a text and split it into pieces of `context` characters and the one that follows.

    Characters are numbered in the order of their code points. The end of the text is for validation.

    Args:
        path: of a UTF-8 file; empty for `ALICE`.
        context: number of characters of a piece.

    Raises:
        DataError: if the file cannot be read, is not text, or is too short.
    """
    text = _text(Path(path) if path else ALICE)
    alphabet, codes = np.unique(np.array(list(text), dtype="U1"), return_inverse=True)
    if len(alphabet) > MOST_CHARACTERS:
        raise DataError(
            f"text = {path!r}: has {len(alphabet):,} distinct characters; at most {MOST_CHARACTERS} are allowed"
        )
    border = int(len(codes) * (1 - VALID_SHARE))
    train, valid = (_pieces(part.astype(np.int32), context) for part in (codes[:border], codes[border:]))
    if not len(train) or not len(valid):
        raise DataError(
            f"text = {path!r}: has {len(text):,} characters, too few for pieces of context = {context}; the last tenth "
            "is for validation"
        )
    return Corpus(Data(train, valid), len(alphabet))


def _text(path: Path) -> str:
    if path.exists() and not path.is_file():
        raise DataError(f"text = '{path}': is a folder or a device; give a file")
    try:
        files.fits(
            path.name, 100 * path.stat().st_size
        )  # a list of characters, their codes and the sorted codes
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"text = '{path}': is not UTF-8 text: {error.reason} at byte {error.start}"
        ) from error
    except OSError as error:
        raise DataError(f"text = '{path}': cannot be read: {error.strerror}") from error


def _pieces(codes: np.ndarray, context: int) -> np.ndarray:
    """Return [piece, context + 1]; a piece begins with the last character of the one before it."""
    count = max(0, (len(codes) - 1) // context)
    starts = context * np.arange(count)[:, None]
    pieces: np.ndarray = codes[starts + np.arange(context + 1)]
    return pieces
