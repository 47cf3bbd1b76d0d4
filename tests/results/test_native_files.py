"""Files that Arrow reads with threads: they are its own, so that a process that is done at once ends as it should."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

import lrbench as lb
from lrbench.execution.execute import execute
from lrbench.results import safe_files
from tests.helpers.foreign import STUDY


def test_a_native_file_needs_no_object_of_python(tmp_path: Path) -> None:
    """It reads on when the file it was made from is closed, and even removed."""
    (tmp_path / "a").write_bytes(b"0123456789")
    with safe_files.open_file(tmp_path, "a") as file:
        file.seek(4)
        native = safe_files.native(file)
    (tmp_path / "a").unlink()
    with native:
        assert native.read() == b"0123456789"


@pytest.mark.slow
def test_every_table_is_read_from_a_native_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of building, loading, querying and exporting; what reads no more than the footer, or without threads, may do as it likes."""
    given: list[Any] = []
    opened, read = pq.ParquetFile.__init__, pq.ParquetFile.read

    class Format(pyarrow.dataset.ParquetFileFormat):
        """A format that tells what it is given."""

        def make_fragment(self, file: Any) -> Any:
            given.append(file)
            return super().make_fragment(file)

    def noted(self: pq.ParquetFile, source: Any, *more: Any, **options: Any) -> None:
        opened(self, source, *more, **options)
        self.given = source

    def threaded(self: pq.ParquetFile, *more: Any, **options: Any) -> pa.Table:
        if options.get("use_threads", True):
            given.append(self.given)
        return read(self, *more, **options)

    monkeypatch.setattr(pq.ParquetFile, "__init__", noted)
    monkeypatch.setattr(pq.ParquetFile, "read", threaded)
    for name in ("read_row_group", "read_row_groups", "iter_batches"):
        method = getattr(pq.ParquetFile, name)

        def other(self: pq.ParquetFile, *more: Any, method: Any = method, **options: Any) -> Any:
            given.append(self.given)
            return method(self, *more, **options)

        monkeypatch.setattr(pq.ParquetFile, name, other)
    execute(STUDY, tmp_path / "out", report=False)
    assert given
    del given[:]
    results = lb.load(tmp_path / "out")
    assert len(results.runs)
    assert len(results.some_curves("train_loss"))
    results.export("csv", tmp_path / "csv")
    assert len(given) > 3
    monkeypatch.setattr(pyarrow.dataset, "ParquetFileFormat", Format)
    assert results.query("SELECT count(*) AS runs FROM runs")["runs"].tolist() == [len(results.runs)]
    assert not [each for each in given if not isinstance(each, pa.NativeFile | Path | str)]
