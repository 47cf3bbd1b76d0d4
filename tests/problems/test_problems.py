"""The built-in problems against hand-computed values and slow references in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrbench as lb
from lrbench.datasets import texts
from lrbench.errors import LrbenchError
from lrbench.nets import attention as _attention
from lrbench.nets import normalisation as _normalise
from lrbench.nets import recurrent as _recurrent
from lrbench.problems import (
    arithmetic,
    autoencoders,
    convolutional,
    objectives,
    perceptrons,
    residual,
    surfaces,
    text,
)
from lrbench.study import catalog, signature
from lrbench.study.spec import read
from tests.helpers import examples

KEY = jax.random.key(0)


def at(name: str, *point: float) -> float:
    problem = catalog.get("problem", name).load()()
    return float(problem.loss(jnp.array(point), None, KEY))


# ---- optima ----

MINIMISERS = {
    "rosenbrock": [(1.0, 1.0)],
    "beale": [(3.0, 0.5)],
    "branin": [(-np.pi, 12.275), (np.pi, 2.275), (3 * np.pi, 2.475)],
    "rastrigin": [(0.0, 0.0)],
    "double_well": [(-1.0354951, 0.0)],
    "styblinski_tang": [(-2.903534, -2.903534)],
}


@pytest.mark.parametrize("name", MINIMISERS)
def test_the_optimum_of_a_surface(name: str) -> None:
    problem = examples.problem(name)
    assert problem.box is not None
    for point in MINIMISERS[name]:
        assert at(name, *point) == pytest.approx(problem.optimum, abs=2e-5)
        gradient = jax.grad(problem.loss)(jnp.array(point), None, KEY)
        np.testing.assert_allclose(gradient, 0, atol=2e-3)
        (left, right), (below, above) = problem.box
        assert left <= point[0] <= right
        assert below <= point[1] <= above


def test_only_surfaces_have_a_box_and_runs_start_in_it() -> None:
    boxed = {name for name in catalog.names("problem") if examples.problem(name).box is not None}
    assert boxed >= set(MINIMISERS)
    for name in boxed:
        problem = examples.problem(name)
        starts = np.stack([problem.init(jax.random.key(seed)) for seed in range(20)])
        low, high = np.array(problem.box).T
        assert ((starts >= low) & (starts <= high)).all()
        # Diagnostic problems start at one point or near it.
        assert name not in MINIMISERS or np.ptp(starts, axis=0) == pytest.approx(high - low, rel=0.5)


@pytest.mark.parametrize(
    ("name", "point", "value"),
    [
        ("rosenbrock", (-1.0, 2.0), 4 + 100),
        ("beale", (0.0, 0.0), 1.5**2 + 2.25**2 + 2.625**2),
        ("beale", (1.0, 2.0), 2.5**2 + 5.25**2 + 9.625**2),
        ("branin", (0.0, 0.0), 36 + 10 * (1 - 1 / (8 * np.pi)) + 10),
        ("rastrigin", (0.5, 1.0), 0.25 + 1 + 20),
        ("styblinski_tang", (1.0, -1.0), 0.5 * (1 - 16 + 5 + 1 - 16 - 5)),
    ],
)
def test_a_surface_at_a_point(name: str, point: tuple[float, float], value: float) -> None:
    assert at(name, *point) == pytest.approx(value, rel=1e-5)


def test_the_other_well_is_less_deep() -> None:
    other = min(at("double_well", x, 0.0) for x in np.linspace(0.8, 1.1, 61))
    assert other == pytest.approx(0.6, abs=0.02)


def test_runs_start_in_the_well_that_is_asked_for() -> None:
    """The ridge between the wells is where the slope 4x³ − 4x + t is 0 and the curvature negative."""
    (ridge,) = (
        x.real for x in np.roots([4.0, 0.0, -4.0, 0.5]) if abs(x.imag) < 1e-9 and 12 * x.real**2 - 4 < 0
    )
    for well, low, high in (("either", -2, 2), ("deeper", -2, ridge), ("shallower", ridge, 2)):
        problem = surfaces.double_well(tilt=0.5, well=well)  # type: ignore[arg-type]
        starts = np.stack([problem.init(jax.random.key(seed)) for seed in range(60)])
        assert ((starts[:, 0] >= low) & (starts[:, 0] <= high)).all()
        assert np.ptp(starts[:, 0]) > 0.8 * (high - low)
        assert problem.box == ((-2.0, 2.0), (-2.0, 2.0))
    with pytest.raises(LrbenchError, match=r"^well = 'deeper': there is only one with tilt = 1\.6; lower it"):
        surfaces.double_well(tilt=1.6, well="deeper")


def test_runs_start_at_the_point_that_is_asked_for() -> None:
    valley = surfaces.rosenbrock(start=(0.0, -0.5))
    assert [valley.init(jax.random.key(seed)).tolist() for seed in range(2)] == [[0.0, -0.5]] * 2
    assert float(valley.loss(valley.init(KEY), None, KEY)) == 1 + 100 * 0.25
    bowl = objectives.parabola()
    assert bowl.init(KEY).tolist() == [-1, 10, 1]
    assert float(bowl.loss(bowl.init(KEY), None, KEY)) == 4 + 121
    assert float(bowl.loss(jnp.array([1.0, -1.0, 1.0]), None, KEY)) == bowl.optimum == 0
    with pytest.raises(LrbenchError, match=r"^start = \[1\.0\]: must have two coordinates, or be empty$"):
        surfaces.rosenbrock(start=(1.0,))
    with pytest.raises(LrbenchError, match=r"^start = \[1\.0\], target = \[\]: must have equally many"):
        objectives.parabola(start=(1.0,), target=())


def test_quadratic_deep_at_its_minimum() -> None:
    problem = objectives.quadratic_deep(dimension=20)
    data = jnp.asarray(problem.data.train)
    assert float(problem.loss(jnp.zeros((20, 1)), data, KEY)) == pytest.approx(problem.optimum, rel=1e-5)
    gradient = jax.grad(problem.loss)(jnp.zeros((20, 1)), data, KEY)
    np.testing.assert_allclose(gradient, 0, atol=1e-4)
    curvature = jax.hessian(lambda w: problem.loss(w[:, None], data, KEY))(jnp.zeros(20))
    spectrum = np.linalg.eigvalsh(curvature)
    assert ((spectrum > 0) & (spectrum < 1.001)).sum() == 18
    assert ((spectrum > 29.9) & (spectrum < 60.1)).sum() == 2


def test_deep_linear_and_factorisation_reach_their_optima() -> None:
    linear = objectives.deep_linear(width=3, depth=2)
    zero = linear.loss([jnp.zeros((3, 3))] * 2, None, KEY)
    assert float(zero) == pytest.approx((1 + 0.1 + 0.01) / 3, rel=1e-5)
    factors = objectives.matrix_factorization(rows=6, columns=5, rank=2, true_rank=4)
    assert factors.optimum == pytest.approx(0.5**4 + 0.5**6)
    zeros = {"u": jnp.zeros((6, 2)), "v": jnp.zeros((5, 2))}
    assert float(factors.loss(zeros, None, KEY)) == pytest.approx(1 + 0.25 + 0.5**4 + 0.5**6, rel=1e-5)
    params = factors.init(KEY)
    descend = jax.jit(
        lambda p: jax.tree.map(lambda w, g: w - 2.0 * g, p, jax.grad(factors.loss)(p, None, KEY))
    )
    for _ in range(400):
        params = descend(params)
    assert float(factors.loss(params, None, KEY)) == pytest.approx(factors.optimum, abs=1e-3)


# ---- layers against slow references ----


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def inputs(features: int = 3, positions: int = 5, examples: int = 2) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(features, positions, examples))


def test_lstm_equals_a_slow_one() -> None:
    params = jax.tree.map(np.asarray, _recurrent.lstm_init(KEY, 3, 4))
    x = inputs()
    found = _recurrent.lstm(params, jnp.asarray(x))
    for example in range(2):
        h, c = np.zeros(4), np.zeros(4)
        for position in range(5):
            gates = params["input"]["weight"] @ x[:, position, example] + params["input"]["bias"][:, 0]
            gates = gates + params["hidden"] @ h
            i, f, g, o = gates[:4], gates[4:8], gates[8:12], gates[12:]
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            np.testing.assert_allclose(found[:, position, example], h, rtol=1e-4, atol=1e-6)
    assert (params["input"]["bias"][4:8] == 1).all()


def test_gru_equals_a_slow_one() -> None:
    params = jax.tree.map(np.asarray, _recurrent.gru_init(KEY, 3, 4))
    params["hidden"]["bias"] = np.linspace(-1, 1, 12)[:, None]
    x = inputs()
    found = _recurrent.gru(params, jnp.asarray(x))
    for example in range(2):
        h = np.zeros(4)
        for position in range(5):
            a = params["input"]["weight"] @ x[:, position, example] + params["input"]["bias"][:, 0]
            b = params["hidden"]["weight"] @ h + params["hidden"]["bias"][:, 0]
            r, z = sigmoid(a[:4] + b[:4]), sigmoid(a[4:8] + b[4:8])
            h = (1 - z) * np.tanh(a[8:] + r * b[8:]) + z * h
            np.testing.assert_allclose(found[:, position, example], h, rtol=1e-4, atol=1e-6)


def test_attention_equals_a_slow_one() -> None:
    query, key, value = np.random.default_rng(2).normal(size=(3, 2, 4, 5, 3))
    found = _attention.attention(*(jnp.asarray(part) for part in (query, key, value)))
    for head in range(2):
        for example in range(3):
            for place in range(5):
                scores = [
                    query[head, :, place, example] @ key[head, :, other, example] / 2
                    for other in range(place + 1)
                ]
                shares = np.exp(scores) / np.exp(scores).sum()
                wanted = sum(s * value[head, :, other, example] for other, s in enumerate(shares))
                np.testing.assert_allclose(found[head, :, place, example], wanted, rtol=1e-4, atol=1e-6)


def test_a_transformer_sees_no_later_token() -> None:
    model = _attention.Transformer(tokens=5, positions=4, width=8, heads=2, layers=2)
    params = model.init(KEY)
    tokens = jnp.array([[0, 1, 2, 3]])
    changed = model.hidden(params, tokens.at[0, 2].set(4)) - model.hidden(params, tokens)
    np.testing.assert_allclose(changed[:, :2], 0, atol=1e-6)
    assert np.abs(changed[:, 2:]).max(axis=(0, 2)).min() > 1e-3


def test_normalisations_equal_slow_ones() -> None:
    x = np.random.default_rng(3).normal(2, 3, size=(4, 2, 2, 3))
    params = {"scale": jnp.full((4, 1), 2.0), "shift": jnp.full((4, 1), 0.5)}
    running = _normalise.running_init(4)
    found, after = _normalise.batch_norm(params, running, jnp.asarray(x), training=True)
    mean, variance = x.mean(axis=(1, 2, 3)), x.var(axis=(1, 2, 3))
    wanted = 2 * (x - mean[:, None, None, None]) / np.sqrt(variance + 1e-5)[:, None, None, None] + 0.5
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(after["mean"][:, 0], 0.1 * mean, rtol=1e-4)
    np.testing.assert_allclose(after["variance"][:, 0], 0.9 + 0.1 * variance * 12 / 11, rtol=1e-4)
    frozen, same = _normalise.batch_norm(params, running, jnp.asarray(x), training=False)
    np.testing.assert_allclose(frozen, 2 * x / np.sqrt(1 + 1e-5) + 0.5, rtol=1e-4)
    assert same is running
    grouped = _normalise.group_norm(params, jnp.asarray(x), 2)
    part = x[2:, :, :, 1]
    wanted = 2 * (part - part.mean()) / np.sqrt(part.var() + 1e-5) + 0.5
    np.testing.assert_allclose(grouped[2:, :, :, 1], wanted, rtol=1e-3, atol=1e-4)
    layered = _normalise.layer_norm(params, jnp.asarray(x))[:, 1, 0, 2]
    column = x[:, 1, 0, 2]
    wanted = 2 * (column - column.mean()) / np.sqrt(column.var() + 1e-5) + 0.5
    np.testing.assert_allclose(layered, wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("normalisation", ["batch", "group", "layer", "none"])
def test_a_resnet_evaluates_an_image_on_its_own(normalisation: Any) -> None:
    """In evaluations, an image's scores do not depend on those beside it."""
    problem = residual.digits_resnet(channels=4, blocks=1, normalisation=normalisation)
    assert problem.stateful == (normalisation == "batch")
    images = problem.data.valid[0][:8]
    assert problem.predict is not None
    together = problem.predict(problem.init(KEY), (images, None))
    alone = problem.predict(problem.init(KEY), (images[:1], None))
    np.testing.assert_allclose(together[:1], alone, rtol=1e-4, atol=1e-5)


