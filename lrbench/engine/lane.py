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
from lrbench.engine.first_hits import FirstHits
from lrbench.engine.probing import Examples
from lrbench.engine.step_sizes import step_sizes
from lrbench.probes import View
from lrbench.problems import Batch, Params, Problem
from lrbench.schedules.plateau import Plateau, PlateauState
from lrbench.study import requires

PLATEAU_SCALE = "plateau_scale"
"""The name under which an evaluation reports the factor to which each run has reduced its rate."""
TRAIN_SAMPLE = 1024
"""The most training examples that an evaluation uses."""
EVALUATION_BATCH = 1024
"""The most examples that an evaluation has in memory at once."""
_OPTIMIZER = 0x6F7074
"""Folded into a step's key for the optimizer, whose noise must not be that of the loss."""


@dataclass(frozen=True)
class Recipe:
    """What is static in a program: everything but numbers.

    Args:
        problem: the model, its data and its loss.
        optimizer: (learning rate, numeric hyper-parameters) → optax transformation; what it declares by `requires.asks`
            and `requires.evaluated_at` is respected.
        probes: name → function of a `View`, which returns a scalar or a mapping part → scalar.
        floor: the loss that the ladder of first hits goes down to, of which lanes keep each step's; `None` if they keep none.
    """

    problem: Problem
    optimizer: Callable[[Array, Mapping[str, Array]], optax.GradientTransformation]
    probes: probing.Probes
    floor: float | None = None


class Hyper(NamedTuple):
    """What is a number in a run: its learning rates, its row of the schedule table, its hyper-parameters.

    The rate named "" applies to all parameters that have no rate of their own. `plateau` is the rule of the row, where a
    schedule of the study depends on the losses.
    """

    learning_rates: dict[str, Float[Array, ""]]
    row: Int[Array, ""]
    numeric: dict[str, Float[Array, ""]]
    plateau: Plateau | None = None


class State(NamedTuple):
    """A run between two steps.

    Args:
        params: what the optimizer updates.
        optimizer: the optimizer's state.
        bad_step: the first step with a non-finite loss, −1 while there is none.
        model: the state of a model that has one, such as running averages; `()` for all others.
        plateau: the state of a schedule that depends on the losses; `None` without one.
        first_hits: when the loss first met each rung of the ladder; `None` if that is not kept.
    """

    params: Params
    optimizer: PyTree[Array]
    bad_step: Int[Array, ""]
    model: PyTree[Array] = ()
    plateau: PlateauState | None = None
    first_hits: FirstHits | None = None


class StepContext(NamedTuple):
    """What a step of a run depends on besides its hyper-parameters and its state.

    Args:
        factor: the schedule's factor of the learning rates at this step.
        step: how many steps were taken before.
        batch: the minibatch; `None` for a problem without data.
        key: the random key of the loss at this step.
        evaluation_key: that of the loss at evaluations; `None` where a step evaluates nothing.
    """

    factor: Float[Array, ""]
    step: Int[Array, ""]
    batch: Batch
    key: Array
    evaluation_key: Array | None = None


class Graded(NamedTuple):
    """What a step follows: the loss and its gradient where the run is, and the state of the model after it."""

    loss: Float[Array, ""]
    gradient: Params
    model: PyTree[Array] = ()


class Proposal(NamedTuple):
    """A step that was computed and not yet taken: the update, and the optimizer's state after it."""

    update: Params
    optimizer: PyTree[Array]


def init(recipe: Recipe, hyper: Hyper, initial: Any) -> State:
    """Return a run before its first step, from what the problem's `init` returned for its seed."""
    params, model = recipe.problem.split(initial)
    one = jnp.ones_like(hyper.learning_rates[""])
    plateau = None if hyper.plateau is None else PlateauState.initial(one)
    hits = None if recipe.floor is None else FirstHits.none(one.dtype)
    return State(params, _optimizer(recipe, hyper, one).init(params), jnp.int32(-1), model, plateau, hits)


