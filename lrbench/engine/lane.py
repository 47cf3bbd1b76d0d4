"""One run, as pure functions of its hyper-parameters and its seed; nothing here knows of a batch of runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float, Int, PyTree

from lrbench import needs
from lrbench.probes import View
from lrbench.problems._problem import Batch, Params, Problem

TRAIN_SAMPLE = 1024
"""The most training examples that an evaluation looks at."""
EVALUATION_BATCH = 1024
"""The most examples that an evaluation holds at once."""
_OPTIMIZER = 0x6F7074
"""Folded into a step's key for the optimizer, whose noise must not be that of the loss."""


@dataclass(frozen=True)
class Recipe:
    """What is static in a program: everything but numbers.

    Args:
        problem: the model, its data and its loss.
        optimizer: (learning rate, numeric hyper-parameters) → optax transformation; what it declares by `needs.asks`
            and `needs.evaluated_at` is done.
        probes: name → function of a `View`.
    """

    problem: Problem
    optimizer: Callable[[Array, Mapping[str, Array]], optax.GradientTransformation]
    probes: Mapping[str, Callable[[View], Array]]


class Hyper(NamedTuple):
    """What is a number in a run: its learning rates, its row of the schedule table, its hyper-parameters.

    The rate named "" moves all parameters that have no rate of their own.
    """

    learning_rates: dict[str, Float[Array, ""]]
    row: Int[Array, ""]
    numeric: dict[str, Float[Array, ""]]


class State(NamedTuple):
    """A run between two steps; `bad_step` is the first step with a non-finite loss, −1 while there is none."""

    params: Params
    optimizer: PyTree[Array]
    bad_step: Int[Array, ""]


def init(recipe: Recipe, hyper: Hyper, params: Params) -> State:
    """Return a run before its first step, from its seed's initial parameters."""
    return State(
        params, _optimizer(recipe, hyper, jnp.ones_like(hyper.learning_rates[""])).init(params), jnp.int32(-1)
    )


def step(
    recipe: Recipe,
    hyper: Hyper,
    factor: Float[Array, ""],
    state: State,
    count: Int[Array, ""],
    batch: Batch,
    key: Array,
) -> State:
    """Take one optimizer step: w ← w + update(∇loss(w, batch)), at the rates `learning_rates × factor`.

    A run whose loss was not finite is frozen: its parameters stay as they were before the update of that loss.
    """
    loss, update, optimizer, _ = _next(recipe, hyper, factor, state, count, batch, key)
    bad = jnp.where((state.bad_step < 0) & ~jnp.isfinite(loss), count, state.bad_step)
    moved = optax.apply_updates(state.params, update)
    params = jax.tree.map(lambda new, old: jnp.where(bad < 0, new, old), moved, state.params)
    return State(params, optimizer, bad)


def evaluate(
    recipe: Recipe,
    hyper: Hyper,
    factor: Float[Array, ""],
    state: State,
    count: Int[Array, ""],
    batch: Batch,
    noise: Array,
) -> tuple[State, dict[str, Float[Array, ""]]]:
    """Return losses, metrics and probes of the parameters that a run has now, NaN once it is not finite.

    Losses and metrics are those of the parameters that the optimizer is evaluated at. Probes see the step that would come next from here, on that step's minibatch.
    """
    problem = recipe.problem
    key = jax.random.fold_in(noise, 0)  # the same noise at every evaluation, so that curves compare
    key_of_step = jax.random.fold_in(noise, count)
    _, update, _, gradient = _next(recipe, hyper, factor, state, count, batch, key_of_step)
    where = needs.evaluation(recipe.optimizer)
    params = state.params if where is None else where(state.optimizer, state.params)
    sample = _sample(problem.data.train)
    found = {"train_loss": _mean(lambda part: {"loss": problem.loss(params, part, key)}, sample)["loss"]}
    if problem.data.valid_examples:
        scores = _mean(lambda part: _scores(problem, params, part, key), problem.data.valid)
        found |= {f"valid_{name}": score for name, score in scores.items()}
    view = View(state.params, gradient, update)
    found |= {name: probe(view) for name, probe in recipe.probes.items()}
    finite = jnp.isfinite(found["train_loss"]) & jnp.isfinite(optax.tree.norm(state.params))
    bad = jnp.where((state.bad_step < 0) & ~finite, count, state.bad_step)
    found = {name: jnp.where(bad < 0, value, jnp.nan) for name, value in found.items()}
    return state._replace(bad_step=bad), found


def pick(data: Any, examples: Int[Array | np.ndarray, " example"]) -> Batch:
    """Return the given examples of a data set."""
    return jax.tree.map(lambda leaf: leaf[examples], data)


