"""Access to the files of a results folder: nothing is read, written or removed through a link in it.

The folder itself may be a link, because the user named it; what is in it may come from anybody. So every name in it
goes through `path`, which refuses links, and every file is opened for reading by `open_file`, which follows none.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from fnmatch import fnmatch
from io import BufferedReader
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from lrbench.errors import StoreError

if TYPE_CHECKING:
    import pyarrow as pa


def path(folder: Path, name: str | PurePath) -> Path:
    """Return the path of something in a results folder, whether or not it exists.

    Args:
        folder: the results folder, which may be a link.
        name: relative to it.

    Raises:
        StoreError: if the name leads out of the folder, or it or a folder above it is a link.

    Example:
        >>> path(Path("results"), "plots/curves.png").as_posix()
        'results/plots/curves.png'
        >>> path(Path("results"), "../x")
        Traceback (most recent call last):
        lrbench.errors.StoreError: results: '../x': is not the name of a file in the folder
    """
    given = PurePath(name)
    if given.is_absolute() or ".." in given.parts or "\0" in str(name):
        raise StoreError(f"{folder}: {str(name)!r}: is not the name of a file in the folder")
    at = os.fspath(folder)
    for part in given.parts:
        at = os.path.join(at, part)  # noqa: PTH118 -- a Path for each of a million parts takes time
        try:
            mode = os.lstat(at).st_mode
        except (FileNotFoundError, NotADirectoryError):
            break
        except OSError as error:
            raise StoreError(f"{at}: cannot be read: {error.strerror or error}") from error
        if stat.S_ISLNK(mode):
            raise link_error(at)
    return Path(folder, given)


def link_error(at: str | os.PathLike[str]) -> StoreError:
    """Return the error of a link in a results folder."""
    return StoreError(
        f"{os.fspath(at)}: is a symbolic link, and nothing in a results folder is read or written through one; remove it, or "
        "put what it points to in its place"
    )


def exists(folder: Path, name: str | PurePath) -> bool:
    """Return whether there is something of that name; a link is refused."""
    return os.path.lexists(path(folder, name))


def open_file(folder: Path, name: str | PurePath) -> BufferedReader:
    """Open a file of a results folder for reading.

    Raises:
        StoreError: if it is a link, a folder, a pipe or a device.
        OSError: if it does not exist, or cannot be opened.
    """
    found = path(folder, name)
    # Opening a pipe that nobody writes to would wait forever.
    handle = os.open(found, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise StoreError(f"{found}: is not a regular file; remove it")
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def native(file: BufferedReader) -> pa.NativeFile:
    """Return the same open file as one of Arrow's own, at its start; whoever asks for it closes both.

    Arrow's threads keep a file that they read for a moment longer than the reader. A file of Python's must not be let go once the
    interpreter has ended: one process in six that read a table and was done at once was aborted, or never ended.

    Source: https://github.com/apache/arrow/issues/34314
    """
    import pyarrow as pa

    return pa.OSFile(f"/dev/fd/{file.fileno()}")


def read(folder: Path, name: str | PurePath, limit: int) -> bytes:
    """Return the content of a file of at most `limit` bytes.

    Raises:
        StoreError: if it is larger, or as `open_file`.
        OSError: as `open_file`.
    """
    with open_file(folder, name) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise StoreError(
                f"{path(folder, name)}: has {size:,} bytes; lrbench writes none of over {limit:,}"
            )
        return file.read()


def names(folder: Path, name: str | PurePath) -> list[str]:
    """Return the names in a folder of a results folder; none if there is no such folder.

    Raises:
        StoreError: if it is a link, or cannot be read.
    """
    found = path(folder, name)
    try:
        return sorted(each.name for each in found.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StoreError(f"{found}: cannot be read: {error.strerror or error}") from error


def refuse_links(folder: Path, name: str | PurePath, but: str = "") -> None:
    """Refuse a folder in which a library opens files by itself, if there is a link in it at any depth.

    Args:
        folder: the results folder.
        name: of the folder in it.
        but: a pattern of names that may be links.

    Raises:
        StoreError: naming the link.
    """
    for each in _links(path(folder, name)):
        if not fnmatch(each.name, but):
            raise link_error(each)


def _links(place: Path) -> Iterator[Path]:
    for at, folders, files in os.walk(place):
        for name in (*folders, *files):
            if os.path.islink(os.path.join(at, name)):  # noqa: PTH114, PTH118 -- as in path
                yield Path(at, name)


def remove(folder: Path, name: str | PurePath) -> None:
    """Remove a file, if it exists.

    Raises:
        StoreError: if it or a folder above it is a link.
        OSError: if it cannot be removed.
    """
    path(folder, name).unlink(missing_ok=True)


def remove_tree(folder: Path, name: str | PurePath) -> None:
    """Remove a file, or a folder and what is in it, as far as that can be removed; of links, what they point to stays.

    Raises:
        StoreError: if it or a folder above it is a link.
    """
    found = path(folder, name)
    if found.is_dir():
        shutil.rmtree(found, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            found.unlink()
