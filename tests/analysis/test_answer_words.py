"""The table of the answer: its cells, what they mean, and numbers with the digits that they have."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrbench import analysis
from lrbench.analysis import Thresholds, answer_words
from tests.analysis.test_best import NO_LINE, lines, pairs
from tests.helpers.frames import NAN


def cells(table: pd.DataFrame, *, brief: bool = False) -> dict[str, str]:
    (row,) = answer_words.rows_of(analysis.best(table))
    (found,) = answer_words.cells([row], brief=brief)
    return found


def test_the_cells_of_a_line() -> None:
    assert cells(lines({})) == {
        "optimizer": "adam", "schedule": "constant", "use": "0.046", "band": "0.02 to 0.1", "collapse": "0.46 to 1",
        "loss": "0.035 ± 0.004", "accuracy": "98.9 %", "behind": "winner",
    }  # fmt: skip
    assert cells(lines({}), brief=True)["band"] == "0.02–0.1"
    none = {"collapse_low": NAN, "collapse_high": NAN}
    for change, words, signs in (
        ({"degrades_from": 0.22}, "degrades from 0.22", "from 0.22"),
        (none, "none up to 10", "> 10"),
        (none | {"max_stable_learning_rate": NAN}, "–", "–"),
    ):
        assert cells(lines(change))["collapse"] == words
        assert cells(lines(change), brief=True)["collapse"] == signs
    dead = cells(lines(NO_LINE))
    assert (dead["use"], dead["band"], dead["collapse"], dead["loss"]) == ("–", "no rate trains", "–", "–")
    assert "accuracy" not in cells(lines({"headline": None}))


def test_the_legend_says_what_the_band_is() -> None:
    own = {"pace_low": NAN, "pace_high": NAN}
    other = {"optimizer": "other", "use_loss": 0.05}
    apart = {"other_optimizer": "other", "decided": False}
    both = answer_words.rows_of(analysis.best(lines({}, other | own), comparison=pairs(apart)))
    assert answer_words.legend(both, Thresholds(good=0.1)) == [
        "band: at most a fifth more steps; *: within 10 % of the line's own best"
    ]
    assert [row["band"] for row in answer_words.cells(both)] == ["0.02 to 0.1", "0.01 to 0.2*"]
    assert answer_words.legend(both, Thresholds(), brief=True)[1] == (
        "≈: cannot be told apart from the winner; +: so many more seeds would tell"
    )
    alone = answer_words.rows_of(analysis.best(lines(own)))
    assert answer_words.legend(alone, Thresholds()) == ["band: within 5 % of the line's own best"]
    assert answer_words.cells(alone)[0]["band"] == "0.01 to 0.2"
    assert answer_words.legend(answer_words.rows_of(analysis.best(lines(NO_LINE))), Thresholds()) == []
    another = answer_words.rows_of(analysis.best(lines({"use_learning_rate": 0.01})))
    assert answer_words.cells(another)[0]["band"] == "(0.02 to 0.1)"
    assert answer_words.legend(another, Thresholds(faster=1.5)) == [
        "band: at most 50 % more steps",
        "( ): around the rate of the least loss, which is not the one to use",
    ]


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((0.03527, 0.0313, 0.0393), "0.035 ± 0.004"),
        (
            (0.506, 0.5036, 0.5064),
            "0.5060 ± 0.0014",
        ),  # half is 1.4 of its last digit but one: two digits of it
        ((12345.6, 12000.0, 12700.0), "12300 ± 400"),
        ((-0.5, -0.7, -0.3), "−0.5 ± 0.2"),
        ((3.21e-8, 3.17e-8, 3.25e-8), "(3.21 ± 0.04)e-8"),
        ((2.0e7, 1.9e7, 2.1e7), "(2.00 ± 0.10)e7"),
        ((0.0, -1e-9, 1e-9), "(0.0 ± 1.0)e-9"),
        ((0.0096, 0.0, 0.0192), "0.010 ± 0.010"),
        ((0.25, 0.25, 0.25), "0.25"),
        ((0.123456, NAN, NAN), "0.123"),
        ((NAN, 0.0, 1.0), "–"),
        ((np.inf, 0.0, np.inf), "–"),
    ],
)
def test_a_number_with_the_digits_that_it_has(numbers: tuple[float, float, float], text: str) -> None:
    assert answer_words.with_half_width(*numbers) == text


@given(st.floats(-1e12, 1e12), st.floats(1e-15, 1e12))
def test_a_number_and_half_its_interval_are_read_as_they_are(value: float, half: float) -> None:
    """Both have the same last digit, and are off by at most a tenth of the half width."""
    text = answer_words.with_half_width(value, value - half, value + half)
    half = ((value + half) - (value - half)) / 2
    if " ± " not in text:
        assert half == 0
        return
    times = 10.0 ** int(text.partition(")e")[2] or 0)
    number, width = (part.replace("−", "-") for part in text.strip("(").partition(")")[0].split(" ± "))
    assert abs(float(number) * times - value) <= 0.5 * half + 1e-9 * abs(value)
    assert abs(float(width) * times - half) <= 0.25 * half
    assert len(number.partition(".")[2]) == len(width.partition(".")[2])