# ---- data and losses ----


def test_a_vae_that_knows_nothing_costs_a_bit_per_pixel() -> None:
    problem = autoencoders.digits_vae(hidden=(4,), code=2)
    params = jax.tree.map(jnp.zeros_like, problem.init(KEY))
    batch = jnp.asarray(problem.data.train[:5])
    assert float(problem.loss(params, batch, KEY)) == pytest.approx(64 * np.log(2), rel=1e-5)
    shifted = params | {
        "encoder": [*params["encoder"][:-1], params["encoder"][-1] | {"bias": jnp.ones((4, 1))}]
    }
    divergence = 2 * 0.5 * (1 + np.e - 1 - 1)
    assert float(problem.loss(shifted, batch, KEY)) == pytest.approx(64 * np.log(2) + divergence, rel=1e-5)


def test_the_shipped_text_is_cut_into_pieces() -> None:
    found = texts.read("", 32)
    assert found.characters == 67
    assert found.data.train.shape[1] == 33
    np.testing.assert_array_equal(found.data.train[:-1, -1], found.data.train[1:, 0])
    assert texts.ALICE.stat().st_size < 100_000


def test_a_text_of_the_users_own() -> None:
    Path("mine.txt").write_text("abc" * 100)
    problem = text.char_lstm(text="mine.txt", context=5, width=4)
    assert problem.data.examples == 53
    assert problem.data.valid_examples == 5
    assert problem.data.train.max() == 2
    for content, said in ((b"\xff\xfe", "is not UTF-8 text"), (b"ab", "too few for pieces of context = 5")):
        Path("bad.txt").write_bytes(content)
        with pytest.raises(LrbenchError, match=said):
            text.char_lstm(text="bad.txt", context=5)


