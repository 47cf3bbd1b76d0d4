"""Probes against theory, linear algebra and hand computation, alone and in a batch."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

import lrbench as lb
from lrbench.engine import lane, probing, seeds
from lrbench.engine.engine import Engine
from lrbench.execution.plan import plan_text
from lrbench.probes import View
from lrbench.probes.curvature import preconditioned_sharpness, sharpness
from lrbench.probes.noise import gradient_noise_scale
from lrbench.problems import Problem
from lrbench.study import catalog
from lrbench.study.grid import of_study
from lrbench.study.spec import read
from tests.helpers import examples

EXPENSIVE = ["sharpness", "stability", "gradient_noise_scale", "gradient_cosine"]
STUDY = {"name": "probes", "steps": 6, "evaluate_every": 3, "seeds": 1, "optimizer": ["sgd"]}


@pytest.fixture(scope="module")
def network() -> Problem:
    """A tiny network with a named rate for its last layer, on 40 examples."""
    drawn = np.random.default_rng(0)
    inputs, targets = drawn.normal(size=(40, 3)), drawn.normal(size=40)

    def init(key: jax.Array) -> Any:
        first, second = jax.random.split(key)
        return {"in": jax.random.normal(first, (5, 3)), "out": jax.random.normal(second, (5,))}

    def loss(params: Any, batch: Any, key: jax.Array) -> jax.Array:
        return jnp.mean(jnp.square(params["out"] @ jnp.tanh(params["in"] @ batch[0].T) - batch[1]))

    rates = {"in": "in", "out": "out"}
    return lb.problem(
        name="network", init=init, loss=loss, train=(inputs, targets), batch_size=10, rates=rates
    )


def _start(problem: Problem) -> tuple[Any, Any]:
    """Return the parameters of seed 0 and the training data, as the engine has them."""
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), seeds.Initial(problem).of([0]))
    return params, jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), problem.data.train)


def _hessian(problem: Problem) -> np.ndarray:
    params, data = _start(problem)
    flat, unravel = ravel_pytree(params)
    loss = lambda w: problem.loss(unravel(w), data, jax.random.key(0))  # noqa: E731
    return np.asarray(jax.hessian(loss)(flat), np.float64)


def test_sharpness_is_the_known_curvature(train: Callable[..., Any]) -> None:
    lam = 20.0
    problem = {"name": "quadratic", "mu": 0.1, "lam": lam}
    rates = {"values": [0.01, 1.0]}
    _, (curves,) = train(
        {**STUDY, "problem": [problem], "learning_rate": rates, "schedule": ["linear"], "probes": EXPENSIVE}
    )
    finite = np.isfinite(curves.curves["train_loss"])
    np.testing.assert_allclose(curves.curves["sharpness"][finite], lam, rtol=1e-5)
    edge = curves.curves["learning_rate"] * lam / 2
    np.testing.assert_allclose(curves.curves["stability"][finite], edge[finite], rtol=1e-5)
    assert (curves.curves["gradient_noise_scale"][finite] == 0).all()  # no data, no noise


def test_cosine_of_gradient_descent_on_a_quadratic(train: Callable[..., Any]) -> None:
    """Each step multiplies the gradient along eigenvalue λ by 1 − ηλ; one eigenvalue alone gives ±1."""
    study = {**STUDY, "probes": ["gradient_cosine"], "learning_rate": {"values": [0.4, 1.5]}}
    engine, curves = train({**study, "problem": [{"name": "quadratic", "dimension": [1, 3]}]})
    one, three = (each.curves["gradient_cosine"] for each in curves)
    np.testing.assert_allclose(one, [[1.0] * 3, [-1.0] * 3], rtol=1e-6)
    spectrum, start = np.geomspace(0.1, 1.0, 3), np.asarray(_start(engine.problems[1])[0])
    for rate, found in zip((0.4, 1.5), three, strict=True):
        here = spectrum * start * (1 - rate * spectrum) ** 3
        there = here * (1 - rate * spectrum)
        expected = here @ there / np.linalg.norm(here) / np.linalg.norm(there)
        assert found[1] == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_curvature_and_noise_of_a_network(network: Problem) -> None:
    """Against numpy: the Hessian's eigenvalues, and the covariance of the gradients of groups of examples."""
    probes = {name: catalog.get("probe", name).load() for name in EXPENSIVE[:3]}
    recipe = lane.Recipe(network, lambda rate, numeric: optax.sgd(rate), probes)
    hyper = lane.Hyper({"": jnp.float32(0.1), "out": jnp.float32(0.4)}, jnp.int32(0), {})
    params, data = _start(network)
    batch, noise = jax.tree.map(lambda leaf: leaf[:10], data), seeds.key(seeds.noise([0])[0])
    state = lane.init(recipe, hyper, params)
    context = lane.StepContext(jnp.float32(0.5), jnp.int32(0), batch, noise)
    _, found = jax.jit(lambda h, s: lane.evaluate(recipe, h, s, context, noise))(hyper, state)
    hessian = _hessian(network)
    np.testing.assert_allclose(found["sharpness"], np.linalg.eigvalsh(hessian)[-1], rtol=1e-4)
    root = np.sqrt(np.array([0.05] * 15 + [0.2] * 5))
    expected = np.linalg.eigvalsh(root[:, None] * hessian * root)[-1] / 2
    np.testing.assert_allclose(found["stability"], expected, rtol=1e-4)
    each = jax.vmap(
        jax.grad(lambda w, x, y: network.loss(w, (x[None], y[None]), jax.random.key(0))), (None, 0, 0)
    )
    single = np.asarray(jax.vmap(lambda g: ravel_pytree(g)[0])(each(params, *data)), np.float64)
    kept = single[np.random.Generator(np.random.PCG64(0)).permutation(40)[:32]]  # 32 groups of one
    noise = np.trace(np.cov(kept.T))
    signal = np.sum(kept.mean(0) ** 2) - noise / 32
    assert signal > 0
    np.testing.assert_allclose(found["gradient_noise_scale"], noise / signal, rtol=1e-3)


