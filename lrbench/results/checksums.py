"""Size and BLAKE2 sum of every table, which stand in the manifest: a table that has changed since is not answered from."""

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
"""The one table that is not made from the parts."""
LARGE = 2**30
"""CheckedTables of more bytes are checked by those that read them alone; reading goes at about 1 GB/s."""


class Checksum(TypedDict):
    """What the manifest says of a table: its bytes, and their BLAKE2b sum of 128 bits, as hexadecimal digits."""

    size: int
    blake2b: str


class ChangedTable(StoreError):
    """A table is not what was written."""

    def __init__(self, folder: Path, name: str, what: str) -> None:
        """Say which, in what, and what makes it anew."""
        anew = "`lrbench run` with its study" if name == SURFACES else f"`lrbench report {folder}`"
        super().__init__(
            f"{folder / name}: is not what lrbench wrote (its {what} is not that in manifest.json); {anew} makes it anew"
        )


def of(file: BufferedReader) -> Checksum:
    """Return size and sum of an open file, from its beginning; it stands there again afterwards."""
    file.seek(0)
    # hashlib's own default would be the 512 bits of blake2b.
    digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16))
    size = file.tell()
    file.seek(0)
    return {"size": size, "blake2b": digest.hexdigest()}


class CheckedTables:
    """The tables of a results folder, each checked once, before it is read; what no sum is known of is read as it is.

    A table that another process makes anew meanwhile is taken with the sum that it has then.

    Args:
        folder: the results folder.
        sums: returns what its manifest says of its tables, by the names of their files, read anew each time.
    """

    def __init__(self, folder: Path, sums: Callable[[], Mapping[str, Checksum]]) -> None:
        """The sums are read once."""
        self.folder, self._read = folder, sums
        self._sums = sums()
        self._sound: set[tuple[int, ...]] = set()

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
        file = safe_files.opened(self.folder, name)
        try:
            while changed := self._changed(file, name):
                before, self._sums = self._sums.get(name), self._read()
                again = safe_files.opened(self.folder, name)
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
        """Check every table that is there and has a sum; `large` ones too, or not.

        Raises:
            ChangedTable: naming the first that is not what was written.
        """
        for name, known in self._sums.items():
            if large or known["size"] <= LARGE:
                with contextlib.suppress(FileNotFoundError):
                    self.open(name).close()

    def changed(self) -> dict[str, ChangedTable]:
        """Return what is to be said of every table that is not what was written; of one that is gone, nothing."""
        found = {}
        for name in self._sums:
            try:
                with contextlib.suppress(FileNotFoundError):
                    self.open(name).close()
            except ChangedTable as error:
                found[name] = error
        return found

    def lacks(self, name: str) -> bool:
        """Return whether a table that was written is gone, or has changed."""
        try:
            self.open(name).close()
        except FileNotFoundError:
            return name in self._sums
        except ChangedTable:
            return True
        return False

    def _changed(self, file: BufferedReader, name: str) -> str:
        """Return in what an open table differs from what the manifest says; nothing, if it does not."""
        known = self._sums.get(name)
        if known is None or _key(file) in self._sound:
            return ""
        if os.fstat(file.fileno()).st_size != known["size"]:
            return "size"
        if of(file) != known:
            return "BLAKE2 sum"
        self._sound.add(_key(file))
        return ""


def _key(file: BufferedReader) -> tuple[int, ...]:
    """Return what tells an open file from any other, and from itself after a change."""
    known = os.fstat(file.fileno())
    return known.st_dev, known.st_ino, known.st_size, known.st_mtime_ns
