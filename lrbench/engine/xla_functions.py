"""What the XLA programs of a recipe compute: pure functions of one device's share of a pack.

Lanes are vmapped in chunks, and each device loops over its chunks; the state of a pack has the shape [device × chunk, lane, ...]. A
chunk takes all its steps of a segment before the next one starts, so that its parameters stay in cache. All lanes of a chunk have
the same seed, so that they share the minibatch and many small matrix products become one wide one.

There are three: `train`; `evaluate`, which rarely depends on the optimizer, so that one is compiled for all optimizers of a problem; and
`probe`, the small rest of an evaluation that does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Int, UInt32

from lrbench.engine import lane, probing, seeds
from lrbench.engine.lane import Graded, Hyper, Recipe, State, StepContext
from lrbench.engine.schedule_table import ScheduleTable
from lrbench.problems import Data, Problem


class Replicated(NamedTuple):
    """What every device has a copy of: data, schedule table, and per seed initial parameters and random key."""

    data: Data
    schedules: ScheduleTable
    initial: Any
    noise: UInt32[Array, "seed word"]


class Seed(NamedTuple):
    """A chunk's seed: its index into the pack's seeds, and its random key for the loss."""

    number: Int[Array, ""]
    noise: Array


class Chunk(NamedTuple):
    """The numbers of a chunk: the hyper-parameters of its lanes, and its seed."""

    hyper: Hyper
    seed: Seed


class Call(NamedTuple):
    """The numbers of one call of a program.

    Args:
        first: the step that sees the first of `examples`.
        start: first step.
        stop: the step before which training ends, `start` for no training, and at which runs are evaluated.
        fresh: whether training initialises the runs.
        examples: which examples each step from `first` on sees.
    """

    first: Int[Array, ""]
    start: Int[Array, ""]
    stop: Int[Array, ""]
    fresh: Bool[Array, ""]
    examples: Int[Array, "seed step example"]


class Shared(NamedTuple):
    """What all chunks of a call share: what every device has a copy of, and the numbers of the call."""

    replicated: Replicated
    call: Call


class Evaluated(NamedTuple):
    """What an evaluation changes in the state of runs, the values that it found, and what the next step follows."""

    bad_step: Int[Array, "*chunk lane"]
    plateau: Any
    values: dict[str, Any]
    graded: Graded | None


_LANES = StepContext(0, None, None, None)  # type: ignore[arg-type]  # axes, not arrays
"""Of a step's context, the factor alone is a lane's own."""


def train(
    recipe: Recipe,
    state: State,
    hyper: Hyper,
    seed: Int[Array, " chunk"],
    counts: Int[Array, " 1"],
    shared: Shared,
) -> State:
    """Initialise and train runs, as a call requests it."""
    recipe = replace(recipe, problem=_with_data(recipe.problem, shared))

    def body(index: Array, state: State) -> State:
        chunk = _chunk(hyper, seed, index, shared)
        return _put(state, _train(recipe, chunk, _at(state, index), shared), index)

    return lax.fori_loop(0, counts[0], body, state)


def _train(recipe: Recipe, chunk: Chunk, state: State, shared: Shared) -> State:
    """Initialise and train the lanes of a chunk."""
    call = shared.call

    def step(count: Array, state: State) -> State:
        taken: Any = jax.vmap(lambda h, s, c: lane.step(recipe, h, s, c), (0, 0, _LANES))
        context = _context(recipe.problem, chunk, shared, count)
        if recipe.floor is not None:
            context = context._replace(evaluation_key=_evaluation_key(chunk.seed))
        return taken(chunk.hyper, state, context)

    new = _init(recipe, chunk.hyper, _at(shared.replicated.initial, chunk.seed.number))
    # Not a branch: that takes longer to compile than this takes at each call.
    state = jax.tree.map(lambda new, old: jnp.where(call.fresh, new, old), new, state)
    return lax.fori_loop(call.start, call.stop, step, state)


def first(recipe: Recipe, hyper: Hyper, schedules: ScheduleTable, params: Any) -> State:
    """Return the first of the chunks of such hyper-parameters before its first step, for its shapes."""
    return _init(recipe, _with_plateau(_at(hyper, 0), schedules), params)


def _init(recipe: Recipe, hyper: Hyper, params: Any) -> State:
    return jax.vmap(lambda h: lane.init(recipe, h, params))(hyper)


def evaluate_whole(
    recipe: Recipe,
    state: State,
    hyper: Hyper,
    seed: Int[Array, " chunk"],
    counts: Int[Array, " 1"],
    shared: Shared,
) -> Evaluated:
    """Evaluate runs, where that depends on the optimizer."""
    recipe = replace(recipe, problem=_with_data(recipe.problem, shared))

    def one(index: Array) -> Evaluated:
        chunk = _chunk(hyper, seed, index, shared)
        following = _context(recipe.problem, chunk, shared, shared.call.stop)
        key = _evaluation_key(chunk.seed)
        evaluated: Any = jax.vmap(lambda h, s, c: lane.evaluate(recipe, h, s, c, key), (0, 0, _LANES))
        after, values = evaluated(chunk.hyper, _at(state, index), following)
        return Evaluated(after.bad_step, after.plateau, values, None)

    return _of_chunks(one, counts, len(seed))


def evaluate(
    problem: Problem,
    probes: probing.Probes,
    graded: bool,
    state: State,
    seed: Int[Array, " chunk"],
    counts: Int[Array, " 1"],
    shared: Shared,
) -> Evaluated:
    """Evaluate runs; `graded` asks for what the next step follows."""
    problem = _with_data(problem, shared)

    def one(index: Array) -> Evaluated:
        own = _seed(seed[index], shared)
        following = _without_factor(problem, own, shared.call, shared.call.stop)
        key = _evaluation_key(own)
        evaluated: Any = jax.vmap(lambda s: lane.evaluate_model(problem, probes, s, following, key))
        after, values, found = evaluated(_at(state, index))
        return Evaluated(after.bad_step, after.plateau, values, found._replace(model=()) if graded else None)

    return _of_chunks(one, counts, len(seed))


def probe(
    recipe: Recipe,
    state: State,
    hyper: Hyper,
    graded: Graded,
    seed: Int[Array, " chunk"],
    shared: Shared,
) -> dict[str, Array]:
    """Return the probes of the step that would follow, after an evaluation; so little work that chunks need not take turns."""
    recipe = replace(recipe, problem=_with_data(recipe.problem, shared))

    def one(index: Array) -> dict[str, Array]:
        chunk = _chunk(hyper, seed, index, shared)
        following = _context(recipe.problem, chunk, shared, shared.call.stop)
        key = _evaluation_key(chunk.seed)
        measured: Any = jax.vmap(
            lambda h, s, c, g: lane.step_probes(recipe, h, s, c, key, g), (0, 0, _LANES, 0)
        )
        found: dict[str, Array] = measured(chunk.hyper, _at(state, index), following, _at(graded, index))
        return found

    return jax.vmap(one)(jnp.arange(len(seed)))


def _of_chunks(one: Callable[[Array], Any], counts: Int[Array, " 1"], chunks: int) -> Any:
    """Return what `one` finds of each chunk, stacked [chunk, ...]; zeros for the chunks that are not in use."""
    once = jax.jit(one, inline=True)  # traced once, for its shapes and for the loop
    shapes = jax.eval_shape(once, jax.ShapeDtypeStruct((), jnp.int32))
    zeros = jax.tree.map(lambda leaf: jnp.zeros((chunks, *leaf.shape), leaf.dtype), shapes)
    return lax.fori_loop(0, counts[0], lambda index, found: _put(found, once(index), index), zeros)


def _chunk(hyper: Hyper, seed: Int[Array, " chunk"], index: Array, shared: Shared) -> Chunk:
    """Return the numbers of a chunk."""
    return Chunk(_with_plateau(_at(hyper, index), shared.replicated.schedules), _seed(seed[index], shared))


def _with_plateau(hyper: Hyper, schedules: ScheduleTable) -> Hyper:
    """Return a chunk's hyper-parameters with the plateau rules of their rows, if the table has any."""
    if schedules.rules is None:
        return hyper
    rules = jax.tree.map(lambda column: jnp.asarray(column)[hyper.row], schedules.rules)
    return hyper._replace(plateau=rules)


