"""The pictures, looked at through their artists; drawing them gives no warning."""

from __future__ import annotations

import dataclasses
import importlib
import io
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

from lrbench.analysis import ecdf
from lrbench.execution.execute import run
from lrbench.plots import base
from lrbench.results import pictures
from lrbench.results.one_problem import OneProblem
from tests.helpers import frames

NAMES = ["loss_vs_learning_rate", "curves", "schedules"]
ONE = (("sgd", float("nan"), 0.1),)
HOSTILE = (("_$a$", 0.9, 0.1),)


def draw(name: str, results: frames.Results) -> Figure:
    figure: Any = getattr(importlib.import_module(f"lrbench.plots.{name}"), name)(results)
    assert isinstance(figure, Figure)
    figure.savefig(io.BytesIO(), dpi=40)
    return figure


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", frames.STUDIES)
def test_every_plot_takes_every_study(name: str, kind: str) -> None:
    assert draw(name, frames.STUDIES[kind]()).axes


ACROSS = ["critical_difference", "performance_profile", "tuning_budget", "differences", "heatmap"]


@pytest.mark.parametrize("name", ACROSS)
@pytest.mark.parametrize("kind", frames.STUDIES)
def test_plots_that_compare_take_every_study_and_may_have_nothing_to_show(name: str, kind: str) -> None:
    axes = draw(name, frames.STUDIES[kind]()).axes
    if kind.startswith("one row") or name == "critical_difference":  # one line, or one problem
        assert not axes


def test_no_plot_needs_pyplot() -> None:
    backend = matplotlib.rcParams._get("backend")  # reading rcParams["backend"] itself would choose one
    draw("curves", frames.study(rates=[0.1]))
    assert matplotlib.rcParams._get("backend") == backend


@pytest.fixture(scope="module")
def results() -> frames.Results:
    return frames.study(problems=("a", "b"))


def test_loss_vs_learning_rate_draws_the_means_and_marks(results: frames.Results) -> None:
    figure = draw("loss_vs_learning_rate", results)
    assert [axes.get_title("left") for axes in figure.axes] == ["a", "b"]
    axes = figure.axes[0]
    assert axes.get_xscale() == "log"
    runs = results.runs[(results.runs["problem"] == "a") & (results.runs["optimizer"] == "adam")]
    best = results.sensitivity.query("problem == 'a' and optimizer == 'adam'").iloc[0]
    start = runs["initial_valid_loss"].median()
    losses = np.fmin(runs["final_valid_loss"], start)
    means = losses.groupby(runs["learning_rate"]).mean()
    adam = next(line for line in axes.lines if line.get_color() == base.COLOURS[2])
    assert np.allclose(adam.get_xdata(), means.index)
    assert np.allclose(adam.get_ydata(), means)
    marks = {
        line.get_marker(): line.get_xdata() for line in axes.lines if line.get_color() == adam.get_color()
    }
    assert marks["o"].tolist() == [best["use_learning_rate"]]
    assert marks["X"].tolist() == [best["collapse_low"]]
    assert axes.get_ylim()[1] < 1.3 * start


def test_a_critical_difference_diagram_has_a_disc_per_line_and_a_bar_per_group(
    results: frames.Results,
) -> None:
    (axes,) = draw("critical_difference", results).axes
    discs = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "o"]
    assert discs == results.ranking["average_rank"].tolist()
    bars = [line for line in axes.lines if line.get_linewidth() == 3]
    assert len(bars) == 1  # two problems tell nobody apart
    assert bars[0].get_ydata().tolist() == [-0.3, 2.3]
    assert any("critical difference 2.34" in text.get_text() for text in axes.texts)


def test_a_performance_profile_starts_with_who_is_fastest(results: frames.Results) -> None:
    (axes,) = draw("performance_profile", results).axes
    shares = [line.get_ydata() for line in axes.lines]
    assert sum(float(share[0]) for share in shares) >= 1
    assert all((np.diff(share) >= 0).all() for share in shares)
    scores = results.ranking["profile_score"].sort_values(ascending=False)
    legend = [text.get_text() for text in axes.figure.legends[0].get_texts()]
    assert [text.rpartition(": ")[2] for text in legend] == [f"{score:.2f}" for score in scores]


def test_a_tuning_budget_falls_to_the_gap_of_the_best_rate(results: frames.Results) -> None:
    figure = draw("tuning_budget", results)
    assert [axes.get_title("left") for axes in figure.axes] == ["a", "b"]
    ends = sorted(line.get_ydata()[-1] for line in figure.axes[0].lines if len(line.get_xdata()) == 25)
    gaps = results.sensitivity[results.sensitivity["problem"] == "a"]["best_gap"]
    assert ends == pytest.approx(sorted(gaps), abs=1e-12)


