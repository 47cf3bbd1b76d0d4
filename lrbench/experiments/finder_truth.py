"""How good the suggestions of learning-rate finders are, measured against a dense grid."""

from __future__ import annotations

from typing import Any

import pandas as pd

from lrbench.analysis import Thresholds, fastai_finders, regret, regret_summary
from lrbench.analysis.labels import label
from lrbench.analysis.objective import objectives_of
from lrbench.execution.find import range_test_keys
from lrbench.experiments._finder_truth import judged, pictures, suggested
from lrbench.experiments.bench import Answer, Bench
from lrbench.experiments.page import MAIN
from lrbench.study.learning_rates import logspace

MORE = {"sgd": {"momentum": [0.0, 0.9]}}
"""Further parameters of an optimizer, as axes of the grid."""


def finder_truth(
    bench: Bench,
    *,
    problems: tuple[str, ...] = (
        "house_prices",
        "diabetes_linear",
        "breast_cancer_logistic",
        "digits_softmax",
        "digits_mlp",
        "spirals_mlp",
        "digits_autoencoder",
        "chebyshev_mlp",
    ),
    optimizers: tuple[str, ...] = ("sgd", "rmsprop", "adam"),
    steps: int = 500,
    sweep_steps: int = 200,
    low: float = 1e-5,
    high: float = 10.0,
    rates: int = 25,
    seeds: int = 5,
) -> Answer:
    """Suggestions of learning-rate finders against the best rate of a dense grid: how much you lose by following each rule.

    Every rate of a grid is trained to the end without a schedule. Range tests sweep the rate once for each problem, optimizer and seed. The rules
    are those of `lrbench find`, and fastai's own four on fastai's range tests: 100 steps from 1e-7 to 10, with its cuts. Our `valley` is the
    same rule on our range tests. Our `slide`, `steep` and `minimum` differ in smoothing and in the steps they see, and take slopes over log η.
    Two rules need no range test: `default` is Keras's default rate (0.01 for gradient descent, 0.001 for the others), and `other_problems` is the
    rate of the grid that loses least on average over the other problems, with the same optimizer.

    Let ℓ(η) be the mean loss over seeds at a rate η, interpolated on the grid. A suggestion loses (ℓ(η) − ℓ(best rate of that optimizer)) / (ℓ₀ − ℓ*),
    where ℓ₀ is the loss at the start and ℓ* the lowest of the problem. The loss of a rule is the mean of this over optimizers and seeds, averaged over
    problems. Intervals are Student's t over problems, because suggestions for one problem have much in common; they are kept within 0 and 100 %. Missing
    suggestions are counted separately. The finder that loses least is chosen by these same numbers, so it looks a little better than it is.

    Args:
        problems: names of problems without required parameters.
        optimizers: names of optimizers; `sgd` is trained without and with momentum.
        steps: of the runs of the grid.
        sweep_steps: of the range tests.
        low: the lowest rate of grid and sweep.
        high: the highest rate.
        rates: how many rates the grid has.
        seeds: a count, of grid and sweep.

    Pictures:
        rules: What following each rule loses, with its interval, the best at the top
        finder_truth: A panel per rule: what each suggestion loses, against its distance from the best rate

    Tables:
        rules: A row per rule; `suggestions` says how many, `none` the share that is missing, `regret_normalised` and `excess_normalised` are medians
            of what is lost to the best optimizer's rate and to the same optimizer's, `excess_normalised_90` is the latter's 90th percentile, `good` the
            share that loses at most 5 %, `decades` the median distance from the best rate; `excess_mean` and `good_mean` are means of the problems, with intervals.
        finder_truth: A row per problem, optimizer, seed and rule; `loss` is that of the grid at `suggestion`, `best_learning_rate` and `best_loss` are
            the optimizer's, and `reason` says why there is no suggestion.

    Source: Smith, arXiv:1506.01186 (range test); fastai 2, callback.schedule (the rules); Keras 3, optimizers (the defaults).
    """
    chosen = [{"name": name, **MORE.get(name, {})} for name in optimizers]
    common: dict[str, Any] = {"seeds": seeds, "problem": list(problems), "optimizer": chosen}
    axis = {"values": list(logspace(low, high, rates))}
    fastai = range_test_keys(fastai_finders.LOW, fastai_finders.last_rate())
    checked = [
        bench.check({"name": "grid", "steps": steps, "learning_rate": axis, "probes": [], **common}),
        bench.check({"name": "sweep", "steps": sweep_steps, **common, **range_test_keys(low, high)}),
        bench.check({"name": "fastai_sweep", "steps": fastai_finders.STEPS, **common, **fastai}),
    ]
    dense, swept, swept_as_fastai = (bench.train(study) for study in checked)
    objectives = objectives_of(dense.manifest)
    ours = swept.finders.assign(**{kind: label(swept.finders, kind) for kind in ("problem", "optimizer")})
    columns = ["problem", "optimizer", "seed", "rule", "suggestion", "reason"]
    every = [ours, suggested.of_fastai(swept_as_fastai), suggested.without_finder(dense.runs, objectives)]
    found = pd.concat([each[columns] for each in every], ignore_index=True)
    table = regret(found, dense.runs, objectives)
    good = Thresholds().good
    rules = judged.with_intervals(table, regret_summary(table, good), good)
    findings = judged.findings(table, rules)
    return Answer(
        tuple(finding.line for finding in findings[:MAIN]),
        (
            *bench.write_table("finder_truth", table),
            *bench.write_table("rules", rules),
            *bench.write_picture("finder_truth", pictures.suggestions(table, good)),
            *bench.write_picture("rules", pictures.rules(rules)),
            *bench.write_findings(findings),
        ),
    )
