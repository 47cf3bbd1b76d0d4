"""A picture for every claim."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lrbench.analysis.groups import Floats
from lrbench.analysis.labels import rate_text
from lrbench.claims import basics, training
from lrbench.claims.evidence import Evidence, Finding, Part
from lrbench.claims.limits import LIMITS
from lrbench.plots import base
from lrbench.plots.curves import COLOUR_OF_RATE

_SHOWN = "digits_mlp"
_FOR, _AGAINST = "#00795a", "#b8432f"


def steps(found: Evidence) -> Figure:
    """The price that one step leads to, with the stated gradient and with that of the loss."""
    part = found["step"]
    _, first = part.curve("first_coordinate")
    _, second = part.curve("second_coordinate")
    price = (first * basics.AREA + second)[..., 0, -1]
    figure, (axes,) = base.panels(
        1, "One step from w = b = 0: the predicted price of 100 m²", width=6.4, height=2.6
    )
    names = {"linear=true": "gradient (−100, −500), as stated", "linear=false": "gradient of (ŷ − 500)²"}
    for line, title in enumerate(part.names["problem"]):
        name = next((text for key, text in names.items() if key in title), title)
        axes.plot(part.rate, price[line], "o-", color=base.COLOURS[line], label=name)
        for rate, value in zip(part.rate, price[line], strict=True):
            axes.annotate(
                f"{value:,.0f}" if value > 100 else f"{value:g}",
                (rate, value),
                (0, 7),
                textcoords="offset points",
                ha="center",
                fontsize=8.5,
            )
    axes.axhline(basics.PRICE, color=base.MUTED, lw=1, ls="--")
    axes.annotate(
        "true price: 500",
        (part.rate[0], basics.PRICE),
        (0, 4),
        textcoords="offset points",
        fontsize=8.5,
        color=base.MUTED,
    )
    axes.set_yscale("log")
    axes.margins(x=0.15, y=0.18)
    axes.set_xscale("log")
    base.decades(axes.xaxis)
    base.decades(axes.yaxis)
    _labels(axes, "learning rate", "predicted price")
    axes.legend(fontsize=8.5, frameon=False, loc="upper left")
    return figure


def three_zones(found: Evidence) -> Figure:
    """Loss at a rate too small, the best and one too large; and which rates leave a local optimum."""
    part, wells = found["families"], found["wells"]
    figure, (left, right) = base.panels(2, "Too small, suitable, too large", columns=2, width=4.6, height=2.9)
    line = part.where(optimizer=training.ADAM, problem=_shown(part))[0]
    step, loss = part.curve("valid_loss")
    best = part.best[0][line]
    places = {"too small": max(best - 4, 0), "best": best, "too large": len(part.rate) - 1}
    for kind, at in places.items():
        middle = _middle(loss[line, at])
        left.plot(
            step, middle, color=COLOUR_OF_RATE[kind], lw=1.9, label=f"{kind}: {rate_text(part.rate[at])}"
        )
    start = float(part.initial[line])
    left.set_ylim(0, 1.6 * start)
    base.name_panel(left, f"{part.names['problem'][line]}, Adam")
    _labels(left, "step", "validation loss")
    left.legend(fontsize=8.5, frameon=False)
    value, low, high = basics.escapes(wells)
    right.fill_between(wells.rate, low, high, color=base.COLOURS[0], alpha=0.18, lw=0)
    right.plot(wells.rate, value, color=base.COLOURS[0], lw=1.9)
    base.log_rates(right, wells.rate)
    right.set_ylim(-0.01, max(0.5, 1.05 * float(high.max())))
    base.name_panel(right, "double_well: leaves the local optimum")
    right.set_ylabel("share of runs that started there", fontsize=9)
    return figure


def scale(found: Evidence) -> Figure:
    """Loss against rate, with raw and with standardised data."""
    part = found["scale"]
    figure, (axes,) = base.panels(
        1, "The same line, through the same sales, in two scales", width=6.8, height=2.9
    )
    names = {"true": "standard deviations", "false": "square feet and dollars"}
    for line, title in enumerate(part.names["problem"]):
        name = next((text for key, text in names.items() if f"standardised={key}" in title), title)
        axes.plot(
            part.rate, part.middle[0][line] / part.initial[line], color=base.COLOURS[line], lw=1.9, label=name
        )
        at = part.best[0][line]
        axes.plot(
            part.rate[at],
            part.middle[0][line, at] / part.initial[line],
            "o",
            color=base.COLOURS[line],
            ms=8,
            mec="white",
        )
    base.log_rates(axes, part.rate)
    axes.set_ylabel("final loss / loss at the start", fontsize=9)
    axes.set_ylim(0, 1.05)
    axes.legend(fontsize=8.5, frameon=False, loc=(0.47, 0.5))
    return figure


def usual_rates(found: Evidence) -> Figure:
    """The good rates of every problem and optimizer, and the ranges that are usually given."""
    part = found["families"]
    names = list(part.names["optimizer"].unique())
    colours = base.colour_of(names)
    problems = list(part.names["problem"].unique())
    figure, (axes,) = base.panels(
        1,
        "Good rates, and the usual advice (shaded)",
        width=7.4,
        height=0.62 * len(problems) + 0.5,
        foot=0.25,
    )
    half = 10 ** (0.5 * float(np.diff(np.log10(part.rate)).mean()))
    for row, problem in enumerate(problems):
        usual = basics.USUAL.get(basics.FAMILIES.get(problem.split("(")[0], ""))
        if usual:
            axes.fill_between(usual, row - 0.42, row + 0.42, color="#f3e3b3", lw=0)
        for place, name in enumerate(names):
            line = part.where(problem=problem, optimizer=name)[0]
            y = row + (place - (len(names) - 1) / 2) * 0.19
            for at in np.flatnonzero(part.good[0][line]):
                axes.plot(
                    [part.rate[at] / half, part.rate[at] * half],
                    [y, y],
                    color=colours[name],
                    lw=5,
                    solid_capstyle="butt",
                )
            axes.plot(
                part.rate[part.best[0][line]], y, "o", color="white", mec=colours[name], ms=4.5, zorder=5
            )
    base.log_rates(axes, [part.rate[0], part.rate[-1]])
    axes.set_yticks(range(len(problems)), [problem.split("(")[0] for problem in problems])
    axes.invert_yaxis()
    _room_for_names(figure, 1.5)
    base.legend(figure, {name: axes.plot([], [], color=colours[name], lw=5)[0] for name in names}, len(names))
    base.note(figure, "circle: best rate; a line without colour has no good rate")
    return figure


def schedules(found: Evidence) -> Figure:
    """The rate as a share of its peak, as it was recorded while training."""
    part = found["schedules"]
    step, rate = part.curve("learning_rate")
    names = list(part.names["schedule"].unique())
    figure, grid = base.panels(
        len(names), "The rate as a share of its peak, as recorded", columns=3, width=2.7, height=1.25
    )
    for axes, name in zip(grid, names, strict=True):
        line = part.where(schedule=name)[0]
        shares = rate[line, part.best[0][line], 0] / part.rate[part.best[0][line]]
        axes.plot(step, shares, color=base.COLOURS[0], lw=1.9)
        axes.set_ylim(-0.05, 1.08)
        base.name_panel(axes, name)
        _labels(axes, "step", "")
    return figure


def optimizers(found: Evidence) -> Figure:
    """Loss against rate of every optimizer, a panel per problem."""
    part = found["families"]
    names, problems = list(part.names["optimizer"].unique()), list(part.names["problem"].unique())
    figure, grid = base.panels(
        len(problems), "Final loss against learning rate", columns=3, width=3.2, height=2.1, foot=0.25
    )
    colours, handles = base.colour_of(names), {}
    for axes, problem in zip(grid, problems, strict=True):
        for name in names:
            line = part.where(problem=problem, optimizer=name)[0]
            above = (part.middle[0][line] - part.star[line]) / part.span[line]
            (handles[name],) = axes.plot(part.rate, above, color=colours[name], lw=1.8)
        axes.axhline(part.limits.good, color=base.MUTED, lw=0.8, ls="--")
        base.log_rates(axes, part.rate)
        axes.set_ylabel("(ℓ − ℓ*) / (ℓ₀ − ℓ*)", fontsize=9)
        base.name_panel(axes, problem.split("(")[0])
    base.legend(figure, handles, len(names))
    base.note(figure, "dashed: below it a rate is good")
    return figure


def products(found: Evidence) -> Figure:
    """How far the best rate of every optimizer and schedule stays from the best of the problem."""
    part = found["schedules"]
    problems = list(part.names["problem"].unique())
    figure, grid = base.panels(
        len(problems),
        "Every optimizer with every schedule: best loss and rate",
        columns=1,
        width=9.2,
        height=1.3,
    )
    rows, columns = list(part.names["optimizer"].unique()), list(part.names["schedule"].unique())
    for axes, problem in zip(grid, problems, strict=True):
        gap, best = np.zeros((2, len(rows), len(columns)))
        for row, optimizer in enumerate(rows):
            for column, schedule in enumerate(columns):
                line = part.where(problem=problem, optimizer=optimizer, schedule=schedule)[0]
                at = part.best[0][line]
                best[row, column] = float(part.rate[at])
                gap[row, column] = (part.middle[0][line, at] - part.star[line]) / part.span[line]
        axes.imshow(gap, cmap="YlGnBu", vmin=0, vmax=0.25, aspect="auto")
        for (row, column), value in np.ndenumerate(gap):
            colour = "white" if value > 0.14 else base.INK
            text = f"{100 * value:.1f} %\nat {rate_text(float(best[row, column]))}"
            axes.text(column, row, text, ha="center", va="center", fontsize=7.5, color=colour)
        axes.grid(visible=False)
        axes.set_xticks(range(len(columns)), [name.replace("(", "\n(") for name in columns], fontsize=7)
        axes.set_yticks(range(len(rows)), rows)
        base.name_panel(axes, f"{problem}: (ℓ − ℓ*) / (ℓ₀ − ℓ*) at the best rate")
    _room_for_names(figure, 1.5)
    return figure


def three_effects(found: Evidence) -> Figure:
    """Steps to the target, share of broken runs, and training and validation loss, by rate."""
    part = found["families"]
    problem = _shown(part)
    figure, grid = base.panels(
        3, f"{problem}: speed, stability, generalisation", columns=3, width=3.3, height=2.5, foot=0.25
    )
    names = list(part.names["optimizer"].unique())
    colours, handles = base.colour_of(names), {}
    steps_needed, verdicts = training.steps_to_most(part), part.verdicts()
    train, valid = part.column("final_train_loss"), part.column("final_valid_loss")
    for name in names:
        line = part.where(problem=problem, optimizer=name)[0]
        (handles[name],) = grid[0].plot(
            part.rate, _middle(steps_needed[line].T), "o-", ms=4, color=colours[name]
        )
        broken = np.isin(verdicts[line], ["diverged", "oscillating"]).mean(axis=1)
        grid[1].plot(part.rate, broken, "o-", ms=4, color=colours[name])
        grid[2].plot(part.rate, _middle(valid[line].T), color=colours[name], lw=1.8)
        grid[2].plot(part.rate, _middle(train[line].T), color=colours[name], lw=1.2, ls=(0, (2, 2)))
    titles = (
        f"steps to {100 * LIMITS.way:g} % of the way",
        "share that oscillate or diverge",
        "final loss (dotted: training)",
    )
    for axes, title in zip(grid, titles, strict=True):
        base.log_rates(axes, part.rate)
        base.name_panel(axes, title)
    grid[2].set_ylim(0, 1.1 * float(part.initial[part.where(problem=problem)].max()))
    base.legend(figure, handles, len(names))
    return figure


def curves(found: Evidence) -> Figure:
    """The curves of every rate, and the moment at which they are looked at."""
    part = found["families"]
    line = part.where(optimizer=training.ADAM, problem=_shown(part))[0]
    step, loss = part.curve("valid_loss")
    figure, (axes,) = base.panels(
        1, f"{part.names['problem'][line]}, Adam: the curve of every rate", width=6.8, height=3.0
    )
    for at, rate in enumerate(part.rate):
        share = at / max(1, len(part.rate) - 1)
        colour = (0.1 + 0.8 * share, 0.35, 0.9 - 0.8 * share)
        axes.plot(step, _middle(loss[line, at]), color=colour, lw=1.5, label=rate_text(rate))
    axes.axvline(step[-1] / 4, color=base.MUTED, lw=1, ls="--")
    axes.set_ylim(0, 1.3 * float(part.initial[line]))
    axes.set_xlim(0, 1.28 * step[-1])
    _labels(axes, "step", "validation loss")
    axes.legend(fontsize=7.5, frameon=False, loc="center right", title="rate", title_fontsize=8)
    return figure


def decay(found: Evidence) -> Figure:
    """What each decay gains on a constant rate of the same peak, with intervals."""
    return _forest(training.decay(found), "Decay less constant: below 0 is better")


def warmup(found: Evidence) -> Figure:
    """How many decades warmup adds, with intervals."""
    return _forest(training.warmup(found), "What warmup adds, in decades")


def width(found: Evidence) -> Figure:
    """How many decades of rates are good, by problem and optimizer."""
    part = found["families"]
    names, problems = list(part.names["optimizer"].unique()), list(part.names["problem"].unique())
    figure, (axes,) = base.panels(1, "Decades of good rates", width=7.0, height=2.6, foot=0.25)
    colours, handles = base.colour_of(names), {}
    step = float(np.diff(np.log10(part.rate)).mean())
    for place, name in enumerate(names):
        lines = [part.where(problem=problem, optimizer=name)[0] for problem in problems]
        at = np.arange(len(problems)) + (place - (len(names) - 1) / 2) * 0.19
        handles[name] = axes.bar(at, part.good[0][lines].sum(axis=1) * step, 0.17, color=colours[name])[0]
    axes.set_xticks(range(len(problems)), [problem.split("(")[0] for problem in problems])
    axes.set_ylabel("decades", fontsize=9)
    base.legend(figure, handles, len(names))
    return figure


def _forest(findings: Sequence[Finding], title: str) -> Figure:
    """Every finding as a dot with its interval; green speaks for the claim, red against it."""
    shown = [each for each in findings if np.isfinite(each.value)]
    figure, (axes,) = base.panels(1, title, width=5.0, height=0.27 * len(shown) + 0.4)
    _room_for_names(figure, 5.4)
    for row, each in enumerate(shown):
        colour = _FOR if each.met else _AGAINST
        if np.isfinite(each.low):
            axes.plot([each.low, each.high], [row, row], color=colour, lw=2)
        axes.plot(each.value, row, "o", color=colour, ms=6)
    axes.axvline(0, color=base.MUTED, lw=1)
    axes.set_yticks(range(len(shown)), [_short(each.what) for each in shown], fontsize=8)
    axes.invert_yaxis()
    return figure


def _room_for_names(figure: Figure, inches: float) -> None:
    """Widen a figure by so many inches at the left of its panel."""
    wide, high = figure.get_size_inches()
    left, right = figure.subplotpars.left * wide, figure.subplotpars.right * wide
    figure.set_size_inches(wide + inches - left, high)
    whole = wide + inches - left
    figure.subplots_adjust(left=inches / whole, right=(right + inches - left) / whole)


def _short(text: str) -> str:
    return base.plain(re.split(": final loss|, loss over|, mean of", text, maxsplit=1)[0], 74)


def _shown(part: Part) -> str:
    """The problem that pictures of one problem show."""
    names = list(part.names["problem"])
    return _SHOWN if _SHOWN in names else str(names[0])


def _middle(values: Floats) -> Floats:
    """The median over seeds [seed, ...]; a seed that is gone counts as infinite, and that is no point."""
    found = pd.DataFrame(np.where(np.isfinite(values), values, np.inf)).median(axis=0).to_numpy()
    out: Floats = np.where(np.isfinite(found), found, np.nan)
    return out


def _labels(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x, fontsize=9, color=base.INK)
    axes.set_ylabel(y, fontsize=9, color=base.INK)