def step(recipe: Recipe, hyper: Hyper, state: State, context: StepContext) -> State:
    """Take one optimizer step: w ← w + update(∇loss(w, batch)), at the rates `learning_rates × factor`.

    A run whose loss was not finite is frozen: its parameters stay as they were before the update of that loss.
    """
    graded = _graded(recipe.problem, state, context)
    proposal = _propose(recipe, hyper, state, context, graded)
    bad = jnp.where((state.bad_step < 0) & ~jnp.isfinite(graded.loss), context.step, state.bad_step)
    after = optax.apply_updates(state.params, proposal.update), graded.model
    before = state.params, state.model
    params, model = jax.tree.map(lambda new, old: jnp.where(bad < 0, new, old), after, before)
    hits = _first_hits(recipe, state, context, bad < 0)
    return State(params, proposal.optimizer, bad, model, state.plateau, hits)


def _first_hits(recipe: Recipe, state: State, context: StepContext, finite: Array) -> FirstHits | None:
    """Return the first hits of a run with the loss before a step, which is the one that an evaluation would find there."""
    if state.first_hits is None or recipe.floor is None or context.evaluation_key is None:
        return state.first_hits
    loss = _losses(recipe.problem, _evaluated(recipe, state), context.evaluation_key)["train_loss"]
    return state.first_hits.after(loss, recipe.floor, context.step, finite)


def _evaluated(recipe: Recipe, state: State) -> State:
    """Return a run at the parameters that it is evaluated at."""
    where = requires.evaluation(recipe.optimizer)
    return state if where is None else state._replace(params=where(state.optimizer, state.params))


def evaluation_needs_optimizer(recipe: Recipe, *, plateau: bool) -> bool:
    """Return whether an evaluation depends on the optimizer as a whole, rather than on the parameters and a little of the optimizer's own.

    So it is where runs are evaluated at other parameters, where a schedule depends on the losses, and where the step itself computes losses.

    Args:
        recipe: what is static.
        plateau: whether the study has a schedule that depends on the losses.
    """
    own = requires.evaluation(recipe.optimizer) is not None or requires.computes_losses(recipe.optimizer)
    return plateau or own


def evaluate(
    recipe: Recipe, hyper: Hyper, state: State, following: StepContext, key: Array
) -> tuple[State, dict[str, Float[Array, ""]]]:
    """Return losses, metrics and probes of a run's present parameters, NaN once it is not finite.

    Losses and metrics are those of the parameters that the optimizer is evaluated at. Probes see the step that would
    follow, on its minibatch.

    Args:
        recipe: what is static.
        hyper: the run's numbers.
        state: the run.
        following: the step that would follow.
        key: the random key of the loss at evaluations; the same at each of them, so that curves are comparable.
    """
    found = _losses(recipe.problem, _evaluated(recipe, state), key)
    if hyper.plateau is not None and state.plateau is not None:
        plateau = hyper.plateau.update(state.plateau, found[recipe.problem.objective], following.step)
        state = state._replace(plateau=plateau)
        found[PLATEAU_SCALE] = plateau.scale
    if recipe.probes:
        graded = _graded(recipe.problem, state, following)
        found |= _probes(recipe, hyper, state, following, key, graded)
    state = _checked(state, found["train_loss"], following.step)
    return state, _of_finite(state, found)


def evaluate_model(
    problem: Problem, probes: probing.Probes, state: State, following: StepContext, key: Array
) -> tuple[State, dict[str, Float[Array, ""]], Graded]:
    """Return what `evaluate` does of that which does not depend on the optimizer, and the loss and gradient that the step would follow.

    Args:
        problem: the model, its data and its loss.
        probes: those that do not depend on the step.
        state: the run; the optimizer's state may be left out.
        following: the step that would follow; its factor may be left out.
        key: as of `evaluate`.
    """
    found = _losses(problem, state, key)
    graded = _graded(problem, state, following)
    still = optax.tree.zeros_like(state.params)
    no_step = still, {"": jnp.zeros(())}, lambda: still
    found |= probing.measure(probes, _view(problem, state, graded, no_step, following, key))
    state = _checked(state, found["train_loss"], following.step)
    return state, _of_finite(state, found), graded


def step_probes(
    recipe: Recipe, hyper: Hyper, state: State, following: StepContext, key: Array, graded: Graded
) -> dict[str, Float[Array, ""]]:
    """Return the probes of the step that would follow, from the loss and the gradient that `evaluate_model` found."""
    return _of_finite(state, _probes(recipe, hyper, state, following, key, graded))


