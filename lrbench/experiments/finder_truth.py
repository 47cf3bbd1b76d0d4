"""How good the suggestions of learning-rate finders are, measured against a dense grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lrbench.analysis import Thresholds, regret, regret_summary
from lrbench.analysis.objective import objectives_of
from lrbench.execution.find import range_test_keys
from lrbench.experiments.bench import Answer, Bench
from lrbench.plots import base
from lrbench.results.text_table import aligned
from lrbench.study.learning_rates import logspace

MORE = {"sgd": {"momentum": [0.0, 0.9]}}
"""Further parameters of an optimizer, as axes of the grid."""


def finder_truth(
    bench: Bench,
    *,
    problems: tuple[str, ...] = ("house_prices", "digits_softmax", "digits_mlp", "mnist1d_mlp"),
    optimizers: tuple[str, ...] = ("sgd", "rmsprop", "adam"),
    steps: int = 500,
    sweep_steps: int = 200,
    low: float = 1e-5,
    high: float = 10.0,
    rates: int = 25,
    seeds: int = 3,
) -> Answer:
    """Compare what finders suggest with the best rate of a dense grid: the regret of every rule.

    Every rate of a grid is trained to the end at a constant rate, and a range test sweeps the rate once for each seed. The regret of a
    suggestion is ℓ(suggested) − ℓ*, with the loss interpolated on the grid.

    Args:
        problems: names of problems without required parameters.
        optimizers: names of optimizers; `sgd` is trained without and with momentum.
        steps: of the runs of the grid.
        sweep_steps: of the range tests.
        low: the lowest rate of grid and sweep.
        high: the highest rate.
        rates: how many rates the grid has.
        seeds: a count, of grid and sweep.

    Source: Smith, arXiv:1506.01186 (range test); the rules are fastai's.
    """
    chosen = [{"name": name, **MORE.get(name, {})} for name in optimizers]
    common: dict[str, Any] = {"seeds": seeds, "problem": list(problems), "optimizer": chosen}
    axis = {"values": list(logspace(low, high, rates))}
    dense = bench.train({"name": "grid", "steps": steps, "learning_rate": axis, "probes": [], **common})
    swept = bench.train({"name": "sweep", "steps": sweep_steps, **common, **range_test_keys(low, high)})
    table = regret(swept.finders, dense.runs, objectives_of(dense.manifest))
    rules = regret_summary(table, Thresholds().good)
    paths = [
        *bench.write_table("finder_truth", table),
        *bench.write_table("rules", rules),
        *bench.write_picture("finder_truth", _picture(table, Thresholds().good)),
    ]
    return Answer(_lines(rules), tuple(paths))


def _lines(rules: pd.DataFrame) -> tuple[str, ...]:
    ordered = rules.sort_values("excess_normalised_90")
    percent = [name for name in rules.columns if name not in ("rule", "suggestions", "decades")]
    rows = [
        {"rule": str(row["rule"]), "suggestions": str(row["suggestions"])}
        | {name: f"{row[name]:.1%}" for name in percent}
        | {"decades": f"{row['decades']:+.1f}"}
        for row in ordered.to_dict("records")
    ]
    return tuple(aligned(rows, ("rule",)).split("\n"))


def _picture(table: pd.DataFrame, good: float) -> Figure:
    """A panel per rule: what each suggestion loses to the best rate, against its distance from it."""
    rules = list(dict.fromkeys(table["rule"]))
    figure, grid = base.panels(
        len(rules), "finders: loss above that of the best rate", columns=2, width=4.4, height=2.4, foot=0.45
    )
    colours = base.colour_of(list(table["optimizer"]))
    problems = list(dict.fromkeys(table["problem"]))
    marks = dict(zip(problems, "os^DvP*X" * len(problems), strict=False))
    handles: dict[str, Artist] = {
        name: Line2D([], [], color=colour, lw=4) for name, colour in colours.items()
    }
    handles |= {name: Line2D([], [], color=base.MUTED, marker=mark, ls="") for name, mark in marks.items()}
    width = max(1.0, float(np.nanmax(np.abs(table["decades"]), initial=0)))
    for axes, rule in zip(grid, rules, strict=True):
        rows_of_rule = table[table["rule"] == rule]
        for (problem, optimizer), rows in rows_of_rule.groupby(["problem", "optimizer"], sort=False):
            look: dict[str, Any] = {"color": colours[optimizer], "marker": marks[problem], "ls": ""}
            axes.plot(rows["decades"], rows["excess_normalised"], ms=5, alpha=0.75, mew=0, **look)
        axes.axhspan(-0.05, good, color=base.GRID, zorder=0)
        axes.axvline(0, color=base.MUTED, lw=0.8)
        axes.set_xlim(-1.05 * width, 1.05 * width)
        axes.set_ylim(-0.05, 1.05)
        axes.set_xlabel("decades from the best rate", fontsize=9, color=base.INK)
        axes.set_ylabel("share of ℓ₀ − ℓ* lost", fontsize=9, color=base.INK)
        none = int(rows_of_rule["suggestion"].isna().sum())
        base.name_panel(axes, f"{rule}: {none} of {len(rows_of_rule)} without a suggestion" if none else rule)
    base.legend(figure, handles, 4)
    base.note(figure, f"shaded: within {good:.0%}")
    return figure
