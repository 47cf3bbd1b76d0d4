"""The accuracies of the published models: studies, tables, and findings that compare them with what was printed."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lrbench.analysis.intervals import t_interval, t_quantile
from lrbench.experiments._mnist1d.published import BATCH_SIZE, EVERY, MODELS, RATE, STEPS, Model
from lrbench.experiments.findings import Finding
from lrbench.results.results import Results

CONFIDENCE = 0.95


class SeedMean(NamedTuple):
    """A mean over seeds, its 95 % interval, and the range in which one further seed falls with 95 %."""

    mean: float
    low: float
    high: float
    one_low: float
    one_high: float

    def holds(self, value: float, rounded: float = 0.0) -> bool | None:
        """Return whether one further seed may give a value, rounded by so much; `None` where one seed says nothing of another."""
        if not np.isfinite(self.one_low):
            return None
        return self.one_low - rounded <= value <= self.one_high + rounded

    @property
    def one(self) -> str:
        """Where one further seed falls, as shares in percent are written."""
        return f"one more seed: {max(self.one_low, 0):.1f} to {min(self.one_high, 100):.1f}"


def mean_of(values: Sequence[float] | np.ndarray) -> SeedMean:
    """Return the mean of a value per seed, with Student's t for the mean and for one further value: s √(1 + 1/n) instead of s / √n.

    >>> [round(each, 2) for each in mean_of([1.0, 2.0, 3.0])]
    [2.0, -0.48, 4.48, -2.97, 6.97]
    """
    found = np.asarray(values, dtype=np.float64)
    mean, (low, high) = float(found.mean()), t_interval(found, CONFIDENCE)
    half = float("nan")
    if len(found) > 1:
        spread = found.std(ddof=1) * np.sqrt(1 + 1 / len(found))
        half = float(t_quantile(len(found) - 1, CONFIDENCE) * spread)
    return SeedMean(mean, float(low), float(high), mean - half, mean + half)


def study(model: Model, rates: tuple[float, ...], steps: int, seeds: int) -> dict[str, Any]:
    """Return the study of a model: the published rate of Adam, and others beside it."""
    return {
        "name": model.problem,
        "steps": steps,
        "evaluate_every": _every(steps),
        "seeds": seeds,
        "objective": "valid_loss",
        "probes": [],
        "optimizer": "adam",
        "learning_rate": {"values": sorted({*rates, RATE})},
        "problem": {"name": model.problem, "batch_size": BATCH_SIZE},
    }


def _every(steps: int) -> int:
    """Evaluate where the notebooks print, of shorter runs the last step alone."""
    return EVERY if steps % EVERY == 0 else steps


def table(model: str, results: Results) -> pd.DataFrame:
    """Return a row per rate and evaluation of a model: its accuracy in percent."""
    runs = results.runs[["run_id", "learning_rate", "seed"]].rename(columns={"learning_rate": "rate"})
    curves = results.curves.merge(runs, on="run_id")
    # A run that diverged classifies no better than chance.
    curves = curves.assign(accuracy=100 * curves["valid_accuracy"].fillna(0.1))
    rows = []
    for (rate, step), some in curves[curves["step"] > 0].groupby(["rate", "step"]):
        found = mean_of(some["accuracy"].to_numpy())
        about = {"model": model, "learning_rate": rate, "step": step, "seeds": len(some)}
        rows.append(about | {"accuracy": found.mean, **found._asdict()})
    return pd.DataFrame(rows).drop(columns="mean")


def printed() -> pd.DataFrame:
    """Return a row per model, notebook and step: the accuracy in percent that the notebook prints."""
    rows = [
        {"model": model.name, "notebook": notebook, "step": EVERY * (index + 1), "accuracy": accuracy}
        for model in MODELS
        for notebook in ("quickstart", "benchmark")
        for index, accuracy in enumerate(getattr(model, notebook))
    ]
    return pd.DataFrame(rows)


def mean_at(rows: pd.DataFrame, rate: float, step: int) -> SeedMean | None:
    """Return the accuracy of a model at a rate and step; `None` if it was not evaluated there."""
    found = rows[(rows["learning_rate"] == rate) & (rows["step"] == step)]
    return None if found.empty else _mean(found.iloc[0])


def _mean(row: pd.Series) -> SeedMean:
    return SeedMean(*(float(row[name]) for name in ("accuracy", "low", "high", "one_low", "one_high")))


def main_findings(tables: dict[str, pd.DataFrame], steps: int) -> Iterator[Finding]:
    """Yield the accuracy of each model at the published rate, beside what is printed where the runs have the published length."""
    for model in _among(tables):
        found = mean_at(tables[model.name], RATE, steps)
        if found is None:
            continue
        what = f"accuracy of the {model.name}, Adam {RATE:g}, {steps:,} steps"
        if steps != STEPS:
            yield Finding(what, found.mean, found.low, found.high, "%")
            continue
        prints = " and ".join(f"{value:g}" for value in dict.fromkeys(model.last))
        rule = f"printed: {prints}; {found.one}"
        inside = [found.holds(value) for value in model.last]
        met = None if None in inside else all(inside)
        yield Finding(what, found.mean, found.low, found.high, "%", rule, met)


def more_findings(tables: dict[str, pd.DataFrame], steps: int) -> Iterator[Finding]:
    """Yield the best rate of each model, and how many of the printed accuracies one further seed may give."""
    for model in _among(tables):
        rows = tables[model.name]
        ends = rows[rows["step"] == steps]
        best = ends.sort_values("accuracy").iloc[-1]
        rate, found = float(best["learning_rate"]), _mean(best)
        edge = rate in (ends["learning_rate"].min(), ends["learning_rate"].max())
        what = f"accuracy of the {model.name} at the best rate, {rate:g}{', the end of the grid' if edge else ''}"
        compared = (
            (f"README: {model.readme}; {found.one}", found.holds(model.readme, 0.5)) if steps == STEPS else ()
        )
        yield Finding(what, found.mean, found.low, found.high, "%", *compared)
    inside, compared_with = agreement(tables)
    if compared_with:
        what = "printed accuracies, every 1,000 steps, that one more seed gives with 95 %"
        yield Finding(what, inside, unit=f"of {compared_with}")


def agreement(tables: dict[str, pd.DataFrame]) -> tuple[int, int]:
    """Return how many printed accuracies one further seed may give, and how many there are of the steps that were evaluated."""
    found = [
        at.holds(row["accuracy"])
        for row in printed().to_dict("records")
        if row["model"] in tables and (at := mean_at(tables[row["model"]], RATE, row["step"])) is not None
    ]
    return sum(map(bool, found)), len(found)


def of_parameters(counts: dict[str, int]) -> Iterator[Finding]:
    """Yield the number of parameters of each model."""
    for model in _among(counts):
        count = counts[model.name]
        what, rule = f"parameters of the {model.name}", f"{model.parameters:,}"
        yield Finding(what, count, rule=rule, met=count == model.parameters)


def _among(names: Container[str]) -> list[Model]:
    return [model for model in MODELS if model.name in names]