def test_the_line_that_is_the_easiest_to_tune_is_seen_among_many() -> None:
    many = tuple((f"optimizer_{at}", float("nan"), 0.1) for at in range(12))
    made = frames.study(rates=[0.01, 0.1, 1.0, 10.0], seeds=1, optimizers=many)
    last = made.tuning_budget["optimizer"] == "optimizer_11"
    made.tuning_budget.loc[last, "expected_gap"] /= 2
    figure = draw("tuning_budget", made)
    assert figure.texts[0].get_text().startswith("synthetic: optimizer_11 + constant is the easiest to tune")
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names[-2:] == ["optimizer_11 + constant", "all other lines"]
    (line,) = [each for each in figure.axes[0].lines if each.get_marker() == "o"]
    assert line.get_ydata().tolist() == made.tuning_budget[last]["expected_gap"].tolist()


def test_a_heatmap_has_no_red_below_the_start_of_a_rate(results: frames.Results) -> None:
    """Rates that were confirmed have other seeds, which start elsewhere."""
    curves = results.curves.copy()
    runs = results.runs[(results.runs["problem"] == "a") & np.isclose(results.runs["learning_rate"], 0.1)]
    curves.loc[curves["run_id"].isin(runs["run_id"]), "valid_loss"] *= 1.3
    figure = draw("heatmap", dataclasses.replace(results, curves=curves))
    for axes in figure.axes[:3]:
        (mesh,) = [item for item in axes.collections if isinstance(item, QuadMesh)]
        assert float(np.ma.max(mesh.get_array()[0])) <= mesh.norm.vmax


@pytest.mark.slow
def test_runtime_distributions_rise_to_what_restarts_meet(results: frames.Results) -> None:
    figure = draw("ecdf", results)
    assert [axes.get_title("left") for axes in figure.axes] == [
        "at the best rate",
        "at a rate drawn for each start: tuning included",
    ]
    told, tuned = figure.axes
    table = ecdf.runtime_distribution(results.runs, results.first_hits)
    for axes, draws in ((told, ecdf.BEST), (tuned, ecdf.ANY)):
        lines = [line for line in axes.lines if len(line.get_xdata()) > 1]
        shares = table[table["draws"] == draws].groupby("line")["share"]
        assert len(lines) == len(shares) == 4  # three lines, and the virtual best
        drawn = sorted(tuple(line.get_ydata()) for line in lines)
        assert drawn == sorted(tuple(each) for _, each in shares)
        crosses = [line for line in axes.lines if line.get_marker() == "x"]
        assert [line.get_xdata()[0] for line in crosses] == [frames.STEPS] * 4
        assert axes.get_xscale() == "log"
    # Who has to find the rate has met less within the steps of one run.
    at = [
        np.mean([line.get_ydata()[0] for line in axes.lines if line.get_marker() == "x"])
        for axes in (told, tuned)
    ]
    assert at[0] > at[1]
    assert not draw("ecdf", dataclasses.replace(results, first_hits=results.first_hits[:0])).axes


@pytest.mark.slow
def test_runtime_distributions_of_one_problem_are_those_of_its_runs(results: frames.Results) -> None:
    one: Any = OneProblem(results, "b")
    figure = draw("ecdf", one)
    assert figure.texts[-1].get_text().startswith("1 problem; cross")
    alone = frames.study(problems=("b",))
    for axes, other in zip(figure.axes, draw("ecdf", alone).axes, strict=True):
        for line, expected in zip(axes.lines, other.lines, strict=True):
            np.testing.assert_array_equal(line.get_ydata(), expected.get_ydata())


def test_differences_are_to_the_best_line_of_the_problem(results: frames.Results) -> None:
    figure = draw("differences", results)
    table = results.comparison[results.comparison["problem"] == "a"].iloc[:2]
    points = [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_marker() in ("o", "D")]
    assert points == (-table["difference"]).tolist()
    ends = [line.get_xdata() for line in figure.axes[0].lines if line.get_linewidth() == 2]
    assert np.allclose(ends, -table[["difference_high", "difference_low"]].to_numpy())


def test_an_optimizer_keeps_its_colour(results: frames.Results) -> None:
    figure = draw("loss_vs_learning_rate", results)
    first, second = ([line.get_color() for line in axes.lines] for axes in figure.axes)
    assert first == second
    assert len(set(first)) == 3


