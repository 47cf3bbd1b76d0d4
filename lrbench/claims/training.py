"""S6 to S10: optimizers, products of optimizers and schedules, speed and generalisation, curves, decay; and two more truths."""

from __future__ import annotations

import numpy as np

from lrbench.analysis.groups import Floats, Ints
from lrbench.analysis.labels import rate_text
from lrbench.analysis.targets import steps_to_target
from lrbench.claims.events import written
from lrbench.claims.evidence import Evidence, Finding, NotMeasured, Part
from lrbench.claims.limits import LIMITS

PLAIN, ADAM = "sgd(momentum=0)", "adam"
DECAYS = (
    "step(step_size=30)",
    "step(step_size=100)",
    "exponential",
    "linear",
    "cosine",
    "reduce_on_plateau",
    "warmup_cosine",
)
LARGER = 10**0.5
"""How many times constant's best rate a peak is that counts as large."""


def optimizers(found: Evidence) -> list[Finding]:
    """Momentum and adaptive methods such as Adam and RMSprop change what a learning rate means."""
    part = found["families"]
    decades = np.log10(part.rate)[part.best]
    plain = part.where(optimizer=PLAIN)
    least = LIMITS.decades_of_optimizer
    out = []
    for name in part.names["optimizer"].unique():
        if name == PLAIN:
            continue
        mine = _matched(part, plain, optimizer=name)
        apart = part.spread((decades[:, mine] - decades[:, plain]).mean(axis=1))
        met = abs(apart[0]) >= least and not apart[1] <= 0 <= apart[2]
        what = f"best rate of {name} over that of plain gradient descent, mean of {len(plain)} problems"
        rule = f"at least {least:g} from 0, and the interval without 0"
        out.append(Finding(what, *apart, unit="decades", rule=rule, met=met))
    for name in part.names["optimizer"].unique():
        mine = _matched(part, plain, optimizer=name)
        loss = np.minimum(part.middle[:, mine], part.initial[mine][:, None])
        above = ((loss - part.star[mine][:, None]) / part.span[mine][:, None]).mean(axis=(1, 2))
        out.append(
            Finding(
                f"sensitivity of {name}: mean over the rates of (ℓ − ℓ*) / (ℓ₀ − ℓ*)", *part.spread(above)
            )
        )
    return out


def products(found: Evidence) -> list[Finding]:
    """An optimizer and a schedule are separate parts that work together, as in Adam at 1e-3 with step decay."""
    part = found["schedules"]
    trains = part.stable[0].any(axis=1)
    out = [
        Finding(
            f"{len(trains)} problems × optimizers × schedules: share with a rate that trains",
            float(trains.mean()),
            rule="is 1",
            met=bool(trains.all()),
        )
    ]
    at = part.at(1e-3)
    for schedule, text in (
        ("constant", "constant"),
        ("step(step_size=30)", "StepLR(30, 0.1) called after every step"),
        ("step(step_size=100)", "StepLR(100, 0.1), two drops in the run"),
    ):
        mine = part.where(optimizer=ADAM, schedule=schedule)
        gap = ((part.loss[mine, at] - part.star[mine][:, None]) / part.span[mine][:, None]).mean(axis=0)
        value = part.mean(gap)
        good = part.limits.good
        told = schedule == "constant"
        rule, met = ("", None) if told else (f"at most {good:g}", value[0] <= good)
        out.append(
            Finding(
                f"Adam at 1e-3, {text}: (ℓ − ℓ*) / (ℓ₀ − ℓ*), mean of {len(mine)} problems",
                *value,
                rule=rule,
                met=met,
            )
        )
    mine = part.where(optimizer=ADAM)
    best = part.rate[part.best[0][mine]]
    out.append(
        Finding(
            f"Adam's best rate over all schedules: from {rate_text(best.min())} to {rate_text(best.max())}; length",
            float(np.log10(best.max() / best.min())),
            unit="decades",
        )
    )
    return out


def three_effects(found: Evidence) -> list[Finding]:
    """The learning rate decides how fast a model trains, whether it is stable, and how well it generalises."""
    part = found["families"]
    return [_speed(part), _stability(part), *_generalisation(part)]


