"""Where files of a study meet: a folder of this machine or of a shared disk, or a URL of an object store.

Whoever trains writes parts, checkpoints and records to a place, and needs no more of it than this: files that are there whole or not at
all, under names with `/`. Arrow knows the file systems behind URLs: `s3://`, `gs://`, `abfs://`, `hdfs://` and `file://`.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, Protocol
from urllib.parse import unquote, urlsplit, urlunsplit

from lrbench.errors import StoreError, path_of
from lrbench.results import atomic, safe_files

Stamp = tuple[int, int]
"""Size and time of change of a file, in ns."""
_WITHOUT_FOLDERS = {"gcs", "s3"}
"""File systems whose folders are parts of names; Arrow would create an empty object for each."""


_PIECE = 2**24
"""Bytes of a file that are in memory while it travels."""
_TRIAL = ".writable"
"""What is written, and left, to find out whether anything can be: a role may write, and not remove."""


class Place(Protocol):
    """Files under names, each there whole or not at all."""

    @property
    def name(self) -> str:
        """What a person calls the place, without keys."""

    def names(self) -> set[str]:
        """Return the names of the files and folders in it, but for those that begin with a dot."""

    def stamps(self, folder: str) -> dict[str, Stamp]:
        """Return size and time of change of every file in a folder and the folders in it; none if there is no such folder.

        A name that begins with a dot is not finished, and is left out.
        """

    def exists(self, name: str) -> bool:
        """Return whether there is a file of that name."""

    def open(self, name: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        """Open a file for reading at any position; `FileNotFoundError` if there is none."""

    def write(self, name: str, data: bytes) -> None:
        """Write a file, whole or not at all."""

    def remove(self, name: str) -> None:
        """Remove a file, or a folder and what is in it, if it is there."""


def is_url(where: str | os.PathLike[str]) -> bool:
    """Return whether it is a URL rather than a path.

    >>> is_url("s3://bucket/studies/digits"), is_url("results/digits")
    (True, False)
    """
    return "://" in os.fspath(where)


def local_path(where: str | os.PathLike[str]) -> Path | None:
    """Return the path of a folder, also of one that is named by `file://`; `None` for any other URL.

    >>> local_path("file:///data/digits").as_posix(), local_path("s3://bucket/digits")
    ('/data/digits', None)
    """
    text = os.fspath(where)
    if not is_url(text):
        return path_of(text)
    parts = urlsplit(text)
    return path_of(unquote(parts.path)) if parts.scheme == "file" and not parts.netloc else None


def place_of(where: str | os.PathLike[str]) -> Place:
    """Return the place that a path or a URL names.

    Raises:
        StoreError: if it is neither.
    """
    path = local_path(where)
    return UrlPlace(os.fspath(where)) if path is None else FolderPlace(path)


def read(place: Place, name: str, limit: int) -> bytes:
    """Return the content of a file of at most `limit` bytes.

    Raises:
        StoreError: if it is larger.
        FileNotFoundError: if there is none.
    """
    with place.open(name) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise StoreError(
            f"{place.name}/{name}: has more than {limit:,} bytes; lrbench writes none of that size"
        )
    return content


class FolderPlace:
    """A folder; nothing in it is read or written through a link."""

    def __init__(self, folder: Path) -> None:
        """Nothing is read or created yet."""
        self.folder = folder

    @property
    def name(self) -> str:
        """The path of the folder."""
        return str(self.folder)

    def names(self) -> set[str]:
        """As of `Place`."""
        return {name for name in safe_files.names(self.folder, "") if not name.startswith(".")}

    def stamps(self, folder: str) -> dict[str, Stamp]:
        """As of `Place`.

        Raises:
            StoreError: if there is a link in it, or it cannot be read.
        """
        top = safe_files.path(self.folder, folder)
        found: dict[str, Stamp] = {}
        folders = [(folder, top)] if os.path.lexists(top) else []
        while folders:
            name, at = folders.pop()
            found |= _files_in(name, at, folders)
        return found

    def exists(self, name: str) -> bool:
        """As of `Place`."""
        return safe_files.exists(self.folder, name)

    def open(self, name: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        """As of `Place`; a link is refused."""
        return safe_files.open_file(self.folder, name)

    def write(self, name: str, data: bytes) -> None:
        """As of `Place`."""
        atomic.write(self.folder, name, lambda path: path.write_bytes(data))

    def remove(self, name: str) -> None:
        """As of `Place`; the folder that it was in goes with the last file."""
        safe_files.remove_tree(self.folder, name)
        with contextlib.suppress(OSError):  # others are in it
            safe_files.path(self.folder, name).parent.rmdir()


def _files_in(name: str, at: Path, folders: list[tuple[str, Path]]) -> dict[str, Stamp]:
    """Return the files in a folder; the folders in it are appended to the list."""
    found: dict[str, Stamp] = {}
    try:
        with os.scandir(at) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_symlink():
                    raise safe_files.link_error(entry)
                inside = f"{name}/{entry.name}" if name else entry.name
                if entry.is_dir():
                    folders.append((inside, at / entry.name))
                else:
                    with contextlib.suppress(FileNotFoundError):  # another process may move it
                        stat = entry.stat()
                        found[inside] = stat.st_size, stat.st_mtime_ns
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StoreError(
            f"{at}: cannot be read: {error.strerror or error}; make it a folder that you may read, or start again with "
            "--fresh"
        ) from error
    return found


class UrlPlace:
    """A folder of an object store, or of any file system that Arrow knows by a URL.

    An object is there whole or not at all, once it is closed.

    Args:
        url: such as `s3://bucket/folder`; what Arrow takes as options may follow, such as `?endpoint_override=127.0.0.1:9000&scheme=http`.
            Keys come from the environment or the machine's role.

    Raises:
        StoreError: if it is no such URL.
    """

    def __init__(self, url: str) -> None:
        """Nothing is read or written yet."""
        import pyarrow as pa
        import pyarrow.fs

        self.url = url
        try:
            self._files, self._folder = pa.fs.FileSystem.from_uri(url)
        except (pa.ArrowInvalid, OSError) as error:
            why = " ".join(str(error).replace(url, self.name).split())
            raise StoreError(
                f"{self.name}: is no URL for results: {why}; such as s3://bucket/folder"
            ) from error

    @property
    def name(self) -> str:
        """The URL without user, key and options."""
        return shown(self.url)

    def names(self) -> set[str]:
        """As of `Place`."""
        return {
            each.base_name for each in self._list("", recursive=False) if not each.base_name.startswith(".")
        }

    def stamps(self, folder: str) -> dict[str, Stamp]:
        """As of `Place`."""
        import pyarrow.fs

        every = self._list(folder, recursive=True)
        files = (each for each in every if each.type == pyarrow.fs.FileType.File)
        named = ((each.path.removeprefix(f"{self._folder}/"), each) for each in files)
        return {
            name: (each.size, each.mtime_ns or 0)
            for name, each in named
            if not any(part.startswith(".") for part in name.split("/"))
        }

    def exists(self, name: str) -> bool:
        """As of `Place`."""
        import pyarrow.fs

        with self._reporting(name):
            kind = self._files.get_file_info(self._path(name)).type
        return bool(kind == pyarrow.fs.FileType.File)

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[Any]:
        """As of `Place`."""
        with self._reporting(name), self._files.open_input_file(self._path(name)) as file:
            yield file

    def write(self, name: str, data: bytes) -> None:
        """As of `Place`."""
        self._write(name, io.BytesIO(data))

    def remove(self, name: str) -> None:
        """As of `Place`."""
        import pyarrow.fs

        path = self._path(name)
        with self._reporting(name):
            kind = self._files.get_file_info(path).type
            if kind == pyarrow.fs.FileType.File:
                self._files.delete_file(path)
            elif kind == pyarrow.fs.FileType.Directory:
                self._files.delete_dir(path)

    def stamp(self, name: str) -> Stamp:
        """Return size and time of change of a file; `FileNotFoundError` if there is none."""
        import pyarrow.fs

        with self._reporting(name):
            found = self._files.get_file_info(self._path(name))
        if found.type != pyarrow.fs.FileType.File:
            raise FileNotFoundError(name)
        return found.size, found.mtime_ns or 0

    def send(self, path: Path, name: str) -> None:
        """Write a local file, whole or not at all."""
        with path.open("rb") as file:
            self._write(name, file)

    def fetch(self, name: str, path: Path) -> None:
        """Fill a local file; `FileNotFoundError` if there is none of that name."""
        with self.open(name) as stream, path.open("wb") as file:
            shutil.copyfileobj(stream, file, _PIECE)

    def check_writable(self) -> None:
        """Raise `StoreError` if nothing can be written."""
        self.write(_TRIAL, b"")

    def move(self, to: str) -> None:
        """Give every file another name, at another URL of the same store, one after another."""
        target = UrlPlace(to)
        for name in self.stamps(""):
            with self._reporting(name):
                target._make_folder(name)
                self._files.copy_file(self._path(name), target._path(name))
                self._files.delete_file(self._path(name))

    def _write(self, name: str, file: IO[bytes]) -> None:
        with self._reporting(name):
            self._make_folder(name)
            with self._files.open_output_stream(self._path(name)) as stream:
                shutil.copyfileobj(file, stream, _PIECE)

    def _make_folder(self, name: str) -> None:
        """Make the folder of a file, where folders are not parts of names."""
        if self._files.type_name not in _WITHOUT_FOLDERS:
            self._files.create_dir(self._path(name).rpartition("/")[0])

    def _list(self, folder: str, *, recursive: bool) -> list[Any]:
        import pyarrow.fs

        chosen = pyarrow.fs.FileSelector(self._path(folder), allow_not_found=True, recursive=recursive)
        with self._reporting(folder):
            found: list[Any] = self._files.get_file_info(chosen)
        return found

    def _path(self, name: str) -> str:
        return f"{self._folder}/{name}" if name else str(self._folder)

    @contextlib.contextmanager
    def _reporting(self, name: str) -> Iterator[None]:
        """Turn an error of the store into one line; that there is no such file remains what it is."""
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            why = " ".join(str(error).split())[:300]
            raise StoreError(
                f"{self.name}: {name or 'it'} cannot be read or written: {why}; check the address, the keys and the network"
            ) from error


def beside(url: str, ending: str) -> str:
    """Return the URL of a folder whose name is longer by an ending.

    >>> beside("s3://bucket/digits/?scheme=http", ".before")
    's3://bucket/digits.before?scheme=http'
    """
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + ending))


def shown(url: str) -> str:
    """Return a URL as a person may see it: options and whoever's keys are in it are left out.

    >>> shown("s3://key:secret@bucket/studies?endpoint_override=127.0.0.1:9000")
    's3://bucket/studies'
    """
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
