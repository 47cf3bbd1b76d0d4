"""What every entry of the catalogue has to hold; a new entry is picked up by itself. Optimizers: optimizers/test_optimizers.py."""

from __future__ import annotations

import functools
import inspect
import io
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from matplotlib.figure import Figure

from lrbench.engine import lane, seeds
from lrbench.engine.schedule_table import tabulate
from lrbench.problems import Problem
from lrbench.study import catalog, signature
from tests.golden import entries
from tests.helpers import examples, frames

ENTRIES = [(kind, name) for kind in catalog.FOLDERS for name in catalog.names(kind)]
STEPS = 40


def _problem(name: str) -> Problem:
    return examples.problem(name)


def _batch(problem: Problem) -> Any:
    return jax.tree.map(lambda leaf: leaf[:8], problem.data.train)


def _init(problem: Problem, key: jax.Array) -> Any:
    """Return the initial model as NumPy's arrays: an operation of JAX alone would compile for each shape there is."""
    return jax.tree.map(np.asarray, jax.jit(problem.init)(key))


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_entry_is_documented(kind: str, name: str) -> None:
    entry = catalog.get(kind, name)
    assert entry.summary.endswith(".")
    assert len(entry.summary) > 20
    for parameter in entry.settings.values():
        assert parameter.doc, f"{name}: {parameter.name} has no line under Args"
    if kind in {"problem", "optimizer", "schedule"}:
        assert "Formula:" in entry.doc
        assert "Source:" in entry.doc
    assert kind != "probe" or "Cost:" in entry.doc


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_entry_loads_and_defaults_have_their_type(kind: str, name: str) -> None:
    entry = catalog.get(kind, name)
    assert callable(entry.load())
    for parameter in entry.settings.values():
        if parameter.default is not signature.REQUIRED:
            assert parameter.coerce(parameter.default) == parameter.default


@pytest.mark.parametrize("kind", sorted(catalog.ONE_PER_FILE))
def test_every_file_has_its_entry(kind: str) -> None:
    """Where a file holds one entry, it bears its name; what entries share is in a private file, or in one of those named here."""
    files = {path.stem for path in (catalog.PACKAGE / catalog.FOLDERS[kind]).glob("[!_]*.py")}
    assert files - {"base", "bench", "findings", "html_page", "lines", "page", "theme"} == set(
        catalog.names(kind)
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", catalog.names("problem"))
def test_problem(name: str) -> None:
    """Same key, same parameters; loss and gradient finite; lanes equal a loop; the engine's types are those it gets."""
    problem = _problem(name)
    key = jax.random.key(1)
    assert problem.name == name
    first, again = _init(problem, key), _init(problem, key)
    jax.tree.map(np.testing.assert_array_equal, first, again)
    graded = jax.value_and_grad(problem.training_loss, has_aux=True)

    def grade(model: Any) -> Any:
        params, state = problem.split(model)
        (loss, after), gradient = graded(params, state, _batch(problem), key)
        return loss, gradient, after, problem.evaluation_loss(params, state, _batch(problem), key)

    half = jax.tree.map(lambda leaf: leaf * leaf.dtype.type(0.5), first)
    graded_alone = jax.jit(grade)
    found = [jax.tree.map(np.asarray, graded_alone(model)) for model in (first, half)]
    loss, gradient, after, evaluated = found[0]
    assert loss.shape == evaluated.shape == ()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((loss, gradient, evaluated)))
    params, state = problem.split(first)
    for new, old in ((gradient, params), (after, state)):
        same = jax.tree.map(lambda n, o: n.shape == o.shape and n.dtype == o.dtype, new, old)
        assert all(jax.tree.leaves(same))
    many = jax.tree.map(lambda *leaves: np.stack(leaves), first, half)
    vmapped = jax.tree.map(np.asarray, jax.jit(jax.vmap(grade))(many))
    for lane_, alone in enumerate(found):
        jax.tree.map(
            lambda v, a, i=lane_: np.testing.assert_allclose(v[i], a, rtol=2e-4, atol=2e-5), vmapped, alone
        )


@pytest.mark.slow
@pytest.mark.parametrize("name", catalog.names("problem"))
def test_a_problem_trains(name: str) -> None:
    """A few steps of Adam bring the loss clearly down, and nowhere below a known optimum."""
    problem = _problem(name)
    data = problem.data.train
    if problem.optimum is None:
        data = jax.tree.map(lambda leaf: leaf[:64], data)
    optimizer, key = optax.adam(0.03), jax.random.key(3)

    def step(carry: Any, _: None) -> tuple[Any, jax.Array]:
        params, state, held = carry
        graded = jax.value_and_grad(problem.training_loss, has_aux=True)
        (loss, state), gradient = graded(params, state, data, key)
        updates, held = optimizer.update(gradient, held, params)
        return (optax.apply_updates(params, updates), state, held), loss

    def train(key: jax.Array) -> jax.Array:
        params, state = problem.split(problem.init(key))
        return jax.lax.scan(step, (params, state, optimizer.init(params)), None, 60)[1]

    losses = np.asarray(jax.jit(train)(key))
    low = problem.optimum or 0.0
    assert losses[-1] - low < 0.9 * (losses[0] - low)
    entries.check("problem", name, losses[[0, 5, 20]], rtol=1e-3)
    if problem.optimum is not None:
        assert (losses >= problem.optimum - 1e-4 * max(1.0, abs(problem.optimum))).all()


