"""Which rates suit each schedule, and which schedules are better than a constant rate?"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lrbench.experiments._choices import OPTIMIZERS, require_known
from lrbench.experiments.bench import Answer, Bench
from lrbench.experiments.findings import Finding
from lrbench.study import catalog

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lrbench.results.results import Results

_FLAT = "constant"
"""The schedule that the others are compared with."""
_OF_LINE = (
    "schedule",
    "trains",
    "use_learning_rate",
    "use_loss",
    "use_loss_low",
    "use_loss_high",
    "own_low",
    "own_high",
    "collapse_low",
    "collapse_high",
)


def schedule_bands(
    bench: Bench,
    *,
    optimizers: tuple[str, ...] = ("momentum", "adam"),
    rates: int = 16,
    steps: int = 400,
    seeds: int = 3,
    confirm: int = 10,
) -> Answer:
    """Every schedule of the catalogue on the digits: its rate to use, its band, where it collapses, and what it gains over a constant rate.

    Each schedule has its default shape and peak 1, so a rate is that of its peak. All are trained at the same rates, from 1e-4 to 10, and the best rates of
    each are trained again on fresh seeds.

    The gain of a schedule is the loss of the constant rate minus its own, both at their rate to use and on the same fresh seeds, as a share of ℓ₀ − ℓ*. A schedule is
    better or worse if p is at most 0.05, adjusted for all pairs of schedules with that optimizer: the schedule that looks best is the best of many. Its interval is that of
    one pair, and is not adjusted.

    Args:
        optimizers: of sgd, momentum (sgd with momentum 0.9) and adam.
        rates: a count, evenly spaced in the logarithm.
        steps: of every run.
        seeds: of the grid, a count.
        confirm: fresh seeds for the best rates, a count.

    Pictures:
        schedule_bands: The band of every schedule, best first: a bar within 5 % of its own best loss, a disc at the rate to use, a cross at the last useful rate.
    Tables:
        by_schedule: A row per optimizer and schedule: the columns of the sensitivity table; `own_decades` is the width of the band; `gain` over the
            constant rate with the interval of the pair and `p`, adjusted for all pairs; `better` is 1, −1 for worse, 0 for not told apart.

    Source: I. Loshchilov & F. Hutter, SGDR, arXiv:1608.03983; R. Schmidt, F. Schneider & P. Hennig, Descending through a Crowded Valley, arXiv:2007.01547, for
        comparing schedules that are tuned alike.
    """
    require_known("optimizers", optimizers, OPTIMIZERS)
    checked = [(name, bench.check(_study(name, rates, steps, seeds, confirm))) for name in optimizers]
    table = pd.concat([_measured(bench.train(study), name) for name, study in checked], ignore_index=True)
    each = [_findings(name, table[table["optimizer"] == name]) for name in optimizers]
    findings = [found for kind in itertools.zip_longest(*each) for found in kind if found]
    return Answer(
        tuple(finding.line for finding in findings),
        (
            *bench.write_table("by_schedule", table),
            *bench.write_picture("schedule_bands", _picture(table)),
            *bench.write_findings(findings),
        ),
    )


def _study(name: str, rates: int, steps: int, seeds: int, confirm: int) -> dict[str, Any]:
    return {
        "name": name,
        "steps": steps,
        "evaluate_every": max(1, steps // 40),
        "seeds": seeds,
        "refine": 1,
        "confirm": confirm,
        "shorter": False,
        "probes": [],
        "problem": "digits_mlp",
        "optimizer": dict(OPTIMIZERS[name]),
        "schedule": catalog.names("schedule"),
        "learning_rate": {"min": 1e-4, "max": 10.0, "num": rates},
    }


def _measured(results: Results, optimizer: str) -> pd.DataFrame:
    """What is known of each schedule, the least loss first, and its gain over the constant rate."""
    lines = results.sensitivity[list(_OF_LINE)].sort_values("use_loss", kind="stable", ignore_index=True)
    lines["own_decades"] = np.log10(lines["own_high"] / lines["own_low"])
    lines.insert(0, "optimizer", optimizer)
    return lines.merge(gains(results.comparison), on="schedule", how="left").fillna({"better": 0})


def gains(comparison: pd.DataFrame) -> pd.DataFrame:
    """Return what each schedule gains over the constant one, from the comparison of lines of one problem and optimizer."""
    told = [f"difference_normalised{end}" for end in ("", "_low", "_high")]
    rows = []
    for row in comparison.to_dict("records"):
        pair = [row["schedule"], row["other_schedule"]]
        if _FLAT not in pair:
            continue
        mine = pair.index(_FLAT)
        gain, *ends = ((1 if mine == 0 else -1) * row[name] for name in told)
        better = np.sign(gain) if row["p"] <= 0.05 else 0.0
        rows.append((pair[1 - mine], gain, min(ends), max(ends), row["p"], better))
    return pd.DataFrame(rows, columns=["schedule", "gain", "gain_low", "gain_high", "p", "better"])


def _findings(optimizer: str, table: pd.DataFrame) -> Iterator[Finding]:
    """The best schedule and its gain, how many are better and worse, the widest band, and how far rates to use are apart."""
    others = table[table["schedule"] != _FLAT]
    best = others.sort_values("use_loss", kind="stable").iloc[0]
    yield Finding(
        f"{optimizer}: how far the best schedule, {best['schedule']}, ends below a constant rate, as a share of ℓ₀ − ℓ*",
        best["gain"],
        best["gain_low"],
        best["gain_high"],
        rule="better than constant, adjusted for all pairs of schedules",
        met=None if best["better"] == 0 else bool(best["better"] > 0),
    )
    for words, sign in (("better", 1), ("worse", -1)):
        count = int((others["better"] == sign).sum())
        yield Finding(f"{optimizer}: schedules {words} than a constant rate", count, unit=f"of {len(others)}")
    widths = table.dropna(subset=["own_decades"]).sort_values("own_decades", kind="stable", ascending=False)
    if len(widths):
        widest = widths["own_decades"].iloc[0]
        those = " and ".join(widths.loc[np.isclose(widths["own_decades"], widest), "schedule"])
        yield Finding(f"{optimizer}: widest band of good rates, of {those}", widest, unit="decades")
    flat = widths.loc[widths["schedule"] == _FLAT, "own_decades"]
    if len(flat):
        yield Finding(f"{optimizer}: band of good rates of a constant rate", flat.iloc[0], unit="decades")
    used = np.log10(table["use_learning_rate"].dropna())
    if len(used):
        yield Finding(
            f"{optimizer}: from the smallest to the largest rate to use of all schedules",
            np.ptp(used),
            unit="decades",
        )


def _title(table: pd.DataFrame) -> str:
    """How many schedules are better than a constant rate with each optimizer."""
    others = table[table["schedule"] != _FLAT]
    said = [
        f"{int((rows['better'] > 0).sum())} of {len(rows)} with {optimizer}"
        for optimizer, rows in others.groupby("optimizer", sort=False)
    ]
    return f"Schedules that are better than a constant rate: {', '.join(said)}"


def _picture(table: pd.DataFrame) -> Figure:
    """The bands of all schedules, a panel per optimizer; the best schedule at the top."""
    from lrbench.plots import base

    groups = list(table.groupby("optimizer", sort=False))
    most = max(len(rows) for _, rows in groups)
    figure, grid = base.panels(
        len(groups), _title(table), columns=2, width=3.8, height=0.22 * most + 0.3, names=1.2
    )
    for axes, (optimizer, rows) in zip(grid, groups, strict=True):
        _panel(axes, rows.reset_index(drop=True))
        base.log_rates(
            axes, np.nanquantile(table[["own_low", "use_learning_rate", "collapse_low"]], [0.0, 1.0])
        )
        axes.set_xlabel("learning rate, at the peak")
        base.name_panel(axes, f"{optimizer}, least loss first")
    base.note(
        figure,
        "bar: within 5 % of its own best loss; disc: the rate to use; cross: the last useful one",
    )
    return figure


def _panel(axes: Axes, rows: pd.DataFrame) -> None:
    from lrbench.plots import base, theme

    for at, row in enumerate(rows.to_dict("records")):
        flat = row["schedule"] == _FLAT
        colour = base.COLOURS[1] if flat else base.COLOURS[0]
        if np.isfinite(row["own_decades"]):
            axes.plot(
                [row["own_low"], row["own_high"]],
                [at, at],
                color=colour,
                lw=5,
                alpha=0.35,
                solid_capstyle="round",
            )
        axes.plot(row["use_learning_rate"], at, "o", color=colour, ms=6)
        axes.plot(row["collapse_low"], at, "x", color=colour, ms=6)
    axes.set_yticks(range(len(rows)), rows["schedule"], fontsize=theme.SMALL)
    axes.set_ylim(len(rows) - 0.4, -0.6)
