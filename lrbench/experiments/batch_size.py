"""How does the best learning rate depend on the batch size?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lrbench.analysis.fitted_rates import fitted_rates, half_width
from lrbench.analysis.interactions import Fits, Slice, shift
from lrbench.analysis.labels import label
from lrbench.analysis.objective import objectives_of
from lrbench.experiments._choices import OPTIMIZERS, require_known
from lrbench.experiments.bench import Answer, Bench
from lrbench.experiments.findings import Finding

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lrbench.results.results import Results

_LOWEST = {"sgd": 1e-2, "momentum": 10**-2.5, "adam": 1e-3}
"""The smallest of the rates of each optimizer, which span three decades."""
_BUDGETS = ("steps", "epochs")
_THEORY = (0.0, 0.5, 1.0)
"""Exponents that theory knows: where curvature dominates, and where noise does, of Adam and of gradient descent."""
_SMALL = 4
"""The exponent is fitted to all batch sizes, and to so many of the smallest, where noise dominates longest."""


def batch_size(
    bench: Bench,
    *,
    sizes: tuple[int, ...] = (8, 16, 32, 64, 128, 256, 512),
    optimizers: tuple[str, ...] = ("sgd", "momentum", "adam"),
    steps: int = 300,
    first_steps: int = 1800,
    seeds: int = 8,
) -> Answer:
    """The exponent of the best learning rate against the batch size, at equal steps and at equal epochs, on the digits.

    Formula: η(B) ∝ B^exponent, a straight line through the log best rate of each batch size. The best rate is the lowest point of a parabola in log rate,
    fitted to the log of the mean training loss at the end, within half a decade of the best of four rates a decade.

    If the noise of the gradient dominates, theory expects an exponent of 1 for gradient descent and ½ for Adam. If curvature dominates, the best rate
    does not depend on the batch size. An interval that contains two of these exponents cannot tell them apart.

    Args:
        sizes: of the minibatches.
        optimizers: of sgd, momentum (sgd with momentum 0.9) and adam.
        steps: of every run, at equal steps.
        first_steps: of the first batch size, at equal epochs; another size takes as many as see the same number of examples.
        seeds: a count.

    Pictures:
        batch_size: Best rate against batch size, a line per optimizer, a panel for equal steps and one for equal epochs.
    Tables:
        losses: A row per optimizer, batch size and rate: `train_loss` at the end, mean over seeds, each capped at its start; `budget` is what all
            batch sizes have in common, `steps` or `epochs`.
        best: A row per optimizer and batch size: the fitted `best_learning_rate` with its 95 % interval over seeds, `_low` and `_high`.
        exponents: A row per optimizer and range of batch sizes, `from_batch_size` to `to_batch_size`: `exponent` with its interval, from so many `seeds`.

    Source: McCandlish et al., An empirical model of large-batch training, arXiv:1812.06162; Malladi et al., On the SDEs and
        scaling rules for adaptive gradient algorithms, arXiv:2205.10287.
    """
    require_known("optimizers", optimizers, _LOWEST)
    lengths = dict(zip(_BUDGETS, (steps, first_steps), strict=True))
    checked = [
        (budget, bench.check(_study(name, budget, sizes, lengths[budget], seeds)))
        for budget in _BUDGETS
        for name in optimizers
    ]
    found = [_measured(bench.train(study), budget) for budget, study in checked]
    losses, best, exponents = (pd.concat(tables, ignore_index=True) for tables in zip(*found, strict=True))
    findings = list(_findings(exponents))
    return Answer(
        tuple(finding.line for finding in findings),
        (
            *bench.write_table("losses", losses),
            *bench.write_table("best", best),
            *bench.write_table("exponents", exponents),
            *bench.write_picture("batch_size", _picture(best, exponents)),
            *bench.write_findings(findings),
        ),
    )


def _study(name: str, budget: str, sizes: tuple[int, ...], steps: int, seeds: int) -> dict[str, Any]:
    low = _LOWEST[name]
    return {
        "name": f"{name}_equal_{budget}",
        "steps": steps,
        "evaluate_every": steps,
        "budget": budget,
        "seeds": seeds,
        "objective": "train_loss",
        "probes": [],
        "optimizer": dict(OPTIMIZERS[name]),
        "learning_rate": {"min": low, "max": 1e3 * low, "per_decade": 4},
        "problem": {"name": "digits_mlp", "batch_size": list(sizes)},
    }


def _measured(results: Results, budget: str) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The losses by rate, the fitted best rate of each batch size, and the exponents, of one optimizer and budget."""
    runs = results.runs
    known = {"budget": budget, "optimizer": label(results.sensitivity.iloc[0], "optimizer")}
    mean = runs.assign(loss=np.fmin(runs["final_train_loss"], runs["initial_train_loss"]))
    keys = ["problem_batch_size", "steps", "learning_rate"]
    losses = mean.groupby(keys, sort=False)["loss"].mean().reset_index(name="train_loss")
    fits = Fits.of(fitted_rates(runs, objectives=objectives_of(results.manifest)))
    values = results.sensitivity["problem_batch_size"].to_numpy(dtype=np.float64)
    best = _best(fits).assign(problem_batch_size=results.sensitivity["problem_batch_size"])
    exponents = [
        shift(Slice("problem_batch_size", np.arange(count), values[:count]), fits)
        for count in sorted({min(_SMALL, len(values)), len(values)})
    ]
    names = ["from_value", "to_value", "exponent", "exponent_low", "exponent_high", "seeds"]
    table = pd.DataFrame(exponents).reindex(columns=names)
    table = table.rename(columns={"from_value": "from_batch_size", "to_value": "to_batch_size"})
    columns = [
        "problem_batch_size",
        "best_learning_rate",
        "best_learning_rate_low",
        "best_learning_rate_high",
    ]
    renamed = {"problem_batch_size": "batch_size"}
    tables = (losses.rename(columns=renamed), best[columns].rename(columns=renamed), table)
    first, second, third = (each.assign(**known)[[*known, *each.columns]] for each in tables)
    return first, second, third


