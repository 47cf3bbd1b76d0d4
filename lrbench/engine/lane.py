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

from lrbench.engine import probing
from lrbench.problems import Batch, Params, Problem
from lrbench.schedules.plateau import Memory, Plateau
from lrbench.study import requires

PLATEAU_SCALE = "plateau_scale"
"""Under this name an evaluation says what each run has reduced its rate to."""

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
        optimizer: (learning rate, numeric hyper-parameters) → optax transformation; what it declares by `requires.asks`
            and `requires.evaluated_at` is done.
        probes: name → function of a `View`, which gives a scalar or a mapping part → scalar.
    """

    problem: Problem
    optimizer: Callable[[Array, Mapping[str, Array]], optax.GradientTransformation]
    probes: probing.Probes


class Hyper(NamedTuple):
    """What is a number in a run: its learning rates, its row of the schedule table, its hyper-parameters.

    The rate named "" moves all parameters that have no rate of their own. `plateau` is the row's rule, where a schedule
    of the study depends on the losses.
    """

    learning_rates: dict[str, Float[Array, ""]]
    row: Int[Array, ""]
    numeric: dict[str, Float[Array, ""]]
    plateau: Plateau | None = None


class State(NamedTuple):
    """A run between two steps.

    Args:
        params: what the optimizer moves.
        optimizer: the optimizer's state.
        bad_step: the first step with a non-finite loss, −1 while there is none.
        model: the state of a model that has one, such as running averages; `()` for all others.
        plateau: what a schedule that depends on the losses has seen so far; `None` without one.
    """

    params: Params
    optimizer: PyTree[Array]
    bad_step: Int[Array, ""]
    model: PyTree[Array] = ()
    plateau: Memory | None = None


def init(recipe: Recipe, hyper: Hyper, initial: Any) -> State:
    """Return a run before its first step, from what its seed's `init` gave."""
    params, model = recipe.problem.parted(initial)
    one = jnp.ones_like(hyper.learning_rates[""])
    watch = None if hyper.plateau is None else Memory.empty(one)
    return State(params, _optimizer(recipe, hyper, one).init(params), jnp.int32(-1), model, watch)


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
    loss, update, optimizer, _, model = _next(recipe, hyper, factor, state, count, batch, key)
    bad = jnp.where((state.bad_step < 0) & ~jnp.isfinite(loss), count, state.bad_step)
    moved = optax.apply_updates(state.params, update), model
    held = state.params, state.model
    params, model = jax.tree.map(lambda new, old: jnp.where(bad < 0, new, old), moved, held)
    return State(params, optimizer, bad, model, state.plateau)


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

    Losses and metrics are those of the parameters that the optimizer is evaluated at. Probes see the step that would
    come next from here, on that step's minibatch.
    """
    problem = recipe.problem
    key = jax.random.fold_in(noise, 0)  # the same noise at every evaluation, so that curves compare
    where = requires.evaluation(recipe.optimizer)
    seen = state if where is None else state._replace(params=where(state.optimizer, state.params))
    examples = sample(problem.data.train)

    def loss(part: Batch) -> dict[str, Array]:
        return {"loss": problem.evaluation_loss(seen.params, seen.model, part, key)}

    found = {"train_loss": _mean(loss, examples)["loss"]}
    if problem.data.valid_examples:
        scores = _mean(lambda part: loss(part) | _metrics(problem, seen, part), problem.data.valid)
        found |= {f"valid_{name}": score for name, score in scores.items()}
    if hyper.plateau is not None and state.plateau is not None:
        watch = hyper.plateau.watch(state.plateau, found[problem.objective], count)
        state = state._replace(plateau=watch)
        found[PLATEAU_SCALE] = watch.scale
    found |= _probed(recipe, hyper, factor, state, count, batch, (jax.random.fold_in(noise, count), key))
    finite = jnp.isfinite(found["train_loss"]) & jnp.isfinite(optax.tree.norm(state.params))
    bad = jnp.where((state.bad_step < 0) & ~finite, count, state.bad_step)
    found = {name: jnp.where(bad < 0, value, jnp.nan) for name, value in found.items()}
    return state._replace(bad_step=bad), found


def pick(data: Any, examples: Int[Array | np.ndarray, " example"]) -> Batch:
    """Return the given examples of a data set."""
    return jax.tree.map(lambda leaf: leaf[examples], data)


def _probed(
    recipe: Recipe,
    hyper: Hyper,
    factor: Array,
    state: State,
    count: Array,
    batch: Batch,
    noise: tuple[Array, Array],
) -> dict[str, Array]:
    """Return what the probes say of the step that comes next; `noise` is its key, and that of evaluations."""
    _, update, _, gradient, _ = _next(recipe, hyper, factor, state, count, batch, noise[0])
    problem, factor = recipe.problem, _factor(factor, state)
    rates = {name: rate * factor for name, rate in hyper.learning_rates.items()}
    model, examples = (state.params, state.model), (batch, sample(problem.data.train))
    seen = probing.view(problem, model, (gradient, update), rates, examples, noise)
    return probing.measure(recipe.probes, seen)


def _next(
    recipe: Recipe, hyper: Hyper, factor: Array, state: State, count: Array, batch: Batch, key: Array
) -> tuple[Array, Params, PyTree[Array], Params, PyTree[Array]]:
    """Return the loss at a run's parameters, the update from there, the optimizer's next state, gradient, model state."""
    graded = jax.value_and_grad(recipe.problem.training_loss, has_aux=True)
    (loss, model), gradient = graded(state.params, state.model, batch, key)
    optimizer = optax.with_extra_args_support(_optimizer(recipe, hyper, _factor(factor, state)))
    names = requires.asked(recipe.optimizer)
    if len(hyper.learning_rates) > 1:
        names = tuple(name for name in names if name in requires.BY_PART)
    seen = recipe.problem.scaled(gradient)
    more = _more(recipe.problem, names, state, count, batch, key, loss, seen)
    update, after = optimizer.update(seen, state.optimizer, state.params, **more)
    return loss, update, after, gradient, model


def _factor(factor: Array, state: State) -> Array:
    """Return a step's factor of the learning rates, with what the losses have reduced it to."""
    return factor if state.plateau is None else factor * state.plateau.scale


