"""Small synthetic results without JAX: curves from a formula, tables from the package's own analysis."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lrbench import analysis
from lrbench.analysis.groups import Floats, Ints, group, identity, line_columns, members
from lrbench.analysis.line_answers import line_answers
from lrbench.analysis.mean_loss import levels
from lrbench.analysis.objective import Objective, Objectives, losses, objective_of_each
from lrbench.analysis.rates import starts
from lrbench.analysis.step_equivalents import SeedCurves
from lrbench.study.grid import Grid
from lrbench.study.ladder import ladder, of_curve
from lrbench.tables.comparison import LineRuns
from lrbench.tables.comparison import comparison as table_of_pairs
from lrbench.tables.comparison import undecided as lines_undecided
from lrbench.tables.first_hits import Hits, first_hits
from lrbench.tables.interactions import interactions
from lrbench.tables.ranking import ranking
from lrbench.tables.sensitivity import sensitivity
from lrbench.tables.summary import summary
from lrbench.tables.tuning_budget import tuning_budget
from lrbench.tables.winners import winners

STEPS, EVERY = 100, 10
OPTIMIZERS = (("sgd", 0.9, 0.1), ("sgd", 0.0, 0.3), ("adam", float("nan"), 0.01))  # name, momentum, best rate


@dataclasses.dataclass
class Results:
    """What a results folder holds, as the plots and the report see it."""

    runs: pd.DataFrame
    curves: pd.DataFrame
    summary: pd.DataFrame
    sensitivity: pd.DataFrame
    comparison: pd.DataFrame
    ranking: pd.DataFrame
    tuning_budget: pd.DataFrame
    interactions: pd.DataFrame
    winners: pd.DataFrame
    manifest: dict[str, Any]
    first_hits: pd.DataFrame
    surfaces: pd.DataFrame = dataclasses.field(default_factory=pd.DataFrame)

    def __getattr__(self, name: str) -> pd.DataFrame:
        raise AttributeError(name)

    def some_curves(self, *names: str) -> pd.DataFrame:
        return self.curves[["run_id", *(name for name in names if name in self.curves)]]


def _curve(rate: float, best: float, seed: int, start: float = 2.3) -> np.ndarray:
    """A loss curve [evaluation]: falls with rate/best, jitters above best, explodes above 10 best."""
    step = np.arange(0, STEPS + 1, EVERY)
    ratio = rate / best
    noise = 0.02 * np.sin(7.0 * seed + step)
    if ratio > 10:
        with np.errstate(over="ignore"):
            loss = start * np.exp(0.002 * ratio * step)
        return np.where(loss < 1e6, loss, np.nan)
    wave = 0.4 * max(0.0, np.log10(ratio)) * (1 + np.cos(0.9 * step / EVERY)) * (step > 0)
    return 0.1 + (start - 0.1) * np.exp(-0.1 * ratio * step) + wave + noise * (step > 0)


def study(
    rates: list[float] | None = None,
    seeds: int = 3,
    optimizers: tuple[tuple[str, float, float], ...] = (
        ("sgd", 0.9, 0.1),
        ("sgd", 0.0, 0.3),
        ("adam", np.nan, 0.01),
    ),
    problems: tuple[str, ...] = ("digits_mlp",),
    schedules: tuple[str, ...] = ("constant",),
    valid: bool = True,
    output: tuple[float, ...] = (),
) -> Results:
    """Results over a grid; an optimizer is (name, momentum, best rate), `output` a named rate that the best one falls with."""
    rates = list(np.logspace(-4, 2, 25)) if rates is None else rates
    rows, tables = [], []
    for problem in problems:
        for name, momentum, best in optimizers:
            for schedule in schedules:
                for rate in rates:
                    for other in output or (1.0,):
                        for seed in range(seeds):
                            rows.append((problem, name, schedule, rate, other, seed, momentum))
                            tables.append(_curve(rate, best / other, seed))
    columns = ["problem", "optimizer", "schedule", "learning_rate", "learning_rate_output", "seed"]
    runs = pd.DataFrame(rows, columns=pd.Index([*columns, "optimizer_momentum"]))
    runs = runs if output else runs.drop(columns="learning_rate_output")
    runs.insert(0, "run_id", [f"{index:012x}" for index in range(len(runs))])
    runs.insert(1, "study", "synthetic")
    runs.insert(runs.columns.get_loc("seed") + 1, "steps", STEPS)
    return results(runs, np.array(tables), valid=valid)


def results(runs: pd.DataFrame, train: np.ndarray, *, valid: bool = True) -> Results:
    """Results from identity columns and training curves [run, evaluation]."""
    step = np.arange(0, STEPS + 1, EVERY)
    curves = {
        "train_loss": train,
        "valid_loss": train + 0.05 if valid else np.full_like(train, np.nan),
        "valid_accuracy": 1 / (1 + train) if valid else np.full_like(train, np.nan),
    }
    objective = Objective("valid_loss" if valid else "train_loss")
    objectives = {str(name): objective for name in runs["problem"].unique()}
    measured = analysis.measure(step, curves, np.full(len(runs), np.nan), objective)
    judged = analysis.judge(pd.concat([runs, measured], axis=1), analysis.Thresholds(), objectives)
    target = analysis.targets(judged, objectives)
    judged["steps_to_target"] = analysis.steps_to_target(step, curves[objective.column], target)
    long = {name: table.ravel() for name, table in curves.items()}
    long_form = pd.DataFrame(
        {
            "run_id": np.repeat(runs["run_id"].to_numpy(), len(step)),
            "step": np.tile(step, len(runs)),
            "learning_rate": np.repeat(runs["learning_rate"].to_numpy(), len(step)),
            **long,
        }
    )
    manifest = {
        "study": "synthetic",
        "objectives": {name: each.asdict() for name, each in objectives.items()},
        "thresholds": analysis.Thresholds().asdict(),
        "versions": {"lrbench": "0.1", "jax": "0.10"},
        "devices": ["cpu"],
        "runs": {"total": len(runs), "done": len(runs), "left": 0},
        "schedules": [
            {"name": "constant", "label": "constant", "step": [0, 50, 100], "shape": [1.0, 1.0, 1.0]},
            {"name": "cosine", "label": "cosine", "step": [0, 50, 100], "shape": [1.0, 0.5, 0.0]},
            {
                "label": "reduce_on_plateau(patience=1)",
                "name": "constant",  # the schedule that these runs have
                "params": {},
                "depends_on_losses": True,
                "step": [0, 50, 100],
                "shape": [1.0, 1.0, 1.0],
            },
        ],
    }
    lines = sensitivity(judged, objectives=objectives)
    pairs = comparison(judged, objectives=objectives)
    shifts = interactions(lines, line_runs(judged), objectives=objectives)
    tables = (
        summary(judged),
        lines,
        pairs,
        ranking(lines),
        tuning_budget(judged, objectives=objectives),
        shifts,
        winners(lines, pairs, shifts),
    )
    return Results(judged, long_form, *tables, manifest, hits_of(judged, curves[objective.column], step))


def hits_of(runs: pd.DataFrame, curves: np.ndarray, step: Ints, floor: float = 0.0) -> pd.DataFrame:
    """The table of first hits of curves [run, evaluation]."""
    return first_hits(Hits(runs["run_id"].to_numpy(dtype="S"), of_curve(curves, step, floor))).to_pandas()


def comparison(
    runs: pd.DataFrame,
    thresholds: analysis.Thresholds | None = None,
    objectives: Objectives = None,
    use: Sequence[float] | None = None,
    curves: Callable[[Ints], Mapping[int, SeedCurves]] | None = None,
) -> pd.DataFrame:
    """The comparison table of runs that are all in memory, each line at its best rate, or at those given."""
    lines, line_runs, judged_by = _lines(runs, objectives, use)
    return table_of_pairs(lines, line_runs._replace(curves=curves), thresholds, judged_by)


def comparison_of(lines: pd.DataFrame, runs: pd.DataFrame, objectives: Objectives = None) -> pd.DataFrame:
    """The comparison table of a sensitivity table, of runs that are all in memory."""
    _, line_runs, judged_by = _lines(runs, objectives, None)
    return table_of_pairs(lines, line_runs, None, judged_by)


def undecided(runs: pd.DataFrame, alpha: float = 0.0125) -> Ints:
    """The lines not told apart from the winner of their problem, of runs that are all in memory."""
    lines, line_runs, judged_by = _lines(runs, None, None)
    return lines_undecided(lines, line_runs, None, judged_by, alpha)


def _lines(
    runs: pd.DataFrame, objectives: Objectives, use: Sequence[float] | None
) -> tuple[pd.DataFrame, LineRuns, pd.Series]:
    """The lines with their best rates and losses, found without the sensitivity table; their runs; and the objective of each run."""
    runs = runs.reset_index(drop=True)
    judged_by = objective_of_each(runs, objectives)
    columns = line_columns(runs)
    first = group(runs, columns)[1]
    limits = analysis.Thresholds()
    level = levels(runs, limits, judged_by)
    start = starts(runs, level.code, losses(runs, judged_by)[0], len(level.least), judged_by)
    best = line_answers(runs, limits, judged_by)
    lines = identity(runs, first, columns).assign(
        best_loss=best["least"], best_learning_rate=best["best_rate"]
    )
    if use is not None:
        lines = lines.assign(use_learning_rate=use, use_loss=best["least"])
    return lines, line_runs(runs, (start - level.least)[level.code[first]]), judged_by


def line_runs(runs: pd.DataFrame, unit: Floats | None = None) -> LineRuns:
    """The runs of each line, all in memory; `unit` [line] is ℓ₀ − ℓ* of its problem."""
    code, first = group(runs, line_columns(runs))
    rows = members(code)

    def fetch(some: Ints) -> pd.DataFrame:
        return runs.iloc[np.concatenate([rows[line] for line in some])]

    return LineRuns(
        np.ones(len(first)) if unit is None else unit, np.zeros(len(first), dtype=np.int64), fetch
    )


def problems_of(grid: Grid) -> list[dict[str, Any]]:
    """What the manifest of an old folder says of the problems of a grid."""
    return [{"name": variant.name, "validated": variant.name != "quadratic"} for variant in grid.problems]


def hits_at(rows: list[dict[str, object]], optimum: float = 0.0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Runs of 100 steps and their first hits; `hits` of each is rung -> step, and lower rungs are never met."""
    base = {
        "problem": "p",
        "optimizer": "a",
        "schedule": "constant",
        "seed": 0,
        "learning_rate": 0.1,
        "steps": 100,
    }
    runs = pd.DataFrame([base | {"diverged_step": np.nan} | row for row in rows])
    runs.insert(0, "run_id", [f"{number:020x}" for number in range(len(runs))])
    runs = runs.assign(optimum=optimum, stage="grid")
    hits = []
    for run_id, met in zip(runs["run_id"], runs.pop("hits"), strict=True):
        step = np.full(200, np.nan)
        for rung, at in sorted(met.items()):
            # A rung that is met at a step meets all higher ones not met before.
            step[: rung + 1] = np.where(np.isnan(step[: rung + 1]), at, step[: rung + 1])
        hits.append(pd.DataFrame({"run_id": run_id, "target": ladder(), "step": step}))
    return runs, pd.concat(hits, ignore_index=True).astype({"step": "Int64"})