MADE: list[tuple[str, Callable[..., Any], dict[str, float]]] = [
    ("adam", optax.adam, {"b1": 0.9, "b2": 0.99, "eps": 1e-3}),
    ("adamw", optax.adamw, {"b1": 0.8, "b2": 0.9, "eps": 1e-8}),
    ("momentum", optax.sgd, {"momentum": 0.9}),
    ("no momentum", optax.sgd, {"momentum": 0.0}),
    ("sgd", optax.sgd, {}),
    ("rmsprop", optax.rmsprop, {"decay": 0.9, "eps": 1e-6}),
]


@pytest.mark.parametrize(("name", "make", "given"), MADE, ids=[name for name, *_ in MADE])
def test_preconditioned_sharpness_is_that_of_the_published_preconditioner(
    network: Problem, name: str, make: Callable[..., Any], given: dict[str, float]
) -> None:
    """Against numpy, after five steps: P by hand from the gradients, and all eigenvalues of P⁻¹∇²L."""
    probe = {"found": catalog.get("probe", "preconditioned_sharpness").load()}
    numeric = {key: jnp.float32(value) for key, value in given.items()}
    recipe = lane.Recipe(network, lambda rate, numeric: make(rate, **numeric), probe)
    hyper = lane.Hyper({"": jnp.float32(0.01)}, jnp.int32(0), numeric)
    params, data = _start(network)
    noise, batch = seeds.key(seeds.noise([0])[0]), jax.tree.map(lambda leaf: leaf[:10], data)
    state = lane.init(recipe, hyper, params)
    second, corrected = np.zeros(20), 1.0
    for step in range(6):
        context = lane.StepContext(jnp.float32(0.5), jnp.int32(step), batch, noise)
        here = state.params
        gradient = np.asarray(ravel_pytree(jax.grad(network.loss)(here, batch, noise))[0], np.float64)
        decay = given.get("b2", given.get("decay", 0.0))
        second = decay * second + (1 - decay) * gradient**2
        corrected *= given.get("b1", 0.0)
        if step == 5:
            _, found = jax.jit(lambda h, s, c: lane.evaluate(recipe, h, s, c, noise))(hyper, state, context)
        state = lane.step(recipe, hyper, state, context)
    diagonal = {
        "adam": (1 - corrected) * (np.sqrt(second / (1 - decay**6)) + given.get("eps", 0)),
        "rmsprop": np.sqrt(second + given.get("eps", 0)),
    }.get(name.replace("adamw", "adam"), np.ones(20))
    flat, unravel = ravel_pytree(here)
    hessian = jax.hessian(lambda w: network.loss(unravel(w), data, noise))(flat)
    every = np.linalg.eigvals(np.asarray(hessian, np.float64) / diagonal[:, None]).real
    np.testing.assert_allclose(found["found"], every.max(), rtol=2e-3)


