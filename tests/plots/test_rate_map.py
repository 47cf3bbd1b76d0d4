"""The map of two numbers, looked at through its artists."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.collections import LineCollection, QuadMesh
from matplotlib.figure import Figure

from lrbench.plots.rate_map import _outline, rate_map
from tests.helpers import frames


def draw(results: frames.Results) -> Figure:
    figure = rate_map(results)
    figure.savefig(io.BytesIO(), dpi=40)
    return figure


@pytest.fixture(scope="module")
def momenta() -> frames.Results:
    return frames.study(optimizers=tuple(("sgd", momentum, 1 - momentum) for momentum in (0.9, 0.0, 0.5)))


def test_a_row_per_value_with_its_best_rate(momenta: frames.Results) -> None:
    axes = draw(momenta).axes[0]
    assert axes.get_title("left") == "digits_mlp, sgd"
    assert axes.get_ylabel() == "momentum"
    assert [text.get_text() for text in axes.get_yticklabels()] == ["0", "0.5", "0.9"]
    cells = [mesh for mesh in axes.collections if isinstance(mesh, QuadMesh)]
    assert [mesh.get_array().shape for mesh in cells] == [(1, 25)] * 3
    table = momenta.sensitivity.sort_values("optimizer_momentum")
    discs = [line.get_xdata()[0] for line in axes.lines if line.get_markersize() == 5]
    assert discs == table["best_learning_rate"].tolist()
    lowest = [mesh.get_array()[0].min() for mesh in cells]
    np.testing.assert_allclose(lowest, table["best_loss"])


def test_nothing_is_drawn_where_no_number_varies() -> None:
    assert not draw(frames.study(optimizers=(("sgd", 0.9, 0.1), ("adam", float("nan"), 0.01)))).axes


@pytest.mark.parametrize("count", [2, 12, 40])
def test_two_values_and_many(count: int) -> None:
    values = np.linspace(0, 0.95, count)
    figure = draw(frames.study(seeds=1, optimizers=tuple(("sgd", value, 1 - value) for value in values)))
    ticks = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert len(ticks) == min(count, 24)
    assert [ticks[0], ticks[-1]] == ["0", "0.95"]
    assert (count == 40) == any("24 of 40 values" in text.get_text() for text in figure.axes[0].texts)


def test_only_slices_of_the_best_schedule_are_drawn_and_what_has_no_room_is_named() -> None:
    momenta = (("sgd", 0.9, 0.1), ("sgd", 0.0, 0.3))
    results = frames.study(optimizers=momenta, schedules=("constant", "cosine"), problems=tuple("abcdefgh"))
    figure = draw(results)
    titles = [axes.get_title("left") for axes in figure.axes if axes.get_title("left")]
    assert titles == [f"{name}, sgd, constant" for name in "abcdef"]
    assert any("2 more panels (g, sgd, constant, h" in text.get_text() for text in figure.texts)


def test_the_outline_goes_around_useful_cells_and_no_others() -> None:
    """Two rows of two cells, of which both of the lower and the right one of the upper are useful."""
    edges = np.array([1.0, 10.0, 100.0])
    found = _outline([(edges, np.array([True, True])), (edges, np.array([False, True]))])
    wanted = {
        ((1.0, -0.5), (1.0, 0.5)),
        ((100.0, -0.5), (100.0, 0.5)),
        ((10.0, 0.5), (10.0, 1.5)),
        ((100.0, 0.5), (100.0, 1.5)),
        ((1.0, -0.5), (10.0, -0.5)),
        ((10.0, -0.5), (100.0, -0.5)),
        ((1.0, 0.5), (10.0, 0.5)),
        ((10.0, 1.5), (100.0, 1.5)),
    }
    assert {tuple(map(tuple, piece)) for piece in found} == wanted
    assert len(found) == len(wanted)


def test_lines_with_rates_of_their_own_share_an_outline() -> None:
    low, high = np.array([1.0, 10.0]), np.array([3.0, 30.0])
    found = _outline([(low, np.array([True])), (high, np.array([True]))])
    assert ((3.0, 0.5), (10.0, 0.5)) not in found  # the two touch there
    assert ((1.0, 0.5), (3.0, 0.5)) in found
    assert ((10.0, 0.5), (30.0, 0.5)) in found


def test_useful_rates_are_those_with_half_of_the_best_progress(momenta: frames.Results) -> None:
    axes = draw(momenta).axes[0]
    outline = [each for each in axes.collections if isinstance(each, LineCollection)][-1]
    upright = [piece for piece in outline.get_segments() if piece[0][0] == piece[1][0]]
    assert {float(piece[0][1]) for piece in upright} == {-0.5, 0.5, 1.5}
    lower = sorted(float(piece[0][0]) for piece in upright if piece[0][1] == -0.5)
    runs = momenta.runs[momenta.runs["optimizer_momentum"] == 0]
    start = runs["initial_valid_loss"].median()
    loss = np.fmin(runs["final_valid_loss"], start).fillna(start).groupby(runs["learning_rate"]).mean()
    useful = loss.index[loss - loss.min() <= (start - loss.min()) / 2]
    assert lower[0] < useful.min() < lower[0] * 10**0.25
    assert lower[-1] / 10**0.25 < useful.max() < lower[-1]


def told(results: frames.Results) -> str:
    return draw(results).texts[0].get_text().replace("\n", " ").removeprefix("synthetic: ")


def sgd(*pairs: tuple[float, float]) -> tuple[tuple[str, float, float], ...]:
    """One optimizer of several momenta, each with its best rate."""
    return tuple(("sgd", momentum, best) for momentum, best in pairs)


@pytest.mark.slow
def test_the_title_says_how_the_best_rate_moves_with_the_number() -> None:
    falls = sgd((0.0, 1.0), (0.5, 0.5), (0.9, 0.03))
    assert told(frames.study(optimizers=falls)).startswith("the best rate falls from ")
    both = told(frames.study(optimizers=falls, problems=("p", "q")))
    assert both.startswith("the best rate falls as momentum grows on both problems, by up to ")
    grows = tuple(("lion", momentum, best) for momentum, best in ((0.0, 0.03), (0.5, 0.3), (0.9, 1.0)))
    two = told(frames.study(optimizers=falls + grows))
    assert "with 1 of 2 optimizers and " in two
    also = tuple(("lion", momentum, best) for _, momentum, best in falls)
    assert "as momentum grows with both optimizers, by up to " in told(frames.study(optimizers=falls + also))


@pytest.mark.slow
def test_the_title_does_not_say_more_than_the_rates_do() -> None:
    same = sgd((0.0, 0.1), (0.5, 0.1), (0.9, 0.1))
    assert told(frames.study(optimizers=same)) == (
        "the best rate stays within one grid step as momentum goes from 0 to 0.9"
    )
    assert told(frames.study(optimizers=same, problems=("p", "q"))) == (
        "the best rate stays within one grid step, whatever momentum"
    )
    there_and_back = sgd((0.0, 0.03), (0.5, 1.0), (0.75, 1.0), (0.9, 0.03))
    assert told(frames.study(optimizers=there_and_back)) == (
        "the best rate moves in no clear direction as momentum goes from 0 to 0.9"
    )
    assert told(frames.study(optimizers=there_and_back, problems=("p", "q"))) == (
        "it cannot be told that the best rate depends on momentum"
    )
    never = frames.study(rates=[1e3, 1e4], optimizers=same)
    assert told(never) == "the best rate is known at 0 of 3 values of momentum"


def test_where_panels_do_not_all_fit_those_of_the_best_lines_are_drawn() -> None:
    names = [f"{letter}_optimizer" for letter in "abcdefgh"]
    results = frames.study(
        rates=list(np.logspace(-3, 1, 9)),
        seeds=1,
        optimizers=tuple((name, momentum, 0.1) for name in names for momentum in (0.0, 0.9)),
    )
    # The last in the alphabet are the best.
    results.sensitivity["use_loss"] = [2.0 - 0.01 * ord(name[0]) for name in results.sensitivity["optimizer"]]
    titles = [axes.get_title("left") for axes in draw(results).axes if axes.get_title("left")]
    assert [title.removeprefix("digits_mlp, ")[0] for title in titles] == list("hgfedc")
