"""Every optimizer of the catalogue in a lane, against optax stepped by hand, and against PyTorch."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrbench as lb
from lrbench.engine import instances, lane, seeds
from lrbench.study import catalog
from tests.golden import entries
from tests.helpers.paths import GOLDEN

STEPS = 6
SHAPES = np.array([[1.0, 0.5, 0.25, 0.75, 1.0, 0.5], [0.0, 0.5, 1.0, 0.75, 0.5, 0.25]])
"""Two rows of a schedule table; the second starts from 0, as a warmup does."""
RATES = (0.01, 0.1)
STATIC: dict[str, dict[str, Any]] = {
    # The gradient has rank 2, and Adam makes full steps of the rounding in any further direction.
    "galore": {"rank": 2},
}
INPUTS = np.sin(np.arange(48.0) ** 1.5).reshape(6, 8).astype(np.float32)
LABELS = np.arange(6, dtype=np.int32) % 3
NAMES = catalog.names("optimizer")
RTOL: dict[str, float] = {}


def loss(params: Any, batch: Any, key: jax.Array) -> jax.Array:
    """Softmax regression, 8 → 3."""
    scores = jnp.asarray(batch[0], params["w"].dtype) @ params["w"] + params["b"][None]
    return optax.softmax_cross_entropy_with_integer_labels(scores, batch[1]).mean()


PROBLEM = lb.problem(
    name="tiny",
    init=lambda key: {"w": 0.1 * jnp.cos(jnp.arange(24.0)).reshape(8, 3), "b": jnp.zeros(3)},
    loss=loss,
    train=(INPUTS, LABELS),
)
BATCH = (INPUTS, LABELS)


def recipe_of(name: str, **static: Any) -> tuple[lane.Recipe, dict[str, float]]:
    """Return an optimizer as a study would make it, and its numeric hyper-parameters, all of them lanes."""
    entry = catalog.get("optimizer", name)
    params = {key: parameter.default for key, parameter in entry.parameters.items()} | static
    numeric = {key: value for key, value in params.items() if entry.settings[key].numeric}
    rest = {key: value for key, value in params.items() if key not in numeric}
    return lane.Recipe(PROBLEM, instances.bind_optimizer(entry, rest), {}), numeric


def start() -> Any:
    """Return the initial parameters, in the precision that is on."""
    return jax.tree.map(lambda leaf: leaf.astype(jnp.zeros(()).dtype), PROBLEM.init(jax.random.key(0)))


def compiled(function: Callable[..., Any]) -> Any:
    """Compile without the optimizations that take longer than these few steps."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


def train(recipe: lane.Recipe, numeric: Mapping[str, Any], rate: Any, row: Any, params: Any) -> lane.State:
    """Take the steps of one run, as the engine does."""
    hyper = lane.Hyper({"": rate}, row, {name: jnp.asarray(value) for name, value in numeric.items()})
    noise = seeds.key(seeds.noise([0])[0])

    def step(count: Any, state: lane.State) -> lane.State:
        factor = jnp.asarray(SHAPES)[row, count]
        context = lane.StepContext(factor, count, BATCH, jax.random.fold_in(noise, count))
        return lane.step(recipe, hyper, state, context)

    first = lane.init(recipe, hyper, params)
    return jax.lax.fori_loop(0, STEPS, step, first)


class Reference(NamedTuple):
    """An optimizer of optax, and the extra arguments that it wants: (parameters, key of the step) → arguments."""

    make: Callable[[Any], Any]
    extra: Callable[[Any, Any], dict[str, Any]] = lambda params, key: {}
    schedule: bool = False


def _value(params: Any, key: Any) -> dict[str, Any]:
    return {"value": loss(params, BATCH, key)}


def _search(params: Any, key: Any) -> dict[str, Any]:
    value, grad = jax.value_and_grad(loss)(params, BATCH, key)
    return {"value": value, "grad": grad, "value_fn": lambda p: loss(p, BATCH, key)}


