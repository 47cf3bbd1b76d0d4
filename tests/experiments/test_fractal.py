"""The experiment `fractal`: scores against NumPy, boxes against sets of known dimension, zooms and colours by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lrbench.engine import seeds
from lrbench.errors import StudyError
from lrbench.experiments._fractal import boxes, checks, in_numpy, pictures, views
from lrbench.experiments._fractal.conditions import CONDITIONS, Condition
from lrbench.experiments._fractal.titles import titles
from lrbench.experiments._fractal.views import Window
from lrbench.experiments.bench import Bench, perform
from lrbench.problems.fractal import fractal

STEPS = 40


def trained(folder: Path, condition: Condition, view: Window, steps: int = STEPS) -> np.ndarray:
    """The scores of a view, by the study that the experiment trains."""
    bench = Bench("fractal", "", folder)
    return views.picture(bench.train(views.study("view", condition, view, steps, "float64")), condition, view)


def by_numpy(condition: Condition, view: Window, steps: int = STEPS) -> np.ndarray:
    across, up = np.meshgrid(view.columns, view.rows)
    found = in_numpy.scores(checks.network(condition.problem), across.ravel(), up.ravel(), steps)
    return found.reshape(across.shape)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["relu", "identity", "single"])
def test_scores_are_those_of_numpy(name: str, tmp_path: Path) -> None:
    """To the last digits, but for runs that end early, whose losses are then 10⁶ instead of 10⁶ / ℓ₀, and chaotic ones."""
    view = Window((-3, 6), (-3, 6), 8)
    condition = CONDITIONS[name]
    found, expected = trained(tmp_path, condition, view), by_numpy(condition, view)
    assert {*np.sign(expected).ravel()} == {-1, 1}
    assert np.mean(np.sign(found) == np.sign(expected)) > 0.98
    assert np.mean(np.isclose(found, expected, rtol=1e-4)) > 0.9
    assert np.quantile(np.abs(found / expected - 1), 0.5) < 1e-12


@pytest.mark.slow
def test_tanh_agrees_with_numpy_and_single_precision(tmp_path: Path) -> None:
    bench = Bench("fractal", "", tmp_path)
    table = checks.agreement(bench, CONDITIONS["tanh"], 12, 30).set_index("compared")
    assert list(table.index) == ["numpy", "float32"]
    assert (table["runs"] == 144).all()
    assert table.loc["numpy", "agree"] >= 0.99
    assert table.loc["float32", "agree"] >= 0.95
    assert table.loc["numpy", "score_difference"] < 1e-5
    assert (table["at_boundary"] > 4).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["relu", "identity"])
def test_every_run_is_reported_in_single_precision(name: str, tmp_path: Path) -> None:
    """Weights that grow without bound do not hide what the losses before were."""
    view, condition = Window((-1, 6), (-1, 6), 8), CONDITIONS[name]
    bench = Bench("fractal", "", tmp_path)
    found = views.picture(
        bench.train(views.study("view", condition, view, STEPS, "float32")), condition, view
    )
    expected = by_numpy(condition, view)
    ends = expected > 0
    assert ends.sum() > 30
    assert np.mean(np.isclose(found[ends], expected[ends], rtol=1e-3)) > 0.9


def test_the_scale_is_that_of_the_initial_weights(tmp_path: Path) -> None:
    view, condition = Window((-1, 1), (-1, 1), 3), CONDITIONS["scale"]
    found = trained(tmp_path, condition, view)
    plain = checks.network({})
    for column, scale in enumerate(view.columns):
        scaled = plain._replace(hidden=scale * plain.hidden, output=scale * plain.output)
        np.testing.assert_allclose(
            found[:, column], in_numpy.scores(scaled, view.rows, view.rows, STEPS), rtol=1e-9
        )


def test_a_minibatch_is_scored_on_all_samples(tmp_path: Path) -> None:
    view, condition = Window((-1, 1), (-1, 1), 2), CONDITIONS["minibatch"]
    found = trained(tmp_path, condition, view)
    network = checks.network({"batch_size": 16})
    order = seeds.orders(fractal(batch_size=16), [0], 0, STEPS)[0]
    hidden, output, losses = network.hidden.T[None], network.output[None], []
    for batch in order:
        losses.append(in_numpy.gradients(network, hidden, output)[0][0])
        part = network._replace(inputs=network.inputs[batch], targets=network.targets[batch])
        _, by_hidden, by_output = in_numpy.gradients(part, hidden, output)
        hidden, output = hidden - view.columns[0] * by_hidden, output - view.rows[1] * by_output
    relative = np.array(losses) / losses[0]
    assert relative[-20:].mean() < 1
    assert found[1, 0] == pytest.approx(-relative.sum(), rel=1e-9)


@pytest.mark.parametrize("activation", ["tanh", "relu", "identity"])
def test_gradients_in_numpy_are_slopes_of_its_loss(activation: str) -> None:
    generator = np.random.default_rng(0)
    hidden, output = generator.normal(size=(1, 3, 3)), generator.normal(size=(1, 3))
    network = in_numpy.Perceptron(
        hidden[0].T, output[0], generator.normal(size=(5, 3)), generator.normal(size=5), activation
    )
    loss, by_hidden, by_output = in_numpy.gradients(network, hidden, output)
    gain = 1 if activation == "identity" else math.sqrt(2)
    phi = {"tanh": math.tanh, "relu": lambda x: max(x, 0.0), "identity": lambda x: x}[activation]
    by_hand = 0.0
    for x, y in zip(network.inputs, network.targets, strict=True):
        units = [
            phi(gain * sum(w * v for w, v in zip(row, x, strict=True)) / math.sqrt(3))
            for row in network.hidden
        ]
        by_hand += (sum(w * h for w, h in zip(network.output, units, strict=True)) / 3 - y) ** 2 / 5
    assert loss[0] == pytest.approx(by_hand, rel=1e-12)
    small = 1e-6
    for at in np.ndindex(3, 3):
        moved = hidden.copy()
        moved[0][at] += small
        slope = (in_numpy.gradients(network, moved, output)[0] - loss) / small
        assert by_hidden[0][at] == pytest.approx(slope[0], abs=1e-5)
    for unit in range(3):
        moved = output.copy()
        moved[0, unit] += small
        slope = (in_numpy.gradients(network, hidden, moved)[0] - loss) / small
        assert by_output[0, unit] == pytest.approx(slope[0], abs=1e-5)


def sierpinski(power: int) -> np.ndarray:
    """The triangle of Pascal's odd numbers, of dimension log 3 / log 2."""
    row, column = np.indices((2**power, 2**power))
    return (row & column) == 0


