"""The experiment mnist1d: its statistics against hand-computed and independent values, and its findings on made-up runs."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lrbench.errors import StudyError
from lrbench.experiments._mnist1d import accuracies, optimum
from lrbench.experiments._mnist1d.accuracies import SeedMean, mean_of
from lrbench.experiments._mnist1d.optimum import Optimum
from lrbench.experiments._mnist1d.published import MODELS, RATE, STEPS
from lrbench.experiments.bench import perform
from lrbench.results.results import Results


def test_a_further_seed_falls_into_its_range_as_often_as_it_says() -> None:
    drawn = np.random.default_rng(0).normal(3, 2, size=(2000, 6))
    found = [mean_of(values[:5]) for values in drawn]
    inside = np.mean([bool(each.holds(one)) for each, one in zip(found, drawn[:, 5], strict=True)])
    assert inside == pytest.approx(0.95, abs=0.015)
    expected = stats.t.interval(0.95, 4, drawn[0, :5].mean(), stats.sem(drawn[0, :5]))
    assert found[0][1:3] == pytest.approx(expected)


def test_a_rounded_number_is_where_what_was_rounded_may_be() -> None:
    found = SeedMean(65, 64, 66, 62.4, 67.6)
    assert [found.holds(68, 0.5), found.holds(68), found.holds(68.2, 0.5), found.holds(62, 0.5)] == [
        True,
        False,
        False,
        True,
    ]


def test_one_seed_says_nothing_of_another() -> None:
    found = mean_of([2.0])
    assert found.mean == 2
    assert found.holds(2.0) is None
    assert math.isnan(found.low)


def _results(model: str, accuracy: dict[float, list[float]], step: int = STEPS) -> Results:
    """Made-up runs of some rates, an accuracy per seed at the last step; NaN for a run that diverged."""
    runs, curves = [], []
    for rate, values in accuracy.items():
        for seed, value in enumerate(values):
            name = f"{model}{rate}{seed}"
            runs.append({"run_id": name, "learning_rate": rate, "seed": seed})
            curves += [
                {"run_id": name, "step": at, "learning_rate": rate, "valid_accuracy": share}
                for at, share in ((0, 0.1), (step, value))
            ]
    return cast("Results", SimpleNamespace(runs=pd.DataFrame(runs), curves=pd.DataFrame(curves)))


def _tables(step: int = STEPS) -> dict[str, pd.DataFrame]:
    """Every model as it is printed at the published rate, a tenth worse at another."""
    return {
        model.name: accuracies.table(
            model.name,
            _results(
                model.name,
                {
                    rate: [(middle + off) / 100 - less for off in (-2, 0, 2)]
                    for rate, less in ((0.001, 0.1), (RATE, 0))
                },
                step,
            ),
        )
        for model in MODELS
        for middle in [np.mean(model.last)]
    }


def test_a_diverged_run_classifies_as_chance_does() -> None:
    table = accuracies.table("any", _results("any", {RATE: [math.nan, 0.3]}))
    assert table["accuracy"].tolist() == pytest.approx([20.0])
    assert table[["step", "seeds"]].to_numpy().tolist() == [[STEPS, 2]]


def test_findings_compare_with_what_is_printed() -> None:
    tables = _tables()
    found = list(accuracies.main_findings(tables, STEPS))
    assert [each.met for each in found] == [True] * 4
    assert found[1].value == pytest.approx(64.85)
    assert found[1].rule == "printed: 64.6 and 65.1; one more seed: 54.9 to 74.8"
    tables["MLP"] = tables["MLP"].assign(one_low=65.0)
    assert [each.met for each in accuracies.main_findings(tables, STEPS)] == [True, False, True, True]
    more = list(accuracies.more_findings(tables, STEPS))
    assert more[1].what == "accuracy of the MLP at the best rate, 0.01, the end of the grid"
    assert more[1].value == pytest.approx(64.85)
    assert (more[1].rule, more[1].met) == ("README: 68; one more seed: 65.0 to 74.8", True)
    assert more[2].rule == "README: 94; one more seed: 82.4 to 100.0"
    assert (more[-1].value, more[-1].unit) == (7, "of 8")


def test_shorter_runs_are_not_compared() -> None:
    found = [*accuracies.main_findings(_tables(10), 10), *accuracies.more_findings(_tables(10), 10)]
    assert len(found) == 8
    assert not any(each.rule for each in found)


def test_parameters_are_those_that_are_published() -> None:
    counts = {model.name: model.parameters for model in MODELS}
    assert all(each.met for each in accuracies.of_parameters(counts))
    assert [each.met for each in accuracies.of_parameters(counts | {"GRU": 1})] == [True, True, True, False]


def test_the_optimum_of_parabolas_is_where_they_are_lowest() -> None:
    """Each seed has a parabola of its own; the mean of the rates is geometric."""
    rates = np.geomspace(0.2, 2, 25)
    lowest, height = np.array([0.5, 0.6, 0.8]), np.array([1.7, 1.8, 1.9])
    losses = height + 2 * np.log10(rates[:, None] / lowest) ** 2
    found = optimum.optimum(pd.DataFrame(losses, index=rates))
    assert found.rate.mean == pytest.approx(np.prod(lowest) ** (1 / 3))
    assert found.loss.mean == pytest.approx(1.8)
    logs = np.log10(lowest)
    assert np.log10(found.rate[1:3]) == pytest.approx(stats.t.interval(0.95, 2, logs.mean(), stats.sem(logs)))


def test_losses_that_have_no_lowest_point() -> None:
    rates = np.geomspace(0.2, 2, 5)
    frame = pd.DataFrame(-(np.log10(rates[:, None] / [0.5, 0.6]) ** 2), index=rates)
    found = optimum.optimum(frame)
    assert math.isnan(found.rate.mean)
    assert [each.met for each in optimum.findings(found)] == [None, None]


def test_the_mean_is_over_the_minibatches_of_all_steps() -> None:
    """That at the last evaluation is of a step that is not taken; a run that diverged has no mean."""
    runs = pd.DataFrame({"run_id": ["a", "b"], "learning_rate": [0.5, 1.0], "seed": [0, 0]})
    curves = pd.DataFrame(
        {
            "run_id": ["a", "a", "a", "b", "b"],
            "step": [0, 1, optimum.STEPS, 0, 1],
            "minibatch_loss": [3.0, 2.0, 100.0, 3.0, math.nan],
        }
    )
    found = optimum.losses(cast("Results", SimpleNamespace(runs=runs, curves=curves)))
    assert found.loc[0.5, 0] == 2.5
    assert math.isnan(cast("float", found.loc[1.0, 0]))


def test_findings_of_the_optimum() -> None:
    rate, loss = SeedMean(0.63, 0.61, 0.65, 0.5, 0.7), SeedMean(1.70, 1.69, 1.71, 1.68, 1.71)
    first, second = optimum.findings(Optimum(rate, loss))
    assert (first.rule, first.met) == ("printed: 0.62; one more seed: 0.50 to 0.70", True)
    assert (second.rule, second.met) == ("printed: 0; one more seed: −0.036 to −0.006", False)
    assert second.value == pytest.approx(-0.016)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("per_decade=3", "per_decade = 3: must be 4 or more, for a parabola"),
        (
            "models=['mnist1d_rnn']",
            "models: unknown model 'mnist1d_rnn'; allowed: mnist1d_softmax, mnist1d_mlp, mnist1d_cnn, mnist1d_gru; did you mean 'mnist1d_cnn'?",
        ),
        ("gru_seeds=0", "study mnist1d_gru: seeds = 0: a count of seeds must be 1 or more; "),
    ],
)
def test_nothing_is_trained_where_a_parameter_is_wrong(override: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(StudyError) as caught:
        perform("mnist1d", tmp_path / "out", overrides=[override])
    assert str(caught.value).startswith(f"mnist1d: {message}")
    assert not list((tmp_path / "out").glob("*/parts"))
