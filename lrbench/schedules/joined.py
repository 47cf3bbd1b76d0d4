"""The schedule that joins others."""

from collections.abc import Mapping
from itertools import pairwise

import optax

from lrbench.schedules._checks import require
from lrbench.schedules.plateau import Plateau
from lrbench.study.choice import choose
from lrbench.study.signature import Part


def join(
    steps: int, *, parts: tuple[Part, ...] = ("constant", "cosine"), at: tuple[float, ...] = (0.75,)
) -> optax.Schedule:
    """Use one schedule after another, each over its own part of the run.

    Formula: peakᵢ·partᵢ(t − bᵢ) for bᵢ ≤ t < bᵢ₊₁, with b₀ = 0 and the other bᵢ = at·steps

    Args:
        parts: names of schedules, or tables with a name, parameters and a `peak`, the height of the part (1 if left out).
        at: where each later part begins, as shares of the run, in increasing order.

    Source: optax.join_schedules; the default is fastai's fit_flat_cos; as torch.optim.lr_scheduler.SequentialLR.
    """
    require(len(parts) >= 2, "parts", parts, "at least two schedules")
    require(all(0 < share < 1 for share in at), "at", at, "shares of the run, above 0 and below 1")
    require(all(x < y for x, y in pairwise(at)), "at", at, "shares in increasing order")
    require(
        len(at) == len(parts) - 1,
        "at",
        at,
        "one share of the run for each part after the first",
    )
    bounds = [0, *(round(share * steps) for share in at), steps]
    peaks = [_peak(part, index) for index, part in enumerate(parts)]
    require(max(peaks) == 1, "parts", parts, "of peak 1, at least one of them")
    schedules = [
        _scaled(_schedule(part, index, max(1, bounds[index + 1] - bounds[index])), peaks[index])
        for index, part in enumerate(parts)
    ]
    return optax.join_schedules(schedules, bounds[1:-1])


def _peak(part: Part, index: int) -> float:
    peak = part.get("peak", 1) if isinstance(part, Mapping) else 1
    if isinstance(peak, bool) or not isinstance(peak, int | float) or not 0 < peak <= 1:
        raise ValueError(f"parts.{index}.peak = {peak!r}: must be above 0 and at most 1")
    return float(peak)


def _schedule(part: Part, index: int, steps: int) -> optax.Schedule:
    table = {"name": part} if isinstance(part, str) else {k: v for k, v in part.items() if k != "peak"}
    name = table.get("name", "")
    require(isinstance(name, str) and ":" not in name, f"parts.{index}.name", name, "a name of the catalogue")
    choice = choose("schedule", table, f"parts.{index}", {})
    require(choice.size == 1, f"parts.{index}", part, "one schedule; an axis is a list of lists of parts")
    (params,) = choice.variants()
    try:
        schedule = choice.entry.load()(steps, **params)
    except ValueError as error:
        raise ValueError(f"parts.{index}.{error}") from error
    require(
        not isinstance(schedule, Plateau),
        f"parts.{index}",
        name,
        "a schedule that does not depend on the losses",
    )
    return schedule


def _scaled(schedule: optax.Schedule, peak: float) -> optax.Schedule:
    return lambda count: peak * schedule(count)