def _seed(index: Int[Array, ""], shared: Shared) -> Seed:
    return Seed(index, seeds.key(shared.replicated.noise[index]))


def _context(problem: Problem, chunk: Chunk, shared: Shared, count: Array) -> StepContext:
    """Return the context of a chunk's step: the factor is [lane], the rest is shared by its lanes."""
    shapes = shared.replicated.schedules.shapes
    factor = shapes[chunk.hyper.row, jnp.minimum(count, shapes.shape[1] - 1)]
    return _without_factor(problem, chunk.seed, shared.call, count)._replace(factor=factor)


def _without_factor(problem: Problem, seed: Seed, call: Call, count: Array) -> StepContext:
    """Return the context of a step of a seed, without the factor of the learning rates."""
    data = problem.data.train
    if problem.batch_size is not None:
        data = lane.pick(data, call.examples[seed.number, count - call.first])
    nothing: Any = None
    return StepContext(nothing, count, data, jax.random.fold_in(seed.noise, count))


def _evaluation_key(seed: Seed) -> Array:
    """Return the random key of the loss at evaluations."""
    return jax.random.fold_in(seed.noise, 0)


def _with_data(problem: Problem, shared: Shared) -> Problem:
    """Return a problem whose data are arguments of the program: constants would be compiled into it."""
    return replace(problem, data=shared.replicated.data)


def _put(tree: Any, part: Any, index: Any) -> Any:
    put = lambda all_, one: lax.dynamic_update_index_in_dim(all_, one, index, 0)  # noqa: E731
    return jax.tree.map(put, tree, part)


def _at(tree: Any, index: Any) -> Any:
    return jax.tree.map(lambda leaf: lax.dynamic_index_in_dim(leaf, index, 0, keepdims=False), tree)