def test_preconditioned_sharpness_counts_the_factors_of_a_parametrisation() -> None:
    """muP's factors of the gradient: with gradient descent, those of the Hessian's rows."""
    small = examples.problem("quadratic")
    factors = jnp.arange(1.0, 1.0 + _start(small)[0].size)
    problem = replace(small, gradient_factors=factors)
    probe = {"found": preconditioned_sharpness}
    recipe = lane.Recipe(problem, lambda rate, numeric: optax.sgd(rate), probe)
    hyper = lane.Hyper({"": jnp.float32(0.01)}, jnp.int32(0), {})
    state = lane.init(recipe, hyper, _start(problem)[0])
    noise = seeds.key(seeds.noise([0])[0])
    _, found = lane.evaluate(
        recipe, hyper, state, lane.StepContext(jnp.float32(1), jnp.int32(0), None, noise), noise
    )
    hessian = np.asarray(jax.hessian(lambda w: problem.loss(w, None, noise))(state.params), np.float64)
    every = np.linalg.eigvals(np.asarray(factors)[:, None] * hessian).real
    np.testing.assert_allclose(found["found"], every.max(), rtol=1e-3)


def test_noise_scale_of_a_known_distribution(train: Callable[..., Any]) -> None:
    """Gradients w − x of x ~ N(0, 1): tr(Σ) = dimension, |G|² = |w|²; here from 32 groups of 31."""
    drawn = np.random.default_rng(0).normal(size=(992, 8))
    mean = lb.problem(
        name="mean",
        init=lambda key: jnp.full(8, 2.0),
        loss=lambda w, x, key: 0.5 * jnp.sum(jnp.square(w[None] - x)) / x.shape[0],
        train=drawn - drawn.mean(0),
        batch_size=16,
    )
    _, (curves,) = train(
        {**STUDY, "problem": [mean], "learning_rate": {"values": [1e-6]}, "probes": ["gradient_noise_scale"]}
    )
    # 31 groups' worth of freedom in 8 dimensions: a deviation of √(2 / 248) = 9 %.
    assert curves.curves["gradient_noise_scale"][0, 0] == pytest.approx(8 / 32, rel=0.3)


def test_what_is_measured_on_the_sample_does_not_move_while_the_parameters_do_not(
    train: Callable[..., Any],
) -> None:
    """The groups of examples and the noise of a loss are those of every evaluation, of which only the minibatch is new."""
    drawn = np.random.default_rng(0).normal(size=(80, 3))

    def loss(w: Any, x: Any, key: jax.Array) -> jax.Array:
        hidden = jnp.tanh(x * w[None]) * jax.random.bernoulli(key, 0.5, x.shape)
        return jnp.mean(jnp.square(hidden.sum(1) - x[:, 0]))

    dropout = lb.problem(
        name="dropout", init=lambda key: jax.random.normal(key, (3,)), loss=loss, train=drawn, batch_size=16
    )
    probes = ["gradient_noise_scale", "sharpness", "gradient_norm"]
    _, (curves,) = train(
        {**STUDY, "problem": [dropout], "seeds": 2, "learning_rate": {"values": [1e-30]}, "probes": probes}
    )
    for name in probes[:2]:
        first, *others = curves.curves[name].T
        for other in others:
            np.testing.assert_array_equal(first, other)
        assert first[0] != first[1]  # another seed, another start
    assert len(set(curves.curves["gradient_norm"][0].tolist())) == 3


@pytest.mark.slow
def test_layers_have_a_column_each_and_tables_hold_them(tmp_path: Path) -> None:
    """Two problems of other layers: a column for each, missing where the problem has none."""
    results = lb.sweep(
        ["breast_cancer_logistic", "quadratic"],
        optimizers="sgd",
        learning_rates=[0.1],
        seeds=1,
        steps=2,
        out=tmp_path / "layers",
        probes=["update_ratio", "layer_update_norm", "layer_update_ratio", "update_norm", "parameter_norm"],
    )
    curves = results.curves.merge(results.runs[["run_id", "problem"]], on="run_id")
    deep = curves[curves["problem"] == "breast_cancer_logistic"]
    parts = deep[["layer_update_norm/0/weight", "layer_update_norm/0/bias"]]
    np.testing.assert_allclose(np.linalg.norm(parts, axis=1), deep["update_norm"], rtol=1e-5)
    np.testing.assert_allclose(deep["update_ratio"], deep["update_norm"] / deep["parameter_norm"], rtol=1e-5)
    assert np.isnan(deep["layer_update_ratio/0/bias"].iloc[0])  # a bias is 0 at the start
    assert deep["layer_update_norm/all"].isna().all()
    flat = curves[curves["problem"] == "quadratic"]
    np.testing.assert_allclose(flat["layer_update_ratio/all"], flat["update_ratio"], rtol=1e-6)
    assert flat["layer_update_norm/0/weight"].isna().all()