NAN = float("nan")


def runs_of(final: list[float], **columns: object) -> pd.DataFrame:
    """Runs of one problem, one seed each, that start at 1."""
    base: dict[str, object] = {
        "problem": "p",
        "optimizer": "sgd",
        "schedule": "constant",
        "learning_rate": np.logspace(-3, 0, len(final)),
        "seed": 0,
        "initial_train_loss": 1.0,
        "final_train_loss": final,
        "status": np.where(np.isnan(final), "nonfinite", np.where(np.array(final) > 1, "diverged", "ok")),
        "rise": 0.0,
        "late_pace": 0.0,
    }
    return pd.DataFrame(base | columns)


STUDIES = {
    "one row": lambda: study(rates=[0.1], seeds=1, optimizers=(("sgd", float("nan"), 0.1),)),
    "one row that diverges": lambda: study(rates=[1e3], seeds=1, optimizers=(("sgd", float("nan"), 0.1),)),
    "all diverge, no validation": lambda: study(rates=[1e2, 1e3], seeds=2, valid=False),
    "a named rate": lambda: study(rates=[0.01, 0.1, 1.0], output=(0.1, 1.0, 10.0)),
    "hostile names": lambda: study(rates=[0.01, 0.1], optimizers=(("_$a$", 0.9, 0.1),), problems=("$x^",)),
}
"""Small studies that every plot has to take."""
