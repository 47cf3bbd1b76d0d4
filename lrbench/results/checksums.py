"""Size and BLAKE2 checksum of every table, which are in the manifest: nothing is answered from a table that has changed since."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Mapping
from io import BufferedReader
from pathlib import Path
from typing import TypedDict

from lrbench.errors import StoreError
from lrbench.results import safe_files

SURFACES = "surfaces.parquet"
"""The one table that does not come from the parts."""
LARGE = 2**30
"""Larger tables are checked only by what reads them: hashing takes about 1 s a GB."""


class Checksum(TypedDict):
    """A table in the manifest: its bytes, and their BLAKE2b digest of 128 bits, as hexadecimal digits."""

    size: int
    blake2b: str


class ChangedTable(StoreError):
    """A table is not what was written."""

    def __init__(self, folder: Path, name: str, what: str) -> None:
        """Name the table, what of it differs, and the command that writes it again."""
        again = "`lrbench run` with its study" if name == SURFACES else f"`lrbench report {folder}`"
        super().__init__(
            f"{folder / name}: is not what lrbench wrote (its {what} is not that in manifest.json); {again} writes it again"
        )


def new_digest() -> hashlib.blake2b:
    """Return the digest of what a table has; hashlib's own default would be 512 bits."""
    return hashlib.blake2b(digest_size=16)


def of(file: BufferedReader) -> Checksum:
    """Return size and checksum of an open file, whose position is its beginning afterwards."""
    file.seek(0)
    digest = hashlib.file_digest(file, new_digest)
    size = file.tell()
    file.seek(0)
    return {"size": size, "blake2b": digest.hexdigest()}


class CheckedTables:
    """The tables of a results folder, each checked once, before it is read; one without a checksum is read as it is.

    A table that another process writes again meanwhile is checked with the checksum that it has then.

    Args:
        folder: the results folder.
        sums: reads the checksums in its manifest, by the names of the tables' files.
    """

    def __init__(self, folder: Path, sums: Callable[[], Mapping[str, Checksum]]) -> None:
        """Read the checksums."""
        self.folder, self._read = folder, sums
        self._sums = sums()
        self._checked: set[tuple[int, ...]] = set()

    def open(self, name: str) -> BufferedReader:
        """Open the file of a table, such as `runs.parquet`, once it is checked.

        Raises:
            ChangedTable: if it is not what was written.
            StoreError: if it is a link or no file, or cannot be read.
            FileNotFoundError: if it is not there.
        """
        try:
            return self._open(name)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StoreError(f"{self.folder / name}: cannot be read: {error.strerror or error}") from error

    def _open(self, name: str) -> BufferedReader:
        file = safe_files.open_file(self.folder, name)
        try:
            while changed := self._changed(file, name):
                before, self._sums = self._sums.get(name), self._read()
                again = safe_files.open_file(self.folder, name)
                same = before == self._sums.get(name) and _key(again) == _key(file)
                file.close()
                file = again
                if same:
                    raise ChangedTable(self.folder, name, changed)
        except BaseException:
            file.close()
            raise
        return file

    def check(self, *, large: bool) -> None:
        """Check every table that is there and has a checksum; `large` ones too, or not.

        Raises:
            ChangedTable: naming the first that is not what was written.
        """
        for name, known in self._sums.items():
            if large or known["size"] <= LARGE:
                with contextlib.suppress(FileNotFoundError):
                    self.open(name).close()

    def changed(self) -> dict[str, ChangedTable]:
        """Return the error of every table that is not what was written; one that is gone has none."""
        found = {}
        for name in self._sums:
            try:
                with contextlib.suppress(FileNotFoundError):
                    self.open(name).close()
            except ChangedTable as error:
                found[name] = error
        return found

    def lacks(self, name: str) -> bool:
        """Return whether a table that was written is gone or has changed."""
        try:
            self.open(name).close()
        except FileNotFoundError:
            return name in self._sums
        except ChangedTable:
            return True
        return False

    def _changed(self, file: BufferedReader, name: str) -> str:
        """Return in what an open table differs from its entry in the manifest; empty if it does not."""
        known = self._sums.get(name)
        if known is None or _key(file) in self._checked:
            return ""
        if os.fstat(file.fileno()).st_size != known["size"]:
            return "size"
        if of(file) != known:
            return "BLAKE2 sum"
        self._checked.add(_key(file))
        return ""


def _key(file: BufferedReader) -> tuple[int, ...]:
    """Return what identifies an open file, and changes with its content."""
    known = os.fstat(file.fileno())
    return known.st_dev, known.st_ino, known.st_size, known.st_mtime_ns
