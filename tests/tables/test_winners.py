"""The best setting of each optimizer: hand-made lines, and pairs that the comparison table knows or does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from lrbench.tables.base import columns
from lrbench.tables.winners import winners
from tests.helpers import frames

NONE = pd.DataFrame()


def lines(loss: list[float], half: float = 0.05, **more: Any) -> pd.DataFrame:
    """Lines of one problem and optimizer with a momentum each, whose losses are known to ± `half`."""
    table = {
        "problem": "p",
        "optimizer": "sgd",
        "schedule": "constant",
        "optimizer_momentum": np.arange(len(loss)) / 10,
        "use_learning_rate": 0.1,
        "use_loss": loss,
        "use_loss_low": np.array(loss) - half,
        "use_loss_high": np.array(loss) + half,
        "confirmed_seeds": 10,
        "seeds": 3,
    }
    return pd.DataFrame(table | more)


def pairs(first: list[int], other: list[int], decided: list[bool]) -> pd.DataFrame:
    """Pairs of the lines above by their number."""
    names = {"problem": "p", "optimizer": "sgd", "schedule": "constant"}
    momentum = {"optimizer_momentum": np.array(first) / 10, "other_optimizer_momentum": np.array(other) / 10}
    table = pd.DataFrame(momentum).assign(**names, other_optimizer="sgd", other_schedule="constant")
    return table.assign(decided=decided)


def row(sensitivity: pd.DataFrame, comparison: pd.DataFrame = NONE) -> dict[Any, Any]:
    (found,) = winners(sensitivity, comparison, NONE).to_dict("records")
    return found


def test_the_winner_by_hand() -> None:
    found = row(lines([0.5, 0.2, 0.26, 0.4]))
    assert [found["optimizer_momentum"], found["use_loss"], found["lines"]] == [0.1, 0.2, 4]
    assert [found["second"], found["second_loss"]] == ["sgd(momentum=0.2) + constant", 0.26]
    # 0.26 − 0.2 < √2·0.05 < 0.4 − 0.2
    assert [found["alike"], found["told_apart"]] == [1, False]
    assert found["answer"] == (
        "sgd(momentum=0.1) + constant at 0.1: loss 0.2 (0.15 to 0.25) on 10 fresh seeds; cannot be told apart from 1 of "
        "the 3 other lines"
    )


def test_what_the_comparison_says_counts_more_than_the_intervals() -> None:
    sensitivity = lines([0.5, 0.2, 0.26, 0.4])
    known = row(sensitivity, pairs([1, 1, 0], [2, 0, 3], [True, False, True]))
    assert [known["alike"], known["told_apart"]] == [1, True]  # the pair of 0 and 3 is not of the winner
    turned = row(sensitivity, pairs([2, 0], [1, 1], [True, False]))
    assert [turned["alike"], turned["told_apart"]] == [1, True]
    by_interval = pairs([1, 1], [2, 0], [True, True]).drop(columns="decided")
    ends = by_interval.assign(difference_low=[-0.1, -0.4], difference_high=[0.1, -0.2])
    assert [row(sensitivity, ends)["alike"], row(sensitivity, ends)["told_apart"]] == [1, False]


def test_one_line_has_no_second() -> None:
    found = row(lines([0.2]))
    assert [found["lines"], found["alike"], found["told_apart"]] == [1, 0, False]
    assert pd.isna(found["second"])
    assert np.isnan(found["second_loss"])
    assert found["answer"].endswith("on 10 fresh seeds")


def test_a_line_that_does_not_train_loses_to_any_and_is_told_apart() -> None:
    found = row(lines([np.nan, 0.2]))
    assert [found["optimizer_momentum"], found["alike"], found["told_apart"]] == [0.1, 0, True]
    assert np.isnan(found["second_loss"])
    nothing = row(lines([np.nan, np.nan]))
    assert nothing["answer"] == "sgd: no rate trains in any of 2 lines"
    assert [nothing["alike"], nothing["told_apart"]] == [0, False]


def test_without_intervals_nothing_is_told_apart_but_by_the_comparison() -> None:
    bare = lines([0.2, 0.3]).assign(use_loss_low=np.nan, use_loss_high=np.nan)
    assert row(bare)["answer"] == (
        "sgd(momentum=0) + constant at 0.1: loss 0.2 on 10 fresh seeds; cannot be told apart from the other line"
    )


def test_a_row_per_problem_and_optimizer_and_the_metric_that_people_read() -> None:
    sgd = lines([0.3, 0.2], headline="valid_accuracy", use_value=[0.8, 0.9], confirmed_seeds=0)
    adam = sgd.assign(optimizer="adam", optimizer_momentum=[np.nan, 0.5], use_loss=[0.1, 0.4])
    other = sgd.assign(problem="q", headline=None, use_value=np.nan)
    table = winners(pd.concat([sgd, adam, other], ignore_index=True), NONE, NONE)
    assert table[["problem", "optimizer"]].to_numpy().tolist() == [["p", "sgd"], ["p", "adam"], ["q", "sgd"]]
    assert table["use_value"].tolist()[:2] == [0.9, 0.8]
    assert table["answer"][0] == (
        "sgd(momentum=0.1) + constant at 0.1: loss 0.2 (0.15 to 0.25), accuracy 0.9; better than the other line"
    )
    assert table["answer"][1].startswith("adam + constant at 0.1: loss 0.1 (")
    assert ", accuracy" not in table["answer"][2]


@pytest.mark.parametrize("budget", ["steps", "epochs"])
def test_batch_sizes_compete_and_what_they_have_in_common_is_said(budget: str) -> None:
    sizes = lines([0.3, 0.2], optimizer_momentum=0.9, problem_batch_size=[16, 64])
    told = pd.DataFrame(
        {"problem": ["p"], "optimizer": "sgd", "parameter": "problem_batch_size", "budget": budget}
    )
    (found,) = winners(sizes, NONE, told).to_dict("records")
    assert [found["problem_batch_size"], found["lines"], found["budget"]] == [64, 2, budget]
    assert found["second"] == "sgd + constant, batch_size 16"
    assert found["answer"] == (
        "sgd + constant, batch_size 64 at 0.1: loss 0.2 (0.15 to 0.25) on 10 fresh seeds; better than the other line; "
        f"batch sizes at equal {budget}"
    )


def test_other_parameters_of_a_problem_make_another_problem() -> None:
    tilts = lines([0.3, 0.2], optimizer_momentum=0.9, problem_tilt=[0.1, 0.2])
    assert winners(tilts, NONE, NONE)["lines"].tolist() == [1, 1]


@pytest.mark.parametrize("kind", frames.STUDIES)
def test_every_study_has_winners(kind: str) -> None:
    results = frames.STUDIES[kind]()
    explained = {each for line in columns("winners") for each in line.split(", ")}
    assert explained <= {*results.winners.columns}
    least = results.sensitivity.groupby(["problem", "optimizer"], sort=False)["best_loss"].min()
    loss = "use_loss" if "use_loss" in results.sensitivity else "best_loss"
    least = results.sensitivity.groupby(["problem", "optimizer"], sort=False)[loss].min()
    np.testing.assert_array_equal(results.winners["use_loss"], least)
    assert results.winners["lines"].sum() == len(results.sensitivity)
    assert winners(results.sensitivity.iloc[:0], results.comparison.iloc[:0], NONE).empty