def steps_to_most(part: Part) -> Floats:
    """The first evaluated step at which a run has come most of the way from ℓ₀ to ℓ*: [line, rate, seed]; NaN: never."""
    step, loss = part.curve("valid_loss")
    target = np.broadcast_to((part.initial - LIMITS.way * part.span)[:, None, None], part.loss.shape)
    return steps_to_target(step, loss.reshape(-1, len(step)), target.reshape(-1)).reshape(part.loss.shape)


def _speed(part: Part) -> Finding:
    steps = steps_to_most(part)
    slowest = np.where(np.isfinite(steps), steps, -np.inf).max(axis=1)
    fastest = np.where(np.isfinite(steps), steps, np.inf).min(axis=1)
    with np.errstate(invalid="ignore"):
        ratio = np.where(np.isfinite(slowest), slowest / np.maximum(fastest, 1), np.nan)
    kept = np.isfinite(ratio).all(axis=1)
    if not kept.any():
        raise NotMeasured("in part families no optimizer comes most of the way with every seed")
    value = part.mean(np.median(ratio[kept], axis=0))
    least = LIMITS.times_faster
    what = f"slowest over fastest steps to {100 * LIMITS.way:g} % of the way, among rates that come so far: median of {int(kept.sum())} problems × optimizers"
    return Finding(what, *value, unit="times", rule=f"at least {least:g}", met=value[0] >= least)


def _stability(part: Part) -> Finding:
    broken = np.isin(part.verdicts(), ["diverged", "oscillating"])
    places = np.arange(len(part.rate))
    above, below = places > part.best[0][:, None], places < part.best[0][:, None]
    difference = broken[above].mean(axis=0) - broken[below].mean(axis=0)
    value = part.mean(difference)
    what = "share of runs that oscillate or diverge, above the best rate less below it"
    return Finding(what, *value, rule="above 0 with its interval", met=value[1] > 0)


def _generalisation(part: Part) -> list[Finding]:
    """What it costs to choose the rate by the training loss: judged on a seed that had no part in choosing."""
    train, valid = part.column("final_train_loss"), part.column("final_valid_loss")
    start = part.column("initial_valid_loss")
    valid = np.where(np.isfinite(valid), np.fmin(valid, start), start)
    train = np.where(np.isfinite(train) & (part.ok > 0), train, np.inf)
    seeds = train.shape[2]
    if seeds < 2:
        raise NotMeasured("part families has one seed, and none to choose a rate by")
    cost, differ = np.zeros((len(train), seeds)), np.zeros((len(train), seeds))
    for seed in range(seeds):
        others = np.arange(seeds) != seed
        by_train = np.median(train[..., others], axis=2).argmin(axis=1)
        by_valid = np.median(valid[..., others], axis=2).argmin(axis=1)
        line = np.arange(len(train))
        cost[:, seed] = (valid[line, by_train, seed] - valid[line, by_valid, seed]) / part.span
        differ[:, seed] = by_train != by_valid
    told = part.mean(differ.mean(axis=0))
    value = part.mean(np.nanmean(cost, axis=0))
    return [
        Finding(
            "share of problems × optimizers in which training and validation loss choose different rates",
            *told,
        ),
        Finding(
            "validation loss at the rate of the least training loss, less at the rate that validates best (chosen by other seeds), over (ℓ₀ − ℓ*)",
            *value,
            rule="above 0 with its interval",
            met=value[1] > 0,
        ),
    ]


def curves(found: Evidence) -> list[Finding]:
    """Watching the curves in TensorBoard or Weights & Biases shows early whether a learning rate is right."""
    part = found["families"]
    step, loss = part.curve("valid_loss")
    quarter = int(np.abs(step - step[-1] / 4).argmin())
    early = np.where(np.isfinite(loss[..., quarter]), loss[..., quarter], np.inf)
    chosen = early.argmin(axis=1)
    good = np.take_along_axis(part.verdicts() == "good", chosen[:, None], axis=1)[:, 0]
    keeps = part.good[0].any(axis=1)
    value = part.mean(good[keeps].mean(axis=0))
    what = "the rate whose curve is lowest after a quarter of the run: share of runs that end good there"
    return [
        Finding(what, *value, rule=f"more than {LIMITS.most:g}", met=value[0] > LIMITS.most),
        written(part),
    ]


