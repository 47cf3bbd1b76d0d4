"""The XLA program that initialises, trains and evaluates the runs of a pack, and its compilation.

Lanes are vmapped in chunks, each device loops over its chunks, and devices run side by side. The state of a pack has the
shape [device × chunk, lane, ...]. A chunk takes all its steps of a segment before the next one starts, so that its
parameters stay in cache. All lanes of a chunk have the same seed, so that they share the minibatch and many small matrix
products become one wide one.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jaxtyping import Array, Bool, Int, UInt32

from lrbench.engine import decompositions, device_memory, devices, lane, seeds, xla_options
from lrbench.engine.lane import Hyper, Recipe, State, StepContext
from lrbench.engine.layout import Size
from lrbench.engine.schedule_table import ScheduleTable
from lrbench.problems import Data


class Replicated(NamedTuple):
    """What every device has a copy of: data, schedule table, and per seed initial parameters and random key."""

    data: Data
    schedules: ScheduleTable
    initial: Any
    noise: UInt32[Array, "seed word"]


class Chunk(NamedTuple):
    """The numbers of a chunk: the hyper-parameters of its lanes, and its seed as an index into the pack's seeds."""

    hyper: Hyper
    seed: Int[Array, ""]


class Call(NamedTuple):
    """The numbers of one call of the program.

    Args:
        first: the step that sees the first of `examples`.
        start: first step.
        stop: the step before which training ends; `start` for no training.
        fresh: whether runs are initialised.
        evaluate: whether runs are evaluated at `stop`.
        examples: which examples each step from `first` on sees.
    """

    first: Int[Array, ""]
    start: Int[Array, ""]
    stop: Int[Array, ""]
    fresh: Bool[Array, ""]
    evaluate: Bool[Array, ""]
    examples: Int[Array, "seed step example"]


@dataclass(frozen=True)
class CompiledProgram:
    """A program, compiled for packs of a size.

    Args:
        recipe: what is static.
        initial: the problem's initial parameters by seed.
        numeric: names of the optimizer's numeric hyper-parameters.
        size: the largest pack.
        mesh: the devices.
        execute: the compiled function.
        state: shapes, types and sharding of the state.
        data: the problem's data on the devices.
        schedules: the schedule table on the devices.
        needed_bytes: the memory that it takes on each device.
        compile_seconds: the time that compiling took.
        looped: names of the decompositions that became loops over matrices.
    """

    recipe: Recipe
    initial: seeds.Initial
    numeric: tuple[str, ...]
    size: Size
    mesh: Mesh
    execute: Any
    state: State
    data: Data
    schedules: ScheduleTable
    needed_bytes: int
    compile_seconds: float
    looped: tuple[str, ...]

    def with_schedules(self, table: ScheduleTable) -> CompiledProgram:
        """Return the same program with another schedule table, of the same shape."""
        placed = jax.device_put(devices.cast(table), devices.replicated(self.mesh))
        return replace(self, schedules=placed)


def compile_program(
    recipe: Recipe,
    initial: seeds.Initial,
    rates: tuple[str, ...],
    numeric: tuple[str, ...],
    schedules: ScheduleTable,
    size: Size,
    mesh: Mesh,
    options: str = "",
) -> CompiledProgram:
    """Compile the one XLA program of a recipe.

    Args:
        recipe: what is static.
        initial: the problem's initial parameters by seed.
        rates: names of the learning rates.
        numeric: names of the optimizer's numeric hyper-parameters.
        schedules: the schedule table.
        size: the largest pack.
        mesh: the devices.
        options: the names of options of XLA.
    """
    data, table = jax.device_put(devices.cast((recipe.problem.data, schedules)), devices.replicated(mesh))
    total = size.chunks * mesh.size
    values = np.zeros((total, size.lanes), table.shapes.dtype)
    each: Any = dict.fromkeys(rates, values), values.astype(np.int32), dict.fromkeys(numeric, values)
    hyper = Hyper(*each)
    state = _state(recipe, hyper, schedules, initial, devices.sharded(mesh))
    replicated = Replicated(data, table, *_of_seeds(initial, size.seeds))
    examples = seeds.orders(recipe.problem, [0] * size.seeds, 0, size.segment + 1)
    inputs = (
        hyper,
        np.zeros(total, np.int32),
        np.zeros(mesh.size, np.int32),
        replicated,
        call(0, 0, 0, False, False, examples),
    )
    return _compiled(recipe, initial, numeric, size, mesh, (state, *inputs), options)


def _compiled(
    recipe: Recipe,
    initial: seeds.Initial,
    numeric: tuple[str, ...],
    size: Size,
    mesh: Mesh,
    example: tuple[State, Hyper, Any, Any, Replicated, Call],
    options: str,
) -> CompiledProgram:
    """Compile the program for inputs of the shapes and types of an example."""
    sharded, replicated = devices.sharded(mesh), devices.replicated(mesh)
    shardings = sharded, sharded, sharded, sharded, replicated, replicated
    state, *inputs = example
    structs = [_struct(tree, sharding) for tree, sharding in zip(inputs, shardings[1:], strict=True)]
    mapped = jax.shard_map(
        lambda *given: _device(recipe, *given),
        mesh=mesh,
        in_specs=tuple(sharding.spec for sharding in shardings),
        out_specs=sharded.spec,
        check_vma=False,  # the number of chunks differs between devices, which it cannot express
    )
    began = time.perf_counter()
    platform = mesh.devices.flat[0].platform
    execute, looped = decompositions.compile_program(
        mapped, state, *structs, platform=platform, donate=(0,), options=xla_options.of(options)
    )
    elapsed = time.perf_counter() - began
    data, table = example[4].data, example[4].schedules
    needed = device_memory.needed_bytes(execute)
    return CompiledProgram(
        recipe, initial, numeric, size, mesh, execute, state, data, table, needed, elapsed, looped
    )


