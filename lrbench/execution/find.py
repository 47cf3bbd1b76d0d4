"""Learning-rate finders: one range test for each problem, optimizer and seed of a study."""

from __future__ import annotations

import math
import os
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from lrbench.analysis import label, rate_text, suggestions
from lrbench.analysis.range_tests import LOSS, RANGE_TEST
from lrbench.errors import StudyError
from lrbench.execution.execute import Finished, execute
from lrbench.execution.listener import Listener
from lrbench.execution.notebook import default_listener
from lrbench.results import pictures
from lrbench.results.remote_folder import results_at
from lrbench.results.results import Results
from lrbench.results.text_table import aligned
from lrbench.study import spec
from lrbench.study.spec import Study

LONGEST_NAME = 64


def find(
    study: str | os.PathLike[str] | Mapping[str, Any] | Study,
    out: str | os.PathLike[str] | None = None,
    **more: Any,
) -> Results:
    """Run learning-rate finders on a study, and return the results; `results.finders` has the suggestions.

    The arguments are those of `execute_range_tests`.

    >>> study = {"name": "line", "steps": 100, "seeds": 1, "problem": "house_prices", "optimizer": "sgd",
    ...          "learning_rate": {"min": 1e-3, "max": 10, "num": 5}}
    >>> results = find(study, "results/line_find")  # doctest: +SKIP
    >>> results.finders[["rule", "suggestion"]]  # doctest: +SKIP
    """
    return execute_range_tests(study, out, **more).results


def execute_range_tests(
    study: str | os.PathLike[str] | Mapping[str, Any] | Study,
    out: str | os.PathLike[str] | None = None,
    *,
    devices: int | None = None,
    overrides: Sequence[str] = (),
    trust: bool = False,
    listener: Listener | None = None,
) -> Finished:
    """Train the missing range tests of a study; write tables and the plot of the sweeps.

    Args:
        study: a study, its file, the name of a built-in one or of a problem, or a mapping.
        out: results folder; by default `results/<name>_find`.
        devices: how many devices to use; by default all.
        overrides: `key=value` strings.
        trust: whether code that the study names may run.
        listener: receives the progress.

    Raises:
        StudyError: if the study has a single rate, or named rates; and everything that `run` raises.
    """
    checked = study if isinstance(study, Study) else spec.read(study, overrides, trust=trust)
    try:
        tests = range_tests_of(checked)
    except StudyError as error:
        raise StudyError(f"{checked.where}: {error}") from error
    listener = listener or default_listener()
    done = execute(tests, out, devices=devices, report=False, listener=listener)
    listener.check()
    with results_at(out if out is not None else done.results.folder).locked():
        pictures.write(done.results, RANGE_TEST)
    return done


def range_tests_of(study: Study) -> Study:
    """Return the range tests of a study: its problems × optimizers × seeds, each from the smallest to the largest rate.

    Raises:
        StudyError: if there is no range to sweep, or more than one.
    """
    if study.sample:
        raise StudyError(
            f"sample = {study.sample}: a range test has one value of every parameter; remove sample, and the ranges of parameters"
        )
    rates = study.learning_rate.rates()
    if study.learning_rate.named:
        names = ", ".join(study.learning_rate.named)
        raise StudyError(
            f"learning_rate.{names}: a range test has one rate for all parameters; remove the named rates"
        )
    if len(rates) < 2:
        raise StudyError(
            f"learning_rate has a single rate, {rates[0]:g}; a range test requires two, its ends"
        )
    table = {
        "name": f"{study.name[: LONGEST_NAME - len('_find')]}_find",
        "steps": study.steps,
        "seeds": list(study.grid_seeds),
        "problem": study.problem,
        "optimizer": study.optimizer,
        "precision": study.precision,
        "objective": study.objective,
        **range_test_keys(rates[0], rates[-1]),
    }
    return spec.check(table, study.name, trust=True)


def range_test_keys(low: float, high: float) -> dict[str, Any]:
    """Return the keys that turn a study into range tests from a smallest rate to a largest.

    >>> range_test_keys(0.001, 1.0)["schedule"]
    {'name': 'range_test', 'start': 0.001}
    """
    return {
        "evaluate_every": 1,
        "schedule": {"name": RANGE_TEST, "start": low / high},
        "learning_rate": {"values": [high]},
        "probes": [LOSS],
    }


def suggestion_tables(results: Results) -> str:
    """Return the suggestions as a table for each problem: the median over seeds, and the lowest and the highest.

    Raises:
        StoreError: if the folder has no table of runs.
    """
    table = suggestions(results.finders)
    table["problem"], table["optimizer"] = label(table, "problem"), label(table, "optimizer")
    tables = []
    for problem, rows in table.groupby("problem", sort=False):
        reasons = bool(rows["none"].any())
        lines = [_line(row, reasons) for row in rows.to_dict("records")]
        text = aligned(lines, ("optimizer", "rule", "why none"))
        tables.append(f"{problem}\n{textwrap.indent(text, '  ')}")
    return "\n".join(tables)


def _line(row: Mapping[Any, Any], reasons: bool) -> dict[str, str]:
    names = ("suggestion", "lowest", "highest")
    cells = {"optimizer": row["optimizer"], "rule": row["rule"]}
    cells |= {name: "" if math.isnan(row[name]) else rate_text(row[name]) for name in names}
    if reasons:
        cells["none"] = f"{row['none']} of {row['seeds']}"
        cells["why none"] = row["reason"] if row["none"] else ""
    return cells
