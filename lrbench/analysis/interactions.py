"""How the best rate moves with another hyper-parameter: lines that differ in one number alone, and what that number does to them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lrbench.analysis.fitted_rates import EVERY, half_width
from lrbench.analysis.groups import KINDS, Floats, Ints, columns_of, group, is_sampled, line_columns, members
from lrbench.analysis.intervals import t_quantile
from lrbench.analysis.mean_loss import Bools

BATCH_SIZE = "problem_batch_size"
"""The one parameter of a problem that changes how it is trained, not what is asked: lines of all batch sizes compete."""
NEAR_ONE = 0.9
"""From this largest value on, a parameter between 0 and 1 is a decay, such as momentum: what counts is how far from 1 it is."""


class Slice(NamedTuple):
    """Lines that differ in one numeric parameter, all others as the best line of their problem, optimizer and schedule has them."""

    parameter: str  # its column
    lines: Ints  # [value] numbers of lines
    values: Floats  # [value] ascending


def problem_columns(frame: pd.DataFrame) -> list[str]:
    """The columns that say what is asked: the problem and its parameters, but for the batch size."""
    return [name for name in columns_of(frame, "problem") if name != BATCH_SIZE]


def losses_of(sensitivity: pd.DataFrame) -> Floats:
    """The loss of each line at the rate to use; infinite for one that does not train."""
    name = "use_loss" if "use_loss" in sensitivity else "best_loss"
    loss = sensitivity[name].to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isnan(loss), np.inf, loss)


def best_lines(sensitivity: pd.DataFrame) -> Ints:
    """The number of the best line of each problem and optimizer, of all batch sizes and schedules."""
    code = group(sensitivity, [*problem_columns(sensitivity), "optimizer"])[0]
    order = np.lexsort((losses_of(sensitivity), code))
    best: Ints = order[np.unique(code[order], return_index=True)[1]]
    return best


def slices(sensitivity: pd.DataFrame) -> Iterator[Slice]:
    """Find, for each numeric parameter that varies within a problem, optimizer and schedule, the lines that differ in it alone.

    A line of sampled parameters is in none: its best rate depends on them.

    Example:
        >>> names = {"problem": "a", "optimizer": "sgd", "schedule": "constant"}
        >>> table = pd.DataFrame({**names, "optimizer_momentum": [0.0, 0.0, 0.9, 0.9],
        ...     "optimizer_clip": [1.0, 2.0, 1.0, 2.0], "best_loss": [3.0, 2.0, 1.0, 2.0]})
        >>> [(each.parameter, each.lines.tolist()) for each in slices(table)]
        [('optimizer_momentum', [0, 2]), ('optimizer_clip', [2, 3])]
    """
    every, loss, sampled = line_columns(sensitivity), losses_of(sensitivity), is_sampled(sensitivity)
    for parameter in [name for name in every if name not in KINDS]:
        if not _numeric(sensitivity[parameter]):
            continue
        entry = [name for name in [*problem_columns(sensitivity), *KINDS[1:]] if name != parameter]
        rest = group(sensitivity, [name for name in every if name != parameter])[0]
        values = pd.to_numeric(sensitivity[parameter]).to_numpy(dtype=np.float64, na_value=np.nan)
        for mine in members(group(sensitivity, entry)[0]):
            mine = mine[np.isfinite(values[mine]) & ~sampled[mine]]
            best = mine[loss[mine].argmin()] if len(mine) else -1
            lines = mine[rest[mine] == rest[best]]
            if len(lines) > 1:
                order = np.argsort(values[lines], kind="stable")
                yield Slice(parameter, lines[order], values[lines][order])


def _numeric(column: pd.Series) -> bool:
    """Whether all that is not missing is a number, and there are two or more."""
    distinct = column.dropna().map(lambda value: value if isinstance(value, Real) else str(value)).unique()
    return len(distinct) > 1 and all(
        isinstance(value, Real) and not isinstance(value, bool | np.bool_) for value in distinct
    )


def axis_of(values: Floats) -> tuple[str, Floats]:
    """The scale on which a parameter acts, and its values on it.

    `log` where all values are positive; `log of 1 - value` for a decay: all from 0 to below 1, the largest 0.9 or more, such as momentum; else
    `linear`.

    Example:
        >>> for values in ([16.0, 256.0], [0.0, 0.9], [0.0, 1e-3]):
        ...     scale, found = axis_of(np.array(values))
        ...     print(scale, found.round(2).tolist())
        log [1.2, 2.41]
        log of 1 - value [0.0, -1.0]
        linear [0.0, 0.0]
    """
    if values.min() >= 0 and NEAR_ONE <= values.max() < 1:
        return "log of 1 - value", np.log10(1 - values)
    if values.min() > 0:
        return "log", np.log10(values)
    return "linear", values


class Fits(NamedTuple):
    """The fitted rates of some lines, over one axis of seeds."""

    line: Ints  # [line] numbers of the lines, ascending
    rate: Floats  # [line] log₁₀; NaN where it is not known
    left_out: Floats  # [line, seed] the same without each seed
    there: Bools  # [line, seed] whether the line has that seed
    fresh: Bools  # [seed] whether it is one of the stage `confirm`
    step: Floats  # [line] decades between neighbouring rates

    @classmethod
    def of(cls, table: pd.DataFrame) -> Fits:
        """Arrange what `fitted_rates` returns."""
        line, row = np.unique(table["line"].to_numpy(dtype=np.int64), return_inverse=True)
        seeds = table["seed"].to_numpy(dtype=np.int64)
        seed = np.unique(np.append(seeds, EVERY))
        column = np.searchsorted(seed, seeds)
        rate = np.full((len(line), len(seed)), np.nan)
        rate[row, column] = np.log10(table["learning_rate"].to_numpy(dtype=np.float64))
        there, step = np.zeros_like(rate, dtype=np.bool_), np.full(len(line), np.nan)
        there[row, column] = True
        step[row] = table["step"].to_numpy(dtype=np.float64)
        fresh = np.zeros(len(seed), dtype=np.bool_)
        fresh[column] = table["fresh"].to_numpy(dtype=np.bool_)
        return cls(
            line, rate[:, 0], rate[:, 1:], there[:, 1:], fresh[1:], step
        )  # EVERY comes before all seeds

    def cut(self, lines: Ints) -> Fits:
        """Return those of some lines, in this order, over the seeds that all of them have."""
        at = np.searchsorted(self.line, lines)
        shared = self.there[at].all(axis=0)
        left_out, there = self.left_out[at][:, shared], self.there[at][:, shared]
        return Fits(lines, self.rate[at], left_out, there, self.fresh[shared], self.step[at])


def shift(cut: Slice, fits: Fits, confidence: float = 0.95) -> dict[str, Any]:
    r"""How far the best rate moves along a slice.

    Formula: log₁₀ η = a + b·z, fitted by least squares to the fitted rates η of the lines, z the parameter on its scale; shift = b·(z of the
    largest value − z of the smallest). Its interval is √(h² + 1.96²g²), h the half width of the jackknife over the seeds that all lines have, and g² = d²/48
    for each line, d a grid step: a quarter of the variance of rounding, as the parabola is that much better. From four values on, it is not narrower
    than that of the least squares fit itself.

    Args:
        cut: a slice.
        fits: of its lines, and maybe others.
        confidence: probability mass of the interval.

    Returns:
        The numbers of a row of the table `interactions`.
    """
    mine = fits.cut(cut.lines)
    found = np.isfinite(mine.rate)
    known = found if found.sum() > 1 else np.ones_like(found)
    values, rates = cut.values[known], mine.rate[known]
    step = float(np.fmax.reduce(mine.step))
    out: dict[str, Any] = {
        "from_value": values[0],
        "to_value": values[-1],
        "values": len(cut.values),
        "values_fitted": int(found.sum()),
        "from_learning_rate": 10.0 ** rates[0],
        "to_learning_rate": 10.0 ** rates[-1],
        "scale": axis_of(values)[0],
        "seeds": len(mine.fresh),
        "grid_step_decades": step,
    }
    if found.sum() < 2:
        return out
    return out | _fitted(
        axis_of(values), rates, mine._replace(left_out=mine.left_out[known]), step, confidence
    )


def _fitted(
    axis: tuple[str, Floats], rate: Floats, fits: Fits, step: float, confidence: float
) -> dict[str, Any]:
    """The shift and its interval, from log₁₀ of fitted rates [value], and the same without each seed."""
    from scipy import special  # not while a command starts

    scale, z = axis
    centred = z - z.mean()
    weight = centred / np.square(centred).sum()
    slope = weight @ rate
    size, values = float(np.sqrt(np.square(weight).sum())), len(z)
    over_seeds = half_width(slope, weight @ fits.left_out, fits.fresh, confidence)
    half = np.hypot(over_seeds, special.ndtri(0.5 + confidence / 2) * size * step / 48**0.5)
    if values > 3:
        rest = rate - rate.mean() - slope * centred
        error = size * np.sqrt(np.square(rest).sum() / (values - 2))
        half = np.fmax(half, t_quantile(values - 2, confidence) * error)
    ends = dict(zip(("", "_low", "_high"), slope + np.array([0.0, -half, half]), strict=True))
    across = z[-1] - z[0]
    low, high = ("_low", "_high") if across > 0 else ("_high", "_low")
    out = {"shift_decades": ends[""] * across}
    out |= {"shift_decades_low": ends[low] * across, "shift_decades_high": ends[high] * across}
    if scale != "linear":
        out |= {f"exponent{end}": value for end, value in ends.items()}
    return out | {"spread_decades": float(np.ptp(rate))}


def direction(row: Mapping[Any, Any]) -> str:
    """What the best rate does as a parameter grows: `grows`, `falls`, `stays` within one grid step, `varies` in no clear direction, or is `unknown`.

    Example:
        >>> row = {"values_fitted": 3, "shift_decades": 0.5, "shift_decades_low": 0.39, "shift_decades_high": 0.61,
        ...     "spread_decades": 0.5, "grid_step_decades": 0.25}
        >>> direction(row), direction(row | {"shift_decades_low": -0.1}), direction(row | {"spread_decades": 0.2})
        ('grows', 'varies', 'stays')
    """
    if row["values_fitted"] < 2:
        return "unknown"
    # Rates that lie a whole step apart but for rounding are within it.
    if row["spread_decades"] <= row["grid_step_decades"] * (1 + 1e-9):
        return "stays"
    if row["shift_decades_low"] <= 0 <= row["shift_decades_high"]:
        return "varies"
    return "grows" if row["shift_decades"] > 0 else "falls"


def sentence(row: Mapping[Any, Any]) -> str:
    r"""Tell in words how the best rate depends on a parameter.

    Example:
        >>> row = {"parameter": "problem_batch_size", "from_value": 16.0, "to_value": 256.0, "values": 3, "values_fitted": 3,
        ...     "shift_decades": -0.5, "shift_decades_low": -0.61, "shift_decades_high": -0.39, "spread_decades": 0.5,
        ...     "grid_step_decades": 0.25, "budget": "steps", "best_value": 64.0}
        >>> print(sentence(row).replace("; ", "\n"))
        the best rate moves by −0.5 decades from batch_size 16 to 256 at equal steps (−0.61 to −0.39)
        the loss is lowest at 64
        >>> print(sentence(row | {"spread_decades": 0.2}).replace("; ", "\n"))
        the best rate stays within one grid step from batch_size 16 to 256 at equal steps
        the loss is lowest at 64
    """
    name = short(row["parameter"])
    where = f"from {name} {row['from_value']:g} to {row['to_value']:g}"
    if row["parameter"] == BATCH_SIZE:
        where += f" at equal {row['budget']}"
    values, fitted = (int(row[name]) for name in ("values", "values_fitted"))
    lowest = f"; the loss is lowest at {row['best_value']:g}" if np.isfinite(row["best_value"]) else ""
    found = direction(row)
    if found == "unknown":
        return f"the best rate is known at {fitted} of {values} values of {name}: try smaller and larger rates{lowest}"
    left = f"; known at {fitted} of {values} values, at the others it is the first or the last rate tried"
    rest = lowest if fitted == values else left + lowest
    low, high = row["shift_decades_low"], row["shift_decades_high"]
    if found == "stays":
        return f"the best rate stays within one grid step {where}{rest}"
    if found == "varies":
        return f"the best rate varies by {_text(row['spread_decades'])} decades, in no clear direction, {where}{rest}"
    ends = f" ({_text(low)} to {_text(high)})" if np.isfinite(low) else ", from one seed"
    return f"the best rate moves by {_text(row['shift_decades'], '+')} decades {where}{ends}{rest}"


def short(column: str) -> str:
    """The name of a parameter as its entry has it.

    >>> short("optimizer_weight_decay"), short("learning_rate_output")
    ('weight_decay', 'learning_rate_output')
    """
    kind = column.partition("_")[0]
    return column.removeprefix(f"{kind}_") if kind in KINDS else column


def _text(value: float, sign: str = "") -> str:
    """A number with two digits and a minus sign."""
    return f"{value + 0.0:{sign}.2g}".replace("-", "−")
