"""The answer as text of any width, and as JSON of a documented schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import lrbench as lb
from lrbench import analysis
from lrbench.analysis import Thresholds
from lrbench.analysis.objective import Objective
from lrbench.errors import StudyError
from lrbench.results.answer import MOST_LINES, MOST_MOVES, as_text, of_problem
from lrbench.results.answer_schema import LineAnswer, ProblemAnswer, WholeAnswer, as_json
from tests.analysis.test_best import LINE, NO_LINE, lines, pairs
from tests.helpers.frames import NAN

EVIL = "\x1b[2J\u202eevil\n\x85"
OTHERS = (
    {"use_learning_rate": 0.1, "use_loss": 0.039, "schedule": "warmup_cosine", "degrades_from": 0.22},
    {"optimizer": "sgd", "optimizer_momentum": 0.9, "use_loss": 0.05, "pace_low": NAN, "pace_high": NAN},
    NO_LINE | {"optimizer": "sgd", "optimizer_momentum": 0.0},
)


def answer() -> pd.DataFrame:
    table = lines({}, *OTHERS)
    level = {
        "other_optimizer": "adam",
        "other_schedule": "warmup_cosine",
        "decided": False,
        "more_seeds": 12.0,
    }
    slow = {"other_optimizer": "sgd", "other_optimizer_momentum": 0.9, "steps_factor": 1.44}
    return analysis.best(table, comparison=pairs(level | {"difference_high": 0.01}, slow))


def moves(*said: str) -> pd.DataFrame:
    """A table of interactions that says this."""
    return pd.DataFrame(
        [{"problem": "digits", "optimizer": "adam", "schedule": "constant", "answer": text} for text in said]
    )


NOTHING = moves()
HEAD = """\
digits: adam + constant at 0.046 (0.02 to 0.1 costs at most a fifth more steps; collapses between
  0.46 and 1); loss 0.035 ± 0.004 on 10 fresh seeds, accuracy 98.9 %; adam + warmup_cosine cannot be
  told apart from it (12 more seeds would tell); sgd(momentum=0.9) + constant needs 1.4 × the steps
"""
BAND = "\nband: at most a fifth more steps; *: within 5 % of the line's own best"
LEVEL = "\n≈: cannot be told apart from the winner; +: so many more seeds would tell"


def test_the_table_in_words() -> None:
    assert as_text(answer(), Thresholds(), width=140) == f"""{HEAD}
optimizer          schedule         use  band            collapse                     loss  accuracy  behind
adam               constant       0.046  0.02 to 0.1     0.46 to 1           0.035 ± 0.004    98.9 %  winner
adam               warmup_cosine    0.1  0.02 to 0.1     degrades from 0.22  0.039 ± 0.004    98.9 %  not told apart (12 more seeds)
sgd(momentum=0.9)  constant       0.046  0.01 to 0.2*    0.46 to 1           0.050 ± 0.004    98.9 %  1.4 × the steps
sgd(momentum=0)    constant           –  no rate trains  –                               –         –  –
{BAND}"""  # fmt: skip


def test_the_table_in_signs() -> None:
    assert (
        as_text(answer(), Thresholds())
        == f"""{HEAD}
optimizer          schedule         use  band         collapse            loss  accuracy  behind
adam               constant       0.046  0.02–0.1     0.46–1     0.035 ± 0.004    98.9 %  winner
adam               warmup_cosine    0.1  0.02–0.1     from 0.22  0.039 ± 0.004    98.9 %  ≈ +12
sgd(momentum=0.9)  constant       0.046  0.01–0.2*    0.46–1     0.050 ± 0.004    98.9 %  1.4 ×
sgd(momentum=0)    constant           –  none trains  –                      –         –  –
{BAND}{LEVEL}"""
    )


def test_the_table_of_a_narrow_terminal() -> None:
    assert (
        as_text(answer(), Thresholds(), width=80)
        == f"""\
digits: adam + constant at 0.046 (0.02 to 0.1 costs at most a fifth more steps;
  collapses between 0.46 and 1); loss 0.035 ± 0.004 on 10 fresh seeds, accuracy
  98.9 %; adam + warmup_cosine cannot be told apart from it (12 more seeds would
  tell); sgd(momentum=0.9) + constant needs 1.4 × the steps

    use  band         collapse            loss  accuracy  behind