def rabbit(side: int) -> np.ndarray:
    """Scores whose boundary is Douady's rabbit, whose dimension is 1.3934 (McMullen, 1998): positive where the orbit escapes."""
    real, imaginary = np.meshgrid(np.linspace(-1.5, 1.5, side), np.linspace(-1.2, 1.2, side))
    z = real + 1j * imaginary
    for _ in range(200):
        z = np.where(np.abs(z) < 4, z**2 - 0.12256 + 0.74486j, z)
    return np.where(np.abs(z) < 4, -1.0, 1.0)


@pytest.mark.slow
def test_dimensions_of_known_sets() -> None:
    counts = boxes.counts(sierpinski(6))
    assert counts.sum(axis=1).tolist() == [3**6, 3**5, 3**4, 3**3, 3**2]
    assert boxes.dimension([counts])[0] == pytest.approx(math.log2(3))
    assert boxes.fit(counts.sum(axis=1)).dimension == pytest.approx(math.log2(3))
    assert boxes.dimension([boxes.counts(np.ones((64, 64), bool))]) == (2, 2, 2)
    row, column = np.indices((129, 129))
    line = boxes.boundary(np.where(row > 0.37 * column + 30.5, 1.0, -1.0))
    middle, low, high = boxes.dimension([boxes.counts(line)])
    assert middle == pytest.approx(1, abs=0.1)
    assert low < 1.02
    assert high < 1.25
    assert boxes.dimension([boxes.counts(boxes.boundary(rabbit(1025)))])[0] == pytest.approx(1.3934, abs=0.1)


