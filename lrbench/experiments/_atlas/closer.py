"""How far the answers hold: in runs of more steps, and with more seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from lrbench.analysis.groups import Floats, Ints
from lrbench.analysis.intervals import t_p, t_quantile
from lrbench.analysis.objective import objectives_of
from lrbench.analysis.rates import lines
from lrbench.experiments._atlas.evidence import LIMITS, NAN, MeasuredLines, StudyLines, lines_of
from lrbench.experiments._atlas.tables import rounded
from lrbench.tables.base import StudyTables

_DRAWS = 1000
COUNTS = (1, 2, 3, 5, 10, 20)
"""How many seeds conclusions are drawn from."""
_CUTS = 50
"""How often the seeds are cut into parts."""


def kendall(first: Floats, second: Floats) -> Floats:
    """Kendall's τ_b of two scores [..., item].

    Example:
        >>> kendall(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])).round(3).item()
        0.333

    Source: Kendall, Biometrika 33 (1945); `scipy.stats.kendalltau`.
    """
    at, other = np.triu_indices(first.shape[-1], 1)
    a, b = (np.sign(each[..., at] - each[..., other]) for each in (first, second))
    untied = np.sqrt((a != 0).sum(axis=-1) * (b != 0).sum(axis=-1))
    found: Floats = np.where(untied > 0, (a * b).sum(axis=-1) / np.maximum(untied, 1), NAN)
    return found


def tau_interval(first: Floats, second: Floats) -> tuple[float, float, float]:
    """τ of the mean scores, and the percentile interval over resamples of the seeds, the same ones of all.

    Args:
        first, second: [item, seed].
    """
    draws = np.random.default_rng(0).integers(first.shape[1], size=(_DRAWS, first.shape[1]))
    drawn = kendall(*(each[:, draws].mean(axis=2).T for each in (first, second)))
    tail = 50 * (1 - LIMITS.confidence)
    low, high = np.nanpercentile(drawn, [tail, 100 - tail]) if first.shape[1] > 1 else (NAN, NAN)
    return float(kendall(first.mean(axis=1), second.mean(axis=1))), float(low), float(high)


def repeated(scores: Floats) -> float:
    """Mean τ of rankings from two halves of the seeds [item, seed]: what chance leaves of a ranking of as many steps; NaN below two seeds."""
    seeds = scores.shape[1]
    if seeds < 2:
        return NAN
    drawn = np.random.default_rng(0).random((_CUTS, seeds)).argsort(axis=1)
    halves = (drawn[:, : seeds // 2], drawn[:, seeds // 2 : 2 * (seeds // 2)])
    return float(np.nanmean(kendall(*(scores[:, half].mean(axis=2).T for half in halves))))


class Longer(NamedTuple):
    """The same lines in runs of as many steps as those of the atlas, and of more."""

    lines: pd.DataFrame  # a row per problem, schedule and optimizer
    rankings: pd.DataFrame  # a row per problem and schedule


def longer(evidence: MeasuredLines, studies: Mapping[str, StudyTables]) -> Longer:
    """Compare the lines that both have.

    Args:
        evidence: of the atlas.
        studies: of more steps, by problem.
    """
    lines, rankings = [], []
    for problem, results in studies.items():
        if problem not in evidence.problems:
            continue
        found = lines_of(results)
        best = results.sensitivity["best_learning_rate"].to_numpy(dtype=np.float64)
        for schedule in evidence.schedules:
            known = found.names["optimizer"].isin(evidence.optimizers) & (found.names["schedule"] == schedule)
            mine = np.flatnonzero(known)
            if len(mine) < 2:
                continue
            names = found.names["optimizer"].iloc[mine].tolist()
            short = evidence.rows(problem, names, schedule)
            first, second = short.fresh, _chosen(found)[mine]
            rankings.append(_ranking(problem, schedule, names, first, second))
            old = {name: short.table[name].to_numpy() for name in ("use_loss", "best_learning_rate")}
            lines.append(
                pd.DataFrame(
                    {
                        "problem": problem,
                        "schedule": schedule,
                        "optimizer": names,
                        "rank": _rank(first.mean(axis=1)),
                        "longer_rank": _rank(second.mean(axis=1)),
                        "loss": old["use_loss"],
                        "longer_loss": second.mean(axis=1),
                        "best_rate": old["best_learning_rate"],
                        "longer_best_rate": best[mine],
                        "shift": np.log10(best[mine] / old["best_learning_rate"]),
                    }
                )
            )
    if not lines:
        return Longer(pd.DataFrame(), pd.DataFrame())
    return Longer(rounded(pd.concat(lines, ignore_index=True)), rounded(pd.DataFrame(rankings)))


def _chosen(some: StudyLines) -> Floats:
    """The loss of each fresh seed at the rate to use [line, seed]; ℓ₀ where a line does not train."""
    chosen = np.take_along_axis(some.fresh, some.use[:, None, None], axis=1)[:, 0]
    found: Floats = np.where(some.trains[:, None], chosen, some.start[:, None])
    return found


def _ranking(
    problem: str, schedule: str, names: Sequence[str], first: Floats, second: Floats
) -> dict[str, object]:
    tau, low, high = tau_interval(first, second)
    return {
        "problem": problem,
        "schedule": schedule,
        "lines": len(names),
        "tau": tau,
        "tau_low": low,
        "tau_high": high,
        "tau_repeated": repeated(first),
        "longer_tau_repeated": repeated(second),
        "best": names[int(first.mean(axis=1).argmin())],
        "longer_best": names[int(second.mean(axis=1).argmin())],
        "longer_rank_of_best": float(_rank(second.mean(axis=1))[int(first.mean(axis=1).argmin())]),
    }


def _rank(values: Floats) -> Floats:
    return np.asarray(pd.Series(values).rank(), dtype=np.float64)


def conclusions(studies: Mapping[str, StudyTables]) -> pd.DataFrame:
    """A row per problem and count of seeds: how often what so many seeds say is what the other seeds say.

    Every optimizer is tuned on the few seeds (the rate of least mean loss) and compared with every other one on them, at these rates. The
    truth is the order, on the seeds that are left, of the optimizers at the rates that are best there. A part is so many seeds, the
    parts of a cut are disjoint; intervals are Student's t with the parts of a cut as replicates, averaged over cuts.
    """
    rows = []
    for problem, results in studies.items():
        (found,) = lines(results.runs, objectives_of(results.manifest))
        start = float(found.initial.min())
        for count in COUNTS:
            if 2 * count <= found.size.seed:
                cuts = [_one_cut(found.loss, start, count, cut) for cut in range(_CUTS)]
                rows.append({"problem": problem, "count": count} | _summary(cuts))
    return rounded(pd.DataFrame(rows))


MEASURES = ("orderings", "significant", "significant_hold", "winner", "regret")


def _one_cut(cube: Floats, start: float, count: int, cut: int) -> dict[str, Floats]:
    """The measures [part] of one cut of the seeds into parts of `count`."""
    seeds = cube.shape[2]
    order = np.random.default_rng(cut).permutation(seeds)
    parts = order[: seeds // count * count].reshape(-1, count)
    return {
        name: np.array(each)
        for name, each in zip(
            MEASURES, zip(*(judged(cube, start, p) for p in parts), strict=True), strict=True
        )
    }


def judged(cube: Floats, start: float, part: Ints) -> tuple[float, ...]:
    """What one part concludes, and whether it holds on all other seeds."""
    few, rest = cube[:, :, part], np.delete(cube, part, axis=2).mean(axis=2)
    rate = few.mean(axis=2).argmin(axis=1)
    own = np.take_along_axis(few, rate[:, None, None], axis=1)[:, 0]
    truth = rest.min(axis=1)
    a, b = np.triu_indices(len(cube), 1)
    difference = own[a] - own[b]
    right = np.sign(difference.mean(axis=1)) == np.sign(truth[a] - truth[b])
    said = _significant(difference)
    winner = int(own.mean(axis=1).argmin())
    lost = (rest[winner, rate[winner]] - truth.min()) / max(start - truth.min(), 1e-12)
    hold = float(right[said].mean()) if said.any() else NAN
    return float(right.mean()), float(said.mean()), hold, float(winner == truth.argmin()), float(lost)


def _significant(difference: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Whether a paired t test at 5 %, not adjusted, tells each pair [pair, seed] apart; never with one seed."""
    count = difference.shape[1]
    if count < 2:
        return np.zeros(len(difference), dtype=np.bool_)
    mean, spread = difference.mean(axis=1), difference.std(axis=1, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = mean / (spread / np.sqrt(count))
    return np.asarray(np.where(np.isfinite(t), t_p(np.nan_to_num(t), count - 1) <= 0.05, False))


def _summary(found: Sequence[Mapping[str, Floats]]) -> dict[str, float]:
    """Means over cuts and parts, with an interval from the spread over the parts of a cut."""
    out: dict[str, float] = {}
    for name in MEASURES:
        cuts = np.array([each[name] for each in found])
        known = np.isfinite(cuts)
        value = float(cuts[known].mean()) if known.any() else NAN
        parts = cuts.shape[1]
        deviations = [np.std(row[np.isfinite(row)], ddof=1) for row in cuts if np.isfinite(row).sum() > 1]
        half = NAN
        if deviations and parts > 1:
            error = float(np.sqrt(np.mean(np.square(deviations)) / parts))
            half = float(t_quantile(parts - 1, LIMITS.confidence)) * error
        out |= {name: value, f"{name}_low": max(value - half, 0.0), f"{name}_high": min(value + half, 1.0)}
    return out