def test_curves_show_a_too_small_rate_the_one_to_use_and_a_too_large_one(results: frames.Results) -> None:
    lines = results.sensitivity.copy()
    smaller = np.unique(results.runs["learning_rate"])[11]
    lines.loc[0, ["use_learning_rate", "best_learning_rate"]] = smaller, 0.1
    figure = draw("curves", dataclasses.replace(results, sensitivity=lines))
    assert len(figure.axes) == 6
    texts = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert [text.split(":")[0] for text in texts] == ["too small", "to use", "too large"]
    assert texts[1] == "to use: 0.056"  # the rate that the title names
    (mark,) = draw("heatmap", dataclasses.replace(results, sensitivity=lines)).axes[0].lines
    assert mark.get_xdata() == [smaller]


@pytest.mark.parametrize("name", ["curves", "heatmap"])
def test_a_panel_is_of_the_best_schedule_of_its_optimizer(name: str) -> None:
    made = frames.study(
        optimizers=frames.OPTIMIZERS[1:], problems=("a", "b"), schedules=("constant", "cosine")
    )
    better = (made.sensitivity["schedule"] == "cosine") & (made.sensitivity["problem"] == "a")
    made.sensitivity.loc[better, "use_loss"] -= 0.01
    titles = [axes.get_title("left") for axes in draw(name, made).axes]
    assert [title for title in titles if title] == [
        "a: sgd, cosine",
        "a: adam, cosine",
        "b: sgd, constant",
        "b: adam, constant",
    ]


def test_a_title_names_all_that_are_the_fastest() -> None:
    twins = (("sgd", float("nan"), 0.1), ("adam", float("nan"), 0.1), ("lion", float("nan"), 1e5))
    (axes,) = draw("performance_profile", frames.study(optimizers=twins, problems=("a", "b"))).axes
    title = axes.figure.texts[0].get_text().replace("\n", " ")
    assert title == "synthetic: sgd + constant and adam + constant are the fastest on 2 of 2 problems"


def test_heatmap_has_a_cell_per_rate_and_evaluation(results: frames.Results) -> None:
    figure = draw("heatmap", results)
    meshes = [item for axes in figure.axes for item in axes.collections if isinstance(item, QuadMesh)]
    cells = [mesh.get_array() for mesh in meshes if mesh.get_array().shape == (11, 25)]
    assert len(cells) == 6
    assert cells[0].mask[:, -1].any()  # the largest rate is not finite any more
    assert not cells[0].mask[0].any()


def test_a_line_per_value_of_a_named_rate() -> None:
    figure = draw("loss_vs_learning_rate", frames.study(optimizers=ONE, output=(0.1, 1.0)))
    best = {line.get_xdata()[0] for line in figure.axes[0].lines if line.get_marker() == "o"}
    assert len(best) == 2
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend[:2] == ["sgd(learning_rate_output=0.1)", "sgd(learning_rate_output=1)"]


def test_schedules_draw_their_shapes(results: frames.Results) -> None:
    figure = draw("schedules", results)
    titles = [axes.get_title("left") for axes in figure.axes]
    assert titles == ["constant", "cosine", "reduce_on_plateau(patience=1)"]
    assert figure.axes[1].lines[0].get_ydata().tolist() == [1.0, 0.5, 0.0]


@pytest.mark.slow
def test_contours_show_a_row_of_three_per_problem_and_are_drawn_for_none_else(tmp_path: Path) -> None:
    table = {
        "name": "wells",
        "steps": 6,
        "seeds": 2,
        "problem": ["quadratic", {"name": "double_well", "tilt": [0.1, 0.3]}],
        "optimizer": [{"name": "sgd", "momentum": [0.0, 0.9]}],
        "learning_rate": {"values": [1e-4, 0.1, 100.0]},
        "probes": ["first_coordinate", "second_coordinate"],
    }
    found = run(table, tmp_path / "wells", report=False)
    pictures.write(found, "contours")
    assert (tmp_path / "wells/plots/contours.png").exists()
    assert len(found.surfaces) == 2 * 81**2
    lowest = found.surfaces.loc[found.surfaces["loss"].idxmin()]
    assert (lowest["first_coordinate"], lowest["second_coordinate"]) == pytest.approx((-1.04, 0), abs=0.05)
    figure = draw("contours", found)
    titles = [axes.get_title("left") for axes in figure.axes]
    assert titles[:3] == [f"double_well(tilt=0.1): {kind}" for kind in ("too small", "to use", "too large")]
    assert len(figure.axes) == 6
    way = figure.axes[1].lines[1].get_xydata()
    runs = found.runs.query("problem_tilt == 0.1 and seed == 0 and optimizer_momentum == 0")
    rate = found.sensitivity.query("problem_tilt == 0.1 and optimizer_momentum == 0")[
        "use_learning_rate"
    ].iloc[0]
    run_id = runs[runs["learning_rate"] == rate]["run_id"].iloc[0]
    curve = found.curves[found.curves["run_id"] == run_id]
    np.testing.assert_allclose(way, curve[["first_coordinate", "second_coordinate"]])
    assert not draw("contours", frames.study(rates=[0.1])).axes


