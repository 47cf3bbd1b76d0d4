"""How sharp do gradient descent, momentum and Adam let their loss become?"""

from __future__ import annotations

from typing import Any

import pandas as pd

from lrbench.experiments._choices import require_known
from lrbench.experiments._edge_of_stability import outcomes, pictures
from lrbench.experiments._edge_of_stability.kinds import KINDS
from lrbench.experiments.bench import Answer, Bench
from lrbench.experiments.page import MAIN
from lrbench.results.results import Results
from lrbench.study.learning_rates import logspace

_EVALUATIONS = 40
_DIGITS = 5
"""Of the numbers in the table of curves, which has thousands of rows."""


def edge_of_stability(
    bench: Bench,
    *,
    optimizers: tuple[str, ...] = ("sgd", "momentum", "adam"),
    num: int = 100,
    rates: tuple[float, ...] = (),
    steps: int = 4000,
    seeds: int = 3,
    degree: int = 5,
    hidden: tuple[int, ...] = (64, 64),
) -> Answer:
    """Curvature along training at a hundred learning rates: it rises to the edge of stability of gradient descent, momentum or Adam, and hovers there.

    A tanh network fits a Chebyshev polynomial, full batch. On a quadratic of curvature λ, gradient descent at the
    rate η diverges if η·λ is above 2; with momentum β, if it is above 2(1 + β). As long as its preconditioner P changes slowly, Adam is momentum on P⁻¹∇²L:
    its edge is at 2(1 + β₁)/(1 − β₁), which is 38. λ is the largest eigenvalue of ∇²L (`sharpness`), and for Adam of P⁻¹∇²L
    (`preconditioned_sharpness`). The edge ratio is η·λ divided by its value at the edge.

    A rate *reached* the edge if the ratio is 0.9 or more at an evaluation after the start and up to the middle of the run. Such a rate *hovers*
    there if the median ratio over the second half is from 0.9 to 1.3; if that is lower, it *fell below*. A rate *diverged* if a loss is not finite, or if the
    median loss over the last quarter of the run is above the first loss. The loss *still falls* if that median is below the one over the third quarter. Numbers
    are means over seeds (for rates, geometric means) with their t intervals.

    Args:
        optimizers: of sgd, momentum (sgd with momentum 0.9) and adam.
        num: how many rates each has, log-spaced from 0.01 to 0.15, from 0.005 to 0.1 and from 0.0001 to 0.3.
        rates: learning rates of all optimizers, in place of those.
        steps: of every run.
        seeds: a count.
        degree: of the polynomial.
        hidden: widths of the network's hidden layers.

    Pictures:
        levels: Where each rate ends, relative to the edge; a cross is a run that diverged
        trajectories: The edge ratio and the loss against the step, for eight of the rates of each optimizer that train

    Tables:
        outcomes: A row per optimizer, seed and rate; `start_ratio` and `late_ratio` are the edge ratio at the start and its median over the second
            half, `reached_step` the first evaluation after the start at which it is 0.9 or more, `start_loss` the training loss at the start and
            `end_loss` its median over the last quarter; `still_falls` and `outcome` are defined above.
        edge_of_stability: A row per optimizer, rate and evaluation of the first seed; `sharpness` is λ, `stability` is η·λ/2, `edge_ratio` is η·λ over its value
            at the edge; five digits of each number.

    Source: Cohen et al., Gradient descent on neural networks typically occurs at the edge of stability, arXiv:2103.00065; Cohen et al., Adaptive
        gradient methods at the edge of stability, arXiv:2207.14484.
    """
    require_known("optimizers", optimizers, KINDS)
    problem = {"name": "chebyshev_mlp", "degree": degree, "hidden": list(hidden)}
    studies = [_study(name, rates, num, steps, seeds) | {"problem": problem} for name in optimizers]
    checked = [bench.check(study) for study in studies]
    curves = pd.concat(
        [_measured(name, bench.train(study)) for name, study in zip(optimizers, checked, strict=True)],
        ignore_index=True,
    )
    table = outcomes.of_runs(curves)
    findings = outcomes.findings(table)
    first = curves["seed"] == curves["seed"].iloc[0]
    shown = curves[first].drop(columns="seed")
    rounded = shown.map(lambda value: float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value)
    return Answer(
        tuple(finding.line for finding in findings[:MAIN]),
        (
            *bench.write_table("edge_of_stability", rounded),
            *bench.write_table("outcomes", table),
            *bench.write_picture("levels", pictures.levels(table)),
            *bench.write_picture(
                "trajectories", pictures.trajectories(shown, table[table["seed"] == table["seed"].iloc[0]])
            ),
            *bench.write_findings(findings),
        ),
    )


def _study(name: str, rates: tuple[float, ...], num: int, steps: int, seeds: int) -> dict[str, Any]:
    kind = KINDS[name]
    # Rates of four digits, which a person can read in the table and type again.
    spaced = [float(f"{rate:.4g}") for rate in logspace(*kind.rates, num)]
    return {
        "name": name,
        "steps": steps,
        "evaluate_every": max(1, steps // _EVALUATIONS),
        "seeds": seeds,
        "probes": [kind.probe],
        "optimizer": dict(kind.optimizer),
        "learning_rate": {"values": list(rates) or spaced},
    }


def _measured(name: str, results: Results) -> pd.DataFrame:
    """Return the curves of an optimizer, seeds, rates and steps ascending, with their edge ratio."""
    kind = KINDS[name]
    curves = results.curves.merge(results.runs[["run_id", "seed"]], on="run_id")
    found = curves["learning_rate"] * curves[kind.probe]
    table = curves.assign(
        optimizer=name, sharpness=curves[kind.probe], stability=found / 2, edge_ratio=found / kind.edge
    )
    keys = ["optimizer", "seed", "learning_rate", "step"]
    return table.sort_values(keys, ignore_index=True)[
        [*keys, "train_loss", "sharpness", "stability", "edge_ratio"]
    ]
