"""One style: titles inside the figure, colours that anyone tells apart, lines by rank, and no plot without something to compare."""

from __future__ import annotations

import dataclasses
import importlib
import io
import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.text import Text

from lrbench.analysis.labels import rate_text
from lrbench.plots import base, findings, theme
from lrbench.plots.lines import RankedLines
from lrbench.plots.range_test import _finding
from lrbench.study import catalog
from tests.helpers import frames

LONG = "an_optimizer_whose_name_is_so_long_that_no_title_nor_any_legend_has_enough_room_for_all_of_it"
NAN = float("nan")


def draw(name: str, results: frames.Results) -> Figure:
    figure: Any = getattr(importlib.import_module(f"lrbench.plots.{name}"), name)(results)
    assert isinstance(figure, Figure)
    return figure


def many(count: int = 12, **rest: Any) -> frames.Results:
    """Optimizers of which the last in the alphabet are the best."""
    some = tuple((f"{chr(97 + at)}_optimizer", NAN, 10 ** (-1.0 - 0.1 * at)) for at in range(count))
    made = frames.study(rates=list(np.logspace(-3, 1, 5)), seeds=1, optimizers=some, **rest)
    made.sensitivity["use_loss"] = made.sensitivity["optimizer"].map(lambda name: 2.0 - 0.01 * ord(name[0]))
    return made


@pytest.fixture(scope="module")
def long_names() -> frames.Results:
    names = ((LONG, 0.9, 0.1), (LONG + "_too", NAN, 0.3), ("adam", NAN, 0.01))
    return frames.study(
        rates=[0.01, 0.1, 1.0], seeds=2, optimizers=names, problems=(LONG, "b"), schedules=("constant", LONG)
    )


def test_axes_are_named_in_one_style() -> None:
    _, (axes,) = base.panels(1, "a title")
    named = axes.set_xlabel("step"), axes.set_ylabel("loss")
    assert {(label.get_size(), label.get_color()) for label in named} == {(theme.LABEL, theme.INK)}


@pytest.mark.parametrize("name", catalog.names("plot"))
def test_no_text_leaves_the_figure(name: str, long_names: frames.Results) -> None:
    figure = draw(name, long_names)
    figure.savefig(io.BytesIO(), dpi=figure.dpi)
    width, height = figure.get_size_inches() * figure.dpi
    beyond: list[Text] = []  # labels of ticks outside of the panel, which are not drawn
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            beyond += [tick.label1 for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high]
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text() and text not in beyond:
            box = text.get_window_extent()
            inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
            assert inside, (text.get_text(), box)


def test_a_title_takes_the_lines_it_needs_and_the_panels_go_down() -> None:
    short, (above,) = base.panels(1, "short")
    long, (below,) = base.panels(1, "a title that says more than fits into the width of one panel alone")
    assert short.texts[0].get_text() == "short"
    assert long.texts[0].get_text().count("\n") == 1
    tops = [
        (1 - axes.get_position().y1) * figure.get_size_inches()[1]
        for figure, axes in ((short, above), (long, below))
    ]
    assert tops[1] - tops[0] == pytest.approx(0.215)


def test_text_is_wrapped_and_shortened_by_its_width() -> None:
    lines = base.wrapped("iiii " * 30, 1.0, 10, 3)
    assert len(lines) == 3
    assert lines[-1].endswith("…")
    assert all(base.inches(line, 10) <= 1.0 for line in lines)
    assert len(base.fit("i" * 99, 1.0, 10)) > len(base.fit("W" * 99, 1.0, 10))
    assert base.fit("$a$", 5.0, 10) == r"\$a\$"


def test_each_line_of_a_panels_title_is_as_wide_as_the_panel() -> None:
    _, (axes,) = base.panels(1, "finding", width=3.0)
    base.name_panel(axes, f"a short line\n{LONG}")
    first, second = axes.get_title(loc="left").split("\n")
    assert first == "a short line"
    assert second.endswith("…")
    assert base.inches(second, theme.PANEL) <= 3.0


