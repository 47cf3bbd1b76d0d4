"""The answer in words: what is said in each situation, word for word, and that no frame breaks it."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrbench import analysis
from lrbench.analysis import Thresholds, answer_words
from lrbench.analysis.objective import Objective
from lrbench.tables.sensitivity import sensitivity
from tests.helpers import frames
from tests.helpers.frames import NAN, runs_of

LINE: dict[str, Any] = {
    "problem": "digits",
    "optimizer": "adam",
    "schedule": "constant",
    "trains": True,
    "use_learning_rate": 0.046,
    "best_learning_rate": 0.046,
    "pace_low": 0.02,
    "pace_high": 0.1,
    "own_low": 0.01,
    "own_high": 0.2,
    "good_low": 0.01,
    "good_high": 0.2,
    "collapse_low": 0.46,
    "collapse_high": 1.0,
    "degrades_from": NAN,
    "max_stable_learning_rate": 4.6,
    "use_loss": 0.0352,
    "use_loss_low": 0.0311,
    "use_loss_high": 0.0393,
    "use_value": 0.98873,
    "use_value_low": 0.986,
    "use_value_high": 0.992,
    "headline": "valid_accuracy",
    "rate_low": 1e-4,
    "rate_high": 10.0,
    "rates": 16,
    "seeds": 3,
    "confirmed_seeds": 10,
    "diverged_fraction": 0.1,
    "best_gap": 0.0,
}
NO_LINE = {"trains": False} | {
    name: NAN for name in LINE if name.startswith(("use_", "pace", "own", "good", "collapse", "best", "max"))
}


def lines(*changes: dict[str, Any]) -> pd.DataFrame:
    """A sensitivity table with a row for each of these changes of `LINE`."""
    return pd.DataFrame([LINE | change for change in changes])


def pairs(*rows: dict[str, Any]) -> pd.DataFrame:
    """A comparison table: adam against other lines."""
    names = {"problem": "digits", "optimizer": "adam", "schedule": "constant", "other_schedule": "constant"}
    numbers = {"seeds": 10, "difference": -0.02, "difference_low": -0.03, "difference_high": -0.01}
    more = {"decided": True, "more_seeds": NAN, "steps_factor": NAN, "steps_factor_low": NAN}
    return pd.DataFrame([names | numbers | more | {"steps_factor_high": NAN} | row for row in rows])


def said(table: pd.DataFrame, comparison: pd.DataFrame | None = None, **options: Any) -> list[str]:
    return list(analysis.best(table, comparison=comparison, **options)["answer"])


def head(table: pd.DataFrame, comparison: pd.DataFrame | None = None) -> str:
    rows = answer_words.rows_of(analysis.best(table, comparison=comparison))
    return answer_words.headline(rows, Thresholds())


HEAD = "adam + constant: use 0.046; "
PACE = "0.02 to 0.1 costs at most a fifth more steps; "
COLLAPSE = "collapses between 0.46 and 1; "
LOSS = "loss 0.035 ± 0.004 on 10 fresh seeds, accuracy 98.9 %"
SITUATIONS: dict[str, tuple[dict[str, Any], str]] = {
    "confirmed, with all of it": ({}, HEAD + PACE + COLLAPSE + LOSS),
    "the pace is not known": (
        {"pace_low": NAN, "pace_high": NAN},
        HEAD + "0.01 to 0.2 is within 5 % of its best; " + COLLAPSE + LOSS,
    ),
    "no rate beside it is as fast": (
        {"pace_low": 0.046, "pace_high": 0.046},
        HEAD + "the rates beside it cost more than a fifth more steps; " + COLLAPSE + LOSS,
    ),
    "nor is any beside the best rate, which is another": (
        {"best_learning_rate": 0.1, "pace_low": 0.1, "pace_high": 0.1},
        HEAD
        + "the least loss is at 0.1; the rates beside it cost more than a fifth more steps; "
        + COLLAPSE
        + LOSS,
    ),
    "no rate beside it is good": (
        {"pace_low": NAN, "pace_high": NAN, "own_low": 0.046, "own_high": 0.046},
        HEAD + "no rate beside it is within 5 % of its best; " + COLLAPSE + LOSS,
    ),
    "no collapse": (
        {"collapse_low": NAN, "collapse_high": NAN},
        HEAD + PACE + "no collapse up to 10; " + LOSS,
    ),
    "a race hides where it collapses": (
        {"collapse_low": NAN, "collapse_high": NAN, "max_stable_learning_rate": NAN},
        HEAD + PACE + LOSS,
    ),
    "it degrades": ({"degrades_from": 0.22}, HEAD + PACE + "degrades from 0.22 on; " + LOSS),
    "the smallest rate": (
        {"rate_low": 0.046},
        HEAD + PACE + COLLAPSE + "that is the smallest rate tried: try 4.6e-4 to 0.046 next; " + LOSS,
    ),
    "the largest rate": (
        {"rate_high": 0.046, "collapse_low": NAN, "collapse_high": NAN},
        HEAD + PACE + "that is the largest rate tried: try 0.046 to 4.6 next; " + LOSS,
    ),
    "the least loss at the smallest rate, in another band": (
        {"rate_low": 0.022, "best_learning_rate": 0.022, "pace_low": 0.022, "pace_high": 0.022},
        HEAD
        + "the least loss is at 0.022; the rates beside it cost more than a fifth more steps; "
        + COLLAPSE
        + "the least loss is at the smallest rate tried: try 2.2e-4 to 0.022 next; "
        + LOSS,
    ),
    "flat down to the smallest rate": (
        {"rate_low": 0.02, "best_learning_rate": 0.02},
        HEAD + PACE + COLLAPSE + "as good down to the smallest rate tried; " + LOSS,
    ),
    "flat up to the largest rate": (
        {"rate_high": 0.1, "best_learning_rate": 0.1, "collapse_low": NAN, "collapse_high": NAN},
        HEAD + PACE + "no collapse up to 0.1; as good up to the largest rate tried; " + LOSS,
    ),
    "one rate": (
        {"rate_low": 0.046, "rate_high": 0.046, "pace_low": NAN, "own_low": 0.046, "own_high": 0.046}
        | {"collapse_low": NAN, "collapse_high": NAN},
        HEAD
        + "no rate beside it is within 5 % of its best; no other rate was tried: try 4.6e-4 to 4.6 next; "
        + LOSS,
    ),
    "not confirmed": (
        {"confirmed_seeds": 0},
        HEAD
        + PACE
        + COLLAPSE
        + "loss 0.035 ± 0.004 on 3 seeds, accuracy 98.9 %; not confirmed: add confirm = 10",
    ),
    "one seed": (
        {"confirmed_seeds": NAN, "seeds": 1}
        | {f"use_{name}_{end}": NAN for name in ("loss", "value") for end in ("low", "high")},
        HEAD + PACE + COLLAPSE + "loss 0.0352 on 1 seed, accuracy 98.9 %; not confirmed: add confirm = 10",
    ),
    "no metric": (
        {"headline": None, "use_value": NAN},
        HEAD + PACE + COLLAPSE + "loss 0.035 ± 0.004 on 10 fresh seeds",
    ),
    "another metric": (
        {"headline": "valid_f1", "use_value": -0.5, "use_value_low": NAN, "use_value_high": NAN},
        HEAD + PACE + COLLAPSE + "loss 0.035 ± 0.004 on 10 fresh seeds, f1 −0.5",
    ),
    "no rate trains, and every run diverges": (
        NO_LINE | {"diverged_fraction": 1.0},
        "adam + constant: no rate trains from 1.0e-4 to 10; every run diverges: try 1.0e-8 to 1.0e-4 next",
    ),
    "no rate trains, and most runs diverge": (
        NO_LINE | {"diverged_fraction": 0.6, "rate_high": 1e-4},
        "adam + constant: no rate trains at 1.0e-4; most runs diverge: try 1.0e-8 to 1.0e-4 next",
    ),
    "no rate trains, and no run diverges": (
        NO_LINE | {"diverged_fraction": 0.0, "rate_high": 0.1},
        "adam + constant: no rate trains from 1.0e-4 to 0.1; no run diverges either: try 0.1 to 1.0e3 next, or more steps",
    ),
    "no rate trains": (
        NO_LINE,
        "adam + constant: no rate trains from 1.0e-4 to 10; try rates below and between these next, or more steps",
    ),
}


@pytest.mark.parametrize("situation", SITUATIONS)
def test_the_sentence_of_a_line(situation: str) -> None:
    change, sentence = SITUATIONS[situation]
    table = lines(change)
    assert said(table) == [sentence]
    row = analysis.best(table).iloc[0]
    assert row["winner"] == row["trains"]
    name, _, rest = sentence.partition(": ")
    # The sentence of a problem has the same of its winner, in brackets after the rate.
    whole = head(table)
    if row["trains"]:
        assert whole.startswith(f"digits: {name} at 0.046 (")
        assert (
            whole.replace("digits: adam + constant at 0.046 (", HEAD).replace("); loss", "; loss") == sentence
        )
    else:
        assert whole == f"digits: {rest}"


def test_a_table_of_an_older_lrbench() -> None:
    """Its good band is that of the problem, and its last stable rate is not said to be a collapse."""
    old = {
        "problem": "p", "optimizer": "sgd", "schedule": "constant", "best_learning_rate": 0.1, "best_loss": 0.5,
        "best_learning_rate_low": 0.1, "best_learning_rate_high": 0.2, "best_loss_low": 0.4, "best_loss_high": 0.6,
        "good_low": 0.05, "good_high": 0.2, "max_stable_learning_rate": 1.0, "rate_low": 0.01, "rate_high": 10.0,
        "rates": 4, "seeds": 3, "best_gap": 0.0,
    }  # fmt: skip
    weak = {"optimizer": "weak", "best_loss": 0.9, "best_gap": 0.4, "good_low": NAN, "good_high": NAN}
    dead = dict.fromkeys(old, NAN) | {
        "problem": "p",
        "optimizer": "dead",
        "schedule": "constant",
        "rate_low": 0.1,
    }
    table = pd.DataFrame([dead | {"rate_high": 1.0, "rates": 2, "seeds": 3}, old | weak, old])
    tail = "on 3 seeds; not confirmed: add confirm = 10"
    assert said(table) == [
        f"sgd + constant: use 0.1; 0.05 to 0.2 is within 5 %; loss 0.50 ± 0.10 {tail}",
        f"weak + constant: use 0.1; even that is 40 % short of the best of this problem; loss 0.90 ± 0.10 {tail}",
        "dead + constant: no rate trains from 0.1 to 1; try rates below and between these next, or more steps",
    ]
    answer = analysis.best(table)
    assert answer[["use", "from", "to", "cliff"]].iloc[0].tolist() == [0.1, 0.05, 0.2, 1.0]
    assert answer["line"].tolist() == [2, 1, 0]


def test_how_far_a_line_is_behind_the_winner() -> None:
    table = lines(
        {},
        {"optimizer": "even", "use_loss": 0.036},
        {"optimizer": "near", "use_loss": 0.037},
        {"optimizer": "slow", "use_loss": 0.05},
        {"optimizer": "weak", "use_loss": 0.06},
        {"optimizer": "alone", "use_loss": 0.07},
        NO_LINE | {"optimizer": "dead"},
    )
    level = {"difference": -0.001, "difference_high": 0.01, "decided": False}
    comparison = pairs(
        {"other_optimizer": "even"} | level,
        {"other_optimizer": "near", "more_seeds": 12.0} | level,
        {"other_optimizer": "slow", "steps_factor": 1.44, "steps_factor_low": 1.2, "steps_factor_high": 11.7},
        {"other_optimizer": "weak"},
        {"other_optimizer": "dead", "difference": NAN, "difference_low": NAN, "difference_high": NAN, "decided": False},
    )  # fmt: skip
    ends = [sentence.rpartition("; ")[2] for sentence in said(table, comparison)]
    assert ends[1:6] == [
        "cannot be told apart from adam + constant",
        "cannot be told apart from adam + constant (12 more seeds would tell)",
        "needs 1.4 × (1.2 to 12) the steps of adam + constant",
        "ends 0.01 to 0.03 higher than adam + constant",
        LOSS.replace("0.035", "0.070"),
    ]
    answer = analysis.best(table, comparison=comparison)
    rows = answer_words.rows_of(answer)
    assert [row["behind"] for row in answer_words.cells(rows)] == [
        "winner", "not told apart", "not told apart (12 more seeds)", "1.4 × the steps", "worse", "–", "–",
    ]  # fmt: skip
    assert [row["behind"] for row in answer_words.cells(rows, brief=True)] == [
        "winner", "≈", "≈ +12", "1.4 ×", "worse", "–", "–",
    ]  # fmt: skip
    assert answer["told_apart"].isna().tolist() == [True, False, False, False, False, True, True]
    assert answer["behind"].tolist()[1:5] == [0.001, 0.001, 0.02, 0.02]
    assert answer_words.headline(rows, Thresholds()) == (
        "digits: adam + constant at 0.046 (0.02 to 0.1 costs at most a fifth more steps; collapses between 0.46 and 1); "
        "loss 0.035 ± 0.004 on 10 fresh seeds, accuracy 98.9 %; even and 1 other line cannot be told apart from it; "
        "slow needs 1.4 × the steps"
    )


def test_what_is_next_to_the_winner() -> None:
    table = lines(
        {},
        {"optimizer": "slow", "use_loss": 0.05, "schedule": "cosine"},
        {"use_loss": 0.06, "schedule": "wsd"},
    )
    slow = {"other_optimizer": "slow", "other_schedule": "cosine"}
    wsd = {"other_optimizer": "adam", "other_schedule": "wsd"}
    start = head(table)
    assert start.endswith(LOSS)
    level = {"decided": False, "difference_high": 0.01}
    for comparison, end in (
        (pairs(slow), "; slow + cosine ends 0.01 to 0.03 higher"),
        (pairs(slow | {"steps_factor": 17.4}), "; slow + cosine needs 17 × the steps"),
        (pairs(slow | level), "; slow + cosine cannot be told apart from it"),
        (
            pairs(slow | level | {"more_seeds": 9.0}, wsd | level | {"more_seeds": 1234.0}),
            "; slow + cosine and 1 other line cannot be told apart from it (9 to 1,234 more seeds would tell)",
        ),
        (
            pairs(slow | level | {"more_seeds": 1.0}, wsd | {"steps_factor": 2.0}),
            "; slow + cosine cannot be told apart from it (1 more seed would tell); adam + wsd needs 2.0 × the steps",
        ),
    ):
        assert head(table, comparison) == start + end


def test_a_comparison_that_begins_with_another_line() -> None:
    """Its tests may be on fewer seeds, where another line was first; a difference against the winner tells nothing apart."""
    table = lines({}, {"optimizer": "other", "use_loss": 0.05})
    turned = {"optimizer": "other", "other_optimizer": "adam"}
    better = {"difference": 0.02, "difference_low": 0.01, "difference_high": 0.03}
    for row, apart in (({}, False), (better, True), (better | {"decided": False}, False)):
        answer = analysis.best(table, comparison=pairs(turned | {"steps_factor": 3.0} | row))
        assert answer["told_apart"].tolist()[1] is apart
        assert answer["steps_factor"].isna().all()
        assert answer["behind"].tolist()[1] == (0.02 if row else -0.02)
    unknown = pairs(turned | better | {"decided": None})
    assert analysis.best(table, comparison=unknown)["told_apart"].tolist()[1] is False
    older = pairs(turned | better).drop(columns=["decided", "more_seeds", "steps_factor"])
    assert analysis.best(table, comparison=older)["told_apart"].tolist()[1] is True


def test_pairs_are_matched_by_all_parameters() -> None:
    table = lines(
        {"optimizer_momentum": NAN, "optimizer_hidden": [8]},
        {"optimizer": "sgd", "optimizer_momentum": 0.9, "use_loss": 0.05, "optimizer_hidden": [8, 8]},
        {"optimizer": "sgd", "optimizer_momentum": 0.0, "use_loss": 0.06, "optimizer_hidden": [8, 8]},
    )
    mine = {"optimizer_momentum": NAN, "optimizer_hidden": [8]}
    comparison = pairs(
        mine | {"other_optimizer": "sgd", "other_optimizer_momentum": 0.0, "other_optimizer_hidden": [8, 8], "steps_factor": 3.0},
        mine | {"other_optimizer": "sgd", "other_optimizer_momentum": 0.9, "other_optimizer_hidden": [8, 8], "steps_factor": 2.0},
    )  # fmt: skip
    answer = analysis.best(table, comparison=comparison)
    assert answer["optimizer"].tolist() == ["adam", "sgd(momentum=0.9)", "sgd(momentum=0)"]
    assert answer["steps_factor"].tolist()[1:] == [2.0, 3.0]


def test_problems_keep_their_order_and_each_has_a_winner() -> None:
    table = lines(
        {"problem": "b", "use_loss": 0.2},
        {"problem": "a", "use_loss": 0.3},
        {"problem": "b", "use_loss": 0.1, "schedule": "cosine"},
        {"problem": "a"} | NO_LINE,
        {"problem": "c"} | NO_LINE,
    )
    answer = analysis.best(table)
    assert answer["problem"].tolist() == ["b", "b", "a", "a", "c"]
    assert answer["line"].tolist() == [2, 0, 1, 3, 4]
    assert answer["winner"].tolist() == [True, False, True, False, False]


def test_an_objective_other_than_a_loss() -> None:
    """It is told as people read it, and the metric beside it is not told twice."""
    table = lines(
        {"use_loss": 0.0113, "use_loss_low": 0.008, "use_loss_high": 0.0146},
        {"optimizer": "o", "use_loss": 0.02},
    )
    accuracy = {"digits": Objective("valid_accuracy", larger=True, bound=1.0, at="best")}
    comparison = pairs({"other_optimizer": "o"})
    answer = analysis.best(table, comparison=comparison, objectives=accuracy)
    row = answer.iloc[0]
    np.testing.assert_allclose(row[["score", "score_low", "score_high"]].tolist(), [0.9887, 0.9854, 0.992])
    assert (
        answer["answer"][0]
        == HEAD + PACE + COLLAPSE + "accuracy 98.9 ± 0.3 % at the best evaluation on 10 fresh seeds"
    )
    assert answer["answer"][1].endswith("; ends 0.01 to 0.03 lower than adam + constant")
    assert list(answer_words.cells(answer_words.rows_of(answer))[0])[3:] == [
        "band",
        "collapse",
        "accuracy",
        "behind",
    ]
    r2 = {"digits": Objective("train_r2", larger=True)}
    assert "; training r2 −0.011 ± 0.003 on 10 fresh seeds, accuracy" in said(table, objectives=r2)[0]
    assert (
        "; training loss 0.011 ± 0.003 on" in said(table, objectives={"digits": Objective("train_loss")})[0]
    )


WORDS = ("problem", "optimizer", "schedule")


@pytest.mark.slow
@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 2**32), *[st.text(min_size=1, max_size=5)] * 4), max_size=3),
    st.sets(st.sampled_from(sorted(set(LINE) - {*WORDS, "best_learning_rate"}))),
    st.sampled_from([None, pd.DataFrame(), pairs({"other_optimizer": "x"})]),
)
def test_no_frame_breaks_it(
    drawn: list[tuple[int, str, str, str, str]], without: set[str], comparison: pd.DataFrame | None
) -> None:
    """Whatever it lacks, numbers or columns, rows or pairs, and whatever things are called."""
    rows = []
    for seed, *texts in drawn:
        rng = np.random.default_rng(seed)
        numbers = {name: rng.choice([NAN, 10.0 ** rng.integers(-9, 9)]) for name in LINE}
        kinds = dict(zip((*WORDS, "headline"), texts, strict=True))
        rows.append(numbers | {"seeds": 1, "rates": 2, "trains": rng.random() < 0.5} | kinds)
    table = pd.DataFrame(rows, columns=list(LINE)).drop(columns=list(without))
    use = table["use_learning_rate" if "use_learning_rate" in table else "best_learning_rate"]
    if "trains" in table:
        table["trains"] &= use.notna()
    answer = analysis.best(table, comparison=comparison)
    assert len(answer) == len(rows)
    assert answer["winner"].sum() == answer.loc[answer["trains"], "problem"].nunique()
    for _, mine in answer.groupby("problem", sort=False):
        records = answer_words.rows_of(mine)
        if not any("nan" in text for row in drawn for text in row[1:]):
            said = " ".join((answer_words.headline(records, Thresholds()), *mine["answer"]))
            assert not re.search(r"\bnan\b", said)
        for brief in (True, False):
            assert len({tuple(row) for row in answer_words.cells(records, brief=brief)}) == 1


def test_the_answer_of_real_tables() -> None:
    """From runs to words, whatever columns the tables have."""
    for name, make in frames.STUDIES.items():
        study = make()
        answer = analysis.best(study.sensitivity, comparison=study.comparison)
        assert len(answer) == len(study.sensitivity), name
        assert all(map(str.startswith, answer["answer"], answer["optimizer"] + " + "))


def test_a_grid_of_runs_that_all_diverge() -> None:
    runs = runs_of([NAN, NAN])
    assert said(sensitivity(analysis.judge(runs))) == [
        "sgd + constant: no rate trains from 1.0e-3 to 1; every run diverges: try 1.0e-7 to 1.0e-3 next"
    ]
