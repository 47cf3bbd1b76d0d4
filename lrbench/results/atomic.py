"""Files of a results folder that are written whole or not at all.

A file is filled under a temporary name, flushed to disk and then renamed, so that a process or machine that ends at any
moment leaves the file before or the file after, and a temporary one that `remove_abandoned` finds.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from lrbench.errors import StoreError
from lrbench.results import lock, safe_files

TEMPORARY = ".new-"
"""How the name of a file begins that is not finished."""


def write(folder: Path, name: str, fill: Callable[[Path], object]) -> Path:
    """Write a file and return its path.

    Args:
        folder: the results folder.
        name: of the file in it; folders above it are created.
        fill: writes a temporary file, whose path it is given.

    Raises:
        StoreError: if it or a folder above it is a link, or it cannot be written.
    """
    with scratch(folder, name) as temporary:
        fill(temporary)
        return rename(temporary, folder, name)


@contextlib.contextmanager
def scratch(folder: Path, name: str) -> Iterator[Path]:
    """Give a temporary file beside one of that name, which is removed at the end unless `rename` gave it the name."""
    path = safe_files.path(folder, name)
    with reporting(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, created = tempfile.mkstemp(dir=path.parent, prefix=TEMPORARY, suffix=path.suffix)
        lock.mark(handle)
        temporary = Path(created)
        try:
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)
            os.close(handle)


def rename(temporary: Path, folder: Path, name: str) -> Path:
    """Flush a temporary file to disk, give it its name, and return its path."""
    path = safe_files.path(folder, name)
    with reporting(path):
        temporary.chmod(0o644)
        _flush(temporary)
        temporary.replace(path)
        _flush(path.parent)
    return path


def remove_abandoned(folder: Path, places: list[str]) -> None:
    """Remove what killed processes left in some folders of a results folder; what others are writing stays."""
    for place in places:
        for name in safe_files.names(folder, place):
            path = folder / place / name
            if name.startswith(TEMPORARY) and lock.abandoned(path):
                with reporting(path):
                    path.unlink(missing_ok=True)


@contextlib.contextmanager
def reporting(path: Path) -> Iterator[None]:
    """Turn an error of the system into one line that names the path."""
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
        remedy = "make room, and give the same command again" if full else "choose another --out"
        raise StoreError(f"{path}: cannot be written: {error.strerror or error}; {remedy}") from error


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
