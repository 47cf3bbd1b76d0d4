"""What schedules gain over a constant rate, from the comparison of all pairs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lrbench.experiments import schedule_bands
from tests.helpers.paths import ROOT


def _pair(schedule: str, other: str, difference: float, p: float) -> dict[str, object]:
    ends = {"difference_normalised_low": difference - 0.1, "difference_normalised_high": difference + 0.2}
    return {
        "schedule": schedule,
        "other_schedule": other,
        "difference_normalised": difference,
        "p": p,
        **ends,
    }


def test_a_gain_is_the_constant_loss_minus_that_of_the_schedule_whichever_is_named_first() -> None:
    """The comparison has the loss of the first minus that of the other one."""
    pairs = [
        _pair("cosine", "constant", -0.3, 0.01),
        _pair("cosine", "linear", -0.5, 0.001),
        _pair("constant", "linear", -0.2, 0.04),
        _pair("wsd", "constant", -0.1, 0.2),
    ]
    found = schedule_bands.gains(pd.DataFrame(pairs)).set_index("schedule")
    assert found["gain"].to_dict() == pytest.approx({"cosine": 0.3, "linear": -0.2, "wsd": 0.1})
    assert found.loc["cosine", ["gain_low", "gain_high"]].tolist() == pytest.approx([0.1, 0.4])
    assert found.loc["linear", ["gain_low", "gain_high"]].tolist() == pytest.approx([-0.3, 0.0])
    assert found["better"].to_dict() == {"cosine": 1, "linear": -1, "wsd": 0}


def test_a_best_schedule_that_is_not_told_apart_is_no_finding_for_or_against() -> None:
    rows = {"schedule": ["cosine", "constant"], "use_loss": [1.0, 2.0], "gain": [0.1, np.nan]}
    table = pd.DataFrame(
        rows
        | {"gain_low": 0.0, "gain_high": 0.2, "own_decades": [1.0, 0.5], "use_learning_rate": [0.1, 0.01]}
    )
    met = []
    for better in (-1, 0, 1):
        found = list(schedule_bands._findings("adam", table.assign(better=better)))
        met.append(found[0].met)
    assert met == [False, None, True]
    assert [(each.value, each.unit) for each in found[1:]] == [
        (1, "of 1"),
        (0, "of 1"),
        (1.0, "decades"),
        (0.5, "decades"),
        (pytest.approx(1.0), "decades"),
    ]


def test_bands_that_are_equally_wide_are_all_named() -> None:
    table = pd.read_csv(ROOT / "results" / "schedule_bands" / "by_schedule.csv")
    found = [
        each.what for each in schedule_bands._findings("momentum", table[table["optimizer"] == "momentum"])
    ]
    assert "momentum: widest band of good rates, of join and reduce_on_plateau" in found


def test_the_rates_of_the_picture_are_those_of_the_peak() -> None:
    drawn = schedule_bands._picture(pd.read_csv(ROOT / "results" / "schedule_bands" / "by_schedule.csv"))
    assert {axes.get_xlabel() for axes in drawn.axes} == {"learning rate, at the peak"}