def pick(data: Any, examples: Int[Array | np.ndarray, " example"]) -> Batch:
    """Return the given examples of a data set."""
    return jax.tree.map(lambda leaf: leaf[examples], data)


def _losses(problem: Problem, state: State, key: Array) -> dict[str, Array]:
    """Return the losses and the metrics of a run's model."""
    examples = sample(problem.data.train)

    def loss(part: Batch) -> Array:
        return problem.evaluation_loss(state.params, state.model, part, key)

    found = {"train_loss": _in_pieces(lambda part: (loss(part), ()), examples)[0]}
    if problem.data.valid_examples:
        scores = _validation(problem, state, loss)
        found |= {f"valid_{name}": score for name, score in scores.items()}
    return found


def _checked(state: State, loss: Array, step: Array) -> State:
    """Return a run after an evaluation at `step`, with that as its first bad step if it is not finite any more."""
    finite = jnp.isfinite(loss) & jnp.isfinite(optax.tree.norm(state.params))
    return state._replace(bad_step=jnp.where((state.bad_step < 0) & ~finite, step, state.bad_step))


def _of_finite(state: State, found: Mapping[str, Array]) -> dict[str, Array]:
    """Return values of a run, NaN if it is not finite."""
    return {name: jnp.where(state.bad_step < 0, value, jnp.nan) for name, value in found.items()}


def _probes(
    recipe: Recipe, hyper: Hyper, state: State, following: StepContext, key: Array, graded: Graded
) -> dict[str, Array]:
    """Return the values of the recipe's probes; `key` is that of evaluations."""
    factor = _factor(following, state)
    rates = {name: rate * factor for name, rate in hyper.learning_rates.items()}

    def propose(optimizer: PyTree[Array]) -> Proposal:
        return _propose(recipe, hyper, state._replace(optimizer=optimizer), following, graded)

    def sizes() -> Params:
        # A problem's factors of the gradient are part of how far a parameter moves.
        scaled = recipe.problem.scaled
        return scaled(step_sizes(propose, state.optimizer, scaled(graded.gradient)))

    step = propose(state.optimizer).update, rates, sizes
    return probing.measure(recipe.probes, _view(recipe.problem, state, graded, step, following, key))


def _view(
    problem: Problem,
    state: State,
    graded: Graded,
    step: tuple[Params, Mapping[str, Array], Callable[[], Params]],
    following: StepContext,
    key: Array,
) -> View:
    """Return what probes see of a run; `step` is the update that would follow, its learning rates and its sizes."""
    update, rates, sizes = step
    minibatch = Examples(following.batch, following.key)
    samples = Examples(sample(problem.data.train), key)
    return probing.view(
        problem, (state.params, state.model), (graded.gradient, update, sizes), rates, minibatch, samples
    )


def _graded(problem: Problem, state: State, context: StepContext) -> Graded:
    """Return the loss and the gradient of a step's minibatch where a run is."""
    graded = jax.value_and_grad(problem.training_loss, has_aux=True)
    (loss, model), gradient = graded(state.params, state.model, context.batch, context.key)
    return Graded(loss, gradient, model)


def _propose(recipe: Recipe, hyper: Hyper, state: State, context: StepContext, graded: Graded) -> Proposal:
    """Compute the step that a run would take next."""
    optimizer = optax.with_extra_args_support(_optimizer(recipe, hyper, _factor(context, state)))
    names = requires.asked(recipe.optimizer)
    if len(hyper.learning_rates) > 1:
        names = tuple(name for name in names if name in requires.BY_PART)
    scaled = recipe.problem.scaled(graded.gradient)
    extra = extra_arguments(recipe.problem, names, state, context, graded.loss, scaled)
    return Proposal(*optimizer.update(scaled, state.optimizer, state.params, **extra))


def _factor(context: StepContext, state: State) -> Array:
    """Return a step's factor of the learning rates, including what the losses have reduced it to."""
    return context.factor if state.plateau is None else context.factor * state.plateau.scale


