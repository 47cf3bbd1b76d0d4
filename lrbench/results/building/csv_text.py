"""Texts that are safe in a CSV file: a spreadsheet takes some for formulas, which could fetch or run things."""

from __future__ import annotations

from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc

_FORMULA = r"^[=+\-@\t\r]"
Table = TypeVar("Table", pa.Table, pa.RecordBatch)


def safe(table: Table) -> Table:
    """Return a table with an apostrophe before each text, headings included, that a spreadsheet would run as a formula.

    Such a text begins with =, +, -, @, a tab or a carriage return; the name of a problem could be one. Numbers
    stay as they are.

    >>> safe(pa.table({"@name": ["=1+1", "sgd"], "loss": [-1.0, 2.0]})).to_pydict()
    {"'@name": ["'=1+1", 'sgd'], 'loss': [-1.0, 2.0]}

    Source: OWASP, CSV Injection.
    """
    heads = _texts(pa.array(table.schema.names, pa.string())).to_pylist()
    return type(table).from_arrays([_texts(column) for column in table.columns], names=heads)


def _texts(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = pc.cast(column, column.type.value_type)
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column
    return pc.replace_substring_regex(column, _FORMULA, r"'\0")