def decay(found: Evidence) -> list[Finding]:
    """A rate that is large at first and smaller later is fast, then fine."""
    part = found["schedules"]
    constant = part.where(schedule="constant")
    best = part.best[0][constant]
    decades = np.log10(part.rate)
    peak = np.abs(decades - (decades[best] + np.log10(LARGER))[:, None]).argmin(axis=1)
    times = 10 ** float((decades[peak] - decades[best]).mean())
    out = [_fast(part, constant, peak)]
    for name in DECAYS:
        mine = _matched(part, constant, schedule=name)
        for at, text in ((best, "at constant's best rate"), (peak, f"at {times:.2g} times that")):
            value = part.mean(difference(part, mine, constant, at))
            what = f"{name} less constant, same peak {text}: final loss over (ℓ₀ − ℓ*)"
            out.append(Finding(what, *value, rule="below 0 with its interval", met=value[2] < 0))
    return out


def difference(part: Part, mine: Ints, others: Ints, at: Ints) -> Floats:
    """Final loss of lines less that of others at the same rates, over (ℓ₀ − ℓ*), mean over the lines: [seed]."""
    gap: Floats = ((part.loss[mine, at] - part.loss[others, at]) / part.span[others][:, None]).mean(axis=0)
    return gap


def _fast(part: Part, constant: Ints, peak: Ints) -> Finding:
    """Early in the run, a decaying rate with a large peak against a constant rate a tenth of it."""
    step, loss = part.curve("valid_loss")
    quarter = int(np.abs(step - step[-1] / 4).argmin())
    tenth = np.abs(np.log10(part.rate) - (np.log10(part.rate[peak]) - 1)[:, None]).argmin(axis=1)
    cosine = _matched(part, constant, schedule="cosine")
    start = part.initial[constant][:, None]
    early, small = (
        np.fmin(loss[lines, at, :, quarter], start) for lines, at in ((cosine, peak), (constant, tenth))
    )
    value = part.mean(((early - small) / part.span[constant][:, None]).mean(axis=0))
    what = "after a quarter of the run: cosine with that larger peak less a constant tenth of it, loss over (ℓ₀ − ℓ*)"
    return Finding(what, *value, rule="below 0 with its interval", met=value[2] < 0)


def warmup(found: Evidence) -> list[Finding]:
    """Warmup lets larger rates survive."""
    part = found["schedules"]
    decades = np.log10(part.rate)
    count = len(decades)
    out = []
    for short, long in (("constant", "warmup_constant"), ("cosine", "warmup_cosine")):
        without = part.where(schedule=short)
        having = _matched(part, without, schedule=long)
        for usable, text in ((part.stable, "that trains"), (part.good, "that is good")):
            # A line without any such rate has its end one step below the grid.
            last = np.where(usable, np.arange(count), -1).max(axis=2)
            end = np.where(last < 0, 2 * decades[0] - decades[1], decades[last])
            apart = (end[:, having] - end[:, without]).mean(axis=1)
            value = part.spread(np.round(apart, 9))  # logarithms that should cancel leave a remainder
            what = (
                f"{long} over {short}: the largest rate {text}, mean of {len(without)} problems × optimizers"
            )
            out.append(
                Finding(what, *value, unit="decades", rule="above 0 with its interval", met=value[1] > 0)
            )
    return out


def width(found: Evidence) -> list[Finding]:
    """Adam's band of good rates is wider than that of gradient descent."""
    part = found["families"]
    step = float(np.diff(np.log10(part.rate)).mean())
    wide = part.good.sum(axis=2) * step
    plain = part.where(optimizer=PLAIN)
    adam = _matched(part, plain, optimizer=ADAM)
    apart = wide[:, adam] - wide[:, plain]
    value = part.spread(apart.mean(axis=1))
    share = float((apart[0] > 0).mean())
    return [
        Finding(
            "good rates of Adam less those of plain gradient descent, mean over problems",
            *value,
            unit="decades",
            rule="above 0 with its interval",
            met=value[1] > 0,
        ),
        Finding(
            f"{len(plain)} problems: share in which Adam's are more",
            share,
            rule=f"more than {LIMITS.most:g}",
            met=share > LIMITS.most,
        ),
    ]


def _matched(part: Part, lines: Ints, **other: str) -> Ints:
    """The lines that are as these, but for their optimizer or schedule."""
    ((kind, name),) = other.items()
    same = [str(column) for column in part.names if column != kind]
    out = []
    for line in lines:
        wanted = {column: str(part.names[column].iloc[line]) for column in same} | {kind: name}
        out.append(int(part.where(**wanted)[0]))
    return np.array(out, dtype=np.int64)
