"""Frame in, frame out: what the words and numbers in the tables mean, without JAX and without a file.

`measure` reduces the curves of a run to its status and losses; `verdicts` decides whether it is good, slow, stuck, oscillating or diverged, by the
`thresholds`; `targets` says when it reached the target. `rates` arranges losses by line, rate and seed, and finds the best rate of each
line; `bootstrap` has the intervals, exact up to six seeds. `best` is the answer in words, `paired_differences` and `rank_tests` compare lines, `range_tests` are the
rules of learning-rate finders, and `regret` is what following one costs. `loss_by_rate` and `line_curves` are what pictures draw.
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
