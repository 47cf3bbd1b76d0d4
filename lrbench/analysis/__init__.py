"""Frame -> frame: verdicts, zones, summary, sensitivity and the answer. No JAX; opens on any laptop."""

from lrbench.analysis.best import best
from lrbench.analysis.bootstrap import interval, iqm, resamples
from lrbench.analysis.finders import finders, suggestions
from lrbench.analysis.labels import label, rate_text
from lrbench.analysis.outcomes import judge, measure, steps_to_target, targets, zones
from lrbench.analysis.regret import regret, regret_summary
from lrbench.analysis.sensitivity import sensitivity
from lrbench.analysis.summary import summary
from lrbench.analysis.thresholds import Thresholds

__all__ = [
    "Thresholds",
    "best",
    "finders",
    "interval",
    "iqm",
    "judge",
    "label",
    "measure",
    "rate_text",
    "regret",
    "regret_summary",
    "resamples",
    "sensitivity",
    "steps_to_target",
    "suggestions",
    "summary",
    "targets",
    "zones",
]
