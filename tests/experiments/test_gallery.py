"""The gallery: who reaches a minimum and when, which points are drawn, and the page."""

from __future__ import annotations

import io
import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lrbench.errors import StudyError
from lrbench.experiments._gallery import drawing, page, paths
from lrbench.experiments.bench import perform
from lrbench.experiments.gallery import _findings
from tests.helpers.page import Page

LOSSES = {
    "a0": [9.0, 0.005, 9.0, 0.004, 0.003],
    "a1": [9.0, 9.0, 0.005, 0.005, 0.005],
    "b0": [9.0, 0.0, 0.0, 0.0, 9.0],
    "b1": [9.0, 5.0, np.nan, np.nan, np.nan],
}
"""Losses of two optimizers on the saddle, two seeds each, at steps 0 to 4."""
EVIL = "</style><script>alert(1)</script>"


def results_of(names: tuple[str, str] = ("a", "b")) -> Any:
    """Return the results of a study of two optimizers, at their one rate and at another one."""
    curves = pd.DataFrame(
        [
            {
                "run_id": run,
                "step": step,
                "train_loss": loss,
                "first_coordinate": 0.1 * step,
                "second_coordinate": 0.0,
            }
            for run, line in LOSSES.items()
            for step, loss in enumerate(line)
        ]
    )
    runs = pd.DataFrame(
        {
            "run_id": [*LOSSES, "other"],
            "problem": "saddle",
            "optimizer": [*(name for name in names for _ in range(2)), names[0]],
            "learning_rate": [0.1] * 4 + [0.2],
            "seed": [0, 1, 0, 1, 0],
            "final_train_loss": [*(line[-1] for line in LOSSES.values()), 0.0],
        }
    )
    sensitivity = pd.DataFrame(
        {
            "problem": "saddle",
            "optimizer": names,
            "use_learning_rate": [0.1, np.nan],
            "best_learning_rate": [0.2, 0.1],
        }
    )
    first, second = (each.ravel() for each in np.meshgrid(np.linspace(-1, 1, 5), np.linspace(-2, 2, 5)))
    surfaces = pd.DataFrame(
        {
            "problem": "saddle",
            "first_coordinate": first,
            "second_coordinate": second,
            "loss": first**2 + (second**2 - 1) ** 2,
        }
    )
    return SimpleNamespace(
        runs=runs,
        sensitivity=sensitivity,
        surfaces=surfaces,
        some_curves=lambda *columns: curves[["run_id", *columns]],
    )


def test_a_minimum_is_reached_from_the_step_on_from_which_the_loss_stays() -> None:
    results = results_of()
    found = paths.arrivals(results, results.runs.iloc[:4], {"saddle": 0.0}, 0.01)
    assert found.to_dict() == {"a0": 3, "a1": 2, "b0": np.inf, "b1": np.inf}


def test_lines_are_judged_at_the_rate_to_use_and_the_quickest_come_first() -> None:
    found = paths.lines(results_of(("z", "b")), {"saddle": 0.0}, 0.01)
    assert found["optimizer"].tolist() == ["z", "b"]
    assert found["learning_rate"].tolist() == [0.1, 0.1]
    assert found["reached_share"].tolist() == [1, 0]
    assert found["steps_needed"].tolist() == [2.5, np.inf]
    assert found["gap"].tolist() == [pytest.approx(0.004), np.inf]
    assert found["run_id"].tolist() == ["a0", "b0"]


def test_points_that_cannot_be_told_apart_are_left_out() -> None:
    points = np.array([[0, 0], [0, 0.001], [0, 0.002], [0, 0.0031], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5001]])
    assert paths.thinned(points) == [0, 3, 4, 6]
    assert paths.thinned(np.array([[0, 0], [7.0, 0], [0, 0]])) == [0]
    assert paths.thinned(np.array([[np.nan, 0]])) == []


def test_paths_are_in_the_coordinates_of_the_problem() -> None:
    results = results_of()
    table = paths.lines(results, {"saddle": 0.0}, 0.01)
    found = paths.paths(results, table)
    first = found[found["optimizer"] == "a"]
    assert first["step"].tolist() == [0, 1, 2, 3, 4]
    assert first["w1"].tolist() == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


def test_all_lowest_points_of_a_surface_are_its_minima() -> None:
    height = paths.heights(results_of().surfaces, "saddle")
    assert paths.lowest(height).tolist() == [[0, -1], [0, 1]]
    assert height.loc[2.0, 0.0] == 9


def test_findings_count_who_reaches_what_and_who_stays_at_the_saddle() -> None:
    table = pd.DataFrame(
        {
            "problem": ["saddle", "saddle", "beale", "beale"],
            "optimizer": ["a", "b", "a", "b"],
            "reached_share": [1.0, 0.5, 0.6, 0.9],
            "steps_needed": [7, np.inf, 5, 9],
            "gap": [0.0, 0.25, 0.0, 0.0],
        }
    )
    found = {each.what: each.value for each in _findings(table)}
    assert found["optimizers that reach the minimum of saddle at their best rate"] == 1
    assert found["optimizers that reach the minimum of beale at their best rate"] == 2
    assert found["optimizers that reach the minimum on all 2 surfaces"] == 1
    assert found["steps to the minimum of beale of the quickest optimizer, a"] == 5
    assert found["steps to the minimum of beale, median over those that reach it"] == 7
    assert found["optimizers that are still at the saddle at the end (b)"] == 1


def test_the_page_loads_nothing_and_shows_every_path() -> None:
    results = results_of(("a", EVIL))
    table = paths.lines(results, {"saddle": 0.0}, 0.01)
    points = paths.paths(results, table)
    text = page.page(table, points, results.surfaces, 4, 0.01)
    found = Page(text)
    tags = [tag for tag, _ in found.elements]
    assert tags.count("polyline") == 2
    assert found.scripts == []
    assert not re.findall(r"(?:src|href)=\"(?!#)", text)
    assert "url(" not in text
    assert "default-src 'none'" in text
    lines = [attributes for tag, attributes in found.elements if tag == "polyline"]
    assert [each["class"] for each in lines] == ["way reached", "way"]
    # From w₁ = 0, the middle of the picture, to 0.4, in steps of 5 of its 100.
    assert lines[0]["points"] == "50,50 55,50 60,50 65,50 70,50"
    assert "saddle: 1 of 2 reach the minimum" in found.text
    assert EVIL in found.text


def test_a_picture_has_a_panel_for_each_optimizer() -> None:
    results = results_of()
    table = paths.lines(results, {"saddle": 0.0}, 0.01)
    figure = drawing.picture("saddle", table, paths.paths(results, table), results.surfaces)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["a\n0.1 · 2 steps", "b\n0.1"]
    figure.savefig(io.BytesIO(), dpi=40)


@pytest.mark.parametrize("name", ["additive_noise", "digits_mlp"])
def test_a_problem_without_a_surface_is_refused(name: str, tmp_path: Any) -> None:
    message = (
        f"gallery: problems: {name}: has no surface of two coordinates with a known minimum; "
        "choose one that has, such as rosenbrock"
    )
    with pytest.raises(StudyError, match=f"^{re.escape(message)}$"):
        perform("gallery", tmp_path / "out", overrides=[f"problems=['{name}']"])
