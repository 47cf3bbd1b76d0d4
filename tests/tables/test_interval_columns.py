"""The intervals of the sensitivity table are those of `analysis.intervals`, of the runs that count."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lrbench.analysis.intervals import rate_interval, t_interval
from lrbench.tables.sensitivity import sensitivity
from lrbench.tables.summary import summary
from tests.helpers.frames import runs_of

RATES = np.array([0.01, 0.1, 1.0, 10.0])


def study(seeds: int, fresh: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Runs of one line whose best rates are the second and third; their losses [rate, seed], the fresh seeds last."""
    losses = np.array([[0.8], [0.2], [0.2], [0.95]]) + 0.02 * np.random.default_rng(1).normal(
        size=(4, seeds + fresh)
    )
    rate, seed = (index.ravel() for index in np.indices(losses.shape))
    runs = runs_of(losses.ravel().tolist(), learning_rate=RATES[rate], verdict="good")
    confirmed = seed >= seeds
    runs = runs.assign(
        seed=np.where(confirmed, 2**30 + seed - seeds, seed),
        stage=np.where(confirmed, "confirm", "grid"),
        headline="valid_accuracy",
        final_valid_accuracy=1 - losses.ravel() / 2,
    )
    return runs[~confirmed | np.isin(rate, [1, 2])].reset_index(drop=True), losses


@pytest.mark.parametrize(("seeds", "fresh"), [(3, 0), (10, 0), (3, 10)])
def test_losses_and_metrics_have_t_with_the_good_neighbours_on_the_seeds_that_count(
    seeds: int, fresh: int
) -> None:
    runs, losses = study(seeds, fresh)
    row = sensitivity(runs).iloc[0]
    counted = losses[:, -fresh:] if fresh else losses
    use = int(np.flatnonzero(np.isclose(RATES, row["use_learning_rate"]))[0])
    best = 1 + int(counted[1:3].mean(axis=1).argmin())
    for name, place, values in (
        ("use_loss", use, counted),
        ("best_loss", best, counted),
        ("use_value", use, 1 - counted / 2),
    ):
        low, high = t_interval(values[place], near=values[[3 - place]])
        assert row[name] == pytest.approx(values[place].mean())
        assert (row[f"{name}_low"], row[f"{name}_high"]) == pytest.approx((low, high))
    each = losses[:, :seeds].mean(axis=0)
    star = counted.mean(axis=1)[1:3].min()
    wanted = np.array(t_interval(each)) - star
    found = row[["learning_rate_sensitivity_low", "learning_rate_sensitivity_high"]].to_numpy(dtype=float)
    assert found == pytest.approx(wanted)


def test_rates_have_an_interval_from_six_seeds_on() -> None:
    runs, losses = study(8)
    row = sensitivity(runs).iloc[0]
    without = (losses.sum(axis=1, keepdims=True) - losses) / 7
    low, high = rate_interval(RATES[None], losses.mean(axis=1)[None], without[None])
    assert (row["best_learning_rate_low"], row["best_learning_rate_high"]) == (low[0], high[0])
    assert (low[0], high[0]) == (0.1, 1.0)
    few = sensitivity(study(5)[0]).iloc[0]
    assert few[["best_learning_rate_low", "best_learning_rate_high"]].isna().all()


def test_a_mean_that_overflows_is_missing_without_a_warning() -> None:
    """Just before it diverges a loss in binary64 can be that large."""
    runs = pd.DataFrame(
        {
            "problem": "p",
            "learning_rate": 0.1,
            "seed": range(4),
            "status": "diverged",
            "final_train_loss": [1.7e308, 1.7e308, 1.7e308, 1.0],
        }
    )
    row = summary(runs).iloc[0]
    assert np.isnan(row["final_train_loss_mean"])
    assert np.isnan(row["final_train_loss_high"])
