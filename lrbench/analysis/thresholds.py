"""The numbers behind the words: where `good`, `oscillating`, `slow` and `stable` begin."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """Every limit that a verdict, a zone or an interval depends on; they are recorded in the manifest.

    Args:
        good: ε, the share of (ℓ₀ − ℓ*) by which a good run may exceed ℓ*.
        oscillating: share of (ℓ₀ − ℓ*) that the upward moves of the second half exceed in an oscillating run.
        slow: pace of the last quarter over the mean pace of the run from which a run counts as still falling.
        useful: the largest gap of a useful rate.
        close: the gap up to which a rate is in the band by pace whatever the pace, and the difference in gap up to which a curve is flat around the rate to use.
        trains: share of (ℓ₀ − ℓ*) that a line's own (ℓ₀ − ℓ*_line) exceeds if it trains.
        faster: by how much fewer steps the pace is measured that the band by pace is about.
        stable: share of seeds that must be `ok` for a rate to count as stable.
        confidence: probability mass of every interval.
        profile_ratio: τ_max, the multiple of the fastest's steps to the target up to which a performance profile goes.
        resamples: how many random bootstrap resamples to draw where all of them would be too many.

    Example:
        >>> Thresholds(good=0.1).asdict()["good"]
        0.1
    """

    good: float = 0.05
    oscillating: float = 0.25
    slow: float = 0.5
    useful: float = 0.5
    close: float = 0.01
    trains: float = 0.05
    faster: float = 1.2
    stable: float = 0.5
    confidence: float = 0.95
    profile_ratio: float = 4.0
    resamples: int = 1000

    @classmethod
    def of(cls, found: Mapping[str, float | int]) -> Thresholds:
        """Return those of a manifest; what is missing there has its default, and unknown ones are ignored."""
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in found.items() if name in known})  # type: ignore[arg-type]

    def asdict(self) -> dict[str, float | int]:
        """The thresholds as plain data, for the manifest."""
        return dataclasses.asdict(self)