def _best(fits: Fits) -> pd.DataFrame:
    """The fitted best rate of each line, and its 95 % t interval over seeds."""
    half = half_width(fits.rate, fits.left_out, fits.fresh)
    ends = {"": fits.rate, "_low": fits.rate - half, "_high": fits.rate + half}
    return pd.DataFrame({f"best_learning_rate{end}": 10.0**value for end, value in ends.items()})


def _findings(exponents: pd.DataFrame) -> Iterator[Finding]:
    """The exponents, those of the smallest batch sizes first, beside what theory expects of them."""
    ordered = exponents.sort_values(["to_batch_size", "optimizer"], kind="stable")
    for row in ordered.to_dict("records"):
        expected = 0.5 if row["optimizer"] == "adam" else 1.0
        others = [value for value in _THEORY if value != expected]
        low, high = row["exponent_low"], row["exponent_high"]
        yield Finding(
            f"exponent of the best rate of {row['optimizer']} against the batch size, at equal {row['budget']}, from a batch of "
            f"{row['from_batch_size']:g} to {row['to_batch_size']:g}",
            row["exponent"],
            low,
            high,
            rule=f"interval contains {expected:g}, as where noise dominates, and neither {others[0]:g} nor {others[1]:g}",
            met=_met(low, high, expected, others),
        )


def _met(low: float, high: float, expected: float, others: list[float]) -> bool | None:
    """Whether an interval has the expected exponent alone of those of theory; None where it is so wide that it has others, too.

    >>> _met(0.3, 0.6, 0.5, [0, 1]), _met(0.6, 0.9, 0.5, [0, 1]), _met(0.3, 1.1, 0.5, [0, 1])
    (True, False, None)
    """
    if not np.isfinite(high - low):
        return None
    if not low <= expected <= high:
        return False
    return None if any(low <= other <= high for other in others) else True


def _title(exponents: pd.DataFrame) -> str:
    """How the best rate grows with the smallest batch sizes, by those optimizers of which that is known."""
    small = exponents[exponents["to_batch_size"] == exponents["to_batch_size"].min()]
    small = small[small["budget"] == _BUDGETS[0]]
    known = small[(small["exponent_low"] > 0) | (small["exponent_high"] < 0)]
    if known.empty:
        return "batch_size: it cannot be told how the best rate depends on the batch"
    grows = " and ".join(
        f"as B^{row['exponent']:.2f} with {row['optimizer']}" for row in known.to_dict("records")
    )
    return f"batch_size: up to a batch of {small['to_batch_size'].iloc[0]:g} the best rate goes {grows}, at equal {_BUDGETS[0]}"


