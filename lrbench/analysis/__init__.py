"""Frame in, frame out: what the runs of a study say, without JAX and without a file.

`outcomes` judges every run and every rate by the `thresholds`; `summary` is over seeds, `sensitivity` over learning rates, with the exact
intervals of `bootstrap`; `best` is the answer in words. `comparison` and `ranking` set lines side by side, `tuning_budget` says what random
rates would have found, `finders` what a learning-rate finder suggests, and `regret` what following it costs. Everything may be tried on a
frame made by hand; tables, plots, reports and experiments import it, and it imports none of them.
"""

from lrbench.analysis.best import best
from lrbench.analysis.bootstrap import interval, iqm, resamples
from lrbench.analysis.comparison import compare, comparison
from lrbench.analysis.finders import finders, suggestions
from lrbench.analysis.labels import label, rate_text
from lrbench.analysis.outcomes import judge, measure, steps_to_target, targets, zones
from lrbench.analysis.ranking import ranking
from lrbench.analysis.regret import regret, regret_summary
from lrbench.analysis.sensitivity import sensitivity
from lrbench.analysis.summary import summary
from lrbench.analysis.thresholds import Thresholds
from lrbench.analysis.tuning_budget import tuning_budget

__all__ = [
    "Thresholds",
    "best",
    "compare",
    "comparison",
    "finders",
    "interval",
    "iqm",
    "judge",
    "label",
    "measure",
    "ranking",
    "rate_text",
    "regret",
    "regret_summary",
    "resamples",
    "sensitivity",
    "steps_to_target",
    "suggestions",
    "summary",
    "targets",
    "tuning_budget",
    "zones",
]
