"""S1 to S5: the step, the three zones, scale, usual starting rates, schedules."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from lrbench.analysis.groups import Floats
from lrbench.analysis.labels import rate_text
from lrbench.analysis.verdicts import zones
from lrbench.claims.evidence import Evidence, Finding, NotMeasured, Part
from lrbench.claims.limits import LIMITS

AREA, PRICE = 100.0, 500.0
FAMILIES = {
    "house_prices": "simple models",
    "digits_softmax": "simple models",
    "digits_mlp": "simple models",
    "digits_cnn": "CNN",
    "char_transformer": "Transformer",
}
USUAL = {"simple models": (1e-3, 1e-2), "CNN": (1e-5, 3e-4), "Transformer": (1e-5, 3e-4)}
_ROUND = 1.06  # 3.16e-4, a rate of an even grid, counts as 3e-4
_HUNDREDTH = 2.0  # decades
_LEAST_NORM = 1e-15


def steps(found: Evidence) -> list[Finding]:
    """The learning rate is the size of a step: new = old − rate × gradient, and the example of introductions shows it."""
    part = found["step"]
    _, first = part.curve("first_coordinate")
    _, second = part.curve("second_coordinate")
    _, loss = part.curve("train_loss")
    linear = part.where(problem="one_sale(linear=true)")[0]
    squared = part.where(problem="one_sale(linear=false)")[0]
    out = []
    for rate, stated in ((0.001, 10.5), (0.1, 1050.0)):
        at = part.at(rate)
        slope, intercept = first[linear, at, 0, -1], second[linear, at, 0, -1]
        price = slope * AREA + intercept
        what = f"gradient (−100, −500), rate {rate:g}: w = {slope:g}, b = {intercept:g}; predicted price of 100 m²"
        out.append(Finding(what, price, rule=f"is {stated:g}", met=_same(price, stated)))
    start = loss[squared, 0, 0, 0]
    out.append(Finding("loss at the start, (500 − 0)²", start, rule="is 250,000", met=_same(start, 250_000)))
    out.append(_update_is_rate_times_gradient(found["wells"]))
    at = part.at(0.001)
    slope, intercept = first[squared, at, 0, -1] / 0.001, second[squared, at, 0, -1] / 0.001
    what = (
        f"gradient of (ŷ − 500)² at w = b = 0: (−{slope:,.0f}, −{intercept:,.0f}); first of the two over −100"
    )
    out.append(
        Finding(
            what,
            slope / 100,
            unit="times",
            rule="is 1, so that the stated gradient is that of the loss",
            met=_same(slope, 100),
        )
    )
    price = first[squared, at, 0, -1] * AREA + second[squared, at, 0, -1]
    out.append(
        Finding("predicted price after one step with that gradient at rate 0.001, true price 500", price)
    )
    return out


def _update_is_rate_times_gradient(part: Part) -> Finding:
    _, gradient = part.curve("gradient_norm")
    _, update = part.curve("update_norm")
    step = part.rate[:, None, None] * gradient
    # Below, the squares that a norm sums up are no numbers of single precision any more.
    there = np.isfinite(step) & np.isfinite(update) & (step > _LEAST_NORM)
    worst = float(np.abs(update[there] / step[there] - 1).max())
    what = f"double_well, sgd: greatest relative difference of ‖Δw‖ from rate × ‖gradient‖ in {int(there.sum()):,} steps"
    return Finding(what, worst, rule=f"at most {LIMITS.equal:g}", met=worst <= LIMITS.equal)


def three_zones(found: Evidence) -> list[Finding]:
    """Too small a rate barely moves or stays in a local optimum; a good one falls smoothly; too large a one explodes."""
    part = found["families"]
    return [_order(part), _barely(part), _smooth(part), _broken(part), *_wells(found["wells"])]


def _order(part: Part) -> Finding:
    table = zones(part.runs, objectives=part.objectives)
    rank = (
        table["zone"].map({"too_small": 0, "good": 1, "too_large": 2}).to_numpy().reshape(part.loss.shape[:2])
    )
    share = float((np.diff(rank, axis=1) >= 0).all(axis=1).mean())
    what = f"{len(rank)} problems × optimizers: share in which too small, good and too large follow one another in this order"
    return Finding(what, share, rule=f"more than {LIMITS.most:g}", met=share > LIMITS.most)


def _barely(part: Part) -> Finding:
    """How far runs come at the rate that is two decades below the best."""
    decades = np.log10(part.rate)
    target = decades[part.best[0]] - _HUNDREDTH
    at = np.abs(decades - target[:, None]).argmin(axis=1)
    fits = np.abs(decades[at] - target) < 0.1
    if not fits.any():
        raise NotMeasured("part families has no rate a hundredth of the best")
    loss = np.take_along_axis(part.loss, at[:, None, None], axis=1)[:, 0]
    way = ((part.initial[:, None] - loss) / part.span[:, None])[fits]
    value = part.mean(np.nanmedian(way, axis=0))
    what = "at a hundredth of the best rate: share of the way to the best loss, median over problems × optimizers"
    return Finding(what, *value, rule=f"at most {LIMITS.barely:g}", met=value[0] <= LIMITS.barely)


def _smooth(part: Part) -> Finding:
    waves = np.take_along_axis(part.column("oscillation"), part.best[0][:, None, None], axis=1)[:, 0]
    value = part.mean(np.nanmedian(waves, axis=0))
    limit = part.limits.oscillating
    what = "at the best rate: upward moves of the second half, as a share of the whole fall, median"
    return Finding(what, *value, rule=f"at most {limit:g}", met=value[0] <= limit)


def _broken(part: Part) -> Finding:
    """Of the runs above the good band, how many oscillate or diverge."""
    last = np.where(part.good[0], np.arange(len(part.rate)), -1).max(axis=1)
    above = (np.arange(len(part.rate)) > last[:, None]) & (last >= 0)[:, None]
    broken = np.isin(part.verdicts(), ["diverged", "oscillating"])
    value = part.mean(broken[above].mean(axis=0))
    what = "above the good rates: share of runs that oscillate or diverge (the others stop at a poor loss)"
    return Finding(what, *value, rule=f"more than {LIMITS.most:g}", met=value[0] > LIMITS.most)


def escapes(part: Part) -> tuple[Floats, Floats, Floats]:
    """Per rate: of the runs that start in the shallower well, the share that ends in the deeper one, with interval."""
    _, place = part.curve("first_coordinate")
    ridge = float(np.sort(np.roots([4.0, 0.0, -4.0, 0.3]).real)[1])
    place = place[0]
    shallow = place[:, :, 0] > ridge
    left = shallow & (place[:, :, -1] < ridge) & (part.ok[0] > 0)
    if not shallow.any():
        raise NotMeasured("no run of part wells starts in the shallower well")
    table = []
    for gone, began in zip(left, shallow, strict=True):
        drawn = gone[part.draws[0]].sum(axis=1) / np.maximum(began[part.draws[0]].sum(axis=1), 1)
        table.append(part.spread(drawn))
    value, low, high = np.array(table).T
    return value, low, high


def _wells(part: Part) -> list[Finding]:
    value, low, high = escapes(part)
    small = np.flatnonzero(part.rate <= part.rate[part.best[0][0]] / 10)
    if not len(small):
        raise NotMeasured("part wells has no rate below a tenth of the best")
    worst, most = int(small[value[small].argmax()]), int(value.argmax())
    text = "started in the shallower well of double_well: share that ends in the deeper one"
    return [
        Finding(
            f"{text}, at any rate up to {rate_text(part.rate[small[-1]])}",
            value[worst],
            low[worst],
            high[worst],
            rule=f"at most {LIMITS.rarely:g}: stuck in the local optimum",
            met=bool(value[worst] <= LIMITS.rarely),
        ),
        Finding(
            f"{text}, at rate {rate_text(part.rate[most])}",
            value[most],
            low[most],
            high[most],
            rule=f"at least {LIMITS.escapes:g}: a larger rate leaves it",
            met=bool(value[most] >= LIMITS.escapes),
        ),
    ]


def scale(found: Evidence) -> list[Finding]:
    """The price of a house is a line through its area, and its scale decides which learning rates can be used."""
    part = found["scale"]
    one = part.where(problem="house_prices(standardised=true)")[0]
    raw = part.where(problem="house_prices(standardised=false)")[0]
    decades = np.log10(part.rate)[part.best]
    apart = part.spread(decades[:, one] - decades[:, raw])
    both = float((part.good[0][one] & part.good[0][raw]).sum())
    loss = np.take_along_axis(part.middle[:, one], part.best[:, one][:, None], axis=1)[:, 0]
    told = part.spread(1 - loss / part.initial[one])
    best = [rate_text(part.rate[part.best[0][line]]) for line in (one, raw)]
    least = LIMITS.decades_of_scale
    return [
        Finding(
            "share of the prices' variance that a line through the area explains, new sales, best rate",
            *told,
            rule=f"at least {LIMITS.explained:g}",
            met=told[0] >= LIMITS.explained,
        ),
        Finding(
            f"best rate standardised ({best[0]}) over best rate in square feet and dollars ({best[1]})",
            *apart,
            unit="decades",
            rule=f"at least {least:g}",
            met=apart[0] >= least,
        ),
        Finding(
            "rates that are good for both",
            both,
            unit=f"of {len(part.rate)} rates",
            rule="is 0",
            met=both == 0,
        ),
    ]


def usual_rates(found: Evidence) -> list[Finding]:
    """Good starting rates are 1e-5 to 3e-4 for CNNs and Transformers, and 1e-3 to 1e-2 for simple models."""
    part = found["families"]
    good = part.verdicts() == "good"
    family = part.names["problem"].map(lambda name: FAMILIES.get(name.split("(")[0], "")).to_numpy()
    out = []
    for name, (low, high) in USUAL.items():
        rates = (part.rate >= low / _ROUND) & (part.rate <= high * _ROUND)
        for optimizer in part.names["optimizer"].unique():
            mine = np.flatnonzero((family == name) & (part.names["optimizer"] == optimizer).to_numpy())
            if not len(mine) or not rates.any():
                raise NotMeasured(f"part families has no {name}, or no rate from {low:g} to {high:g}")
            value = part.mean(good[mine][:, rates].mean(axis=(0, 1)))
            best = sorted({part.rate[at] for at in part.best[0][mine]})
            text = " … ".join(rate_text(rate) for rate in dict.fromkeys((best[0], best[-1])))
            what = (
                f"{name}, {optimizer}: share of runs at {low:g} … {high:g} that are good (best rate {text})"
            )
            out.append(Finding(what, *value, rule=f"at least {LIMITS.most:g}", met=value[0] >= LIMITS.most))
    return out


def schedules(found: Evidence) -> list[Finding]:
    """Constant, step decay, annealing, reduction on a plateau and warmup are the ways to change the rate while training."""
    part = found["schedules"]
    evaluated, rate = part.curve("learning_rate")
    _, judged = part.curve("valid_loss")
    last = int(part.runs["steps"].iloc[0])
    # The rate that stands at the end is that of the last step.
    step = np.minimum(evaluated, last - 1).astype(np.float64)
    out = []
    for title in part.names["schedule"].unique():
        mine = part.where(schedule=title)
        name = str(title).partition("(")[0]
        if name == "reduce_on_plateau":
            expected = plateau(judged[mine])
            expected[..., -1] = expected[..., -2]
            expected[~np.isfinite(judged[mine])] = np.nan  # a run that is gone is not reduced any more
        elif name in _FORMULAS:
            size = part.settings.get("schedule_step_size", pd.Series(1.0, part.settings.index))[mine[0]]
            expected = _FORMULAS[name](step / last, step, float(size))
        else:
            continue
        off = np.abs(rate[mine] / part.rate[:, None, None] - expected)
        worst = float(off[np.isfinite(off)].max())
        what = f"{title}: greatest difference of the rate from the formula, as a share of the peak"
        out.append(Finding(what, worst, rule=f"at most {LIMITS.schedule:g}", met=worst <= LIMITS.schedule))
    return out


_WARMUP = 0.1
_FORMULAS: dict[str, Callable[[Floats, Floats, float], Floats]] = {
    "constant": lambda share, step, size: np.ones_like(share),
    "step": lambda share, step, size: 0.1 ** (step // size),
    "exponential": lambda share, step, size: 0.01**share,
    "linear": lambda share, step, size: 1 - share,
    "cosine": lambda share, step, size: (1 + np.cos(np.pi * share)) / 2,
    "warmup_constant": lambda share, step, size: np.minimum(share / _WARMUP, 1),
    "warmup_cosine": lambda share, step, size: np.where(
        share < _WARMUP, share / _WARMUP, (1 + np.cos(np.pi * (share - _WARMUP) / (1 - _WARMUP))) / 2
    ),
}


def plateau(loss: Floats, factor: float = 0.1, patience: int = 2, threshold: float = 1e-4) -> Floats:
    """The factors [..., evaluation] that PyTorch's ReduceLROnPlateau gives these losses, called after each evaluation.

    The first evaluation, before any step, does not count. A run that is not finite is told of no further.

    >>> plateau(np.array([9.0, 5.0, 6.0, 6.0, 6.0, 6.0])).tolist()
    [1.0, 1.0, 1.0, 1.0, 0.1, 0.1]
    """
    best, bad = np.full(loss.shape[:-1], np.inf), np.zeros(loss.shape[:-1])
    out = np.ones(loss.shape)
    with np.errstate(invalid="ignore"):
        for at in range(1, loss.shape[-1]):
            better = loss[..., at] < best * (1 - threshold)
            best, bad = np.where(better, loss[..., at], best), np.where(better, 0, bad + 1)
            drop = bad > patience
            out[..., at:] *= np.where(drop, factor, 1.0)[..., None]
            bad = np.where(drop, 0, bad)
    return out


def _same(value: float, other: float) -> bool:
    return bool(abs(value - other) <= LIMITS.equal * abs(other))