def _old_optimistic_adam(rate: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return optax.optimistic_adam(rate)


def _noisy(rate: Any) -> Any:
    def update(gradient: Any, count: Any, params: Any, *, key: Any) -> Any:
        noise = optax.tree.random_like(jax.random.split(key)[1], gradient, jax.random.normal)
        deviation = jnp.sqrt(0.01 / (count + 1) ** 0.55)
        return jax.tree.map(lambda g, z: -rate * (g + deviation * z), gradient, noise), count + 1

    return optax.GradientTransformationExtraArgs(lambda params: jnp.int32(0), update)


def _private(rate: Any) -> Any:
    """Each example's gradient by itself, clipped at 1."""

    def update(gradient: Any, state: Any, params: Any, *, key: Any) -> Any:
        total = jax.tree.map(jnp.zeros_like, params)
        for i in range(6):
            single = jax.grad(loss)(params, (BATCH[0][i : i + 1], BATCH[1][i : i + 1]), key)
            factor = jnp.minimum(1.0, 1.0 / optax.tree.norm(single))
            total = jax.tree.map(lambda t, g, f=factor: t + f * g, total, single)
        leaves, structure = jax.tree.flatten(total)
        keys = jax.random.split(key, len(leaves) + 1)[1:]
        noisy = [(t + jax.random.normal(k, t.shape)) / 6 for t, k in zip(leaves, keys, strict=True)]
        return jax.tree.unflatten(structure, [-rate * leaf for leaf in noisy]), state

    return optax.GradientTransformationExtraArgs(optax.init_empty_state, update)


def _key(params: Any, key: Any) -> dict[str, Any]:
    return {"key": jax.random.fold_in(key, lane._OPTIMIZER)}


def _first_key() -> Any:
    return _key(None, jax.random.fold_in(seeds.key(seeds.noise([0])[0]), 0))["key"]


SPECIAL = {
    "dog": Reference(optax.contrib.dog, schedule=True),
    "dpsgd": Reference(_private, _key),
    "lbfgs": Reference(optax.lbfgs, _search, schedule=True),
    "mechanize": Reference(lambda rate: optax.contrib.mechanize(optax.adamw(rate, weight_decay=0.01))),
    "momo": Reference(optax.contrib.momo, _value, schedule=True),
    "momo_adam": Reference(optax.contrib.momo_adam, _value, schedule=True),
    "noisy_sgd": Reference(_noisy, _key),
    "optimistic_adam": Reference(_old_optimistic_adam),
    "polyak_sgd": Reference(optax.polyak_sgd, _value),
    "sam": Reference(
        lambda rate: optax.contrib.sam(
            optax.sgd(rate), optax.chain(optax.contrib.normalize(), optax.sgd(0.05)), opaque_mode=True
        ),
        lambda params, key: {"grad_fn": jax.grad(lambda p, i: loss(p, BATCH, key))},
    ),
    "sophia": Reference(
        # The curvature is looked at in the first of these steps alone.
        lambda rate: optax.contrib.sophia(
            rate, hessian_diagonal_fn=optax.contrib.hutchinson_estimator_diag_hessian(_first_key())
        ),
        lambda params, key: {"obj_fn": lambda p: loss(p, BATCH, key)},
        schedule=True,
    ),
}


def _reference(name: str) -> Reference:
    """Return optax's optimizer of that name, with the defaults that lrbench gives it; without one, its own, a run at a time."""
    if name in SPECIAL:
        return SPECIAL[name]
    make = getattr(optax, name, None) or getattr(optax.contrib, name, None)
    if make is None:
        return Reference(catalog.get("optimizer", name).load())
    takes = inspect.signature(make).parameters
    entry = catalog.get("optimizer", name)
    params = {key: p.default for key, p in entry.parameters.items() if key in takes} | STATIC.get(name, {})
    first = str(next(iter(takes.values())).annotation)
    return Reference(lambda rate: make(rate, **params), schedule="Schedule" in first or "Callable" in first)


def by_hand(reference: Reference, rate: Any, params: Any) -> Any:
    """Step optax: with a schedule of its own, or built anew from the rate of each step where it takes none."""
    noise = seeds.key(seeds.noise([0])[0])
    own = reference.make(lambda count: rate * jnp.asarray(SHAPES)[0, count]) if reference.schedule else None

    def step(carry: Any, count: Any) -> Any:
        params, state = carry
        key = jax.random.fold_in(noise, count)
        made = reference.make(rate * jnp.asarray(SHAPES)[0, count]) if own is None else own
        gradient = jax.grad(loss)(params, BATCH, key)
        updates, state = made.update(gradient, state, params, **reference.extra(params, key))
        return (optax.apply_updates(params, updates), state), None

    first = own if own is not None else reference.make(rate)
    (params, _), _ = jax.lax.scan(step, (params, first.init(params)), jnp.arange(STEPS))
    return params


def lookahead_by_hand(params: Any, rate: Any) -> Any:
    """Five steps of gradient descent, half of the way, and one more step."""
    slow = params
    for count in range(STEPS):
        gradient = jax.grad(loss)(params, BATCH, jax.random.key(0))
        params = jax.tree.map(lambda w, g, t=count: w - rate * SHAPES[0, t] * g, params, gradient)
        if count == 4:
            slow = params = jax.tree.map(lambda s, w: s + 0.5 * (w - s), slow, params)
    return params


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_lanes_equal_optax_by_hand(name: str) -> None:
    """Rates and all numbers traced, several lanes at once, the optimizer built anew in every step."""
    with jax.enable_x64(True):
        recipe, numeric = recipe_of(name, **STATIC.get(name, {}))
        params = start()
        reference = _reference(name) if name != "lookahead" else None
        alone = (
            (lambda rate: by_hand(reference, rate, params))
            if reference
            else partial(lookahead_by_hand, params)
        )

        def both(rates: jax.Array) -> Any:
            lanes = jax.vmap(lambda rate, row: train(recipe, numeric, rate, row, params))
            return lanes(rates[jnp.array([0, 1, 1])], jnp.array([0, 0, 1])), jax.lax.map(alone, rates)

        lanes, expected = compiled(both)(jnp.array(RATES))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(lanes.params))
    assert (np.asarray(lanes.bad_step) < 0).all()
    for key, leaf in expected.items():
        np.testing.assert_allclose(lanes.params[key][:2], leaf, rtol=RTOL.get(name, 1e-9), atol=1e-12)
        assert (
            (np.asarray(lanes.params[key]) != np.asarray(params[key]))
            .any(axis=(1, *range(2, leaf.ndim)))
            .all()
        )
    sums = [[leaf[1].sum(), (leaf[1] ** 2).sum()] for leaf in map(np.asarray, lanes.params.values())]
    entries.check("optimizer", name, np.ravel(sums), rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_trains_after_a_step_of_rate_0(name: str) -> None:
    """The first step of a warmup moves nothing, and the next one has another minibatch."""
    recipe, numeric = recipe_of(name, **STATIC.get(name, {}))
    params = start()
    hyper = lane.Hyper({"": jnp.float32(0.1)}, jnp.int32(0), {k: jnp.asarray(v) for k, v in numeric.items()})

    def step(count: Any, state: lane.State) -> lane.State:
        batch = BATCH[0] * (1 + count), BATCH[1]
        return lane.step(
            recipe, hyper, state, lane.StepContext(jnp.sign(count), count, batch, jax.random.key(0))
        )

    trained = compiled(lambda first: jax.lax.fori_loop(0, 4, step, first))(lane.init(recipe, hyper, params))
    for key, leaf in trained.params.items():
        assert np.isfinite(leaf).all()
        assert (np.asarray(leaf) != np.asarray(params[key])).any(), key


@pytest.mark.parametrize("name", NAMES)
def test_state_keeps_its_types(name: str) -> None:
    """In both precisions; nothing is compiled."""
    for dtype, wide in ((jnp.float32, False), (jnp.float64, True)):
        with jax.enable_x64(wide):
            recipe, numeric = recipe_of(name)
            params = start()
            hyper = lane.Hyper({"": dtype(0.1)}, jnp.int32(0), {k: dtype(v) for k, v in numeric.items()})

            def step(
                params: Any, hyper: lane.Hyper = hyper, recipe: lane.Recipe = recipe, dtype: Any = dtype
            ) -> Any:
                before = lane.init(recipe, hyper, params)
                context = lane.StepContext(dtype(0.5), jnp.int32(0), BATCH, jax.random.key(0))
                after = lane.step(recipe, hyper, before, context)
                return before, after

            before, after = jax.eval_shape(step, params)
            assert jax.tree.structure(before) == jax.tree.structure(after)
            for old, new in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
                assert (old.shape, old.dtype) == (new.shape, new.dtype)
                assert not jnp.issubdtype(old.dtype, jnp.floating) or old.dtype == dtype
                # The state is made of zeros at first, on the host.
                np.zeros(old.shape, old.dtype)


def _unbiased(decay: float) -> np.ndarray:
    """Return √(1 − decayᵗ) for t from 1 to 50."""
    return np.sqrt(1 - decay ** np.arange(1, 51))


ONES = np.ones(50)
TORCH: dict[str, tuple[str, float, dict[str, Any], np.ndarray]] = {
    "sgd": ("sgd", 0.1, {}, ONES),
    "sgd_momentum": ("sgd", 0.1, {"momentum": 0.9}, ONES),
    "sgd_nesterov": ("sgd", 0.1, {"momentum": 0.9, "nesterov": True}, ONES),
    "adam": ("adam", 0.01, {}, ONES),
    "adamw": ("adamw", 0.01, {}, ONES),
    "amsgrad": ("amsgrad", 0.01, {"eps": 0.0, "bias_correction_nu": False}, _unbiased(0.999)),
    "adagrad": ("adagrad", 0.01, {"eps": 0.0, "initial_accumulator": 0.0}, ONES),
    "rmsprop": ("rmsprop", 0.01, {"decay": 0.99, "eps_in_sqrt": False}, ONES),
    "rmsprop_centered": (
        "rmsprop",
        0.01,
        {"decay": 0.99, "eps_in_sqrt": False, "centered": True, "momentum": 0.9},
        ONES,
    ),
    "adadelta": ("adadelta", 1.0, {"weight_decay": 0.01}, ONES),
    "nadam": ("nadam", 0.01, {}, ONES),
    "radam": ("radam", 0.01, {"eps": 0.0}, ONES),
    "adamax": ("adamax", 0.01, {}, ONES),
}
"""Case of the golden file → optimizer, rate, the parameters that make both equal, and the shape of the rate."""


@pytest.mark.parametrize("case", TORCH)
def test_optimizers_equal_pytorch(case: str) -> None:
    """After 1, 10 and 50 steps; tests/golden/make_torch.py says what PyTorch was given."""
    name, rate, set_, shape = TORCH[case]
    make = catalog.get("optimizer", name).load()
    with jax.enable_x64(True):
        first = start()

        def step(carry: Any, factor: Any) -> Any:
            params, state = carry
            gradient = jax.grad(loss)(params, BATCH, None)
            updates, state = make(rate * factor, **set_).update(gradient, state, params)
            params = optax.apply_updates(params, updates)
            return (params, state), jnp.concatenate([params["w"].ravel(), params["b"]])

        _, path = compiled(
            lambda factors: jax.lax.scan(step, (first, make(rate, **set_).init(first)), factors)
        )(shape)
    with np.load(GOLDEN / "torch.npz") as golden:
        np.testing.assert_allclose(path[np.array([0, 9, 49])], golden[case], rtol=1e-6, atol=1e-7)
