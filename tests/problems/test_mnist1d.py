"""MNIST-1D: the published data, models and initial weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from lrbench.datasets import mnist1d as data
from lrbench.errors import LrbenchError
from lrbench.experiments._mnist1d.published import MODELS
from lrbench.nets import curves, recurrent
from lrbench.problems import one_dimensional
from lrbench.study import catalog
from tests.golden import make_torch_mnist1d as golden

KEY = jax.random.key(0)
LABELS = [2, 6, 4, 5, 6, 6, 6, 0, 3, 1, 6, 9, 4, 3, 4, 5, 1, 9, 0, 3]
COUNTS = [398, 396, 411, 394, 394, 402, 401, 404, 402, 398]
"""The first labels of the published training data, and how many there are of each."""


def test_the_data_are_the_published_ones() -> None:
    """Against the file mnist1d_data.pkl of its repository."""
    train, valid = data.generate(5000)
    assert train[0].shape == (4000, 40)
    assert valid[0].shape == (1000, 40)
    first = [-0.3320056673693902, -0.4719103656557236, -0.778697076293495]
    np.testing.assert_allclose(train[0][0, :3], first, rtol=1e-12)
    assert train[1][:20].tolist() == LABELS
    assert np.bincount(train[1]).tolist() == COUNTS
    assert (train[0].mean(), train[0].std()) == pytest.approx((-0.00032367167421934744, 0.9976479749365886))
    last = [0.6598756470890784, 0.8777343497528006, 1.193151836835276]
    np.testing.assert_allclose(valid[0][-1, -3:], last, rtol=1e-12)


def test_fewer_curves_are_drawn_alike() -> None:
    parts = data.generate(500)
    again = data.generate.__wrapped__(500)
    jax.tree.map(np.testing.assert_array_equal, parts, again)
    values, labels = (np.concatenate(each) for each in zip(*parts, strict=True))
    assert [len(part[1]) for part in parts] == [400, 100]
    assert np.bincount(labels).tolist() == [50] * 10
    assert (values.mean(), values.std()) == pytest.approx((0, 1), abs=1e-9)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.problem)
def test_a_model_has_as_many_parameters_as_the_published_one(model: Any) -> None:
    problem = catalog.get("problem", model.problem).load()()
    shapes = jax.tree.leaves(jax.eval_shape(problem.init, KEY))
    assert sum(leaf.size for leaf in shapes) == model.parameters
    assert problem.batch_size == 100
    assert problem.data.examples == 4000


def _layer(numbers: tuple[int, int], *shape: int) -> dict[str, np.ndarray]:
    weight, bias = numbers
    return {"weight": golden.weights_of(weight, *shape), "bias": golden.weights_of(bias, shape[0])[:, None]}


def _gru_params() -> dict[str, Any]:
    """PyTorch's arrays of a direction are the input's weights, the state's, and the biases of both; it reads states point by point."""
    directions = {
        name: {"input": _layer((start, start + 2), 18, 1), "hidden": _layer((start + 1, start + 3), 18, 6)}
        for name, start in (("forward", 0), ("backward", 4))
    }
    out = _layer((8, 9), 10, 480)
    by_point = out["weight"].reshape(10, 40, 2, 6)
    return directions | {"out": out | {"weight": by_point.transpose(0, 2, 3, 1).reshape(10, -1)}}


PARAMS: dict[str, Callable[[], Any]] = {
    "mnist1d_softmax": lambda: _layer((0, 1), 10, 40),
    "mnist1d_mlp": lambda: [_layer((0, 1), 100, 40), _layer((2, 3), 100, 100), _layer((4, 5), 10, 100)],
    "mnist1d_cnn": lambda: [
        _layer((0, 1), 25, 1, 5),
        _layer((2, 3), 25, 25, 3),
        _layer((4, 5), 25, 25, 3),
        _layer((6, 7), 10, 125),
    ],
    "mnist1d_gru": _gru_params,
}


