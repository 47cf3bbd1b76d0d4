"""Where `holds` begins: every limit that a claim is judged by (docs/claims.md says when each was set)."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Limits:
    """The limits of all claims; the manifest keeps them.

    Args:
        equal: relative difference up to which two numbers count as the same.
        schedule: difference of a schedule from its formula, as a share of the peak, up to which they are the same.
        most: the share from which something is so mostly.
        rarely: the share up to which something is rare.
        barely: share of the way to ℓ* that a rate much too small covers at most.
        decades_of_scale: decades between the best rates of raw and standardised data.
        decades_of_optimizer: decades between the best rate of an optimizer and that of plain gradient descent.
        times_faster: slowest over fastest steps to target, among the rates that reach it.
        escapes: share of runs that leave a local optimum at the rate that is best at it.
        explained: share of the variance of prices that a line through the floor areas explains.
    """

    equal: float = 1e-6
    schedule: float = 1e-5
    most: float = 0.5
    rarely: float = 0.05
    barely: float = 0.25
    decades_of_scale: float = 3.0
    decades_of_optimizer: float = 0.5
    way: float = 0.8
    times_faster: float = 3.0
    escapes: float = 0.25
    explained: float = 0.25

    def asdict(self) -> dict[str, float]:
        """The limits as plain data, for the manifest."""
        return dataclasses.asdict(self)


LIMITS = Limits()
