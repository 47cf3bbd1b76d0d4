"""Frame in, frame out: what the words and numbers in the tables mean, without JAX and without a file.

Read in this order: `measure` reduces the curves of a run to its status and losses. `rates` arranges losses by line, rate and seed, `mean_loss` is ℓ(η) of each line, and `answers` are the
rate to use, the bands and the collapse that follow, of all lines in `line_answers`. `stages` chooses from these what is trained next. `verdicts` decides whether a run is good, collapsed, slow, stuck, oscillating or
diverged, by the `thresholds`; `targets` says when it reached the target. `intervals` has those of means, medians and rates, `measured_coverage` how often they cover, and
`bootstrap` resamples seeds for claims. `best` is the answer of each line as a table, `answer_words` what is said of it, `paired_differences`, `multiple_comparisons`, `step_equivalents` and `rank_tests` compare lines. `range_tests` are the
rules of learning-rate finders, and `regret` is what following one costs. `loss_by_rate` and `line_curves` are what pictures draw.
`ecdf` is how many steps lines take to targets, with restarts and with the cost of finding a rate.
`fitted_rates` finds best rates between those of a grid, and `interactions` how they move with another hyper-parameter.
`groups`, `labels` and `objective` are what most of these build on.
Everything works on a hand-written frame. Every folder above imports it, and it imports none of them.
"""

from lrbench.analysis.best import best
from lrbench.analysis.bootstrap import interval, iqm, resamples
from lrbench.analysis.labels import label, rate_text
from lrbench.analysis.measure import measure
from lrbench.analysis.range_tests import suggestions
from lrbench.analysis.regret import regret, regret_summary
from lrbench.analysis.targets import steps_to_target, targets
from lrbench.analysis.thresholds import Thresholds
from lrbench.analysis.verdicts import judge, zones

__all__ = [
    "Thresholds",
    "best",
    "interval",
    "iqm",
    "judge",
    "label",
    "measure",
    "rate_text",
    "regret",
    "regret_summary",
    "resamples",
    "steps_to_target",
    "suggestions",
    "targets",
    "zones",
]