def _picture(best: pd.DataFrame, exponents: pd.DataFrame) -> Figure:
    """The best rate against the batch size, a line per optimizer, a panel per budget; grey: slopes of 1 and ½."""
    from lrbench.plots import base

    budgets = list(best["budget"].unique())
    figure, grid = base.panels(len(budgets), _title(exponents), columns=2, width=4.4, height=3.2, foot=0.2)
    colours = base.colour_of(list(best["optimizer"]))
    known = best.dropna(subset=["best_learning_rate"])
    handles: dict[str, Any] = {}
    for axes, budget in zip(grid, budgets, strict=True):
        for optimizer, rows in known[known["budget"] == budget].groupby("optimizer", sort=False):
            slope = exponents[(exponents["budget"] == budget) & (exponents["optimizer"] == optimizer)]
            handles[str(optimizer)] = _line(axes, rows, slope.iloc[0], colours[str(optimizer)])
        base.name_panel(axes, f"equal {budget}")
        _axes(axes, best)
        _guides(axes)
    base.legend(figure, handles, 3)
    base.note(figure, "dashed: fitted to the smallest batch sizes; bars: 95 % over seeds")
    return figure


def _line(axes: Axes, rows: pd.DataFrame, slope: pd.Series, colour: str) -> Any:
    """The best rates of an optimizer with their intervals, and the straight line through the smallest batch sizes."""
    from lrbench.plots import base, theme

    rate, size = rows["best_learning_rate"], rows["batch_size"]
    ends = [rate - rows["best_learning_rate_low"], rows["best_learning_rate_high"] - rate]
    drawn = axes.errorbar(
        size, rate, yerr=np.nan_to_num(ends), color=colour, fmt="o-", ms=5, lw=1.4, capsize=2
    )
    small = rows[rows["batch_size"].between(slope["from_batch_size"], slope["to_batch_size"])]
    if np.isfinite(slope["exponent"]):
        log = np.log(small["batch_size"])
        middle = float(np.exp(np.log(small["best_learning_rate"]).mean()))
        fitted = middle * np.exp(slope["exponent"] * (log - log.mean()))
        axes.plot(small["batch_size"], fitted, color=colour, lw=1.4, ls=base.DASHES[1])
        at = float(np.exp(log.mean())), 0.62 * middle
        axes.text(
            *at, f"{slope['exponent']:.2f}", color=colour, fontsize=theme.LABEL, ha="center", va="center"
        )
    return drawn


def _axes(axes: Axes, best: pd.DataFrame) -> None:
    from matplotlib.ticker import NullLocator

    from lrbench.plots import base

    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    sizes = sorted(best["batch_size"].unique())
    axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
    axes.xaxis.set_minor_locator(NullLocator())
    rates = best["best_learning_rate"]
    if rates.notna().any():
        axes.set_ylim(rates.min() / 3, rates.max() * 3)
    base.decades(axes.yaxis)
    axes.set_xlabel("batch size")
    axes.set_ylabel("best learning rate")


def _guides(axes: Axes) -> None:
    """Grey lines of slope 1 and ½ from the lower left corner of the panel."""
    from lrbench.plots import base, theme

    low, high = axes.get_xlim()
    bottom, top = axes.get_ylim()
    size = np.geomspace(low, high, 50)
    for exponent, name in ((1.0, "∝ B"), (0.5, "∝ √B")):
        rate = 1.3 * bottom * (size / low) ** exponent
        inside = rate < top
        axes.plot(size[inside], rate[inside], color=base.MUTED, lw=0.8, ls=base.DASHES[2], zorder=1)
        axes.text(
            size[inside][-1],
            rate[inside][-1],
            name,
            fontsize=theme.SMALL,
            color=base.MUTED,
            ha="right",
            va="bottom",
        )
    axes.set_xlim(low, high)
    axes.set_ylim(bottom, top)