def _more(
    problem: Problem,
    names: tuple[str, ...],
    state: State,
    count: Array,
    batch: Batch,
    key: Array,
    loss: Array,
    gradient: Params,
) -> dict[str, Any]:
    """Return the extra arguments of those names; `requires.OFFERED` says what they are."""

    def value(params: Params) -> Array:
        return problem.training_loss(params, state.model, batch, key)[0]

    def example_gradients() -> Params:
        # A loss is a mean over its batch, so each example is a batch of its own; without data there is one.
        single = jax.tree.map(lambda leaf: leaf[:, None], batch)

        def loss_of(params: Params, example: Batch) -> Array:
            return problem.training_loss(params, state.model, example, key)[0]

        each: Any = jax.vmap(lambda *given: problem.scaled(jax.grad(loss_of)(*given)), (None, 0))
        if not jax.tree.leaves(batch):
            return jax.tree.map(lambda leaf: leaf[None], gradient)
        return each(state.params, single)

    ways: dict[str, Callable[[], Any]] = {
        "value": lambda: loss,
        "grad": lambda: gradient,
        "value_fn": lambda: value,
        "obj_fn": lambda: value,
        "grad_fn": lambda: lambda params, _: problem.scaled(jax.grad(value)(params)),
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


def _metrics(problem: Problem, state: State, part: Batch) -> dict[str, Array]:
    """Return the metrics of what a run's model predicts."""
    if problem.predict is None or not problem.metrics:
        return {}
    predictions = problem.predict(problem.joined(state.params, state.model), part)
    return {name: metric(predictions, part) for name, metric in problem.metrics.items()}


def sample(data: Any) -> Any:
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