def call(first: int, start: int, stop: int, fresh: bool, evaluate: bool, examples: Any) -> Call:
    """Return the numbers of a call as the program takes them."""
    steps = np.int32(first), np.int32(start), np.int32(stop)
    given: Any = *steps, np.bool_(fresh), np.bool_(evaluate), examples
    return Call(*given)


# ---- what is traced ----


def _device(
    recipe: Recipe,
    state: State,
    hyper: Hyper,
    seed: Int[Array, " chunk"],
    counts: Int[Array, " 1"],
    replicated: Replicated,
    call: Call,
) -> tuple[State, dict[str, Array]]:
    """Do the work of a call on one device: chunk after chunk."""
    # Data are arguments of the program: constants would be compiled into it.
    recipe = replace(recipe, problem=replace(recipe.problem, data=replicated.data))

    def one(index: Any, state: State) -> tuple[State, dict[str, Array]]:
        chunk = Chunk(_at(hyper, index), seed[index])
        return _chunk(recipe, chunk, _at(state, index), replicated, call)

    names = jax.eval_shape(one, 0, state)[1]
    found = {name: jnp.zeros((seed.shape[0], *leaf.shape), leaf.dtype) for name, leaf in names.items()}

    def body(index: Array, carry: tuple[State, dict[str, Array]]) -> tuple[State, dict[str, Array]]:
        put = lambda all_, one: lax.dynamic_update_index_in_dim(all_, one, index, 0)  # noqa: E731
        return jax.tree.map(put, carry, one(index, carry[0]))

    return lax.fori_loop(0, counts[0], body, (state, found))


def _chunk(
    recipe: Recipe, chunk: Chunk, state: State, replicated: Replicated, call: Call
) -> tuple[State, dict[str, Array]]:
    """Do the work of a call on one chunk: initialise, train and evaluate its lanes, each if the call requests it."""
    hyper = _with_plateau(chunk.hyper, replicated.schedules)
    noise = seeds.key(replicated.noise[chunk.seed])
    lanes = StepContext(0, None, None, None)  # type: ignore[arg-type]  # of a step's context, the factor alone is a lane's own

    def context(count: Array) -> StepContext:
        return _context(recipe, Chunk(hyper, chunk.seed), replicated, call, noise, count)

    def step(count: Array, state: State) -> State:
        taken: Any = jax.vmap(lambda h, s, c: lane.step(recipe, h, s, c), (0, 0, lanes))
        return taken(hyper, state, context(count))

    def evaluation(state: State) -> tuple[State, dict[str, Array]]:
        key = jax.random.fold_in(noise, 0)
        evaluated: Any = jax.vmap(lambda h, s, c: lane.evaluate(recipe, h, s, c, key), (0, 0, lanes))
        return evaluated(hyper, state, context(call.stop))

    def nothing(state: State) -> tuple[State, dict[str, Array]]:
        empty = jax.eval_shape(evaluation, state)[1]
        return state, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), empty)

    begin = lambda _: _init(recipe, hyper, _at(replicated.initial, chunk.seed))  # noqa: E731
    state = lax.cond(call.fresh, begin, lambda old: old, state)
    state = lax.fori_loop(call.start, call.stop, step, state)
    return lax.cond(call.evaluate, evaluation, nothing, state)


def _context(
    recipe: Recipe, chunk: Chunk, replicated: Replicated, call: Call, noise: Array, count: Array
) -> StepContext:
    """Return the context of a chunk's step: the factor is [lane], the rest is shared by its lanes."""
    data, shapes = recipe.problem.data.train, replicated.schedules.shapes
    if recipe.problem.batch_size is not None:
        data = lane.pick(data, call.examples[chunk.seed, count - call.first])
    key = jax.random.fold_in(noise, count)
    factor = shapes[chunk.hyper.row, jnp.minimum(count, shapes.shape[1] - 1)]
    return StepContext(factor, count, data, key)


def _with_plateau(hyper: Hyper, schedules: ScheduleTable) -> Hyper:
    """Return a chunk's hyper-parameters with the plateau rules of their rows, if the table has any."""
    if schedules.rules is None:
        return hyper
    rules = jax.tree.map(lambda column: jnp.asarray(column)[hyper.row], schedules.rules)
    return hyper._replace(plateau=rules)


def _init(recipe: Recipe, hyper: Hyper, params: Any) -> State:
    return jax.vmap(lambda h: lane.init(recipe, h, params))(hyper)


def _at(tree: Any, index: Any) -> Any:
    return jax.tree.map(lambda leaf: lax.dynamic_index_in_dim(leaf, index, 0, keepdims=False), tree)


# ---- shapes and types ----


def _state(
    recipe: Recipe, hyper: Hyper, schedules: ScheduleTable, initial: seeds.Initial, sharding: NamedSharding
) -> State:
    """Return shapes, types and sharding of the state of a pack with such hyper-parameters."""
    first = _with_plateau(jax.tree.map(lambda leaf: leaf[0], hyper), schedules)
    chunk = jax.eval_shape(lambda h, params: _init(recipe, h, params), first, initial.shapes)
    total = len(hyper.row)
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((total, *leaf.shape), leaf.dtype, sharding=sharding), chunk
    )


def _of_seeds(initial: seeds.Initial, count: int) -> tuple[Any, Any]:
    """Return shapes and types of the initial parameters and random keys of so many seeds."""
    params = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((count, *leaf.shape), leaf.dtype), initial.shapes)
    return params, seeds.noise([0] * count)


def _struct(tree: Any, sharding: NamedSharding) -> Any:
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(np.shape(leaf), leaf.dtype, sharding=sharding), tree
    )