@pytest.mark.slow
def test_the_title_says_the_rate_what_it_reaches_and_where_training_collapses() -> None:
    one = frames.study(optimizers=(("sgd", NAN, 0.1),))
    line = one.sensitivity.iloc[0]
    told = findings.answer(one)
    assert (
        told
        == f"sgd reaches 0.15 at {line['use_learning_rate']:g}; above {line['collapse_low']:g} training collapses"
    )
    assert draw("loss_vs_learning_rate", one).texts[0].get_text().replace("\n", " ") == f"synthetic: {told}"
    wide = np.log10(line["own_high"] / line["own_low"])
    assert (
        findings.band(one)
        == f"the band of sgd is {rate_text(line['own_low'])} to {line['own_high']:g}, {wide:.1f} decades wide"
    )
    one.sensitivity["own_high"] = one.sensitivity["own_low"]
    assert findings.band(one) == f"the band of sgd is one rate of the grid, {rate_text(line['own_low'])}"
    two = frames.study(optimizers=(("sgd", NAN, 0.1),), problems=("a", "b"))
    apart = frames.study(optimizers=(("sgd", NAN, 0.1), ("adam", NAN, 0.01)), problems=("a", "b"))
    swap = apart.sensitivity["optimizer"].eq("adam") & apart.sensitivity["problem"].eq("b")
    apart.sensitivity["use_loss"] = np.where(swap, 0.01, apart.sensitivity["use_loss"])
    apart.sensitivity.loc[
        (apart.sensitivity["problem"] == "a") & apart.sensitivity["optimizer"].eq("adam"), "use_loss"
    ] = 1.0
    assert findings.answer(two) == "use sgd at 0.1 on a and b"
    assert findings.answer(apart).startswith("use sgd at 0.1 on a, adam at 0.01 on b")
    four = frames.study(
        optimizers=(("sgd", NAN, 0.1),), problems=tuple("abcd"), schedules=("constant", "cosine")
    )
    assert findings.answer(four).startswith("sgd with constant is best on 4 of 4 problems; ")
    none = frames.study(rates=[1e3], optimizers=(("sgd", NAN, 0.1),))
    assert findings.answer(none) == findings.band(none) == findings.schedules(none) == "no rate trains"


# Machado, Oliveira & Fernandes (2009), severity 1, on linear RGB.
VISIONS = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def _lab(colour: str, vision: Any) -> np.ndarray:
    """CIE L*a*b* of a colour as someone sees it."""
    part = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.asarray(vision) @ linear, 0, 1)
    to_xyz = [[0.41246, 0.35758, 0.18044], [0.21267, 0.71515, 0.07217], [0.01933, 0.11919, 0.95030]]
    xyz = np.asarray(to_xyz) @ linear / np.array([0.95047, 1.0, 1.08883])
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("vision", VISIONS)
def test_any_two_colours_differ_to_every_eye(vision: str) -> None:
    seen = [_lab(colour, VISIONS[vision]) for colour in theme.COLOURS]
    assert min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(seen, 2)) > 15


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("colours", [theme.ON_LIGHT, theme.ON_DARK])
def test_any_two_colours_of_the_page_differ_to_every_eye(vision: str, colours: tuple[str, ...]) -> None:
    seen = [_lab(colour, VISIONS[vision]) for colour in colours]
    assert min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(seen, 2)) > 12


def test_in_grey_lines_differ_in_their_dashes_or_in_lightness() -> None:
    light = [_lab(colour, np.eye(3))[0] for colour in theme.COLOURS]
    for a, b in itertools.combinations(range(len(light)), 2):
        assert a % len(theme.DASHES) != b % len(theme.DASHES) or abs(light[a] - light[b]) > 20
    assert max(light) < _lab(theme.REST, np.eye(3))[0]  # the rest is paler than any of them


def test_of_many_lines_the_best_eight_have_looks_of_their_own() -> None:
    results = many()
    lines = RankedLines(results)
    assert [name[0] for name in lines.ranked] == list("lkjihgfedcba")
    looks = [lines.look(name) for name in lines.ranked]
    assert len({(look.colour, str(look.dash)) for look in looks[:8] if look}) == 8
    assert looks[8:] == [None] * 4
    figure = draw("loss_vs_learning_rate", results)
    entries = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [text[0] for text in entries[:8]] == list("lkjihgfe")
    assert entries[8] == "all other lines"
    (rest,) = [each for each in figure.axes[0].collections if isinstance(each, LineCollection)]
    assert len(rest.get_segments()) == 4
    panels = [axes.get_title("left") for axes in draw("curves", results).axes]
    assert [title[0] for title in panels] == list("lkjihg")


