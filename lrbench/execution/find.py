"""Learning-rate finders on a study: one range test for each problem, optimizer and seed."""

from __future__ import annotations

import math
import os
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from lrbench.analysis import label, rate_text, suggestions
from lrbench.analysis.finders import LOSS, RANGE_TEST
from lrbench.errors import StudyError
from lrbench.execution.execute import Finished, execute
from lrbench.execution.listener import Listener
from lrbench.results.results import Results, write_plot
from lrbench.results.text_table import aligned
from lrbench.study import spec
from lrbench.study.spec import Study

LONGEST_NAME = 64


def find(
    asked: str | os.PathLike[str] | Mapping[str, Any],
    out: str | os.PathLike[str] | None = None,
    **more: Any,
) -> Results:
    """Sweep a study's learning rates as finders do, and return the results; `results.finders` has the suggestions.

    The arguments are those of `execute_tests`.

    >>> study = {"name": "line", "steps": 100, "seeds": 1, "problem": "house_prices", "optimizer": "sgd",
    ...          "learning_rate": {"min": 1e-3, "max": 10, "num": 5}}
    >>> results = find(study, "results/line_find")  # doctest: +SKIP
    >>> results.finders[["rule", "suggestion"]]  # doctest: +SKIP
    """
    return execute_tests(asked, out, **more).results


def execute_tests(
    asked: str | os.PathLike[str] | Mapping[str, Any],
    out: str | os.PathLike[str] | None = None,
    *,
    devices: int | None = None,
    overrides: Sequence[str] = (),
    trust: bool = False,
    listener: Listener | None = None,
) -> Finished:
    """Train the range tests of a study that the folder does not hold yet; write tables and the plot of the sweeps.

    Args:
        asked: a study, as a file, a built-in name or a mapping.
        out: results folder; left out, `results/<name>_find`.
        devices: how many devices are used; all, left out.
        overrides: `key=value` texts.
        trust: whether code that the study names may run.
        listener: told of the progress.

    Raises:
        StudyError: if the study has one rate alone, or named rates; and all that a run raises.
    """
    wanted = spec.read(asked, overrides, trust=trust)
    try:
        tests = of_study(wanted)
    except StudyError as error:
        raise StudyError(f"{wanted.where}: {error}") from error
    listener = listener or Listener()
    done = execute(tests, out, devices=devices, report=False, listener=listener)
    listener.check()
    write_plot(done.results, RANGE_TEST)
    return done


def of_study(wanted: Study) -> Study:
    """Return the range tests of a study: its problems × optimizers × seeds, at a rate from its least to its greatest.

    Raises:
        StudyError: if there is nothing to sweep, or more than one thing.
    """
    rates = wanted.learning_rate.rates()
    if wanted.learning_rate.named:
        names = ", ".join(wanted.learning_rate.named)
        raise StudyError(
            f"learning_rate.{names}: a range test has one rate for all parameters; leave out named rates"
        )
    if len(rates) < 2:
        raise StudyError(f"learning_rate has the rate {rates[0]:g} alone; a range test needs two, its ends")
    table = {
        "name": f"{wanted.name[: LONGEST_NAME - len('_find')]}_find",
        "steps": wanted.steps,
        "seeds": list(wanted.seeds),
        "problem": wanted.problem,
        "optimizer": wanted.optimizer,
        "precision": wanted.precision,
        "objective": wanted.objective,
        **keys(rates[0], rates[-1]),
    }
    return spec.check(table, wanted.name, trust=True)


def keys(low: float, high: float) -> dict[str, Any]:
    """Return the keys that make a study one of range tests, from a least rate to a greatest.

    >>> keys(0.001, 1.0)["schedule"]
    {'name': 'range_test', 'start': 0.001}
    """
    return {
        "evaluate_every": 1,
        "schedule": {"name": RANGE_TEST, "start": low / high},
        "learning_rate": {"values": [high]},
        "probes": [LOSS],
    }


def text(results: Results) -> str:
    """Return the suggestions as a table for each problem: the median over seeds, and the lowest and the highest.

    Raises:
        StoreError: if the folder has no table of runs.
    """
    said = suggestions(results.finders)
    said["problem"], said["optimizer"] = label(said, "problem"), label(said, "optimizer")
    tables = []
    for problem, rows in said.groupby("problem", sort=False):
        reasons = bool(rows["none"].any())
        lines = [_line(row, reasons) for row in rows.to_dict("records")]
        table = aligned(lines, ("optimizer", "rule", "why none"))
        tables.append(f"{problem}\n{textwrap.indent(table, '  ')}")
    return "\n".join(tables)


def _line(row: Mapping[Any, Any], reasons: bool) -> dict[str, str]:
    names = ("suggestion", "lowest", "highest")
    cells = {"optimizer": row["optimizer"], "rule": row["rule"]}
    cells |= {name: "" if math.isnan(row[name]) else rate_text(row[name]) for name in names}
    if reasons:
        cells["none"] = f"{row['none']} of {row['seeds']}"
        cells["why none"] = row["reason"] if row["none"] else ""
    return cells
