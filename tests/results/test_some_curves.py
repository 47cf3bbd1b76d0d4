"""Columns of the table of curves: as the whole table has them, however it is cut."""

from __future__ import annotations

import io

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lrbench.results.some_curves import some_curves

CURVES = pa.table(
    {
        "run_id": ["b", "b", "b", "a", "a", "c"],
        "step": [0, 5, 9, 0, 5, 0],
        "train_loss": [1.0, None, 3.0, 4.0, 5.0, 6.0],
        "valid_loss": pa.array([None] * 6, pa.float64()),
    }
)


@pytest.mark.parametrize("rows", [1, 2, 4, 6])
def test_some_columns_are_those_of_the_table(rows: int) -> None:
    """A row group may end within a run."""
    file = io.BytesIO()
    pq.write_table(CURVES, file, row_group_size=rows)
    found = some_curves(pq.ParquetFile(file, read_dictionary=["run_id"]), ["step", "train_loss", "no_such"])
    assert isinstance(found["run_id"].dtype, pd.CategoricalDtype)
    assert found["run_id"].cat.categories.tolist() == ["b", "a", "c"]
    wanted = CURVES.to_pandas()[["run_id", "step", "train_loss"]]
    pd.testing.assert_frame_equal(found.astype({"run_id": "str"}), wanted)


def test_a_table_without_rows_has_its_columns() -> None:
    file = io.BytesIO()
    pq.write_table(CURVES[:0], file)
    found = some_curves(pq.ParquetFile(file, read_dictionary=["run_id"]), ["step", "valid_loss"])
    assert (len(found), list(found)) == (0, ["run_id", "step", "valid_loss"])
