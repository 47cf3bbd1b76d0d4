"""What a study gave, as pandas tables, plots and a report."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lrbench.analysis.objective import objectives_of
from lrbench.analysis.thresholds import Thresholds
from lrbench.errors import LrbenchError, StoreError, path_of
from lrbench.results import safe_files
from lrbench.results.checksums import SURFACES, CheckedTables
from lrbench.results.folder import JOBS_LINKS, MANIFEST, ResultsFolder
from lrbench.results.remote_folder import read_copy
from lrbench.results.some_curves import RUN, some_curves
from lrbench.study import catalog
from lrbench.tables.base import may_be_absent

if TYPE_CHECKING:
    from matplotlib.figure import Figure


Opened = TypeVar("Opened", bound="Results")


@dataclass(frozen=True)
class Results:
    """A results folder, and each of its tables as an attribute: `runs`, `curves`, `sensitivity` and all of `lrbench list tables`.

    >>> results = load("results/digits")  # doctest: +SKIP
    >>> results.best()  # doctest: +SKIP
    >>> results.sensitivity["best_learning_rate"]  # doctest: +SKIP
    """

    folder: Path

    @functools.cached_property
    def manifest(self) -> dict[str, Any]:
        """How the results were made: versions, devices, times, thresholds."""
        return ResultsFolder(self.folder).manifest

    @functools.cached_property
    def tables(self) -> CheckedTables:
        """The files of the tables, each checked once against the manifest before it is read."""
        return ResultsFolder(self.folder).tables

    def __getattr__(self, name: str) -> pd.DataFrame:
        """Return a table by its name, read when it is first asked for; one that a study may do without is then empty."""
        if name not in catalog.names("table"):
            known = catalog.names("table")
            raise AttributeError(
                catalog.unknown("attribute or table", name, known, "`lrbench list tables` lists")
            )
        file = f"{name}.parquet"
        # One that was written and is gone is not empty; but only `lrbench run` can write surfaces again.
        absent = (
            may_be_absent(name)
            and not safe_files.exists(self.folder, file)
            and (file == SURFACES or not self.tables.lacks(file))
        )
        table = self.__dict__[name] = pd.DataFrame() if absent else self._table(name)
        return table

    def __dir__(self) -> list[str]:
        """List the tables among the attributes."""
        return sorted({*super().__dir__(), *catalog.names("table")})

    def __repr__(self) -> str:
        """Show the study, how many runs it has, the answer of its first problems, and the folder."""
        from lrbench.results.shown import as_short_text

        try:
            return as_short_text(self.folder, self.manifest, self.best(), self.thresholds)
        except LrbenchError as error:
            return f"Results({str(self.folder)!r}), which cannot be read: {error}"

    def _repr_html_(self) -> str | None:
        """Show a notebook the answer, and the loss against the learning rate where that is quickly drawn; None: the text says what is wrong."""
        from lrbench.results.shown import MOST_DRAWN, as_html

        try:
            answer = self.best()
            drawn = not answer.empty and self.manifest.get("runs", {}).get("done", 0) <= MOST_DRAWN
            figure = self.plot("loss_vs_learning_rate") if drawn else None
        except LrbenchError:
            return None
        return as_html(self.folder, self.manifest, answer, self.thresholds, figure)

    def __reduce__(self) -> tuple[type[Self], tuple[Path]]:
        """Pickle the folder; what was read of it is read again."""
        return type(self), (self.folder,)

    @property
    def thresholds(self) -> Thresholds:
        """The limits that words such as good depend on."""
        return Thresholds.of(self.manifest.get("thresholds", {}))

    def best(self) -> pd.DataFrame:
        """Return the answer: which rate to use, in which band, where training collapses, how far lines are behind, how sure that is."""
        from lrbench.analysis import best

        pairs = self.if_written("comparison")
        return best(self.sensitivity, self.thresholds, pairs, objectives_of(self.manifest))

    def if_written(self, name: str) -> pd.DataFrame:
        """Return a table; an empty one where the folder is of an older lrbench, which did not have it.

        Raises:
            StoreError: if it was written, and is gone or has changed.
        """
        file = f"{name}.parquet"
        there = safe_files.exists(self.folder, file) or self.tables.lacks(file)
        return getattr(self, name) if there else pd.DataFrame()

    def query(self, sql: str, timeout: float = 60.0) -> pd.DataFrame:
        """Return what a statement of SQL selects from the tables, by DuckDB: `SELECT * FROM runs LIMIT 5`.

        Args:
            sql: one statement.
            timeout: seconds after which it is ended; 0 is never.

        Raises:
            DataError: if DuckDB is not there, refuses the statement, or needs more time or memory than there is.
        """
        from lrbench.results.query import query

        return query(self.tables, sql, timeout)

    def export(self, name: str, folder: str | os.PathLike[str] | None = None) -> str:
        """Write the results for another tool, and return a line on how to open them there.

        Args:
            name: of an exporter; `lrbench list exporters` names them.
            folder: a new or empty one; left out, one of that name in the results folder.

        Raises:
            StudyError: if there is no such exporter.
            StoreError: if the folder holds something, or cannot be written.
        """
        write = catalog.get("exporter", name).load()
        target = path_of(folder) if folder is not None else safe_files.path(self.folder, name)
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise StoreError(f"{target}: already exists; remove it, or choose another --out")
        try:
            target.mkdir(parents=True, exist_ok=True)
            message: str = write(self, target)
        except OSError as error:
            raise StoreError(
                f"{target}: cannot be written: {error.strerror or error}; choose another --out"
            ) from error
        finally:
            with contextlib.suppress(OSError):  # it holds what was written, or could not be made
                target.rmdir()
        return message

    def compare(self, *others: Results | str | os.PathLike[str]) -> pd.DataFrame:
        """Return the lines that these results and others have, side by side: see `lrbench.compare`."""
        return compare(self, *others)

    def plot(self, name: str, problem: str | None = None) -> Figure:
        """Return a plot as a matplotlib figure.

        Args:
            name: of the plot; `lrbench list plots` lists them.
            problem: the name or the label of the only problem to draw; left out, all of them.

        Raises:
            StudyError: if there is no such plot or problem.
        """
        from lrbench.results.one_problem import OneProblem

        draw = catalog.get("plot", name).load()
        figure: Figure = draw(self if problem is None else OneProblem(self, problem))
        return figure

    def report(self) -> str:
        """Return the report as one self-contained HTML page."""
        from lrbench.report import report

        return report(self)

    def save(self, folder: str | os.PathLike[str]) -> Self:
        """Copy everything to a folder, and return the results there.

        Raises:
            StoreError: if the folder is there already, or cannot be written, or there is a link in what is copied.
        """
        target = path_of(folder)
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise StoreError(f"{target}: already exists; give a new folder")
        safe_files.refuse_links(self.folder, "", but=JOBS_LINKS)
        try:
            shutil.copytree(self.folder, target, symlinks=True, dirs_exist_ok=True)
        except OSError as error:
            raise StoreError(f"{target}: cannot be written: {error.strerror or error}") from error
        return dataclasses.replace(self, folder=target)

    def some_curves(self, *names: str) -> pd.DataFrame:
        """Return `run_id`, as categories, and some columns of the table of curves, in a tenth of the memory of all of them.

        Args:
            *names: of the columns; those that the table lacks are left out.
        """
        with self._opened("curves") as file, pq.ParquetFile(file, read_dictionary=[RUN]) as written:
            return some_curves(written, names)

    def _table(self, name: str) -> pd.DataFrame:
        with self._opened(name) as file:
            return pd.read_parquet(file)

    @contextlib.contextmanager
    def _opened(self, name: str) -> Iterator[pa.NativeFile]:
        """Open the file of a table; what goes wrong is said with the command that writes it again."""
        path = self.folder / f"{name}.parquet"
        if path.is_dir():  # which pandas would read as a table in pieces, and an empty one as an empty table
            raise StoreError(
                f"{path}: is a folder, not a table; remove it, and `lrbench report {self.folder}` writes it again"
            )
        try:
            with self.tables.open(path.name) as file, safe_files.native(file) as native:
                yield native
        except FileNotFoundError as error:
            raise StoreError(
                f"{path}: is missing; `lrbench report {self.folder}` makes it from the parts"
            ) from error
        except (OSError, ValueError) as error:
            raise StoreError(
                f"{path}: cannot be read ({error}); `lrbench report {self.folder}` writes it again"
            ) from error


def load(folder: str | os.PathLike[str]) -> Results:
    """Open a results folder, or a copy of one that is at a URL, as it is now.

    Every table of up to 1 GiB is compared with the sum that the manifest has of it; larger ones are when they are read.

    Raises:
        StoreError: if it is none, or one of a newer lrbench, or a table is not what was written.
    """
    return checked(Results(read_copy(folder)))


def checked(results: Opened) -> Opened:
    """Return results once their folder is known to be one, and its tables are checked, as of `load`."""
    path = results.folder
    if not results.manifest:
        inside = [str(found.parent) for found in sorted(path.glob(f"*/{MANIFEST}"))]
        remedy = (
            f"give one that is in it: {', '.join(inside)}" if inside else "`lrbench run STUDY` creates one"
        )
        raise StoreError(f"{path}: is not a results folder (it has no {MANIFEST}); {remedy}")
    results.tables.check(large=False)
    return results


def compare(*results: Results | str | os.PathLike[str]) -> pd.DataFrame:
    """Compare results with the first of them: every line that both have, each at its best rate, paired by seed.

    Args:
        *results: two or more results, or their folders.

    Returns:
        A row per line and further results: problem, optimizer, schedule and their parameters; `folder` and
        `other_folder`; the numbers of the comparison table, a difference below 0 meaning that the first have less
        loss; `same_runs`, how many runs of the line both have by run_id, and `changed_runs`, how many of these end
        with a loss that differs by more than a thousandth; and `answer`, in words.

    Raises:
        StoreError: if there are fewer than two, one is not a results folder, or two have no line in common.

    >>> compare("results/before", "results/after")  # doctest: +SKIP
    """
    from lrbench.results.compare import side_by_side

    opened = [each if isinstance(each, Results) else load(each) for each in results]
    if len(opened) < 2:
        raise StoreError(f"compare: needs two results folders or more, not {len(opened)}")
    return side_by_side(opened[0], opened[1:])