adam + constant
  0.046  0.02–0.1     0.46–1     0.035 ± 0.004    98.9 %  winner
adam + warmup_cosine
    0.1  0.02–0.1     from 0.22  0.039 ± 0.004    98.9 %  ≈ +12
sgd(momentum=0.9) + constant
  0.046  0.01–0.2*    0.46–1     0.050 ± 0.004    98.9 %  1.4 ×
sgd(momentum=0) + constant
      –  none trains  –                      –         –  –
{BAND}{LEVEL}"""
    )


def test_sentences_in_place_of_the_table() -> None:
    found = answer()
    said = "".join(f"  {text}\n" for text in found["answer"])
    assert as_text(found, Thresholds(), sentences=True) == (HEAD + said).rstrip("\n")
    assert as_text(found, Thresholds(), sentences=True, top=1) == HEAD + "  " + found["answer"][0]


def test_long_names_have_lines_of_their_own() -> None:
    """Of lists of parameters, those that differ; where they are longer than a line, they continue on the next."""
    long = {f"optimizer_{name}_{'x' * 12}": value for name in "abcdef" for value in [1.0]}
    table = lines(long, dict.fromkeys(long, 2.0) | {"use_loss": 0.05}).assign(optimizer_same=3.0)
    text = as_text(analysis.best(table), Thresholds(), width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert "same" not in text
    names = ", ".join(f"{name.removeprefix('optimizer_')}=2" for name in long)
    assert f"adam({names}) + constant" in " ".join(text.split())


def test_many_lines() -> None:
    table = lines(*({"optimizer": f"o{at}", "use_loss": 0.03 + at / 1000} for at in range(40)))
    text = as_text(analysis.best(table), Thresholds())
    assert text.count(" constant ") == MOST_LINES + 1  # one in the sentence
    assert "\n20 more lines: --top 40 shows all\n" in text
    assert "more line" not in as_text(analysis.best(table), Thresholds(), top=40)
    assert "\n39 more lines: --top 40 shows all\n" in as_text(analysis.best(table), Thresholds(), top=1)


def test_problems_follow_one_another_and_share_the_legend() -> None:
    table = lines({}, {"problem": "b", "use_loss": 0.1}, {"problem": "c"} | NO_LINE)
    text = as_text(analysis.best(table), Thresholds())
    assert [line.partition(":")[0] for line in text.splitlines() if ": " in line] == [
        "digits",
        "b",
        "c",
        "band",
    ]
    assert "\n\nc: no rate trains from 1.0e-4 to 10; " in text


def test_how_the_best_rate_moves_follows_the_tables() -> None:
    found = answer()
    text = as_text(found, Thresholds(), moves("it moves by −0.5 decades from batch 16 to 256", "it stays"))
    assert text == as_text(found, Thresholds()) + (
        "\n\ndigits, adam + constant: it moves by −0.5 decades from batch 16 to 256\ndigits, adam + constant: it stays"
    )
    said = as_text(found, Thresholds(), moves("it stays"), sentences=True)
    assert said == as_text(found, Thresholds(), sentences=True) + "\n\ndigits, adam + constant: it stays"
    many = as_text(found, Thresholds(), moves(*[f"no. {at}" for at in range(MOST_MOVES + 2)]))
    assert many.count("adam + constant: no. ") == MOST_MOVES
    assert many.endswith("\n2 more sentences in interactions.csv")


def test_nothing_is_there_yet() -> None:
    nothing = analysis.best(lines({}).iloc[:0])
    assert as_text(nothing, Thresholds()) == "no run is finished yet, so there is no answer"
    assert (
        WholeAnswer.model_validate_json(as_json(nothing, lines({}), NOTHING, "mine", Thresholds())).problems
        == []
    )


def test_one_problem() -> None:
    table = lines({"problem_width": 1}, {"problem_width": 2, "use_loss": 0.1}, {"problem": "other"})
    found = analysis.best(table)
    assert of_problem(found, table, "digits")["problem"].tolist() == ["digits(width=1)", "digits(width=2)"]
    assert of_problem(found, table, "digits(width=2)")["loss"].tolist() == [0.1]
    with pytest.raises(StudyError) as error:
        of_problem(found, table, "digit")
    assert str(error.value) == (
        "--problem: unknown problem 'digit'; allowed: digits(width=1), digits(width=2), other; did you mean 'digits(width=2)'?"
    )


def test_no_name_reaches_the_terminal_as_a_command() -> None:
    table = lines(
        {"problem": EVIL, "optimizer": EVIL, "schedule": EVIL, "headline": EVIL}, {"problem": EVIL} | NO_LINE
    )
    found = analysis.best(table)
    for text in (
        as_text(found, Thresholds(), width=200),
        as_text(found, Thresholds(), moves(EVIL), width=40),
        as_text(found, Thresholds(), sentences=True),
        as_json(found, table, moves(EVIL), EVIL, Thresholds()),
    ):
        assert all(line.isprintable() for line in text.split("\n"))
    problem = json.loads(text)["problems"][0]
    assert problem["problem"] == EVIL
    assert problem["lines"][0]["identity"] == dict.fromkeys(("problem", "optimizer", "schedule"), EVIL)


def test_every_value_of_the_json_is_that_of_the_answer() -> None:
    table = lines({"optimizer_hidden": [8, 8], "optimizer_momentum": NAN}, *OTHERS)
    level = {"other_optimizer": "sgd", "other_optimizer_momentum": 0.9, "optimizer_hidden": [8, 8]}
    accuracy = {"digits": Objective("valid_accuracy", larger=True, bound=1.0)}
    found = analysis.best(table, comparison=pairs(level), objectives=accuracy)
    text = as_json(found, table, moves("so it is"), "mine", Thresholds(), top=3)
    read = json.loads(text)
    assert read == WholeAnswer.model_validate_json(text).model_dump()
    problem = read["problems"][0]
    assert (read["schema_version"], read["study"], problem["objective"], problem["at"], problem["metric"]) == (
        1, "mine", "valid_accuracy", "end", "valid_accuracy",
    )  # fmt: skip
    assert read["interactions"] == ["digits, adam + constant: so it is"]
    assert len(problem["lines"]) == 3
    assert problem["lines"][0]["identity"] == {
        "problem": "digits", "optimizer": "adam", "schedule": "constant", "optimizer_hidden": [8, 8]
    }  # fmt: skip
    renamed = {"good_low": "from", "good_high": "to"}
    for line, (_, row) in zip(problem["lines"], found.iterrows(), strict=False):
        for name in set(LineAnswer.model_fields) - {"identity"}:
            value = row[renamed.get(name, name)]
            assert line[name] == (None if pd.isna(value) else value), name


@pytest.mark.slow
def test_the_json_of_a_real_study_is_as_the_schema_says(tmp_path: Path) -> None:
    results = lb.sweep(
        ["quadratic", "digits_softmax"],
        optimizers=["sgd", lb.Optimizer("adam", b2=[0.9, 0.999])],
        learning_rates=[1e-3, 0.1, 1e5],
        seeds=2,
        steps=10,
        out=tmp_path / "out",
    )
    text = as_json(results.best(), results.sensitivity, results.interactions, "sweep", results.thresholds)
    read = WholeAnswer.model_validate_json(text)
    assert [problem.problem for problem in read.problems] == ["quadratic", "digits_softmax"]
    assert [problem.objective for problem in read.problems] == ["train_loss", "valid_loss"]
    for problem in read.problems:
        assert sum(line.winner for line in problem.lines) == 1
        assert {line.identity.get("optimizer_b2") for line in problem.lines} == {None, 0.9, 0.999}


def _keys(model: type[Any]) -> set[str]:
    return set(model.model_fields)


def test_keys_are_not_lost() -> None:
    """What a script reads today it reads tomorrow; a new key is added here."""
    assert _keys(WholeAnswer) == {"schema_version", "study", "problems", "interactions"}
    assert _keys(ProblemAnswer) == {"problem", "objective", "at", "metric", "answer", "lines"}
    assert _keys(LineAnswer) >= set(LINE) & {"trains", "rates", "seeds"} | set(
        "optimizer schedule identity winner trains use use_low use_high best_learning_rate band band_low band_high good_low "
        "good_high collapse_low collapse_high degrades_from no_collapse score score_low score_high loss loss_low loss_high "
        "value value_low value_high told_apart behind behind_low behind_high more_seeds steps_factor steps_factor_low "
        "steps_factor_high seeds confirmed_seeds rates rate_low rate_high diverged_fraction answer".split()
    )
