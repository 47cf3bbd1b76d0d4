"""How cheap an optimizer is to tune: the loss to expect after k random trials of its rates."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lrbench.analysis.groups import Floats, Ints, group, identity, line_columns
from lrbench.analysis.mean_loss import levels, mean_loss
from lrbench.analysis.objective import Objectives
from lrbench.analysis.rates import lines, stages
from lrbench.analysis.thresholds import Thresholds

MAX_TRIALS = 100


def tuning_budget(
    runs: pd.DataFrame, thresholds: Thresholds | None = None, objectives: Objectives = None
) -> pd.DataFrame:
    """A row per line and number of trials k: the best loss to expect after k rates, drawn at random without replacement.

    With ℓ₁ ≤ … ≤ ℓₙ the losses ℓ(η) at the n rates of the grid (the mean over its seeds; ℓ₀ at a rate that is not stable), exactly
    E[min of k] = Σᵢ ℓᵢ C(n − i, k − 1) / C(n, k), for k from 1 to n, at most 100: of all draws of k, those whose least is the i-th.
    Where lines have ranges of their own, the rates are those that the lines of the problem have together, and ℓ(η) is ℓ₀ outside the range of a line.

    Args:
        runs: judged runs, a row each.
        thresholds: for `stable`.
        objectives: problem -> what its runs are judged by; None: validation where a problem has it.

    Columns:
        problem, optimizer, schedule: their names; with their parameters and the named rates, they are a line
        trials: how many rates are drawn
        expected_loss: the expected lowest loss among them
        expected_gap: (expected_loss − ℓ*) / (ℓ₀ − ℓ*); missing if ℓ₀ is not above ℓ*

    Example:
        >>> runs = pd.DataFrame({"problem": "a", "optimizer": "sgd", "schedule": "constant", "seed": 0,
        ...     "learning_rate": [0.1, 1.0, 10.0], "initial_train_loss": 1.0,
        ...     "status": ["ok", "ok", "diverged"], "final_train_loss": [0.5, 0.0, 2.0]})
        >>> tuning_budget(runs)["expected_loss"].round(4).tolist()
        [0.5, 0.1667, 0.0]

    Source: Dodge et al., arXiv:1909.03004, with replacement there; order statistics of a finite population.
    """
    limits = thresholds or Thresholds()
    columns = line_columns(runs)
    (mine,) = np.isin(stages(runs), ["grid", "range"]).nonzero()  # `lines` knows when a range counts
    level, runs = levels(runs, limits, objectives), runs.iloc[mine]
    _, first = group(runs, columns)
    some_level = level.of_lines(mine[first])
    found = []
    for some in lines(runs, objectives):
        mean = mean_loss(some, limits)
        # A rate with no mean of its own, as a race stopped a run there, has what its runs had reached.
        loss = np.where(mean.stable, mean.asked, mean.start[:, None])
        rates = np.maximum(some_level.rates[some.line], some.size.rate)
        for size in np.unique(rates):
            here = rates == size
            outside = np.broadcast_to(mean.start[here, None], (here.sum(), size - some.size.rate))
            ordered = np.sort(np.concatenate([loss[here], outside], axis=1), axis=1)
            # The rounding of a matrix product would depend on the number of lines; this does not.
            expected = np.einsum("lr,tr->lt", ordered, least_of(int(size)))
            found.append(
                _rows(some.line[here], expected, some_level.least[some.line[here]], mean.start[here])
            )
    if not found:
        return identity(runs, first, columns).assign(trials=0, expected_loss=np.nan, expected_gap=np.nan)
    table = pd.concat(found).sort_values(["line", "trials"], ignore_index=True)
    names = identity(runs, first, columns).iloc[table.pop("line")].reset_index(drop=True)
    return pd.concat([names, table], axis=1)


def _rows(line: Ints, expected: Floats, star: Floats, start: Floats) -> pd.DataFrame:
    """A row per line and number of trials, from the expected losses [line, trials], ℓ* [line] and ℓ₀ [line]."""
    unit = np.where(start > star, start - star, np.nan)
    values = {
        "line": np.broadcast_to(line[:, None], expected.shape),
        "trials": np.broadcast_to(np.arange(1, expected.shape[1] + 1), expected.shape),
        "expected_loss": expected,
        "expected_gap": (expected - star[:, None]) / unit[:, None],
    }
    return pd.DataFrame({name: value.reshape(-1) for name, value in values.items()})


def least_of(rates: int) -> Floats:
    """The probability [trials, rate] that the i-th least of n rates is the least of k drawn without replacement.

    Example:
        >>> least_of(3).round(4).tolist()
        [[0.3333, 0.3333, 0.3333], [0.6667, 0.3333, 0.0], [1.0, 0.0, 0.0]]
    """
    trials = np.arange(1, min(rates, MAX_TRIALS) + 1)[:, None]
    place = np.arange(rates)[None]
    # P(least is i) = P(none of the i before it is drawn, and it is): k/(n − i) of what ∏ (n − j − k)/(n − j) leaves.
    stays = np.maximum(rates - place - trials, 0) / (rates - place)
    before = np.cumprod(np.concatenate([np.ones_like(trials, dtype=float), stays[:, :-1]], axis=1), axis=1)
    chance: Floats = before * np.minimum(trials / (rates - place), 1.0)
    return chance