@pytest.mark.slow
def test_batched_equals_solo_and_a_run_that_breaks_is_missing(
    train: Callable[..., Any], network: Problem
) -> None:
    probes = catalog.names("probe")
    study = {**STUDY, "problem": [network], "probes": probes}
    _, (many,) = train({**study, "learning_rate": {"values": [0.01, 0.05, 1e30]}, "lanes_per_chunk": 3})
    _, (solo,) = train({**study, "learning_rate": {"values": [0.05]}, "lanes_per_chunk": 1})
    for name, values in solo.curves.items():
        np.testing.assert_allclose(many.curves[name][1], values[0], rtol=2e-3, atol=1e-5, err_msg=name)
        if name != "learning_rate":
            assert np.isnan(many.curves[name][2, -1]), name


FORMS = [(name, form) for name in catalog.names("problem") for form in ("", *examples.problem(name).forms)]


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_every_problem_has_a_hessian(name: str, form: str) -> None:
    """Also those with a state, and those whose convolutions have gradients of their own; traced, not computed."""
    problem = examples.problem(name).in_form(form)
    key = jax.random.key(0)
    params, state = problem.split(problem.init(key))
    batch = jax.tree.map(lambda leaf: jnp.asarray(leaf[:2]), problem.data.train)
    loss = lambda w, examples: problem.training_loss(w, state, examples, key)[0]  # noqa: E731
    view = View(params, params, params, jnp.ones(()), loss, loss, batch, batch, lambda: params)
    found = jax.eval_shape(
        lambda: (sharpness(view), preconditioned_sharpness(view), gradient_noise_scale(view))
    )
    assert [each.shape for each in found] == [(), (), ()]


def test_what_probes_depend_on(network: Problem) -> None:
    """What needs no step is measured for all optimizers at once; what needs the loss after a step is measured with it."""
    batch = jax.tree.map(lambda leaf: jnp.asarray(leaf[:10]), network.data.train)
    shapes = jax.eval_shape(network.init, jax.random.key(0))

    def kind(name: str) -> str:
        probes = {name: catalog.get("probe", name).load()}
        found = probing.split(network, probes, shapes, (), (batch, batch))
        return "both" if found is None else "point" if found[0] else "step"

    kinds = {name: kind(name) for name in catalog.names("probe")}
    both = {"gradient_cosine", "preconditioned_sharpness", "stability"}
    step = {"update_norm", "update_ratio", "layer_update_norm", "layer_update_ratio"}
    assert {name for name, found in kinds.items() if found == "both"} == both
    assert {name for name, found in kinds.items() if found == "step"} == step


def test_what_probes_cost() -> None:
    """Counted from the trace: nothing for what is there, and about two gradients for each Hessian-vector product."""
    asked = {
        **STUDY,
        "problem": [{"name": "digits_mlp", "batch_size": 64}],
        "learning_rate": {"values": [0.1]},
    }
    study = read({**asked, "probes": ["update_norm", "gradient_cosine", "stability", "sharpness"]})
    engine = Engine(study, of_study(study), 1)
    costs = engine.describe(engine.grid.programs[0])["probe_gradients"]
    assert costs["update_norm"] < 0.05
    assert costs["gradient_cosine"] == pytest.approx(1, rel=0.1)
    assert costs["sharpness"] == 0  # stability found it
    assert 1.5 < costs["stability"] / (24 * 1024 / 64) < 4
    text = plan_text(study, 1)
    assert "probes on digits_mlp(batch_size=64): gradient_cosine 1.0, stability " in text
    assert "at each of 3 evaluations: " in text


def test_a_probe_that_is_not_asked_for_is_in_no_program() -> None:
    def equations(probes: list[str]) -> list[str]:
        problem = examples.problem("quadratic")
        found = {name: catalog.get("probe", name).load() for name in probes}
        recipe = lane.Recipe(problem, lambda rate, numeric: optax.sgd(rate), found)
        hyper = lane.Hyper({"": jnp.float32(0.1)}, jnp.int32(0), {})
        state = lane.init(recipe, hyper, problem.init(jax.random.key(0)))
        noise = seeds.key(seeds.noise([0])[0])
        given = hyper, state, lane.StepContext(jnp.float32(1), jnp.int32(0), None, noise), noise
        text = str(jax.make_jaxpr(lambda *given: lane.evaluate(recipe, *given))(*given))
        return re.findall(r"= (scan|eigh)", text)

    assert equations(["gradient_norm", "update_norm", "parameter_norm"]) == []
    assert equations(["sharpness", "stability"]).count("scan") == 1
