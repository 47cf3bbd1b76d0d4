"""A results folder at a URL, worked on in a copy of it on this machine.

What is read from the URL or written there goes through the copy, so that everything else knows local files alone. What the copy and the
URL had in common when they last met is recorded beside the copy: of a file that differs, whichever has changed since is the newer one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from lrbench.errors import StoreError
from lrbench.results.folder import MANIFEST, ResultsFolder
from lrbench.results.inventory import Inventory, part_name
from lrbench.results.local_copy import LocalCopy
from lrbench.results.places import FolderPlace, Place, beside, local_path, shown


def results_at(where: str | os.PathLike[str], *, parts: bool = True) -> ResultsFolder:
    """Return the results folder of a path or a URL.

    Args:
        where: the path or URL.
        parts: whether the parts at a URL are wanted here too; those of a folder are always there.

    Raises:
        StoreError: if it is neither.
    """
    path = local_path(where)
    return RemoteFolder(os.fspath(where), parts=parts) if path is None else ResultsFolder(path)


def read_copy(where: str | os.PathLike[str], *, parts: bool = False) -> Path:
    """Return a folder with the results of a path or a URL, for reading; of a URL it is a copy as it is now.

    Args:
        where: the path or URL.
        parts: whether the parts are wanted, too.

    Raises:
        StoreError: if it is neither, or cannot be read.
    """
    path = local_path(where)
    if path is not None:
        return path
    copy = LocalCopy(os.fspath(where), "read")
    copy.pull(parts=parts)
    if not (copy.folder / MANIFEST).exists():
        raise StoreError(
            f"{copy.place.name}: is not a results folder (it has no {MANIFEST}); `lrbench run STUDY --out URL` creates one"
        )
    return copy.folder


class RemoteFolder(ResultsFolder):
    """A results folder at a URL.

    Parts and records are sent as soon as they are written, while training goes on; all else at the end. Checkpoints are at the URL alone.

    Args:
        url: as of `UrlPlace`.
        parts: whether its parts are wanted here, to make tables of. Without, only which runs they hold is read, and the copy is one of this process
            alone.
    """

    def __init__(self, url: str, *, parts: bool = True) -> None:
        """Nothing is read yet."""
        self._copy = LocalCopy(url, "work" if parts else f"work-{os.getpid()}")
        self._has_parts = parts
        super().__init__(self._copy.folder)

    def __reduce__(self) -> tuple[type[ResultsFolder], tuple[Path]]:
        """Pickle the copy, from which other processes read parts."""
        return ResultsFolder, (self.folder,)

    @property
    def name(self) -> str:
        """As of `ResultsFolder`."""
        return self._copy.place.name

    @property
    def url(self) -> str:
        """As of `ResultsFolder`."""
        return self._copy.place.url

    @property
    def place(self) -> Place:
        """As of `ResultsFolder`."""
        return self._copy.place

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """As of `ResultsFolder`: nobody else on this machine works on the copy, and at the end everything is at the URL.

        Nothing locks an object store: commands on other machines are for whoever starts them to keep apart.
        """
        self._copy.place.check_writable()
        if not self._has_parts:  # one of a process of the same number may be there, which was killed
            self._copy.discard()
        with super().locked():
            self.refresh()
            try:
                yield
            finally:
                self._copy.push()
        if not self._has_parts:
            self._copy.discard()

    def refresh(self) -> None:
        """As of `ResultsFolder`."""
        if self._has_parts:
            self._copy.pull(parts=True)
        else:
            self._copy.pull_file(MANIFEST)

    def flush(self) -> None:
        """As of `ResultsFolder`."""
        self._copy.push()

    def inventory(self, run_ids: np.ndarray, *, stopped: bool) -> Inventory:
        """As of `ResultsFolder`."""
        place = FolderPlace(self.folder) if self._has_parts else self.place
        return Inventory(place, run_ids, stopped=stopped)

    def write(self, name: str, fill: Callable[[Path], object]) -> Path:
        """As of `ResultsFolder`; it is sent meanwhile, or at once where nothing stays on this machine."""
        path = super().write(name, fill)
        if self._has_parts:
            self._copy.send(name)
        else:
            self._copy.push()
        return path

    def fetch_part(self, pack_id: str, url: str) -> None:
        """As of `ResultsFolder`; what is at this URL already is not sent there again."""
        if url == self.url:
            self._copy.pull_file(part_name(pack_id))
        else:
            super().fetch_part(pack_id, url)

    def set_aside(self) -> str | None:
        """As of `ResultsFolder`."""
        place = self._copy.place
        if not place.stamps(""):
            return None
        now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
        aside = beside(place.url, f".before-{now}")
        place.move(aside)
        return shown(aside)
