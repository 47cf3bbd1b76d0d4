"""The worked example of docs/definitions.md, recomputed from the tables of the page."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pandas as pd
import pytest

from lrbench.analysis import judge, targets
from lrbench.tables.sensitivity import sensitivity
from tests.helpers import plain_answers

PAGE = Path(__file__).parents[2] / "docs" / "definitions.md"
_, _, EXAMPLE = PAGE.read_text().partition("### A worked example\n")
NAN = float("nan")


def _table(first: str) -> list[list[str]]:
    """The rows of the table of the example whose first column is this."""
    found = re.search(rf"^\| {first} \|.*\n\|[-|]+\n((?:\|.*\n)+)", EXAMPLE, re.MULTILINE)
    assert found
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in found[1].splitlines()]


def _number(cell: str) -> float:
    return float(cell.replace("−", "-"))


@pytest.fixture(scope="module")
def runs() -> pd.DataFrame:
    mine = [(_number(row[0]), seed, _number(row[1 + seed])) for row in _table("η") for seed in range(3)]
    rows = [("sgd", rate, seed, final) for rate, seed, final in mine]
    rows += [("adam", 0.1, seed, 0.08) for seed in range(3)]
    frame = pd.DataFrame(rows, columns=["optimizer", "learning_rate", "seed", "final_train_loss"])
    final = frame["final_train_loss"]
    status = pd.Series("ok", frame.index).mask(final.isna(), "nonfinite").mask(final > 2.3, "diverged")
    same = {"problem": "p", "schedule": "constant", "initial_train_loss": 2.3, "constant_loss": 2.0}
    return frame.assign(**same, status=status, pace_loss=0.095, rise=0.0, late_pace=0.0)


def test_the_columns_by_rate(runs: pd.DataFrame) -> None:
    line = plain_answers.lines_of(runs)[0]
    scores = plain_answers.scores(line, 0.08, NAN)
    for row, rate in zip(_table("η"), line.rates, strict=True):
        loss, gap, y, score = map(_number, row[4:])
        assert (loss, gap) == pytest.approx((rate.loss(2.0), line.gap(rate)), abs=6e-5), row[0]
        assert score == pytest.approx(scores[rate.rate], abs=6e-5), row[0]
        assert math.exp(y) == pytest.approx(rate.loss(2.0), rel=1e-4), row[0]


def test_the_answer(runs: pd.DataFrame) -> None:
    table = sensitivity(judge(runs))
    for name, value in _table("column"):
        assert table.loc[0, name] == pytest.approx(_number(value), abs=6e-5), name
    assert table.loc[0, "trains"]
    assert pd.isna(table.loc[0, "degrades_from"])
    assert targets(runs).tolist() == pytest.approx([0.176] * len(runs))


def test_the_verdicts(runs: pd.DataFrame) -> None:
    verdicts = judge(runs)["verdict"].tolist()
    good, stuck = ["good"] * 3, ["stuck"] * 3
    large = ["stuck", "stuck", "diverged", "collapsed", "collapsed", "diverged"]
    assert verdicts == [*stuck, *stuck, *good, *good, *large, *good]
