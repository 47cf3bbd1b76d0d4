"""Statistical tests of ranks over problems: which lines are ahead, and which cannot be told apart."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from lrbench.analysis.groups import KINDS, Floats, columns_of, group, identity
from lrbench.analysis.labels import label


def average_ranks(score: Floats) -> Floats:
    """Mean over problems of the rank of each line, 1 the least score; ties share the mean of their ranks.

    Args:
        score: [line, problem].

    Example:
        >>> average_ranks(np.array([[0.1, 0.2], [0.3, 0.2]])).tolist()
        [1.25, 1.75]
    """
    ranks: Floats = pd.DataFrame(score).rank(axis=0).to_numpy().mean(axis=1)
    return ranks


def friedman(score: Floats) -> tuple[float, float]:
    """Friedman's test that all lines have the same ranks: χ² (corrected for ties) and its p.

    NaN below three lines or two problems; 0 and 1 where every problem is one tie.

    Example:
        >>> [round(value, 4) for value in friedman(np.array([[1.0] * 4, [2.0] * 4, [3.0] * 4]))]
        [8.0, 0.0183]

    Source: Friedman, JASA 32 (1937); `scipy.stats.friedmanchisquare`, whose package takes half a second to import.
    """
    lines, problems = score.shape
    if lines < 3 or problems < 2:
        return np.nan, np.nan
    if (score == score[:1]).all():
        return 0.0, 1.0
    from scipy import special  # not while a command starts

    ranks = pd.DataFrame(score).rank(axis=0)
    tied = np.concatenate([column.value_counts().to_numpy() for _, column in ranks.items()])
    untied = 1 - (tied * (tied**2 - 1)).sum() / (lines * (lines**2 - 1) * problems)
    squares = np.square(ranks.sum(axis=1)).sum()
    chi2 = (12 / (lines * problems * (lines + 1)) * squares - 3 * problems * (lines + 1)) / untied
    return float(chi2), float(special.chdtrc(lines - 1, chi2))


def critical_difference(lines: int, problems: int, confidence: float = 0.95) -> float:
    """Nemenyi's critical difference q √(k(k + 1) / 6N) of the average ranks of k lines over N problems.

    q is the studentized range of k groups and infinitely many degrees of freedom, over √2. NaN below two lines or
    two problems.

    Example:
        >>> round(critical_difference(5, 30), 3)
        1.114

    Source: Nemenyi (1963); Demšar, JMLR 7 (2006), section 3.2.2.
    """
    if lines < 2 or problems < 2:
        return np.nan
    q = _studentized_range(lines, confidence) / np.sqrt(2)
    return float(q * np.sqrt(lines * (lines + 1) / (6 * problems)))


def _studentized_range(groups: int, confidence: float) -> float:
    """The quantile of the range of k standard normals: where k ∫ φ(z) (Φ(z) − Φ(z − q))^(k−1) dz is the confidence, by bisection.

    The trapezoidal rule is as exact here as floating point: the integrand is smooth, and vanishes at both ends.
    """
    from scipy import special

    z = np.linspace(-9.0, 9.0, 1801)
    weight = groups * np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi) * (z[1] - z[0])
    low, high = 0.0, 18.0
    while low < (middle := 0.5 * (low + high)) < high:
        below = (weight * (special.ndtr(z) - special.ndtr(z - middle)) ** (groups - 1)).sum()
        low, high = (middle, high) if below < confidence else (low, middle)
    return high


def wilcoxon_holm(score: Floats) -> Floats:
    """Wilcoxon's signed-rank test of every two lines over problems: p [line, line], adjusted after Holm.

    Exact, with ties, too. Problems on which both are equal are left out; where all are, p is 1. NaN below two problems.

    Example:
        >>> score = np.array([[0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [0.2, 0.4, 0.6, 0.8, 1.0, 1.2]])
        >>> float(wilcoxon_holm(score)[0, 1])
        0.03125

    Source: Wilcoxon (1945); Holm (1979); Benavoli et al., JMLR 17 (2016), on why not Nemenyi alone.
    """
    lines, problems = score.shape
    table = np.full((lines, lines), np.nan if problems < 2 else 1.0)
    if problems < 2 or lines < 2:
        return table
    first, other = np.triu_indices(lines, 1)
    found = np.array([_wilcoxon(score[a] - score[b]) for a, b in zip(first, other, strict=True)])
    table[first, other] = table[other, first] = _holm(found)
    return table


def _wilcoxon(difference: Floats) -> float:
    """P of the sum of the ranks of |d| where d is positive, of all 2ⁿ equally likely choices of signs."""
    given = difference[difference != 0]
    twice = (
        (2 * pd.Series(np.abs(given)).rank()).to_numpy().astype(np.int64)
    )  # a rank of ties may be half a number
    chance = np.ones(1)  # of each sum of the ranks so far
    for rank in twice.tolist():
        nothing = np.zeros(rank)
        chance = 0.5 * (np.append(chance, nothing) + np.append(nothing, chance))
    at = int(twice[given > 0].sum())
    return min(1.0, 2 * float(min(chance[: at + 1].sum(), chance[at:].sum())))


def _holm(p: Floats) -> Floats:
    order = np.argsort(p)
    steps = np.minimum(p[order] * np.arange(len(p), 0, -1), 1.0)
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(steps)
    return adjusted


def groups(same: npt.NDArray[np.bool_]) -> list[range]:
    """The longest stretches of lines, in the order of their ranks, of which no two can be told apart.

    Args:
        same: [line, line] whether two lines cannot be told apart.

    Example:
        >>> rank = np.array([1.0, 1.5, 2.5])
        >>> groups(np.abs(rank[:, None] - rank) <= 1)
        [range(0, 2), range(1, 3)]
    """
    found: list[range] = []
    for begin in range(len(same)):
        fits = (end for end in range(begin + 1, len(same) + 1) if not same[begin:end, begin:end].all())
        stretch = range(begin, next(fits, len(same) + 1) - 1)
        if not found or stretch.stop > found[-1].stop:
            found.append(stretch)
    return found


def group_texts(same: npt.NDArray[np.bool_]) -> list[str]:
    """The numbers of the groups that each line belongs to, as text: `1`, `1 2`."""
    stretches = list(enumerate(groups(same), start=1))
    return [" ".join(str(n) for n, stretch in stretches if line in stretch) for line in range(len(same))]


def share_within(ratio: Floats, limit: Floats) -> Floats:
    """Performance profile ρ(τ) [line, τ]: the share of problems with ratio [line, problem] at most τ.

    Source: Dolan & Moré, Mathematical Programming 91 (2002).
    """
    within: Floats = (ratio[:, None, :] <= limit[None, :, None]).mean(axis=2)
    return within


def profile_score(ratio: Floats, most: float) -> Floats:
    """1/(τ_max − 1) ∫₁^τ_max ρ(τ) dτ [line], exact: the mean over problems of max(0, τ_max − r) / (τ_max − 1).

    Example:
        >>> profile_score(np.array([[1.0, 2.5], [2.5, np.inf]]), 4.0).tolist()
        [0.75, 0.25]

    Source: Dahl et al., arXiv:2306.07179 (AlgoPerf), section 4.5.
    """
    score: Floats = (np.maximum(most - ratio, 0.0) / (most - 1.0)).mean(axis=1)
    return score


def ratios(steps: Floats) -> Floats:
    """Steps to the target over those of the fastest line of the problem, both [line, problem]; infinite: never.

    Example:
        >>> ratios(np.array([[10.0, np.inf], [30.0, np.inf]])).tolist()
        [[1.0, inf], [3.0, inf]]
    """
    fastest = steps.min(axis=0, initial=np.inf)  # there are no lines if every pack failed
    usable = np.isfinite(fastest) & (fastest > 0)
    ratio = steps / np.where(usable, fastest, 1.0)
    # If the target is met before the first step, those lines are the fastest, and no other ratio is finite.
    ratio[:, fastest == 0] = np.where(steps[:, fastest == 0] == 0, 1.0, np.inf)
    return ratio


def speedups(steps: Floats, reference: int) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Geometric mean over problems of t_reference / t, and over how many: those on which both reach the target.

    Example:
        >>> mean, count = speedups(np.array([[10.0, 20.0], [5.0, np.inf]]), 0)
        >>> mean.tolist(), count.tolist()
        ([1.0, 2.0], [2, 1])
    """
    reached = np.isfinite(steps) & (steps > 0)
    both = reached & reached[reference]
    log = np.log(np.where(both, steps[reference] / np.where(both, steps, 1.0), 1.0))
    count = both.sum(axis=1)
    return np.where(count > 0, np.exp(log.sum(axis=1) / np.maximum(count, 1)), np.nan), count


class AcrossProblems(NamedTuple):
    """Every optimizer × schedule, on the problems that all of them were run on."""

    names: pd.DataFrame  # [line] identity columns
    label: list[str]  # [line]
    problems: list[str]  # [problem] labels
    gap: Floats  # [line, problem] (ℓ(use) − ℓ*) / (ℓ₀ − ℓ*); 1 where the line does not train
    best_gap: Floats  # [line, problem] the same at η*
    steps: Floats  # [line, problem] steps to the target at η*; infinite: never


def across_problems(sensitivity: pd.DataFrame) -> AcrossProblems:
    """Arrange the sensitivity table by optimizer × schedule and problem.

    A problem that lacks one of the lines (because its pack failed, for example) is left out: lines would be compared on different problems.
    """
    columns = columns_of(sensitivity, *KINDS[1:])
    line, first = group(sensitivity, columns)
    problem, begins = group(sensitivity, columns_of(sensitivity, "problem"))
    names = identity(sensitivity, first, columns)
    shape = len(first), len(begins)
    # Tables of older versions have no rate to use; their lines are ranked at the best rate.
    gaps = [
        _gap(sensitivity, which if f"{which}_gap" in sensitivity else "best") for which in ("use", "best")
    ]
    steps = sensitivity["steps_to_target"].to_numpy(dtype=np.float64)
    present = np.zeros(shape, dtype=np.bool_)
    present[line, problem] = True
    whole: npt.NDArray[np.bool_] = np.logical_and.reduce(present, axis=0)
    tables = []
    for values in (*gaps, np.where(np.isnan(steps), np.inf, steps)):
        table = np.full(shape, np.nan)
        table[line, problem] = values
        tables.append(table[:, whole])
    titles = label(sensitivity, "problem").iloc[begins[whole]].tolist()
    text = label(names, "optimizer") + " + " + label(names, "schedule")
    return AcrossProblems(names, text.tolist(), titles, *tables)


def _gap(sensitivity: pd.DataFrame, which: str) -> Floats:
    """(ℓ − ℓ*) / (ℓ₀ − ℓ*) of each line at its best rate, or at the rate to use; 1 where the line does not train."""
    loss, gap = (sensitivity[f"{which}_{name}"].to_numpy(dtype=np.float64) for name in ("loss", "gap"))
    # Where nothing falls below its start, ℓ₀ − ℓ* is no unit, and all that train are as good.
    found: Floats = np.where(np.isnan(loss), 1.0, np.where(np.isnan(gap), 0.0, gap))
    return found
