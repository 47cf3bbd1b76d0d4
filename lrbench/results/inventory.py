"""Where the parts of a results folder are, and which runs of a grid they hold.

Parts are in 256 folders, by the first two digits of their names; those of older results folders are directly in `parts/`,
and are found as well.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from lrbench.errors import StoreError
from lrbench.results import part_file, safe_files
from lrbench.results.part_file import DamagedPart, NotAPart, PartSummary
from lrbench.results.run_lookup import RunLookup

PACK_ID = re.compile("[0-9a-f]{16}")
"""What the name of a pack looks like."""
Stamp = tuple[int, int]
"""Size and time of change of a file, in ns."""


def part_name(pack_id: str) -> str:
    """Return where in a results folder the part of a pack is: 256 folders, so that none has a million files.

    >>> part_name("0f3a")
    'parts/0f/0f3a.parquet'
    """
    return f"parts/{pack_id[:2]}/{pack_id}.parquet"


def part_paths(results: Path) -> list[Path]:
    """Return the paths of all parts of a results folder, sorted by name.

    A name with a dot before it is not finished, or no part.

    Raises:
        StoreError: as `_stamps`.
    """
    return sorted(_stamps(results), key=lambda path: path.name)


class Inventory:
    """The parts of a results folder, as far as they hold runs of a grid.

    A part is opened when it is first seen, and again when its size or time of change is another one; every answer is of
    the folder as it is at that moment.

    Args:
        folder: the results folder.
        run_ids: the runs of the grid.
        stopped: whether runs that a race stopped count, too.
    """

    def __init__(self, folder: Path, run_ids: np.ndarray, *, stopped: bool) -> None:
        """Nothing is read yet."""
        self._folder, self._run_ids, self._stopped = folder, run_ids, stopped
        self._stamps: dict[Path, Stamp] = {}
        self._known: dict[Path, PartSummary | DamagedPart | None] = {}
        self._parts: list[PartSummary] = []

    def parts(self) -> list[PartSummary]:
        """Return the parts that hold runs of the grid, in the grid's order.

        A run that two parts hold is taken from the one that comes first.
        """
        self._look()
        return self._parts

    def completed(self) -> Bool[np.ndarray, " run"]:
        """Return which of the grid's runs a part holds; a part that cannot be read holds none."""
        found: Bool[np.ndarray, " run"] = np.zeros(len(self._run_ids), dtype=np.bool_)
        for part in self.parts():
            found[part.numbers] = True
        return found

    def damaged(self) -> list[DamagedPart]:
        """Return the parts that are damaged as far as their runs show it, without their curves."""
        self._look()
        return [each for each in self._known.values() if isinstance(each, DamagedPart)]

    def _look(self) -> None:
        """Open the parts that are new or have changed."""
        stamps = _stamps(self._folder)
        if stamps == self._stamps:
            return
        new = [path for path, stamp in stamps.items() if self._stamps.get(path) != stamp]
        if new:
            lookup = RunLookup(self._run_ids)  # is large, and only needed here
            found = {path: self._summary(path, lookup) for path in new}
        else:
            found = {}
        self._known = {path: found[path] if path in found else self._known[path] for path in stamps}
        self._stamps = stamps
        parts = [each for each in self._known.values() if isinstance(each, PartSummary) and len(each.rows)]
        parts.sort(key=lambda part: (int(part.numbers[0]), part.path.name))
        self._parts = _each_run_once(parts, len(self._run_ids))

    def _summary(self, path: Path, lookup: RunLookup) -> PartSummary | DamagedPart | None:
        """Return what is known of a part, that it is damaged, or `None` if lrbench did not write it or it has gone."""
        try:
            # The folders above it were seen to be no links when it was found.
            with part_file.reading(path), safe_files.open_file(path.parent, path.name) as file:
                return part_file.summary(
                    file, path, lookup.numbers, grid_size=len(self._run_ids), stopped=self._stopped
                )
        except NotAPart:
            return None
        except DamagedPart as error:
            return error
        except StoreError:
            if path.exists():
                raise
            return None  # another process moved it meanwhile


def _each_run_once(parts: Sequence[PartSummary], runs: int) -> list[PartSummary]:
    """Take every run from the first of the parts that hold it."""
    taken = np.zeros(runs, dtype=bool)
    left = []
    for part in parts:
        own = ~taken[part.numbers]
        taken[part.numbers] = True
        if own.all():
            left.append(part)
        elif own.any():
            left.append(replace(part, rows=part.rows[own], numbers=part.numbers[own]))
    return left


def _stamps(results: Path) -> dict[Path, Stamp]:
    """Return the size and the time of change of every part of a results folder.

    Raises:
        StoreError: if a part or a folder of parts is a link, is no folder, or cannot be read: parts that are not seen would
            be trained again.
    """
    parts = safe_files.path(results, "parts")
    if not os.path.lexists(parts):
        return {}
    found, folders = _stamps_in(parts)
    for name in folders:
        found |= _stamps_in(parts / name)[0]
    return found


def _stamps_in(folder: Path) -> tuple[dict[Path, Stamp], list[str]]:
    """Return the parts in a folder, and the names of the folders in it."""
    found: dict[Path, Stamp] = {}
    folders: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_symlink():
                    raise safe_files.link_error(entry)
                if entry.is_dir():
                    folders.append(entry.name)
                elif entry.name.endswith(".parquet"):
                    with contextlib.suppress(FileNotFoundError):  # another process may move it
                        stat = entry.stat()
                        found[folder / entry.name] = stat.st_size, stat.st_mtime_ns
    except FileNotFoundError:
        return {}, []
    except OSError as error:
        raise StoreError(
            f"{folder}: cannot be read: {error.strerror or error}; make it a folder that you may read, or start again with "
            "--fresh"
        ) from error
    return found, folders
