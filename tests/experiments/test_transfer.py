"""Best rates and slopes of losses whose best rate is known."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lrbench.experiments._transfer.best_rates import Measured, findings, measured

RATES = 2.0 ** np.arange(-11, -2)


def _results(best: dict[tuple[int, ...], float], spread: float = 0.0, seeds: int = 6) -> Any:
    """Results of networks whose loss is a parabola in log₂ rate around `best`, moved by ±`spread` from seed to seed."""
    rows = [
        {
            "problem": "digits_mlp",
            "problem_hidden": json.dumps(list(hidden)),
            "problem_parametrisation": kind,
            "optimizer": "adam",
            "schedule": "constant",
            "learning_rate": rate,
            "seed": seed,
            "status": "ok",
            "initial_train_loss": 1e5,
            "final_train_loss": np.exp(0.3 * (np.log2(rate) - centre - spread * (-1) ** seed) ** 2),
        }
        for hidden, place in best.items()
        for kind, centre in (("standard", place), ("mup_adam", -6.3))
        for seed in range(seeds)
        for rate in RATES
    ]
    runs = pd.DataFrame(rows)
    lines = runs.drop_duplicates(["problem_hidden", "problem_parametrisation"]).reset_index(drop=True)
    return SimpleNamespace(runs=runs, sensitivity=lines, manifest={})


def _found(*args: Any, grows: str = "width") -> Measured:
    return measured(_results(*args), "adam", grows)


def test_the_best_rates_are_those_of_the_parabolas() -> None:
    widths = {(64, 64): -5.2, (128, 128): -6.2, (256, 256): -7.2, (512, 512): -8.2}
    found = _found(widths)
    standard = found.best[found.best["parametrisation"] == "standard"]
    np.testing.assert_allclose(np.log2(standard["best_learning_rate"]), list(widths.values()), atol=1e-6)
    np.testing.assert_allclose(standard["shift"], [0, -1, -2, -3], atol=1e-6)
    assert standard["width"].tolist() == [64, 128, 256, 512]
    assert not standard["best_at_edge"].any()
    slopes = found.slopes.set_index("parametrisation")
    assert slopes.loc["standard", "slope"] == pytest.approx(-1)
    assert slopes.loc["muP", "slope"] == pytest.approx(0, abs=1e-6)
    # At width 512 the first width's rate is 3 steps off: 0.3·9 more in log loss, between grid points of known height.
    last = standard.iloc[-1]
    heights = [0.3 * (place + 8.2) ** 2 for place in (-6, -5)]
    assert np.log(last["transferred_loss"]) == pytest.approx(0.8 * heights[1] + 0.2 * heights[0])
    told = {each.what: each for each in findings(found.best, found.slopes)}
    first, second = list(told.values())[:2]
    assert (first.value, first.met, first.rule) == (pytest.approx(-1), True, "−1 within 0.25")
    assert (second.rule, second.met) == ("0 within 0.25", True)
    moves = [each for each in told.values() if "most that a best rate" in each.what]
    assert [each.met for each in moves] == [False, True]
    assert moves[0].value == pytest.approx(3)


def test_the_interval_of_a_best_rate_is_that_of_its_seeds() -> None:
    best = _found({(64, 64): -6.0, (128, 128): -6.0}, 0.1).best
    low, high = (np.log2(best[f"best_learning_rate_{end}"].iloc[0]) for end in ("low", "high"))
    # The mean over seeds of parabolas hardly differs from a parabola: t of 5 degrees of freedom, deviation 0.1.
    half = 2.5706 * 0.1 * np.sqrt(6 / 5) / np.sqrt(6)
    assert [low, high] == pytest.approx([-6 - half, -6 + half], abs=0.01)


def test_a_best_rate_at_the_edge_of_the_grid_is_not_known() -> None:
    found = _found({(8, 8): -6.0, (8, 8, 8): -14.0, (8, 8, 8, 8): -6.5}, grows="depth")
    standard = found.best[found.best["parametrisation"] == "standard"]
    assert standard["best_at_edge"].tolist() == [False, True, False]
    assert standard["depth"].tolist() == [2, 3, 4]
    assert np.isnan(standard["best_learning_rate"].iloc[1])
    row = found.slopes.set_index("parametrisation").loc["standard"]
    assert (row["sizes"], row["sizes_fitted"]) == (3, 2)
    assert row["slope"] == pytest.approx(-0.5 / np.log2(2))
    told = [each for each in findings(found.best, found.slopes) if "most that" in each.what]
    assert told[0].met is False
