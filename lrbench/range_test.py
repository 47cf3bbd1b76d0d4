"""Learning-rate finders on a study: one range test for each problem, optimizer and seed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from lrbench import pipeline, study
from lrbench.analysis.finders import LOSS, RANGE_TEST
from lrbench.errors import StudyError
from lrbench.pipeline import Finished, Listener
from lrbench.results import Results, write_plot
from lrbench.study import Study

LONGEST_NAME = 64


def find(
    asked: str | os.PathLike[str] | Mapping[str, Any],
    out: str | os.PathLike[str] | None = None,
    **more: Any,
) -> Results:
    """Sweep a study's learning rates as finders do, and return the results; `results.finders` has the suggestions.

    The arguments are those of `execute`.

    >>> study = {"name": "line", "steps": 100, "seeds": 1, "problem": "house_prices", "optimizer": "sgd",
    ...          "learning_rate": {"min": 1e-3, "max": 10, "num": 5}}
    >>> results = find(study, "results/line_find")  # doctest: +SKIP
    >>> results.finders[["rule", "suggestion"]]  # doctest: +SKIP
    """
    return execute(asked, out, **more).results


def execute(
    asked: str | os.PathLike[str] | Mapping[str, Any],
    out: str | os.PathLike[str] | None = None,
    *,
    overrides: Sequence[str] = (),
    trust: bool = False,
    listener: Listener | None = None,
) -> Finished:
    """Train the range tests of a study that the folder does not hold yet; write tables and the plot of the sweeps.

    Args:
        asked: a study, as a file, a built-in name or a mapping.
        out: results folder; left out, `results/<name>_find`.
        overrides: `key=value` texts.
        trust: whether code that the study names may run.
        listener: told of the progress.

    Raises:
        StudyError: if the study has one rate alone, or named rates; and all that a run raises.
    """
    wanted = study.read(asked, overrides, trust=trust)
    where = str(asked) if isinstance(asked, str | os.PathLike) else wanted.name
    try:
        tests = of_study(wanted)
    except StudyError as error:
        raise StudyError(f"{where}: {error}") from error
    done = pipeline.execute(tests, out, report=False, listener=listener)
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
        "evaluate_every": 1,
        "seeds": list(wanted.seeds),
        "problem": wanted.problem,
        "optimizer": wanted.optimizer,
        "schedule": {"name": RANGE_TEST, "start": rates[0] / rates[-1]},
        "learning_rate": {"values": [rates[-1]]},
        "precision": wanted.precision,
        "objective": wanted.objective,
        "probes": [LOSS],
    }
    return study.check(table, wanted.name, trust=True)