def test_boxes_of_a_picture_are_counted_by_hand() -> None:
    marked = np.zeros((16, 16), bool)
    marked[0, 0] = marked[3, 3] = marked[15, 15] = True
    counts = boxes.counts(marked)
    assert counts.shape == (3, 16)
    assert counts.sum(axis=1).tolist() == [3, 3, 2]
    assert counts[:, 0].tolist() == [2, 2, 1]
    assert counts[:, -1].tolist() == [1, 1, 1]
    nothing = boxes.counts(np.zeros((16, 16), bool))
    assert np.isnan(boxes.dimension([nothing])).all()
    assert np.isnan(boxes.fit(nothing.sum(axis=1)).dimension)


def test_the_next_view_is_where_most_boundary_is() -> None:
    view = Window((-3, 6), (0, 3), 64)
    scores = np.full((64, 64), -1.0)
    scores[:, 40:] = 1.0
    scores[20:28:2, 8:16:2] = 1.0
    closer = views.closer(view, scores, 8, 32)
    assert closer.resolution == 32
    assert closer.x == pytest.approx((-3 + 9 * (11.5 / 63) - 9 / 16, -3 + 9 * (11.5 / 63) + 9 / 16), abs=0.15)
    assert closer.y == pytest.approx((3 * (23.5 / 63) - 3 / 16, 3 * (23.5 / 63) + 3 / 16), abs=0.05)
    assert closer.decades == pytest.approx(3 / 8)


def test_titles_say_what_is_in_the_tables() -> None:
    measured = pd.DataFrame(
        {"condition": ["tanh", "single"], "dimension": [1.62, np.nan], "low": [1.5, np.nan]}, index=[0, 1]
    )
    viewed = pd.DataFrame(
        {
            "condition": ["tanh", "tanh", "single", "single"],
            "zoom": [0, 1, 0, 1],
            "resolution": [32, 8, 8, 8],
            "converged": [0.5, 0.1, 0.25, 0.9],
            "dimension": [1.0, 1.9, 1.2, np.nan],
        }
    )
    assert titles(measured, viewed, "tanh") == {
        "largest": "tanh, full batch: 50 % of 1,024 runs converge; dimension up close: 1.62",
        "openings": "25 % (tanh, a single sample) to 50 % (tanh, full batch) of the runs converge",
        "zoomed": "the dimension of the boundary is 1.10 in the opening views, 1.90 at zoom 1 (medians of the conditions)",
        "boxes": "the boundary is rougher than a line in 1 of 2 conditions: dimension 1.62 to 1.62",
    }
    alone = titles(measured[1:], viewed[2:3], "tanh")
    assert alone == {
        "openings": "25 % (tanh, a single sample) of the runs converge",
        "zoomed": "the dimension of the boundary is 1.20 in the opening views",
        "boxes": "the boundary is rougher than a line in 0 of 1 conditions",
    }
    assert titles(measured[1:], viewed[2:3], "single")["largest"].endswith("; dimension: unknown")


def test_colours_are_ranks_on_both_sides() -> None:
    scores = np.array([[-500.0, -3.0, -40.0], [7.0, 1.0, 90.0]])
    np.testing.assert_allclose(pictures.colours(scores), [[1, 0.25, 0.625], [-0.625, -0.25, -1]])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "conditions=['tahn']",
            "fractal: conditions: unknown condition 'tahn'; nearest: tanh; 10 are allowed",
        ),
        ("main=big", "fractal: main = 'big': must be one of"),
        ("resolution=4", "fractal: a picture of 4 × 4 runs: must have at least 8 along each side"),
        ("zoom=1", "fractal: zoom = 1: must be above 1"),
    ],
)
def test_what_is_refused(override: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(StudyError) as caught:
        perform("fractal", tmp_path / "out", overrides=[override])
    assert str(caught.value).startswith(message)
