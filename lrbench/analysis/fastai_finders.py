"""The four rules of fastai's learning-rate finder as it has them, on a range test as it makes one: what ours are compared with.

Ours (`range_tests`) take the loss over log η, so that their suggestions do not depend on how many steps a range test has; fastai's `slide` is
about differences from one step to the next, and means what it should only for its own 100 steps over 8 decades.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from lrbench.analysis.groups import Floats
from lrbench.analysis.range_tests import Suggestion, Sweep, fastai_sweep, valley

LOW, HIGH, STEPS = 1e-7, 10.0, 100
"""fastai's range: from the first rate on in so many steps, the last of which is one short of the highest rate."""
_APART = 15
_AGREE = 0.005


def last_rate() -> float:
    """The rate of the last step of fastai's range test.

    >>> round(last_rate(), 4)
    8.3176
    """
    return float(LOW * (HIGH / LOW) ** ((STEPS - 1) / STEPS))


def steep(rate: Floats, loss: Floats) -> Suggestion:
    """The rate from which to the next one the loss falls fastest: argmin Δℓ/Δlog η, the earlier of the two."""
    if len(rate) < 2:
        return Suggestion(np.nan, "fewer than two steps are left")
    return Suggestion(float(rate[(np.diff(loss) / np.diff(np.log(rate))).argmin()]))


def minimum(rate: Floats, loss: Floats) -> Suggestion:
    """A tenth of the rate at which the loss is least, be it the last."""
    return Suggestion(float(rate[loss.argmin()]) / 10)


def slide(rate: Floats, loss: Floats) -> Suggestion:
    """Two marks 15 steps apart slide down from the end while the slopes per step at them differ by more than 0.005; the lower mark of the last that did."""
    if len(rate) <= _APART:
        return Suggestion(np.nan, f"fewer than {_APART + 1} steps are left")
    slope = np.gradient(loss)
    differ = np.abs(slope[_APART:] - slope[:-_APART])[::-1] > _AGREE
    slid = len(differ) if differ.all() else int(differ.argmin())
    return Suggestion(float(rate[len(differ) - max(1, slid)]))


RULES: Mapping[str, Callable[[Floats, Floats], Suggestion]] = {
    f"fastai_{rule.__name__}": rule for rule in (steep, minimum, valley, slide)
}
"""Each takes rates and smoothed losses as fastai cuts them."""


def suggest(found: Sweep) -> dict[str, Suggestion]:
    """What each of fastai's rules suggests after a range test of its kind.

    Args:
        found: a range test from `LOW` to `last_rate()` in `STEPS` steps.

    Example:
        >>> from lrbench.analysis.range_tests import sweep
        >>> rate = np.geomspace(LOW, last_rate(), STEPS)
        >>> said = suggest(sweep(rate, 1 / (1 + 100 * rate) + rate))
        >>> {rule: f"{suggestion.rate:.1g}" for rule, suggestion in said.items()}
        {'fastai_steep': '0.04', 'fastai_minimum': '0.05', 'fastai_valley': '0.0005', 'fastai_slide': '0.02'}

    Source: fastai 2, callback.schedule: LRFinder, lr_find, steep, minimum, valley, slide.
    """
    seen = fastai_sweep(found.rate, found.loss).seen
    if not len(seen[0]):
        return dict.fromkeys(RULES, Suggestion(np.nan, "no step is left"))
    return {name: rule(*seen) for name, rule in RULES.items()}