def test_a_schedule_that_depends_on_the_losses_is_drawn_as_runs_had_it() -> None:
    made = frames.study(rates=[0.1, 1e3], optimizers=ONE)  # the runs of the larger rate diverge
    curves = made.curves
    late = (curves["run_id"] == made.runs["run_id"].iloc[1]) & (curves["step"] >= 50)
    curves.loc[late, "learning_rate"] *= 0.5
    figure = draw("schedules", made)
    lines = figure.axes[2].lines
    assert len(lines) == 3
    assert lines[0].get_ydata().tolist() == [1.0] * 11
    assert lines[1].get_ydata().tolist() == [1.0] * 5 + [0.5] * 6
    assert "the rates of runs" in figure.texts[-1].get_text()


def test_what_has_no_room_is_named() -> None:
    problems = tuple("abcdefgh")
    figure = draw(
        "loss_vs_learning_rate", frames.study(rates=[0.1], seeds=1, optimizers=ONE, problems=problems)
    )
    assert len(figure.axes) == 6
    assert any("not shown: 2 more problems (g, h)" in text.get_text() for text in figure.texts)


def test_a_text_is_no_mathematics_and_has_an_end() -> None:
    assert base.plain("$a$") == r"\$a\$"
    assert base.plain("abcdef", 4) == "abc…"


def test_a_lacking_run_and_shuffled_curves_change_nothing_but_themselves(results: frames.Results) -> None:
    from lrbench.analysis.line_curves import CurvesByRun
    from lrbench.analysis.objective import objectives_of

    rows = np.arange(6)
    objectives = objectives_of(results.manifest)
    whole = CurvesByRun(results.runs, results.curves, objectives).of(rows)
    shuffled = CurvesByRun(results.runs, results.curves.sample(frac=1, random_state=0), objectives).of(rows)
    np.testing.assert_array_equal(whole.value, shuffled.value)
    lacking = results.curves[results.curves["run_id"] != results.runs["run_id"].iloc[1]]
    partly = CurvesByRun(results.runs, lacking, objectives).of(rows)
    assert np.isnan(partly.value[0, 1]).all()
    np.testing.assert_array_equal(whole.value[1], partly.value[1])


def test_the_metric_of_the_winner_stands_in_the_corner() -> None:
    """Of the line of least loss at its rate to use, as the sensitivity table has them; nothing where it has none."""
    results = frames.study()
    results.sensitivity = results.sensitivity.drop(columns="use_value", errors="ignore")
    assert not _corner(draw("loss_vs_learning_rate", results))
    lines = results.sensitivity.assign(
        use_learning_rate=[0.1, 0.32, 0.0464], use_loss=[0.3, np.nan, 0.2], use_value=[0.8, 0.99, 0.9874]
    )
    told = dataclasses.replace(results, sensitivity=lines.assign(headline="valid_accuracy"))
    assert _corner(draw("loss_vs_learning_rate", told)) == ["adam at 0.046: accuracy 98.7 %"]
    told = dataclasses.replace(results, sensitivity=lines.assign(headline="valid_absolute_error"))
    assert _corner(draw("loss_vs_learning_rate", told)) == ["adam at 0.046: absolute error 0.987"]
    none = dataclasses.replace(results, sensitivity=lines.assign(headline=None, use_value=np.nan))
    assert not _corner(draw("loss_vs_learning_rate", none))


def _corner(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts if text.get_text()]


def test_axes_say_what_runs_are_judged_by() -> None:
    """A metric to raise is drawn as what is missing to its bound, so that lower is better in every plot."""
    results = frames.study()
    judged = {"column": "valid_accuracy", "larger": True, "bound": 1.0, "at": "best"}
    told = dataclasses.replace(results, manifest={**results.manifest, "objectives": {"digits_mlp": judged}})
    assert draw("loss_vs_learning_rate", told).axes[0].get_ylabel() == "best 1 − validation accuracy"
    assert draw("curves", told).axes[0].get_ylabel() == "1 − validation accuracy"
    drawn = draw("curves", told).axes[0].lines[0].get_ydata()
    accuracy = told.curves["valid_accuracy"]
    assert np.nanmax(np.asarray(drawn, dtype=float)) <= 1 - accuracy.min()