def extra_arguments(
    problem: Problem,
    names: tuple[str, ...],
    state: State,
    context: StepContext,
    loss: Array,
    gradient: Params,
) -> dict[str, Any]:
    """Return the extra arguments of those names that an optimizer's `update` gets; `requires.OFFERED` explains them.

    Args:
        problem: the model, its data and its loss.
        names: the arguments that the optimizer declares.
        state: the run before the step.
        context: the step.
        loss: the loss at the run's parameters.
        gradient: its gradient, as the optimizer sees it.
    """
    batch, key = context.batch, context.key

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

    offered: dict[str, Callable[[], Any]] = {
        "value": lambda: loss,
        "grad": lambda: gradient,
        "value_fn": lambda: value,
        "obj_fn": lambda: value,
        "grad_fn": lambda: lambda params, _: problem.scaled(jax.grad(value)(params)),
        "example_grads": example_gradients,
        "step": lambda: context.step,
        "key": lambda: jax.random.fold_in(key, _OPTIMIZER),
    }
    return {name: offered[name]() for name in names}


def _optimizer(recipe: Recipe, hyper: Hyper, factor: Array) -> optax.GradientTransformation:
    """Return the optimizer of a step; each named learning rate has an optimizer of its own."""
    rates = {name: rate * factor for name, rate in hyper.learning_rates.items()}
    if len(rates) == 1:
        return recipe.optimizer(rates[""], hyper.numeric)
    each = {
        name: recipe.optimizer(rates.get(name, rates[""]), hyper.numeric)
        for name in recipe.problem.rate_names
    }
    return optax.partition(each, recipe.problem.rates)


def _validation(problem: Problem, state: State, loss: Callable[[Batch], Array]) -> dict[str, Array]:
    """Return the loss and the metrics of a run's model on the validation data: means in pieces, all others of the whole set."""
    data, metrics, predict = problem.data.valid, problem.measures, problem.predict
    if predict is None or not metrics:
        return {"loss": _in_pieces(lambda part: (loss(part), ()), data)[0]}
    model = problem.join(state.params, state.model)
    whole = {name: metric for name, metric in metrics.items() if not metric.mean}

    def piece(part: Batch) -> tuple[dict[str, Array], Any]:
        predictions = predict(model, part)
        means = {name: metric(predictions, part) for name, metric in metrics.items() if metric.mean}
        return {"loss": loss(part), **means}, predictions if whole else ()

    scores, predictions = _in_pieces(piece, data)
    scores |= {name: metric(predictions, data) for name, metric in whole.items()}
    return {"loss": scores["loss"], **{name: scores[name] for name in metrics}}


def sample(data: Any) -> Any:
    """Return the fixed training examples of evaluations: all, or evenly spaced ones."""
    leaves = jax.tree.leaves(data)
    if not leaves or leaves[0].shape[0] <= TRAIN_SAMPLE:
        return data
    return pick(data, np.linspace(0, leaves[0].shape[0] - 1, TRAIN_SAMPLE).round().astype(np.int32))


def _in_pieces(evaluate: Callable[[Batch], tuple[Any, Any]], data: Any) -> tuple[Any, Any]:
    """Evaluate a whole data set in pieces that fit into cache or memory.

    Args:
        evaluate: batch → (what is averaged over examples, what each example has: arrays with a leading axis of examples).
        data: the set.

    Returns:
        The means over all examples, and what each of them has.
    """
    leaves = jax.tree.leaves(data)
    examples = leaves[0].shape[0] if leaves else 0
    if examples <= EVALUATION_BATCH:
        return evaluate(data)
    whole = examples // EVALUATION_BATCH

    def piece(index: Array) -> tuple[Any, Any]:
        start = index * EVALUATION_BATCH
        return evaluate(
            jax.tree.map(lambda leaf: lax.dynamic_slice_in_dim(leaf, start, EVALUATION_BATCH), data)
        )

    means, each = lax.map(piece, jnp.arange(whole))
    totals = jax.tree.map(lambda x: x.sum(0) * EVALUATION_BATCH, means)
    each = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), each)
    rest = examples - whole * EVALUATION_BATCH
    if rest:
        tail, last = evaluate(jax.tree.map(lambda leaf: leaf[-rest:], data))
        totals = jax.tree.map(lambda total, mean: total + mean * rest, totals, tail)
        each = jax.tree.map(lambda *parts: jnp.concatenate(parts), each, last)
    return jax.tree.map(lambda total: total / examples, totals), each