FORMS = [(name, form) for name in catalog.names("problem") for form in _problem(name).forms]


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_forms_of_a_problem_compute_the_same(name: str, form: str) -> None:
    problem, other = _problem(name), _problem(name).in_form(form)
    key = jax.random.key(1)
    model, batch = _init(problem, key), _batch(problem)

    def computed(each: Problem) -> Any:
        graded = jax.value_and_grad(each.training_loss, has_aux=True)
        return graded(*each.split(model), batch, key), each.predict and each.predict(model, batch)

    expected, found = (jax.jit(functools.partial(computed, each))() for each in (problem, other))
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-5), expected, found)


@pytest.mark.parametrize("name", catalog.names("problem"))
def test_named_rates_cover_the_parameters(name: str) -> None:
    problem = _problem(name)
    if problem.rates is not None:
        params, _ = problem.split(problem.init(jax.random.key(0)))
        labels = jax.tree.broadcast(problem.rates, params)
        assert set(jax.tree.leaves(labels)) == set(problem.rate_names)


@pytest.mark.parametrize("name", catalog.names("schedule"))
@pytest.mark.parametrize("steps", [1, 2, 3, STEPS, 10_000])
def test_schedule(name: str, steps: int) -> None:
    """The peak is 1, and every factor finite and not negative."""
    shape = tabulate(catalog.get("schedule", name).load()(steps), steps)
    assert shape.shape == (steps,)
    assert np.isfinite(shape).all()
    assert (shape >= 0).all()
    assert shape.max() <= 1 + 1e-12
    if steps >= STEPS:
        assert shape.max() == pytest.approx(1, abs=1e-3)
    if steps == STEPS:
        entries.check("schedule", name, shape[::3], rtol=1e-5)


@pytest.mark.parametrize("name", catalog.names("probe"))
def test_probe(name: str) -> None:
    problem = _problem("quadratic")
    recipe = lane.Recipe(
        problem, lambda rate, numeric: optax.sgd(rate), {name: catalog.get("probe", name).load()}
    )
    hyper = lane.Hyper({"": jnp.float32(0.1)}, jnp.int32(0), {})
    state = lane.init(recipe, hyper, problem.init(jax.random.key(0)))
    noise = seeds.key(seeds.noise([0])[0])
    _, found = lane.evaluate(
        recipe, hyper, state, lane.StepContext(jnp.float32(1), jnp.int32(0), None, noise), noise
    )
    columns = [value for column, value in found.items() if column.partition("/")[0] == name]
    assert columns
    assert all(value.shape == () and jnp.isfinite(value) for value in columns)


@pytest.mark.slow
@pytest.mark.parametrize("name", catalog.names("metric"))
def test_metric(name: str) -> None:
    """A finite number of what is predicted for examples and their targets, whatever their order, and alike in lanes."""
    metric = catalog.get("metric", name).load()
    random = np.random.default_rng(0)
    shape = getattr(inspect.signature(metric).parameters["predictions"].annotation, "dim_str", "")
    numbers = shape.strip() == "example"
    predictions = jnp.asarray(random.normal(size=(2, 12) if numbers else (2, 12, 3)), jnp.float32)
    inputs, labels = jnp.zeros((12, 2)), jnp.asarray(random.integers(0, 3, 12))
    targets = labels.astype(jnp.float32) if numbers else labels
    found = jax.vmap(lambda each: metric(each, (inputs, targets)))(predictions)
    assert found.shape == (2,)
    assert found.dtype == predictions.dtype
    assert jnp.isfinite(found).all()
    order = random.permutation(12)
    alone = [metric(each[order], (inputs[order], targets[order])) for each in predictions]
    np.testing.assert_allclose(found, alone, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", catalog.names("plot"))
@pytest.mark.parametrize("kind", frames.STUDIES)
def test_plot(name: str, kind: str) -> None:
    """It draws every study, one row and runs that all diverged too, without a warning; or it has nothing to show."""
    figure = catalog.get("plot", name).load()(frames.STUDIES[kind]())
    assert isinstance(figure, Figure)
    figure.savefig(io.BytesIO(), dpi=40)


def test_schedules_equal_their_formulas() -> None:
    """Values of PyTorch's StepLR(3, 0.1), CosineAnnealingLR(10) and OneCycleLR(1, 10), computed by hand."""

    def shape(name: str, **params: Any) -> np.ndarray:
        return tabulate(catalog.get("schedule", name).load()(10, **params), 10)

    np.testing.assert_allclose(
        shape("step", step_size=3)[[0, 2, 3, 6, 9]], [1, 1, 0.1, 0.01, 0.001], rtol=1e-6
    )
    np.testing.assert_allclose(shape("cosine")[[0, 5]], [1, 0.5], atol=1e-6)
    one = shape("onecycle_cosine")
    np.testing.assert_allclose(one[[0, 1, 2, 9]], [0.04, 0.52, 1.0, 4e-6], rtol=1e-5)
    np.testing.assert_allclose(shape("exponential", final=0.01)[5], 0.1, rtol=1e-5)
    np.testing.assert_allclose(shape("warmup_cosine", warmup=0.2)[[0, 1, 2]], [0, 0.5, 1], atol=1e-6)