def test_of_many_range_tests_those_of_the_best_optimizers_are_drawn() -> None:
    results = many(14, schedules=("constant", "range_test"))
    tests = results.runs["schedule"] == "range_test"
    curves = results.curves[results.curves["run_id"].isin(results.runs.loc[tests, "run_id"])]
    rates = np.tile(np.logspace(-5, 1, curves["step"].nunique()), int(tests.sum()))
    swept = curves.assign(learning_rate=rates, minibatch_loss=1.0 / (1 + rates))
    figure = draw("range_test", dataclasses.replace(results, curves=swept))
    assert [axes.get_title("left").split(": ")[1][0] for axes in figure.axes] == list("nmlkjihgfedc")
    assert "not shown: 2 more panels (digits_mlp: b_optimizer" in figure.texts[-1].get_text()


def test_no_remark_nor_mark_lies_on_what_is_shown() -> None:
    """The remark on lines without room stands above the panel, bars beside the first rank, the best rate below the title."""
    results = many(16, problems=("p", "q", "r"))
    for axes in draw("differences", results).axes:
        (remark,) = [text for text in axes.texts if "nearest of 15" in text.get_text()]
        assert remark.get_position()[1] > 1
    (axes,) = draw("critical_difference", results).axes
    first = axes.transLimits.transform((1.0, 0.0))[0]
    bars = [line for line in axes.lines if line.get_linewidth() == 3]
    assert bars
    assert all(line.get_xdata()[0] < first - 0.01 for line in bars)
    assert np.unique(np.diff(axes.get_xticks())).tolist() == [2]
    (best,) = [line for line in draw("heatmap", results).axes[0].lines if line.get_marker() == "v"]
    assert best.get_ydata()[0] < 1
    assert best.get_clip_on()


def test_the_title_of_range_tests_compares_rules_for_the_same_runs() -> None:
    suggested = pd.DataFrame({"suggestion": [0.1, 0.2, 0.4, NAN, 1.0, NAN, 20.0, 2.0]})
    assert _finding(suggested) == "rules for the same runs suggest rates that are 4 × to 20 × apart"
    assert _finding(suggested.iloc[4:]) == "rules suggest 1 to 20, 20 × apart"
    assert _finding(suggested.iloc[[3, 3, 0, 3, 3, 3, 4, 3]]) == "rules suggest 0.1 to 1, one in each panel"
    assert _finding(suggested.iloc[[3] * 4]) == "no rule suggests a rate"


def test_a_line_has_the_same_look_in_every_plot() -> None:
    results = many(problems=("p", "q"))
    found = []
    for name in ("loss_vs_learning_rate", "performance_profile", "tuning_budget", "ecdf"):
        legend = draw(name, results).legends[0]
        at = [text.get_text()[:2] for text in legend.get_texts()].index(
            "l_"
        )  # lines come before all other entries
        found.append((legend.get_lines()[at].get_color(), legend.get_lines()[at].get_linestyle()))
    assert set(found) == {(theme.COLOURS[0], "-")}


def test_who_wins_a_problem_is_among_the_best() -> None:
    results = many(problems=("p", "q", "r"))
    lines = results.sensitivity
    lines.loc[(lines["problem"] == "q") & (lines["optimizer"] == "a_optimizer"), "use_loss"] = 0.0
    assert {name[0] for name in RankedLines(results).ranked[:2]} == {"a", "l"}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("performance_profile", "it compares lines over problems, and there is one problem alone"),
        ("critical_difference", "it ranks lines over problems, and there is one problem alone"),
        ("rate_map", "no number but the rate varies"),
        ("range_test", "no run has the schedule range_test; `lrbench find` makes them"),
        ("ecdf", "it requires first_hits = true"),
        ("schedules", "the only schedule is constant"),
    ],
)
def test_a_plot_that_has_nothing_to_compare_is_not_drawn_and_says_why(name: str, why: str) -> None:
    made = frames.study(rates=[0.01, 0.1], seeds=1, optimizers=(("sgd", NAN, 0.1), ("adam", NAN, 0.01)))
    constant = {**made.manifest, "schedules": made.manifest["schedules"][:1]}
    figure: Any = draw(name, dataclasses.replace(made, first_hits=made.first_hits[:0], manifest=constant))
    assert not figure.axes
    assert figure.why == why


def test_one_rate_has_no_heatmap_and_one_line_no_differences() -> None:
    one: Any = frames.study(rates=[0.1], seeds=1, optimizers=(("sgd", NAN, 0.1),))
    assert draw("heatmap", one).why == "it compares learning rates, and there is one alone"  # type: ignore[attr-defined]
    assert draw("differences", one).why == "it compares lines of a problem, and no two of them train"  # type: ignore[attr-defined]
