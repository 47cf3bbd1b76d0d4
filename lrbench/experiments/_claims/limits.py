"""Every limit that a claim is judged by; docs/claims.md explains when they were set."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Limits:
    """The limits of all claims.

    Args:
        equal: relative difference up to which two numbers count as equal.
        schedule: difference between a schedule and its formula, as a share of the peak, up to which they count as equal.
        most: the share from which something counts as usual.
        rarely: the share up to which something counts as rare.
        barely: the largest share of the way from ℓ₀ to ℓ* that a rate much too small may cover.
        decades_of_scale: decades between the best rates of raw and of standardised data.
        decades_of_optimizer: decades between the best rate of an optimizer and that of plain gradient descent.
        way: share of the way from ℓ₀ to ℓ* after which a run counts as trained, where speed is measured.
        alike: share of the way from the training loss at the start to the least, at which rates are compared by their accuracy.
        times_faster: ratio of the slowest to the fastest steps to that, among the rates that get so far.
        escapes: share of runs that leave a local optimum at the rate that is best at leaving it.
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
    alike: float = 0.95
    times_faster: float = 3.0
    escapes: float = 0.25
    explained: float = 0.25

    def asdict(self) -> dict[str, float]:
        """The limits by name."""
        return dataclasses.asdict(self)


LIMITS = Limits()
