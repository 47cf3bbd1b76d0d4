"""What shards write for one another beside their parts, in `shards/`: the size of their packs, and which packs failed.

Files there may be anybody's; what is no record is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

import numpy as np
from jaxtyping import Bool
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lrbench.launchers import Outcome
from lrbench.results.folder import SHARDS
from lrbench.results.places import Place, Stamp
from lrbench.results.run_lookup import RunLookup
from lrbench.study.grid import Grid, Pack
from lrbench.study.run_id import RUN_ID

_FAILED = re.compile(rf"{SHARDS}/[0-9a-f]{{16}}\.failed\.json")
_LONGEST = 2**26
"""The most bytes of a record: the run_ids of the largest pack take two million."""


class _ShardRecord(BaseModel):
    """What every record has in common: types are those of JSON, and nothing else is in it."""

    model_config = ConfigDict(strict=True, extra="forbid")


class _Begun(_ShardRecord):
    """A shard that has begun."""

    lanes_per_pack: list[Annotated[int, Field(ge=0, le=2**31)]]


class _Failed(_ShardRecord):
    """A pack that failed."""

    stage: str
    program: Annotated[int, Field(ge=0)]
    runs: Annotated[list[Annotated[str, Field(pattern="^[0-9a-f]{20}$")]], Field(min_length=1)]
    error: str


Record = TypeVar("Record", bound=_ShardRecord)


@dataclass(frozen=True)
class ShardRecords:
    """The records of the shards of a study.

    Args:
        place: where its parts are.
    """

    place: Place

    def begin(self, number: int, count: int, lanes_per_pack: Sequence[int]) -> list[int]:
        """Record that a shard begins; return its lanes per pack, which are those of its record if it has begun before.

        So a shard that is started again has the same packs, and their checkpoints.
        """
        name = _name(number, count)
        before = _read(self.place, name, _Begun)
        known = before.lanes_per_pack if before is not None else []
        if len(known) != len(lanes_per_pack):
            known = [0] * len(lanes_per_pack)
        # 0 means that the program could not be compiled so far.
        now = [lanes or own for lanes, own in zip(known, lanes_per_pack, strict=True)]
        if before is None or now != before.lanes_per_pack:
            self.place.write(name, _Begun(lanes_per_pack=now).model_dump_json().encode())
        return now

    def begun(self, count: int) -> set[int]:
        """Return which of so many shards have begun."""
        there = self.place.stamps(SHARDS)
        return {number for number in range(count) if _name(number, count) in there}

    def failed(self, pack: Pack, run_ids: np.ndarray, error: str) -> None:
        """Record that a pack of these runs failed."""
        runs = [run_id.decode() for run_id in run_ids.tolist()]
        record = _Failed(stage=pack.stage, program=pack.program, runs=runs, error=error)
        self.place.write(f"{SHARDS}/{pack.pack_id}.failed.json", record.model_dump_json().encode())

    def stamps(self) -> dict[str, Stamp]:
        """Return size and time of change of every record of a pack that failed."""
        return {name: at for name, at in self.place.stamps(SHARDS).items() if _FAILED.fullmatch(name)}

    def activity(self) -> frozenset[tuple[str, Stamp]]:
        """Return what changes while any shard is at work: parts, checkpoints, records and the manifest."""
        return frozenset(self.place.stamps("").items())

    def failures(self, grid: Grid, names: Iterable[str]) -> list[Outcome]:
        """Return the packs that some records name, as far as their runs are of a grid."""
        read = [(name, _read(self.place, name, _Failed)) for name in names]
        known = [(name, record) for name, record in read if record is not None]
        lookup = RunLookup(grid.run_ids) if known else None
        found = []
        for name, record in known:
            assert lookup is not None
            numbers = lookup.numbers(np.array(record.runs, RUN_ID))
            if len(numbers := numbers[numbers < len(grid)]):
                pack_id = name.removeprefix(f"{SHARDS}/").partition(".")[0]
                found.append(Outcome(Pack(pack_id, record.program, numbers, record.stage), {}, record.error))
        return found

    def forget(self, grid: Grid, runs: Bool[np.ndarray, " run"]) -> None:
        """Remove the records of packs that have some of these runs, which are trained again or are completed."""
        for each in self.failures(grid, self.stamps()):
            if runs[each.pack.runs].any():
                self.place.remove(f"{SHARDS}/{each.pack.pack_id}.failed.json")


def _name(number: int, count: int) -> str:
    return f"{SHARDS}/{number}-of-{count}.json"


def _read(place: Place, name: str, kind: type[Record]) -> Record | None:
    """Return a record; `None` if there is none."""
    try:
        with place.open(name) as file:
            return kind.model_validate_json(file.read(_LONGEST))
    except (FileNotFoundError, ValidationError):
        return None