def test_sums_modulo_a_number() -> None:
    problem = arithmetic.modular_addition_transformer(
        modulus=5, width=4, heads=2, train_share=0.6, batch_size=0
    )
    parts = [problem.data.train, problem.data.valid]
    tokens, answers = (np.concatenate([part[i] for part in parts]) for i in range(2))
    assert (len(parts[0][1]), len(parts[1][1])) == (15, 10)
    assert len(np.unique(tokens, axis=0)) == 25
    np.testing.assert_array_equal(answers, (tokens[:, 0] + tokens[:, 1]) % 5)
    assert (tokens[:, 2] == 5).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: convolutional.digits_cnn(channels=(4, 4, 4, 4)), "too small for so many layers"),
        (lambda: convolutional.digits_cnn(channels=()), "give the output channels of at least one"),
        (lambda: residual.digits_resnet(channels=6, normalisation="group"), "must be a multiple of 4"),
        (lambda: text.char_transformer(width=10, heads=4), "width = 10: must be a multiple of heads = 4"),
        (
            lambda: arithmetic.modular_addition_transformer(train_share=1.0),
            "must be between 0 and 1, and leave sums",
        ),
        (lambda: objectives.matrix_factorization(rank=40), "must be at most the smaller"),
        (lambda: objectives.deep_linear(depth=0), "depth = 0: must be 1 or more"),
        (lambda: surfaces.rosenbrock(steepness=0.0), "must be positive"),
        (lambda: perceptrons.spirals_mlp(points=1), "must be 2 or more"),
    ],
)
def test_sizes_that_cannot_be(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(LrbenchError, match=message):
        make()


# ---- state, and a loss of its own for evaluations ----


def counting(**more: Any) -> lb.Problem:
    """A problem whose state counts the steps taken, and whose evaluations say so."""
    functions: dict[str, Any] = {
        "init": lambda key: (jnp.array([1.0]), {"taken": jnp.zeros(())}),
        "loss": lambda model, batch, key: (jnp.sum(model[0] ** 2), {"taken": model[1]["taken"] + 1}),
        "evaluate": lambda model, batch, key: model[1]["taken"],
    }
    return lb.problem(name="counting", stateful=True, **(functions | more))


def test_a_state_goes_on_with_the_steps_and_no_optimizer_moves_it() -> None:
    results = lb.sweep(counting(), learning_rates=[0.1, 0.2], seeds=2, steps=6, evaluate_every=2)
    assert (results.curves["train_loss"] == results.curves["step"]).all()
    assert set(results.runs["parameters"]) == {1}


def test_a_state_freezes_with_its_run() -> None:
    def loss(model: Any, batch: Any, key: Any) -> Any:
        value = jnp.where(model[1]["taken"] >= 3, jnp.nan, jnp.sum(model[0] ** 2))
        return value, {"taken": model[1]["taken"] + 1}

    results = lb.sweep(counting(loss=loss), learning_rates=[0.1], seeds=1, steps=6, evaluate_every=1)
    assert results.curves["train_loss"].dropna().tolist() == [0, 1, 2, 3]
    assert results.runs["diverged_step"].tolist() == [3]


def test_without_evaluate_a_stateful_loss_is_evaluated() -> None:
    results = lb.sweep(counting(evaluate=None), optimizers="sgd", learning_rates=[0.25], seeds=1, steps=2)
    assert results.curves["train_loss"].tolist() == pytest.approx([1, 0.25, 0.0625])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"init": lambda key: jnp.ones(1)}, r"init must return two things, \(parameters, state\)"),
        (
            {"loss": lambda model, batch, key: jnp.sum(model[0])},
            r"loss must return two things, \(loss, state\)",
        ),
    ],
)
def test_a_stateful_problem_that_returns_too_little(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(LrbenchError, match=f"stateful = True: {message}"):
        lb.sweep(counting(**wrong), learning_rates=[0.1], seeds=1, steps=2)


# ---- built-in studies ----


@pytest.mark.parametrize("name", [name for name in catalog.names("study") if name != "tabular"])
def test_a_built_in_study_is_one(name: str) -> None:
    assert read(name).name == name


def test_the_large_study_has_every_problem_that_needs_no_file() -> None:
    entries = [catalog.get("problem", name) for name in catalog.names("problem")]
    free = [
        e.name for e in entries if all(p.default is not signature.REQUIRED for p in e.parameters.values())
    ]
    assert [choice.entry.name for choice in read("large").problem] == free
    assert len(entries) >= 30
