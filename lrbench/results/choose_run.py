"""Which run of some results has the weights that a person asks for."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lrbench.analysis.groups import KINDS, line_columns
from lrbench.analysis.labels import label
from lrbench.analysis.objective import losses, objectives_of
from lrbench.errors import StudyError, counted
from lrbench.results.results import Results
from lrbench.study.catalog import unknown


def choose_run(
    results: Results,
    *,
    problem: str | None = None,
    optimizer: str | None = None,
    schedule: str | None = None,
    seed: int | None = None,
    run: str | None = None,
) -> pd.Series:
    """Return the row of the runs table of one run that trained to its end: at the rate to use of a line.

    Args:
        results: the results.
        problem, optimizer, schedule: names, or labels as the answer has them; of the lines that fit, the best one is taken, also of several
            variants of a problem, such as networks of two sizes.
        seed: of the runs at that rate; left out, the one whose loss is the median, and of two the lower one.
        run: a run_id, in place of all others.

    Raises:
        StudyError: if no run or more than one problem fits.
    """
    named = {"problem": problem, "optimizer": optimizer, "schedule": schedule}
    if run is not None:
        given = [name for name, value in {**named, "seed": seed}.items() if value is not None]
        if given:
            raise StudyError(f"run = {run!r}: is one run already; leave out {', '.join(given)}")
        return _finished(_of_id(results.runs, run))
    line = results.sensitivity.iloc[int(_line(results, named)["line"])]
    runs = _at_rate(results, line)
    if seed is not None:
        found = runs[runs["seed"] == seed]
        if found.empty:
            seeds = ", ".join(map(str, sorted(runs["seed"])))
            raise StudyError(f"seed = {seed}: no run at the rate to use has it; those have: {seeds}")
        return _finished(found.iloc[0])
    _, loss = losses(runs, objectives_of(results.manifest))
    runs = runs[np.isfinite(loss) & (runs["status"] == "ok").to_numpy()]
    if runs.empty:
        raise StudyError("no run at the rate to use trained to its end; name one by run=, or more seeds")
    _, loss = losses(runs, objectives_of(results.manifest))
    return runs.iloc[np.argsort(loss, kind="stable")[(len(runs) - 1) // 2]]


def _of_id(runs: pd.DataFrame, run: str) -> pd.Series:
    found = runs[runs["run_id"] == run]
    if found.empty:
        raise StudyError(
            f"run = {run!r}: none of the {counted(len(runs), 'run')} has this run_id; runs.csv has them all"
        )
    return found.iloc[0]


def _finished(run: pd.Series) -> pd.Series:
    """Return a run, if it trained to its end: of any other there are no weights."""
    if run["status"] != "ok":
        raise StudyError(
            f"run {run['run_id']} has no weights: it did not train to its end, its status is {run['status']}; "
            "choose another run or seed"
        )
    return run


def _line(results: Results, named: dict[str, str | None]) -> pd.Series:
    """Return the best of the lines that fit, as a row of the answer."""
    answer, lines = results.best(), results.sensitivity
    for kind in KINDS:
        given = named[kind]
        if given is None:
            continue
        mine = lines.iloc[answer["line"]]
        whole = np.array([label(row, kind) for _, row in mine.iterrows()], dtype=object)
        fits = (answer[kind].to_numpy() == given) | (mine[kind].to_numpy() == given) | (whole == given)
        if not fits.any():
            known = list(dict.fromkeys(answer[kind]))
            raise StudyError(f"{kind}: {unknown(kind, given, known)}")
        answer = answer[fits]
    problems = list(dict.fromkeys(answer["problem"]))
    if lines.iloc[answer["line"]]["problem"].nunique() > 1:
        raise StudyError(f"problem: name one of the {len(problems)} of this study: {', '.join(problems)}")
    answer = answer[answer["trains"]]
    if answer.empty:
        raise StudyError("no rate of this line trains, so there are no weights; try other rates")
    # Models of one problem, such as networks of several sizes, are judged by the same loss on the same data.
    return answer.sort_values("loss", kind="stable").iloc[0]


def _at_rate(results: Results, line: pd.Series) -> pd.DataFrame:
    """Return the runs of a line at its rate to use."""
    runs = results.runs
    names = [name for name in line_columns(results.sensitivity) if name in runs]
    for name in names:
        own, value = runs[name], line[name]
        runs = runs[own.isna() if _missing(value) else own == value]
    rate = line.get("use_learning_rate", line["best_learning_rate"])
    distance = np.abs(np.log(runs["learning_rate"].to_numpy()) - np.log(rate))
    return runs[distance == distance.min()]


def _missing(value: object) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value))
