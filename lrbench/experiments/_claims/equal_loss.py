"""How well rates generalise: the validation accuracy that each has where all have the same training loss."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from lrbench.analysis.groups import Floats
from lrbench.experiments._claims.evidence import NotMeasured, StudyArrays
from lrbench.experiments._claims.limits import LIMITS
from lrbench.experiments.findings import Finding


def accuracy_at_equal_loss(study: StudyArrays) -> Floats:
    """Return the validation accuracy where a run first has the training loss of its line's level: [line, rate, seed]; NaN if it never has.

    The level is most of the way from the training loss at the start to the least at the end of any rate, both medians over seeds.
    """
    _, loss = study.curve("train_loss")
    _, accuracy = study.curve("valid_accuracy")
    ends = np.median(np.where(np.isfinite(loss[..., -1]), loss[..., -1], np.inf), axis=2)
    start, least = np.median(loss[..., 0], axis=(1, 2)), ends.min(axis=1)
    return crossing(loss, accuracy, (start - LIMITS.alike * (start - least))[:, None, None])


def crossing(loss: Floats, value: Floats, level: Floats) -> Floats:
    """Return a value where the loss first falls to a level, between two evaluations on the straight line between them.

    >>> loss, value = np.array([[4.0, 2.0, 1.0], [4.0, 3.0, 2.5]]), np.array([[0.0, 0.5, 0.9], [0.0, 0.2, 0.3]])
    >>> crossing(loss, value, np.array([1.5, 1.5])).round(3).tolist()
    [0.7, nan]
    """
    below = loss <= level[..., None]
    at = np.maximum(below.argmax(axis=-1), 1)[..., None]
    (before, after), (first, second) = (
        [np.take_along_axis(each, at - back, axis=-1)[..., 0] for back in (1, 0)] for each in (loss, value)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.clip((before - level) / (before - after), 0.0, 1.0)
    out: Floats = np.where(below.any(axis=-1), first + share * (second - first), np.nan)
    return out


def measure(study: StudyArrays) -> list[Finding]:
    """Whether the rate decides the accuracy at equal training loss: chosen on all seeds but one, and measured on that one."""
    found = accuracy_at_equal_loss(study)
    seeds = found.shape[2]
    if seeds < 2:
        raise NotMeasured(f"study {study.name} has one seed, so that none is left to choose a rate by")
    # Only rates at which every seed gets so far are compared.
    compared = [line[np.isfinite(line).all(axis=1)] for line in found]
    compared = [line for line in compared if len(line) > 1]
    if not compared:
        raise NotMeasured(f"in study {study.name} no two rates reach the same training loss with every seed")
    gain = np.array([_best_minus_worst(line) for line in compared])
    trend = np.array([[_rank_correlation(line[:, seed]) for seed in range(seeds)] for line in compared])
    where = (
        f"where each has fallen {100 * LIMITS.alike:g} % of the way to the least training loss: "
        f"mean of {len(compared)} problems × optimizers, {sum(map(len, compared))} rates"
    )
    value = study.mean(100 * gain.mean(axis=0))
    return [
        Finding(
            f"validation accuracy at the best minus that at the worst rate (both chosen on other seeds), {where}",
            *value,
            unit="points",
            rule="interval above 0",
            met=value[1] > 0,
        ),
        Finding(
            "rank correlation of the rate with the validation accuracy at equal training loss",
            *study.mean(trend.mean(axis=0)),
        ),
    ]


def _best_minus_worst(accuracy: Floats) -> list[float]:
    """For each seed its accuracy at the rate that is best on the others, minus that at the one that is worst: [rate, seed] → [seed]."""
    out = []
    for seed in range(accuracy.shape[1]):
        others = np.delete(accuracy, seed, axis=1).mean(axis=1)
        out.append(float(accuracy[others.argmax(), seed] - accuracy[others.argmin(), seed]))
    return out


def _rank_correlation(accuracy: Floats) -> float:
    """Spearman's correlation of accuracies [rate] with the order of the rates; 0 if all are equal."""
    ranks, order = rankdata(accuracy), np.arange(len(accuracy), dtype=np.float64)
    if np.ptp(ranks) == 0:
        return 0.0
    return float(np.corrcoef(ranks, order)[0, 1])
