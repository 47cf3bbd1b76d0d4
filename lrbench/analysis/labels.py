"""Short labels such as `sgd(momentum=0.9)`, and learning rates as people write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

import numpy as np
import pandas as pd

from lrbench.analysis.groups import KINDS, columns_of, group, parameter_columns
from lrbench.study import sample


@overload
def label(row_or_frame: pd.Series, kind: str) -> str: ...
@overload
def label(row_or_frame: pd.DataFrame, kind: str) -> pd.Series: ...
def label(row_or_frame: pd.Series | pd.DataFrame, kind: str) -> str | pd.Series:
    """Label what is of a kind ("problem", "optimizer" or "schedule") by its name and the parameters that tell it apart.

    Of a frame: a label per row, with those parameters that differ within the frame for that name. Of one row:
    with every parameter it has.

    Example:
        >>> names = ["sgd", "sgd", "adam"]
        >>> frame = pd.DataFrame({"optimizer": names, "optimizer_momentum": [0.0, 0.9, None]})
        >>> label(frame, "optimizer").tolist()
        ['sgd(momentum=0)', 'sgd(momentum=0.9)', 'adam']
        >>> label(frame.iloc[1], "optimizer")
        'sgd(momentum=0.9)'
    """
    if isinstance(row_or_frame, pd.Series):
        own = parameter_columns(row_or_frame.to_frame().T, kind)
        return _write(row_or_frame, kind, own)
    code, first = group(row_or_frame, columns_of(row_or_frame, kind))
    distinct = row_or_frame.iloc[first]
    columns = parameter_columns(row_or_frame, kind)
    differing: dict[str, list[str]] = {}
    for name, mine in distinct.groupby(kind, sort=False):
        differing[str(name)] = [column for column in columns if mine[column].map(_value).nunique() > 1]
    rows = distinct[[kind, *columns]].to_dict("records")  # a Series for each row would take most of the time
    texts = [_write(row, kind, differing[str(row[kind])]) for row in rows]
    labels = np.array(texts, dtype=object)[code] if len(code) else np.array([], dtype=object)
    return pd.Series(labels, index=row_or_frame.index, dtype="str", name=kind)


def with_sampled(sensitivity: pd.DataFrame, optimizer: pd.Series) -> pd.Series:
    """Labels of the optimizers of a sensitivity table, with what is sampled together with the rate to use.

    Example:
        >>> frame = pd.DataFrame({"optimizer": ["sgd"], "sampled_optimizer_momentum": [0.91234]})
        >>> with_sampled(frame, label(frame, "optimizer")).tolist()
        ['sgd(momentum=0.912)']
    """
    columns = sample.columns(sensitivity.columns)
    if not columns:
        return optimizer
    names = [name.removeprefix(sample.column("")).removeprefix("optimizer_") for name in columns]
    found = []
    for text, row in zip(optimizer, sensitivity[columns].to_numpy(dtype=np.float64), strict=True):
        added = ", ".join(
            f"{name}={value:.3g}" for name, value in zip(names, row, strict=True) if np.isfinite(value)
        )
        inside = ", ".join(filter(None, [text.partition("(")[2].removesuffix(")"), added]))
        found.append(f"{text.partition('(')[0]}({inside})" if inside else text)
    return pd.Series(found, optimizer.index, dtype="str", name=optimizer.name)


def pair_names(table: pd.DataFrame) -> tuple[list[str], list[str]]:
    """The labels of both lines of every pair, with what tells them apart from any other line of the table."""
    own = [name.removeprefix("other_") for name in table.columns if name.startswith("other_")]
    own = [name for name in own if name not in ("learning_rate", "loss", "steps")]
    sides = [table[own], table[["other_" + name for name in own]].set_axis(own, axis=1)]
    both = pd.concat(sides, ignore_index=True)
    text = (label(both, "optimizer") + " + " + label(both, "schedule")).tolist()
    return text[: len(table)], text[len(table) :]


def _write(row: Mapping[Any, Any] | pd.Series, kind: str, columns: list[str]) -> str:
    pairs = [(column.removeprefix(kind + "_"), _value(row[column])) for column in columns]
    inside = ", ".join(f"{name}={value}" for name, value in pairs if value)
    return f"{row[kind]}({inside})" if inside else str(row[kind])


def _value(value: object) -> str:
    """A parameter as text: 0.9, true, 64x64; empty if it is missing."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return "x".join(_value(item) for item in value)
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value)).lower()
    return f"{value:g}" if isinstance(value, (float, np.floating)) else str(value)


def labels(frame: pd.DataFrame, kinds: Sequence[str] = KINDS) -> pd.DataFrame:
    """A label per row for each of these kinds, in columns of their names."""
    return pd.DataFrame({kind: label(frame, kind) for kind in kinds})


def rate_text(rate: float) -> str:
    """A learning rate with two digits: `3.2e-3`, and plainly from 0.01 to 1000.

    Example:
        >>> [rate_text(rate) for rate in (0.0032, 0.1, 0.025, 10.0)]
        ['3.2e-3', '0.1', '0.025', '10']
    """
    if 0.01 <= rate < 1000:
        return np.format_float_positional(float(f"{rate:.1e}"), trim="-")
    digits, power = f"{rate:.1e}".split("e")
    return f"{digits}e{int(power)}"