@pytest.mark.parametrize("name", PARAMS)
def test_a_model_gives_what_it_gives_in_pytorch(name: str) -> None:
    problem = catalog.get("problem", name).load()()
    with jax.enable_x64(True):
        params = jax.tree.map(jnp.asarray, PARAMS[name]())
        assert problem.predict is not None
        found = problem.predict(params, (jnp.asarray(golden.curves()), None))
    expected = json.loads(golden.PATH.read_text(encoding="utf-8"))[name]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "fan_ins"),
    [
        ("mnist1d_softmax", [40]),
        ("mnist1d_mlp", [40, 100, 100]),
        ("mnist1d_cnn", [5, 75, 75, 125]),
        # PyTorch's bound of all weights of a GRU is that of its state.
        ("mnist1d_gru", [6, 6, 6, 6, 480]),
    ],
)
def test_initial_weights_are_those_of_pytorch(name: str, fan_ins: list[int]) -> None:
    """Uniform in ±1 / √fan-in, weights and biases: close to the bound, and with its standard deviation."""
    layers = jax.tree.leaves(
        catalog.get("problem", name).load()().init(KEY), is_leaf=lambda node: "weight" in node
    )
    assert len(layers) == len(fan_ins)
    for layer, fan_in in zip(layers, fan_ins, strict=True):
        drawn = np.concatenate([np.ravel(leaf) for leaf in layer.values()]) * np.sqrt(fan_in)
        assert 0.85 < np.abs(drawn).max() <= 1
        assert drawn.std() == pytest.approx(3**-0.5, rel=0.2)
        assert np.abs(layer["bias"]).max() > 0


def test_only_layers_of_equal_width_are_residual() -> None:
    problem = one_dimensional.mnist1d_mlp(hidden=(3, 3, 2), activation="tanh", samples=50, batch_size=0)
    params = jax.tree.map(np.asarray, problem.init(KEY))
    x = problem.data.train[0][:4]

    def affine(layer: Any, state: np.ndarray) -> np.ndarray:
        found: np.ndarray = state @ layer["weight"].T + layer["bias"][:, 0]
        return found

    state = np.tanh(affine(params[0], x))
    state = state + np.tanh(affine(params[1], state))
    state = np.tanh(affine(params[2], state))
    assert problem.predict is not None
    np.testing.assert_allclose(problem.predict(params, (x, None)), affine(params[3], state), atol=1e-5)


@pytest.mark.parametrize("bidirectional", [True, False])
def test_a_gru_reads_its_last_states(bidirectional: bool) -> None:
    """That of the backward direction is the one at the first point."""
    problem = one_dimensional.mnist1d_gru(
        width=3, bidirectional=bidirectional, read="last", samples=50, batch_size=0
    )
    params, x = problem.init(KEY), jnp.asarray(problem.data.train[0][:4], jnp.float32)
    ends = [recurrent.gru(params["forward"], x.T[None])[:, -1]]
    if bidirectional:
        ends.append(recurrent.gru(params["backward"], x.T[None, ::-1])[:, -1])
    expected = params["out"]["weight"] @ jnp.concatenate(ends) + params["out"]["bias"]
    assert problem.predict is not None
    np.testing.assert_allclose(problem.predict(params, (x, None)), expected.T, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("stride", "padding", "points"), [(2, 1, 7), (1, 0, 5), (3, 2, 8)])
def test_convolutions_along_curves_equal_those_of_xla(stride: int, padding: int, points: int) -> None:
    generator = np.random.default_rng(0)
    shapes = ((2, points, 3), (4, 2, 3), (4, 1))
    given = [jnp.asarray(generator.normal(size=shape), jnp.float32) for shape in shapes]

    def ours(x: jax.Array, weight: jax.Array, bias: jax.Array) -> jax.Array:
        return curves.convolve({"weight": weight, "bias": bias}, x, stride, padding)

    def plain(x: jax.Array, weight: jax.Array, bias: jax.Array) -> jax.Array:
        names = ("CWN", "OIW", "CWN")
        found = lax.conv_general_dilated(x, weight, (stride,), [(padding, padding)], dimension_numbers=names)
        return found + bias[:, None]

    shape = ours(*given).shape
    assert shape == (4, curves.length(points, 3, stride, padding), 3)
    weight = jnp.asarray(generator.normal(size=shape), jnp.float32)
    each = [
        jax.value_and_grad(lambda *args, form=form: jnp.sum(form(*args) * weight), (0, 1, 2))(*given)
        for form in (ours, plain)
    ]
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5), *each)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: data.generate(55), "samples = 55: must be a multiple of 10, and 50 or more"),
        (
            lambda: one_dimensional.mnist1d_cnn(channels=()),
            "channels = []: give the output channels of at least one",
        ),
        (lambda: one_dimensional.mnist1d_gru(width=0), "width = 0: must be 1 or more"),
    ],
)
def test_sizes_that_cannot_be(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(LrbenchError) as caught:
        make()
    assert str(caught.value).startswith(message)
