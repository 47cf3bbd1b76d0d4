"""The table of runs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lrbench.analysis.objective import Objectives
from lrbench.analysis.thresholds import Thresholds
from lrbench.analysis.verdicts import judge

_OUTCOMES = (
    "status verdict diverged_step initial_train_loss final_train_loss best_train_loss initial_valid_loss "
    "final_valid_loss best_valid_loss best_step initial_valid_accuracy final_valid_accuracy best_valid_accuracy "
    "steps_to_target oscillation"
).split()
_LAST = ["constant_loss", "optimum", "headline", "parameters", "pack_id"]


def runs(
    measured: pd.DataFrame, thresholds: Thresholds | None = None, objectives: Objectives = None
) -> pd.DataFrame:
    """A row per run: its identity, how it ended, and how good that is among the runs of its problem.

    Args:
        measured: the columns that identify runs, what `analysis.measure` found of each, `steps_to_target`, `parameters` and `pack_id`;
            `least_loss`, `lowest_loss` and `rates_of_problem` are what `mean_loss.levels` finds of their problem, if these are not all of its runs.
        thresholds: where the verdicts begin.
        objectives: problem -> what its runs are judged by.

    Columns:
        run_id: a hash of everything that identifies the run; the same on every machine
        study: name of the study
        problem, optimizer, schedule: their names
        learning_rate: the peak rate
        learning_rate_<name>: the peak rate of each named rate of the study
        seed: decides initial weights, the order of the examples, and noise in the loss
        steps: optimizer steps
        stage: what it was trained for: the `grid`, to find its `range`, to `refine` it, or to `confirm` rates on fresh seeds
        problem_<parameter>, optimizer_<parameter>, schedule_<parameter>: a column for each parameter or option that the study sets;
            missing if an entry has no such parameter; its default if the study does not set it. A list is written as
            JSON, the parts of a joined schedule as `constant then cosine(final=0.1)`
        sampled_<column>: likewise for each parameter and named rate that the study samples; it does not split lines
        status: `ok`, `stopped`, `diverged` or `nonfinite`
        verdict: `good`, `slow`, `stuck`, `oscillating`, `collapsed` or `diverged`
        diverged_step: the first step with a value that is not finite; missing if all are
        initial_train_loss, final_train_loss, best_train_loss: at step 0, after the last step, and the lowest of all evaluations
        initial_valid_loss, final_valid_loss, best_valid_loss: likewise; missing if the problem has no validation data
        best_step: the first evaluated step with the best value of the objective
        initial_valid_accuracy, final_valid_accuracy, best_valid_accuracy: likewise; missing if the problem has no accuracy
        initial_valid_<metric>, final_valid_<metric>, best_valid_<metric>: likewise for each further metric of a problem
        steps_to_target: the first evaluated step at which the target is met; missing means never
        oscillation: upward moves of the second half divided by (ℓ₀ − ℓ*)
        constant_loss: the loss of the best constant prediction; missing if it is unknown, or if the runs are not judged by that loss
        optimum: the minimum of that loss; likewise
        headline: the metric that is shown beside the loss, such as `valid_accuracy`; missing if the problem has none
        parameters: how many parameters the model has
        pack_id: the pack, and therefore the part, that holds the run
    """
    table = judge(measured, thresholds, objectives).drop(columns="least_loss", errors="ignore")
    for name in ("initial_valid_accuracy", "final_valid_accuracy", "best_valid_accuracy"):
        table[name] = table.get(name, np.nan)
    own = [str(name) for name in table.columns if name not in (*_OUTCOMES, *_LAST)]
    metrics = [name for name in own if name.startswith(("initial_", "final_", "best_"))]
    identity = [name for name in own if name not in metrics]
    outcomes, last = ([name for name in some if name in table] for some in (_OUTCOMES, _LAST))
    return table[[*identity, *outcomes, *metrics, *last]]
