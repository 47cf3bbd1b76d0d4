"""Where the parts of a results folder are, and which runs of a grid they hold.

Parts are in 256 folders, by the first two digits of their names; those of older results folders are directly in `parts/`,
and are found as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from lrbench.errors import StoreError
from lrbench.results import part_file
from lrbench.results.part_file import DamagedPart, NotAPart, PartSummary
from lrbench.results.places import FolderPlace, Place, Stamp
from lrbench.results.run_lookup import RunLookup

PARTS = "parts"
"""The folder of the parts."""
PACK_ID = re.compile("[0-9a-f]{16}")
"""What the name of a pack looks like."""
_AT_ONCE = 16
"""So many parts at a URL are opened at the same time: each takes several round trips."""


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
        StoreError: if a part or a folder of parts is a link, is no folder, or cannot be read: parts that are not seen would
            be trained again.
    """
    return sorted((results / name for name in _stamps(FolderPlace(results))), key=lambda path: path.name)


def _stamps(place: Place) -> dict[str, Stamp]:
    return {name: stamp for name, stamp in place.stamps(PARTS).items() if name.endswith(".parquet")}


def holds(place: Place, pack_id: str, run_ids: np.ndarray) -> bool:
    """Return whether the part of a pack is in a place, and holds exactly these runs."""
    name = part_name(pack_id)
    try:
        with place.open(name) as file:
            return part_file.contains(file, Path(place.name, name), run_ids)
    except FileNotFoundError:
        return False


class Inventory:
    """The parts of a results folder, as far as they hold runs of a grid.

    A part is opened when it is first seen, and again when its size or time of change is another one; every answer is of
    the folder as it is at that moment.

    Args:
        place: the results folder, or the URL of one.
        run_ids: the runs of the grid.
        stopped: whether runs that a race stopped count, too.
    """

    def __init__(self, place: Place, run_ids: np.ndarray, *, stopped: bool) -> None:
        """Nothing is read yet."""
        self._place, self._run_ids, self._stopped = place, run_ids, stopped
        self._stamps: dict[str, Stamp] = {}
        self._known: dict[str, PartSummary | DamagedPart | None] = {}
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

    def written(self) -> list[float]:
        """Return when each of the parts was written, in seconds since 1970."""
        top = Path(self._place.name)
        names = (part.path.relative_to(top).as_posix() for part in self.parts())
        return [self._stamps[name][1] / 1e9 for name in names]

    def damaged(self) -> list[DamagedPart]:
        """Return the parts that are damaged as far as their runs show it, without their curves."""
        self._look()
        return [each for each in self._known.values() if isinstance(each, DamagedPart)]

    def _look(self) -> None:
        """Open the parts that are new or have changed."""
        stamps = _stamps(self._place)
        if stamps == self._stamps:
            return
        new = [name for name, stamp in stamps.items() if self._stamps.get(name) != stamp]
        found = self._summaries(new) if new else {}
        self._known = {name: found[name] if name in found else self._known[name] for name in stamps}
        self._stamps = stamps
        parts = [each for each in self._known.values() if isinstance(each, PartSummary) and len(each.rows)]
        parts.sort(key=lambda part: (int(part.numbers[0]), part.path.name))
        self._parts = _each_run_once(parts, len(self._run_ids))

    def _summaries(self, names: Sequence[str]) -> dict[str, PartSummary | DamagedPart | None]:
        """Return what is known of some parts, as `_summary`."""
        lookup = RunLookup(self._run_ids)  # is large, and only needed here
        if isinstance(self._place, FolderPlace):
            return {name: self._summary(name, lookup) for name in names}
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            found: Iterable[PartSummary | DamagedPart | None] = threads.map(
                lambda name: self._summary(name, lookup), names
            )
            return dict(zip(names, found, strict=True))

    def _summary(self, name: str, lookup: RunLookup) -> PartSummary | DamagedPart | None:
        """Return what is known of a part, that it is damaged, or `None` if lrbench did not write it or it has gone."""
        path = Path(self._place.name, name)
        try:
            with part_file.reading(path), self._place.open(name) as file:
                return part_file.summary(
                    file, path, lookup.numbers, grid_size=len(self._run_ids), stopped=self._stopped
                )
        except NotAPart:
            return None
        except DamagedPart as error:
            return error
        except StoreError:
            if self._place.exists(name):
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
