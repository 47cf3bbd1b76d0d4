"""What theory says of optimizers on these problems, and whether it is what was measured."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from lrbench.experiments._diagnostics.judge import Judged
from lrbench.experiments.findings import Finding


class Expectation(NamedTuple):
    """That an optimizer solves a problem or does not, and why that is to be expected."""

    optimizer: str
    problem: str
    solves: bool
    why: str


EXPECTATIONS = (
    Expectation("sgd", "ill_conditioned 1e6", False, "a rate below 2/√κ takes about κ/4 steps a factor of e"),
    Expectation("adam", "ill_conditioned 1e6", True, "each coordinate has a step size of its own"),
    Expectation("sgd", "plateau", False, "its steps are as small as the gradient"),
    Expectation("adam", "plateau", True, "its steps do not depend on the gradient's size"),
    Expectation("sign_sgd", "rare_gradients", False, "most signs point uphill"),
    Expectation("amsgrad", "rare_gradients", True, "its second moment never shrinks"),
    Expectation("sgd", "rotated_gradient", True, "it contracts below the rate 2 cos θ"),
    Expectation("sgd, momentum", "rotated_gradient", False, "momentum carries runs out of a circle"),
    Expectation("adagrad", "drifting_optimum", False, "its steps shrink, and the minimum moves on"),
)
"""What is expected of a line."""


def expected(judged: Judged) -> list[Finding]:
    """Return a finding for each expectation of a line that was trained."""
    share = judged.lines.set_index(["optimizer", "problem"])["solved_share"]
    found = []
    for one in EXPECTATIONS:
        if (key := (one.optimizer, one.problem)) in share:
            value = float(share[key])
            found.append(
                Finding(
                    f"held-out seeds on which {one.optimizer} solves {one.problem}",
                    100 * value,
                    unit="%",
                    rule=f"{'above' if one.solves else 'at most'} 50: {one.why}",
                    met=(value > 0.5) == one.solves,
                )
            )
    return found


def memory(judged: Judged) -> list[Finding]:
    """Return the findings of Adam's counterexample, from the lines of its study, each with its b₂ in the name of its optimizer."""
    expected = {
        "adam, b2 0.9": (False, "its memory is shorter than the period"),
        "amsgrad, b2 0.9": (True, "the largest second moment is kept"),
    }
    found = []
    for row in judged.lines.to_dict("records"):
        solves, why = expected.get(row["optimizer"], (None, ""))
        found.append(
            Finding(
                f"held-out seeds on which {row['optimizer']} solves rare_gradients",
                100 * row["solved_share"],
                unit="%",
                rule="" if solves is None else f"{'above' if solves else 'at most'} 50: {why}",
                met=None if solves is None else (row["solved_share"] > 0.5) == solves,
            )
        )
    return found


def limits(runs: pd.DataFrame) -> Iterator[Finding]:
    """Yield the largest rates at which gradient descent is stable, beside what theory says."""
    for problem, limit, formula in (
        ("delayed_gradient", 2 * math.sin(math.pi / 42), "2 sin(π/42) = 0.149"),
        ("rotated_gradient", 2 * math.cos(math.radians(85)), "2 cos 85° = 0.174"),
    ):
        mine = runs[(runs["problem"] == problem) & (runs["optimizer"] == "sgd")]
        if mine.empty:
            continue
        # The greatest loss late in a run falls below that of the start where it converges, however slowly.
        ends = (mine["gap"] < mine["initial_train_loss"]).groupby(mine["learning_rate"]).mean()
        rates = np.array(ends.index)
        stable = rates[ends.to_numpy() > 0.5]
        largest = float(stable.max()) if len(stable) else math.nan
        expected = rates[rates < limit]
        yield Finding(
            f"largest rate of the grid at which sgd converges on {problem}",
            largest,
            rule=f"the last one below {formula}",
            met=bool(len(expected) and largest == expected.max()),
        )


def floor(
    runs: pd.DataFrame, scale: float = 0.3, dimension: int = 10, smallest: float = 0.1
) -> Iterator[Finding]:
    """Yield the loss at which gradient descent ends under additive noise, relative to its stationary value.

    At a rate η a coordinate of curvature λ has the stationary loss ½ η σ² / (2 − ηλ).

    Args:
        runs: of all lines.
        scale: σ, the standard deviation of the noise.
        dimension: of the problem.
        smallest: the smallest curvature; the largest is 1.
    """
    mine = runs[(runs["problem"] == "additive_noise") & (runs["optimizer"] == "sgd")]
    curvature = np.geomspace(smallest, 1, dimension)
    ratios = []
    for rate, line in mine.groupby("learning_rate"):
        eta = float(str(rate))
        # The start is forgotten, and the rate is stable.
        if eta * smallest * float(line["steps"].iloc[0]) > 10 and eta < 1:
            expected = float(np.sum(0.5 * eta * scale**2 / (2 - eta * curvature)))
            ratios.append(line.set_index("seed")["final_train_loss"] / expected)
    if ratios:
        each = pd.concat(ratios, axis=1).mean(axis=1).to_numpy()
        drawn = np.random.default_rng(0).integers(0, len(each), (1000, len(each)))
        low, high = np.quantile(each[drawn].mean(axis=1), [0.025, 0.975])
        yield Finding(
            "final loss of sgd under additive noise, by its stationary value Σ η σ² / (4 − 2ηλᵢ)",
            float(each.mean()),
            float(low),
            float(high),
            rule="1 in its interval",
            met=bool(low <= 1 <= high),
        )
