"""The parts of the experiment `deepobs`: the closed form against runs and orders by hand, the cliffs, and the tables of published rows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from lrbench.datasets import deepobs
from lrbench.experiments._deepobs import definitions, rows
from lrbench.experiments._deepobs.expected import BATCH, PER_EPOCH, Noisy
from lrbench.experiments._deepobs.findings import MeasuredRows, findings

NOISY = Noisy()


def _ends(means: np.ndarray, rate: float, momentum: float) -> np.ndarray:
    """The test loss [run] of stepping w by hand over the means [run, step, coordinate] of batches, in the coordinates of the problem."""
    curvature, (_, test) = deepobs.curvature(), deepobs.examples()
    place, velocity = np.ones((len(means), 100)), np.zeros((len(means), 100))
    for step in range(means.shape[1]):
        velocity = momentum * velocity + (place - means[:, step]) @ curvature
        place = place - rate * velocity
    test = test.astype(np.float64)
    least = 0.5 * np.mean(np.sum((test - test.mean(0)) @ curvature * (test - test.mean(0)), axis=1))
    apart = place - test.mean(0)
    return least + 0.5 * np.sum(apart @ curvature * apart, axis=1)


def _means(orders: np.ndarray) -> np.ndarray:
    """The means [run, batch, coordinate] of the batches of an epoch in these orders [run, example]."""
    train = deepobs.examples()[0].astype(np.float64)
    return train[orders[:, : BATCH * PER_EPOCH]].reshape(-1, PER_EPOCH, BATCH, 100).mean(axis=2)


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "momentum"), [(0.01, 0.0), (0.002, 0.9), (0.0158, 0.9)])
def test_the_closed_form_is_the_mean_over_orders(rate: float, momentum: float) -> None:
    random, epochs, runs = np.random.default_rng(0), 6, 400
    shuffled = np.stack([random.permutation(1000) for _ in range(runs * epochs)])
    means = _means(shuffled).reshape(runs, epochs, PER_EPOCH, 100)
    fixed = np.tile(means[:, :1], (1, epochs, 1, 1))
    for each, expected in zip((fixed, means), NOISY.losses(rate, momentum, epochs), strict=True):
        found = _ends(each.reshape(runs, -1, 100), rate, momentum)
        assert found.mean() == pytest.approx(expected, abs=4 * found.std() / np.sqrt(runs))
        # Noise is a part of it that this tells apart.
        assert found.std() / np.sqrt(runs) < 0.1 * (expected - NOISY.least)


def test_the_published_order_is_that_of_one_seed_of_the_shuffle() -> None:
    """Of the first seeds of an operation only one gives the published losses of momentum, which differ most between orders."""
    published = pd.read_csv(deepobs.PUBLISHED).set_index(["optimizer", "learning_rate"])["final_test_loss"]
    train = deepobs.examples()[0]
    drawn = train[np.argsort(deepobs.shuffled(1000, 42, 2))]  # as NumPy drew them
    for rate in (0.01584893, 0.02511886, 0.06309573):
        orders = np.stack([deepobs.shuffled(1000, 42, operation) for operation in range(6)])
        means = drawn.astype(np.float64)[orders[:, :896]].reshape(6, PER_EPOCH, BATCH, 100).mean(axis=2)
        found = _ends(np.tile(means, (1, 100, 1)), 10 ** (round(5 * np.log10(rate)) / 5), 0.99)
        same = np.abs(found / published["MomentumOptimizer", rate] - 1) < 1e-5
        assert same.tolist() == [False, False, True, False, False, False]


def test_what_the_problem_is() -> None:
    assert round(NOISY.largest, 2) == 53.13
    assert round(NOISY.start, 4) == 353.4468
    assert NOISY.losses(0.04, 0.0, 5000) == (np.inf, np.inf)
    # A direction of curvature λ swings once in 2π/φ steps, where √β e^(iφ) is an eigenvalue of its step.
    rate, momentum = 0.01, 0.99
    for direction in (95, 99):
        step = rate * NOISY.curvature[direction]
        matrix = [[1 + momentum - step, -momentum], [1, 0]]
        angle = np.abs(np.angle(np.linalg.eigvals(matrix))).max()
        assert NOISY.periods(rate, momentum)[direction] == pytest.approx(2 * np.pi / angle)


def test_the_published_rows_and_their_rates() -> None:
    table = rows.published(1)
    assert len(table) == 108
    assert table.groupby("optimizer")["final_test_loss"].count().to_dict() == {
        "Adam": 36,
        "gradient descent": 18,
        "momentum 0.99": 20,
    }
    rates = rows.studies(100, 3, 1)["given"]["learning_rate"]["values"]
    assert rates == pytest.approx(sorted(set(table["learning_rate"])), rel=1e-6)
    assert len(rows.published(7)) == 15


def _runs(ends: dict[str, list[float]], start: float = 10.0) -> pd.DataFrame:
    """Runs of optimizers at the rates 0.001, 0.01, ..., by the losses at their end; NaN is not finite."""
    frames = []
    for name, losses in ends.items():
        finite = np.isfinite(losses)
        frames.append(
            pd.DataFrame(
                {
                    "problem": "quadratic_deep",
                    "optimizer": "adam" if name == "Adam" else "sgd",
                    "schedule": "constant",
                    "optimizer_momentum": {"Adam": np.nan, "gradient descent": 0.0, "momentum 0.99": 0.99}[
                        name
                    ],
                    "learning_rate": 10.0 ** np.arange(-3, len(losses) - 3),
                    "seed": 0,
                    "status": np.where(finite, "ok", "nonfinite"),
                    "verdict": "ok",
                    "initial_train_loss": start,
                    "initial_valid_loss": start,
                    "final_train_loss": losses,
                    "final_valid_loss": losses,
                    "problem_order": "given",
                }
            )
        )
    return rows.named(pd.concat(frames, ignore_index=True))


def test_cliffs_and_definitions_of_each_source() -> None:
    nan = float("nan")
    runs = _runs(
        {"gradient descent": [5.0, 1.0, nan], "momentum 0.99": [2.0, 1.0, nan], "Adam": [9.0, 3.0, 1.0]}
    )
    by_source = {"given": runs}
    cliffs = definitions.cliffs(by_source, NOISY).set_index("optimizer")
    assert cliffs["last_stable_rate"].to_dict() == pytest.approx(
        {"gradient descent": 0.01, "momentum 0.99": 0.01, "Adam": 0.1}
    )
    assert cliffs["first_unstable_rate"]["gradient descent"] == pytest.approx(0.1)
    assert np.isnan(cliffs["first_unstable_rate"]["Adam"])
    assert cliffs["threshold"]["momentum 0.99"] == pytest.approx(2 * 1.99 / 53.129015)
    assert cliffs["between"].to_dict() == {"gradient descent": True, "momentum 0.99": True, "Adam": False}
    table = definitions.definitions(by_source).set_index("optimizer")
    assert table["best_learning_rate"].to_dict() == pytest.approx(
        {"gradient descent": 0.01, "momentum 0.99": 0.01, "Adam": 0.1}
    )
    assert table["collapse_high"]["gradient descent"] == pytest.approx(0.1)


def test_a_row_has_both_losses_and_their_difference() -> None:
    nan = float("nan")
    runs = _runs({"gradient descent": [5.0, 1.0, nan, nan]})
    several = pd.concat(
        [runs.assign(problem_order=order, seed=seed) for order in rows.SEVERAL for seed in (0, 1)]
    )
    several.loc[(several["seed"] == 1) & (several["at"] == -15), "final_valid_loss"] = 7.0
    theirs = pd.DataFrame(
        {
            "optimizer": "gradient descent",
            "learning_rate": [0.001, 0.01, 0.1, 1.0],
            "at": [-15, -10, -5, 0],
            "final_test_loss": [4.0, 1.0 + 1e-6, nan, 2.0],
        }
    )
    table = rows.rows(theirs, {"given": runs, "float64": runs, "several": several}, NOISY, 1)
    assert table["relative_difference"][0] == pytest.approx(0.25)
    assert table["met"].tolist() == [False, True, True, False]
    assert table.loc[0, ["fixed_low", "fixed_median", "fixed_high"]].tolist() == [5.0, 6.0, 7.0]
    assert table["reshuffled_expected"][0] == pytest.approx(NOISY.losses(0.001, 0.0, 1)[1])


def _published_runs(order: str, seed: int, factor: float) -> pd.DataFrame:
    """Runs that end at the published losses times a factor."""
    theirs = rows.published(1)
    momenta = {"Adam": np.nan, "gradient descent": 0.0, "momentum 0.99": 0.99}
    losses = theirs["final_test_loss"] * factor
    return pd.DataFrame(
        {
            "problem": "quadratic_deep",
            "optimizer": np.where(theirs["optimizer"] == "Adam", "adam", "sgd"),
            "schedule": "constant",
            "optimizer_momentum": theirs["optimizer"].map(momenta),
            "learning_rate": theirs["learning_rate"],
            "seed": seed,
            "status": np.where(losses.notna(), "ok", "nonfinite"),
            "verdict": "ok",
            "initial_train_loss": 353.0,
            "initial_valid_loss": 353.4468,
            "final_train_loss": losses,
            "final_valid_loss": losses,
            "problem_order": order,
        }
    )


def _evidence(of_row: float = 1.0) -> MeasuredRows:
    """What was measured, whose runs end where the published ones do, but for one row of Adam, and for reshuffled momentum, which is best at a tenth of the rate."""
    given = _published_runs("given", 0, 1.0)
    float64 = given.copy()
    adam = given["optimizer"] == "adam"
    given.loc[adam & (given["learning_rate"] == 63.09573), "final_valid_loss"] *= of_row
    float64.loc[adam & (given["learning_rate"] > 30), "final_valid_loss"] *= 1.1
    several = [
        _published_runs(order, seed, 1.002 + 0.001 * seed) for order in rows.SEVERAL for seed in range(3)
    ]
    for each in several[3:]:
        momentum = each["optimizer_momentum"] == 0.99
        each.loc[momentum & (each["learning_rate"] == 0.0002511886), "final_valid_loss"] = 80.0
    runs = {"given": given, "float64": float64, "several": pd.concat(several, ignore_index=True)}
    runs = {name: rows.named(each) for name, each in runs.items()}
    theirs = rows.published(1)
    by_source = definitions.sources(theirs, runs)
    return MeasuredRows(
        rows.rows(theirs, runs, NOISY, 100),
        definitions.cliffs(by_source, NOISY),
        definitions.definitions(by_source),
        theirs,
        runs["several"],
        NOISY,
    )


def test_findings_of_runs_that_end_at_the_published_losses() -> None:
    found = findings(_evidence())
    met, shift, descent, momentum, adam = found[:5]
    assert (met.value, met.unit, met.met) == (108, "of 108", True)
    assert shift.value == pytest.approx(-1)
    assert (shift.low, shift.high, shift.met) == (pytest.approx(-1), pytest.approx(-1), True)
    assert (descent.value, descent.met) == (pytest.approx(0.0251, rel=1e-2), True)
    assert (momentum.value, momentum.met) == (pytest.approx(0.0631, rel=1e-2), True)
    assert np.isnan(adam.value)
    by = {each.what: each for each in found}
    assert by["largest curvature λ"].met
    assert by["test loss at the start"].met
    apart = by[
        "largest difference from the published rows of Adam up to the rate 0.251, in other fixed orders"
    ]
    assert (apart.value, apart.unit) == (pytest.approx(0.3), "%")
    agreeing = next(each for each in found if "definitions" in each.what)
    assert (agreeing.unit, agreeing.met) == (f"of {int(agreeing.value)}", True)
    at_other = [each for each in found if "ends above" in each.what]
    assert [each.value for each in at_other] == pytest.approx(
        [100 * (87.13549 / 87.04041 - 1), 100 * (87.04041 * 1.003 / 80 - 1)]
    )


def test_findings_of_a_row_that_differs() -> None:
    met, *_, adam = findings(_evidence(1.01))[:5]
    assert (met.value, met.met) == (107, False)
    assert adam.value == pytest.approx(63.1, rel=1e-3)
    assert adam.met
    assert "none below 39.8" in adam.rule


def test_a_row_that_differs_where_no_rounding_decides_is_not_as_expected() -> None:
    measured = _evidence(1.01)
    same = measured.rows.assign(float64_loss=measured.rows["given_loss"])
    *_, adam = findings(dataclasses.replace(measured, rows=same))[:5]
    assert (adam.rule, adam.met) == (
        "none, as at no rate our own losses in float32 and in float64 differ by more than 1e-05",
        False,
    )
