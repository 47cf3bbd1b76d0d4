"""What becomes of a rate at the edge of stability, by curves that were written by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lrbench.errors import StudyError
from lrbench.experiments._edge_of_stability.outcomes import findings, of_runs
from lrbench.experiments.bench import perform

FALLING = [8.0, 7, 6, 5, 4, 3, 2, 1, 0.5]


def _curves(*runs: tuple[str, int, float, list[float], list[float]]) -> pd.DataFrame:
    """Return the curves of runs (optimizer, seed, rate, edge ratios, losses) with an evaluation in ten steps."""
    frames = [
        pd.DataFrame(
            {
                "optimizer": optimizer,
                "seed": seed,
                "learning_rate": rate,
                "step": 10 * np.arange(len(ratio)),
                "train_loss": loss,
                "edge_ratio": ratio,
            }
        )
        for optimizer, seed, rate, ratio, loss in runs
    ]
    return pd.concat(frames, ignore_index=True)


@pytest.mark.parametrize(
    ("ratio", "loss", "outcome", "reached", "late"),
    [
        ([0.2, 0.5, 0.8, 0.95, 1.0, 1.1, 0.9, 1.0, 1.05], FALLING, "hovers", 30, 1.0),
        ([0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 0.92, 1.0, 1.0], FALLING, "not reached", 60, 0.92),  # after half
        ([5.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5], FALLING, "not reached", np.nan, 0.5),  # the start
        ([0.2, 0.95, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5], FALLING, "fell below", 10, 0.5),
        ([0.2, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5], FALLING, "above", 10, 1.5),
        ([0.2, 1.5, *[np.nan] * 7], [8.0, 9, *[np.nan] * 7], "diverged", np.nan, np.nan),
        ([1.0] * 9, [1.0, 2, 2, 2, 2, 2, 2, 2, 2], "diverged", np.nan, np.nan),
        ([1.0] * 9, [8.0, 7, 6, 5, 4, 3, 2, 2, 99.0], "diverged", np.nan, np.nan),
    ],
)
def test_outcomes(ratio: list[float], loss: list[float], outcome: str, reached: float, late: float) -> None:
    (row,) = of_runs(_curves(("sgd", 0, 0.1, ratio, loss))).to_dict("records")
    assert row["outcome"] == outcome
    assert [row["reached_step"], row["late_ratio"]] == pytest.approx([reached, late], nan_ok=True)
    assert row["start_ratio"] == ratio[0]


def test_a_spike_in_the_last_evaluation_is_no_divergence() -> None:
    """The last quarter of thirteen evaluations has three."""
    loss = [8.0, 7, 6, 5, 4, 3, 2, 1, 1, 0.9, 0.5, 0.6, 99.0]
    (row,) = of_runs(_curves(("sgd", 0, 0.1, [1.0] * 13, loss))).to_dict("records")
    assert row["outcome"] == "hovers"
    assert row["end_loss"] == 0.6
    assert row["still_falls"]
    (row,) = of_runs(_curves(("sgd", 0, 0.1, [1.0] * 13, [9.0, *[1.0] * 12]))).to_dict("records")
    assert not row["still_falls"]


def test_findings_are_means_over_seeds_in_the_units_of_the_published_edge() -> None:
    flat, low = [1.0] * 9, [0.95, *[0.7] * 8]
    runs = of_runs(
        _curves(
            ("adam", 0, 0.1, [0.2, *[0.9] * 8], FALLING),
            ("adam", 0, 0.2, [0.2, *[1.1] * 8], FALLING),
            ("adam", 1, 0.1, [1.0, 1.0, *[0.5] * 7], FALLING),
            ("adam", 1, 0.2, [1.0, 1.0, *[1.1] * 7], FALLING),
            ("sgd", 0, 0.1, low, FALLING),
            ("sgd", 0, 0.2, flat, FALLING),
            ("sgd", 1, 0.1, flat, FALLING),
            ("sgd", 1, 0.2, [2.0] * 9, [1.0, *[np.inf] * 8]),
        )
    )
    found = {each.what: each for each in findings(runs)}
    levels = [each for each in found.values() if each.what.startswith("Adam: rate × curvature")]
    # Medians of 1.0 and 0.8 times 38.
    assert levels[0].value == pytest.approx(0.9 * 38)
    assert "34.2 to 49.4" in levels[0].rule
    hover = found["Adam: rates that hover, of those that reached the edge"]
    assert (hover.value, hover.low, hover.high, hover.met) == (75, 0, 100, False)  # 100 % and 50 %
    every = found["rates that hover at the edge of stability, of those that reached it by half of the run"]
    assert every.value == pytest.approx((3 / 3 + 2 / 3) / 2 * 100)
    assert found["Adam: rates whose loss still falls, of those that hover"].value == 100
    for what in ("highest rate that trains", "lowest rate that reaches the edge before the end"):
        each = found[f"gradient descent: {what}"]
        assert each.value == pytest.approx(np.sqrt(0.1 * 0.2))  # 0.2 of one seed, 0.1 of the other
        half = 12.7062 * np.log(2) / 2  # t of one degree of freedom
        assert np.log([each.low, each.high]) - np.log(each.value) == pytest.approx([-half, half], rel=1e-4)
    top = found["Adam: highest rate that trains"]
    assert (top.value, top.unit) == (pytest.approx(0.2), "(the highest tried)")
    assert found["gradient descent: highest rate that trains"].unit == ""  # differs between seeds
    fell = [each for what, each in found.items() if "fell below" in what]
    assert [each.value for each in fell] == [1.0]  # of Adam, all with the same losses
    assert not any("at the start" in what for what in found if what.startswith("Adam"))


def test_an_optimizer_without_a_known_edge_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyError) as caught:
        perform("edge_of_stability", tmp_path, overrides=["optimizers=['adamw']"])
    assert str(caught.value) == (
        "edge_of_stability: optimizers: unknown optimizer 'adamw'; allowed: sgd, momentum, adam; did you mean 'adam'?"
    )