def _next(
    recipe: Recipe, hyper: Hyper, factor: Array, state: State, count: Array, batch: Batch, key: Array
) -> tuple[Array, Params, PyTree[Array], Params]:
    """Return the loss at a run's parameters, the update from there, the optimizer's next state, and the gradient."""
    loss, gradient = jax.value_and_grad(recipe.problem.loss)(state.params, batch, key)
    optimizer = optax.with_extra_args_support(_optimizer(recipe, hyper, factor))
    names = needs.asked(recipe.optimizer)
    if len(hyper.learning_rates) > 1:
        names = tuple(name for name in names if name in needs.BY_PART)
    more = _more(recipe.problem, names, state.params, count, batch, key, loss, gradient)
    update, after = optimizer.update(gradient, state.optimizer, state.params, **more)
    return loss, update, after, gradient


def _more(
    problem: Problem,
    names: tuple[str, ...],
    params: Params,
    count: Array,
    batch: Batch,
    key: Array,
    loss: Array,
    gradient: Params,
) -> dict[str, Any]:
    """Return the extra arguments of those names; `needs.OFFERED` says what they are."""

    def value(params: Params) -> Array:
        return problem.loss(params, batch, key)

    def example_gradients() -> Params:
        # A loss is a mean over its batch, so each example is a batch of its own; without data there is one.
        single = jax.tree.map(lambda leaf: leaf[:, None], batch)
        each: Any = jax.vmap(jax.grad(problem.loss), (None, 0, None))
        if not jax.tree.leaves(batch):
            return jax.tree.map(lambda leaf: leaf[None], gradient)
        return each(params, single, key)

    ways: dict[str, Callable[[], Any]] = {
        "value": lambda: loss,
        "grad": lambda: gradient,
        "value_fn": lambda: value,
        "obj_fn": lambda: value,
        "grad_fn": lambda: lambda params, _: jax.grad(value)(params),
        "example_grads": example_gradients,
        "step": lambda: count,
        "key": lambda: jax.random.fold_in(key, _OPTIMIZER),
    }
    return {name: ways[name]() for name in names}


def _optimizer(recipe: Recipe, hyper: Hyper, factor: Array) -> optax.GradientTransformation:
    """Return the optimizer of a step; parameters with a rate of their own have an optimizer of their own."""
    rates = {name: rate * factor for name, rate in hyper.learning_rates.items()}
    if len(rates) == 1:
        return recipe.optimizer(rates[""], hyper.numeric)
    each = {
        name: recipe.optimizer(rates.get(name, rates[""]), hyper.numeric)
        for name in recipe.problem.rate_names
    }
    return optax.partition(each, recipe.problem.rates)


def _scores(problem: Problem, params: Params, part: Batch, key: Array) -> dict[str, Array]:
    scores = {"loss": problem.loss(params, part, key)}
    if problem.predict is not None and problem.metrics:
        predictions = problem.predict(params, part)
        scores |= {name: metric(predictions, part) for name, metric in problem.metrics.items()}
    return scores


def _sample(data: Any) -> Any:
    """Return the fixed training examples of evaluations: all, or evenly spaced ones."""
    leaves = jax.tree.leaves(data)
    if not leaves or leaves[0].shape[0] <= TRAIN_SAMPLE:
        return data
    return pick(data, np.linspace(0, leaves[0].shape[0] - 1, TRAIN_SAMPLE).round().astype(np.int32))


def _mean(scores: Callable[[Batch], dict[str, Array]], data: Any) -> dict[str, Array]:
    """Return the mean of scores over a whole data set, in pieces that fit into cache or memory."""
    leaves = jax.tree.leaves(data)
    examples = leaves[0].shape[0] if leaves else 0
    if examples <= EVALUATION_BATCH:
        return scores(data)
    whole = examples // EVALUATION_BATCH

    def piece(index: Array) -> dict[str, Array]:
        start = index * EVALUATION_BATCH
        return scores(
            jax.tree.map(lambda leaf: lax.dynamic_slice_in_dim(leaf, start, EVALUATION_BATCH), data)
        )

    totals = jax.tree.map(lambda x: x.sum(0) * EVALUATION_BATCH, lax.map(piece, jnp.arange(whole)))
    rest = examples - whole * EVALUATION_BATCH
    if rest:
        tail = scores(jax.tree.map(lambda leaf: leaf[-rest:], data))
        totals = jax.tree.map(lambda total, last: total + last * rest, totals, tail)
    return jax.tree.map(lambda total: total / examples, totals)
