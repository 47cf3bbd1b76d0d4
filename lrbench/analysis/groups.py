"""Which columns identify a run, and fast grouping by them (parameters may be missing, or lists)."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from lrbench.study import sample

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
KINDS = ("problem", "optimizer", "schedule")
"""The kinds of entry that a line is made of; each has a name, and parameters."""


def parameter_columns(frame: pd.DataFrame, kind: str) -> list[str]:
    """The parameter columns of a kind ("problem", "optimizer" or "schedule"), in the frame's order.

    A named learning rate, whose column is `learning_rate_<name>`, belongs to the optimizer.

    Example:
        >>> parameter_columns(pd.DataFrame(columns=["optimizer", "optimizer_b2", "schedule"]), "optimizer")
        ['optimizer_b2']
    """
    own = [str(name) for name in frame.columns if str(name).startswith(kind + "_")]
    return own + (_named_rates(frame) if kind == "optimizer" else [])


def _named_rates(frame: pd.DataFrame) -> list[str]:
    # learning_rate_sensitivity... is a column of the sensitivity table; no rate has such a name.
    return [str(name) for name in frame.columns if re.match("learning_rate_(?!sensitivity)", str(name))]


def columns_of(frame: pd.DataFrame, *kinds: str) -> list[str]:
    """The columns that identify entries of these kinds: their names first, then their parameters."""
    names = [kind for kind in kinds if kind in frame.columns]
    return names + [name for kind in kinds for name in parameter_columns(frame, kind)]


def line_columns(frame: pd.DataFrame) -> list[str]:
    """The columns that identify a line: one problem × optimizer × schedule with their parameters."""
    return columns_of(frame, *KINDS)


def point_columns(frame: pd.DataFrame) -> list[str]:
    """The columns that identify a grid point: everything that identifies a run, except its seed."""
    leading = ["study", *KINDS, "learning_rate", *_named_rates(frame), "steps"]
    parameters = [name for kind in KINDS for name in parameter_columns(frame, kind)]
    sampled = sample.columns(frame.columns)
    return list(dict.fromkeys([name for name in leading if name in frame.columns] + parameters + sampled))


def is_sampled(frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Whether each row is of a line whose parameters are sampled together with its rates.

    Example:
        >>> is_sampled(pd.DataFrame({"sampled_optimizer_momentum": [0.9, None]})).tolist()
        [True, False]
    """
    found = frame[sample.columns(frame.columns)].notna().to_numpy(dtype=np.bool_)
    return np.asarray(found.any(axis=1))


def _codes(column: pd.Series) -> Ints:
    try:
        found = pd.factorize(column)[0]
    except TypeError:  # a list-valued parameter such as hidden = [64, 64]: its text is its identity
        found = pd.factorize(column.map(str))[0]
    return np.asarray(found, dtype=np.int64)


def group(frame: pd.DataFrame, columns: Sequence[str]) -> tuple[Ints, Ints]:
    """Number the distinct combinations of `columns` in order of appearance; missing equals missing.

    Returns:
        code [row]: the group of every row; first [group]: a row of each group, to read its identity from.

    Example:
        >>> code, first = group(pd.DataFrame({"problem": ["a", "b", "a"]}), ["problem"])
        >>> code.tolist(), first.tolist()
        ([0, 1, 0], [0, 1])
    """
    code = np.zeros(len(frame), dtype=np.int64)
    for name in columns:
        values = _codes(frame[name]) + 1  # -1 is "missing"
        # Renumbering after each column keeps the product below the square of the number of rows.
        code = np.asarray(pd.factorize(code * (int(values.max(initial=0)) + 1) + values)[0], dtype=np.int64)
    first = np.unique(code, return_index=True)[1]
    return code, first.astype(np.int64)


def members(code: Ints) -> list[Ints]:
    """The rows of every group, as one index array per group."""
    order = np.argsort(code, kind="stable")
    ends = np.cumsum(np.bincount(code))
    return np.split(order, ends[:-1]) if len(code) else []


def identity(frame: pd.DataFrame, first: Ints, columns: Sequence[str]) -> pd.DataFrame:
    """One row per group with its identity columns."""
    return frame[list(columns)].iloc[first].reset_index(drop=True)
