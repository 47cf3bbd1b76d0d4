"""One column of a table as a NumPy array, and what can be said of it without one."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

LARGEST = 1e30
"""The largest number of a table; the square of a larger one would overflow, and with it the standard deviation."""


def is_text(kind: pa.DataType) -> bool:
    """Return whether a column contains texts, plain or dictionary-encoded."""
    dictionary = pa.types.is_dictionary(kind)
    kind = kind.value_type if dictionary else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def is_number(kind: pa.DataType) -> bool:
    """Return whether a column contains numbers or booleans."""
    plain = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return bool(plain or pa.types.is_boolean(kind) or pa.types.is_decimal(kind))


def missing(column: pa.Array) -> np.ndarray:
    """Return where the values of a column are missing."""
    nan = pa.types.is_floating(column.type)
    found: np.ndarray = column.is_null(nan_is_null=nan).to_numpy(zero_copy_only=False)
    return found


def texts(column: pa.Array) -> np.ndarray:
    """Return a column of texts as an array of Python strings, empty where a value is missing."""
    # NumPy's would all be as long as the longest.
    return np.array(["" if text is None else text for text in column.to_pylist()], dtype=object)


def numbers(column: pa.Array) -> np.ndarray:
    """Return a column as float64, NaN where a value is missing."""
    return np.array(
        pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64
    )


def distinct(column: pa.Array) -> int:
    """Return how many different values a column contains, without missing ones."""
    return int(pc.count_distinct(column, mode="only_valid").as_py())
