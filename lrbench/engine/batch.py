"""Many runs at once: lanes are vmapped in chunks, chunks follow one another, devices work side by side.

The state of a pack has the shape [device × chunk, lane, ...]. Each device walks over its own chunks; a chunk takes all
its steps of a segment before the next one starts, so that its parameters stay in cache. All lanes of a chunk have the
same seed, so that they share the minibatch and many small matrix products become one wide one.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jaxtyping import Array, Bool, Float, Int, UInt32

from lrbench.engine import capacity, decompositions, devices, lane, seeds
from lrbench.engine.lane import Hyper, Recipe, State
from lrbench.engine.schedule_table import Table
from lrbench.problems import Data


class Size(NamedTuple):
    """What a program is compiled for: chunks per device, lanes per chunk, seeds, and steps between evaluations."""

    chunks: int
    lanes: int
    seeds: int
    segment: int


class Layout(NamedTuple):
    """Where runs sit: the run of each place, −1 where it is empty, and the place of each chunk's seed.

    `counts` is how many chunks of each device are in use; those come first.
    """

    runs: Int[np.ndarray, "chunk lane"]
    seeds: Int[np.ndarray, " chunk"]
    counts: Int[np.ndarray, " device"]


class Shared(NamedTuple):
    """What every device holds whole: data, schedule table, and per seed initial parameters and random key."""

    data: Data
    schedules: Table
    initial: Any
    noise: UInt32[Array, "seed word"]


class Call(NamedTuple):
    """The numbers of one call of the program.

    Args:
        first: the step that sees the first of `examples`.
        start: first step.
        stop: the step before which training ends; `start` for no training.
        fresh: whether runs begin here.
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
class Compiled:
    """A program, compiled for packs of a size; `needed_bytes` is what it takes of each device's memory.

    `looped` are the decompositions that go from one matrix to the next.
    """

    recipe: Recipe
    initial: seeds.Initial
    numeric: tuple[str, ...]
    size: Size
    mesh: Mesh
    execute: Any
    state: State
    data: Data
    schedules: Table
    needed_bytes: int
    compile_seconds: float
    looped: tuple[str, ...]


class Pending(NamedTuple):
    """What an evaluation will have found, and where its runs sat."""

    found: Mapping[str, Array]
    layout: Layout
    at: int


def compile_program(
    recipe: Recipe,
    initial: seeds.Initial,
    rates: tuple[str, ...],
    numeric: tuple[str, ...],
    schedules: Table,
    size: Size,
    mesh: Mesh,
) -> Compiled:
    """Compile the one XLA program of a recipe, which starts, trains and evaluates the runs of a pack.

    Args:
        recipe: what is static.
        initial: the problem's initial parameters by seed.
        rates: names of the learning rates.
        numeric: names of the optimizer's numeric hyper-parameters.
        schedules: the schedule table.
        size: the largest pack.
        mesh: the devices.
    """
    many, whole = devices.spread(mesh), devices.copied(mesh)
    data, table = jax.device_put(devices.narrow((recipe.problem.data, schedules)), whole)
    of_seeds = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((size.seeds, *leaf.shape), leaf.dtype), initial.shapes
    )
    noise: Any = seeds.noise([0] * size.seeds)
    shared = Shared(data, table, of_seeds, noise)
    examples = seeds.orders(recipe.problem, [0] * size.seeds, 0, size.segment + 1)
    call = _call(0, 0, 0, False, False, examples)
    total = size.chunks * mesh.size
    place = np.zeros((total, size.lanes), table.shapes.dtype)
    each: Any = dict.fromkeys(rates, place), place.astype(np.int32), dict.fromkeys(numeric, place)
    hyper = Hyper(*each)
    chunk = _ruled(_first(hyper), schedules)
    state = jax.eval_shape(lambda h, params: _init(recipe, h, params), chunk, initial.shapes)
    state = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((total, *leaf.shape), leaf.dtype, sharding=many), state
    )
    specs = (many, many, many, many, whole, whole)
    arguments = (
        state,
        *(
            _struct(tree, sharding)
            for tree, sharding in zip(
                (hyper, np.zeros(total, np.int32), np.zeros(mesh.size, np.int32), shared, call),
                specs[1:],
                strict=True,
            )
        ),
    )
    mapped = jax.shard_map(
        lambda *given: _device(recipe, *given),
        mesh=mesh,
        in_specs=tuple(sharding.spec for sharding in specs),
        out_specs=many.spec,
        check_vma=False,  # the number of chunks differs between devices, which it cannot express
    )
    began = time.perf_counter()
    platform = mesh.devices.flat[0].platform
    execute, looped = decompositions.compile_program(mapped, *arguments, platform=platform, donate=(0,))
    took = time.perf_counter() - began
    needed = capacity.needed_bytes(execute)
    return Compiled(recipe, initial, numeric, size, mesh, execute, state, data, table, needed, took, looped)


def arrange(seed: Int[np.ndarray, " run"], mesh_size: int, size: Size) -> Layout:
    """Give every run a place: runs of one seed fill whole chunks, which are dealt out to the devices in turn.

    Args:
        seed: the place of each run's seed among the pack's seeds.
        mesh_size: number of devices.
        size: what the program was compiled for.
    """
    runs = np.full((mesh_size, size.chunks, size.lanes), -1)
    of_chunk = np.zeros((mesh_size, size.chunks), dtype=np.int32)
    counts = np.zeros(mesh_size, dtype=np.int32)
    for place in np.unique(seed):
        members = np.flatnonzero(seed == place)
        for start in range(0, len(members), size.lanes):
            device = int(counts.argmin())
            block = members[start : start + size.lanes]
            runs[device, counts[device], : len(block)] = block
            of_chunk[device, counts[device]] = place
            counts[device] += 1
    return Layout(runs.reshape(-1, size.lanes), of_chunk.reshape(-1), counts)


def chunks_needed(seed: Int[np.ndarray, " run"], mesh_size: int, lanes: int) -> int:
    """Return how many chunks per device the runs need."""
    _, counts = np.unique(seed, return_counts=True)
    return -(-int(np.sum(-(-counts // lanes))) // mesh_size)


WORTH_CLOSING = 0.9
"""Gaps are closed when the longest device's chunks fall to this share: moving the state has a price too."""


class Batch:
    """The runs of a pack on their devices.

    Runs that are no longer finite are dropped after an evaluation, and the others move together, so that dead lanes
    cost nothing; the compiled program takes any number of chunks, so that nothing compiles again.
    """

    def __init__(self, compiled: Compiled, hyper: Hyper, seed: Int[np.ndarray, " run"]) -> None:
        """Place runs; `hyper` has one value per run, `seed` is each run's seed."""
        self._compiled = compiled
        unique, places = np.unique(seed, return_inverse=True)
        self._seeds = [int(value) for value in unique]
        self._places = places
        self._values = hyper
        self._bad_step = np.full(len(seed), -1, np.int32)
        self._stopped_step = np.full(len(seed), np.nan)
        self._place(np.arange(len(seed)))
        many, whole = devices.spread(compiled.mesh), devices.copied(compiled.mesh)
        of_seed = compiled.initial.of(self._seeds), seeds.noise(self._seeds)
        self._shared = Shared(
            compiled.data, compiled.schedules, *jax.device_put(self._padded(of_seed), whole)
        )
        self._state: Any = jax.tree.map(
            lambda leaf: jax.device_put(np.zeros(leaf.shape, leaf.dtype), many), compiled.state
        )
        self._fresh = True
        self._drawn: Any = None
        self._ahead: Any = None
        self.saved = 0
        """Lane-steps that runs would have taken after they were dropped."""
        self.saved_by_stopping = 0
        """Those of them of runs that were stopped."""

    def _place(self, runs: Int[np.ndarray, " run"]) -> None:
        """Give the runs their places, and put their hyper-parameters there."""
        compiled = self._compiled
        layout = arrange(self._places[runs], compiled.mesh.size, compiled.size)
        # The last entry is what an empty place, −1, finds: also where no run is left at all.
        self._layout = layout._replace(runs=np.append(runs, -1)[layout.runs])
        # An empty place trains a copy of its neighbour, whose result is thrown away.
        self._filled = np.where(self._layout.runs >= 0, self._layout.runs, self._layout.runs[:, :1].clip(0))
        values = jax.tree.map(lambda each: each[self._filled], self._values)
        many = devices.spread(compiled.mesh)
        self._hyper = jax.device_put(devices.narrow(values), many)
        self._where = jax.device_put((self._layout.seeds, self._layout.counts), many)

    def stop(self, runs: Bool[np.ndarray, " run"], at: int) -> None:
        """Stop runs after `at` steps: what they do from here on is not looked at."""
        now = runs & np.isnan(self._stopped_step) & (self._bad_step < 0)
        self._stopped_step[now] = at

    def close_gaps(self) -> None:
        """Drop the runs that are stopped or no longer finite, if that makes any device's work shorter."""
        alive = np.flatnonzero((self._bad_step < 0) & np.isnan(self._stopped_step))
        before = self._layout
        needed = chunks_needed(self._places[alive], self._compiled.mesh.size, self._compiled.size.lanes)
        if needed > WORTH_CLOSING * before.counts.max():
            return
        place_of = np.zeros(len(self._bad_step), dtype=np.intp)
        place_of[before.runs[before.runs >= 0]] = np.flatnonzero(before.runs.reshape(-1) >= 0)
        self._place(alive)
        source = place_of[self._filled]
        many = devices.spread(self._compiled.mesh)

        def moved(leaf: Array) -> Array:
            held = np.asarray(leaf)
            return jax.device_put(held.reshape(-1, *held.shape[2:])[source], many)

        self._state = jax.tree.map(moved, self._state)

    def snapshot(self) -> dict[str, np.ndarray]:
        """Return all that the runs are now, in their order, whatever chunks and devices they sit in.

        `placed` are those that have a place; the others were dropped, and have no state any more.
        """
        used = self._layout.runs >= 0
        order = np.argsort(self._layout.runs[used])
        leaves = jax.tree.leaves(self._state)
        state = {f"state{n}": np.asarray(leaf)[used][order] for n, leaf in enumerate(leaves)}
        return {
            "placed": self._layout.runs[used][order],
            "bad_step": self._bad_step.copy(),
            "stopped_step": self._stopped_step.copy(),
            "saved": np.array([self.saved, self.saved_by_stopping]),
            **state,
        }

    def restore(self, kept: Mapping[str, np.ndarray]) -> None:
        """Go on from a snapshot of the same runs."""
        self._bad_step, self._stopped_step = kept["bad_step"].copy(), kept["stopped_step"].copy()
        self.saved, self.saved_by_stopping = (int(count) for count in kept["saved"])
        self._fresh = False
        placed = kept["placed"]
        self._place(placed)
        if not len(placed):
            return
        many = devices.spread(self._compiled.mesh)
        leaves, structure = jax.tree.flatten(self._state)
        # Where each place's run is among those that are placed.
        source = np.searchsorted(placed, self._filled).clip(max=len(placed) - 1)
        held = [kept[f"state{n}"].astype(leaf.dtype, copy=False)[source] for n, leaf in enumerate(leaves)]
        self._state = jax.tree.unflatten(structure, [jax.device_put(leaf, many) for leaf in held])

    def train(self, start: int, stop: int) -> Any:
        """Take the steps from `start` up to `stop`; returns at once, with arrays that are ready when it is done."""
        dropped = np.ones(len(self._bad_step), dtype=bool)
        dropped[self._layout.runs[self._layout.runs >= 0]] = False
        self.saved += int(dropped.sum()) * (stop - start)
        self.saved_by_stopping += int((dropped & np.isfinite(self._stopped_step)).sum()) * (stop - start)
        self._draw(start)
        return self._execute(start, stop, evaluate=False)

    def evaluate(self, at: int) -> Pending:
        """Evaluate runs after `at` steps; returns at once, with what will have been found."""
        return Pending(self._execute(at, at, evaluate=True), self._layout, at)

    def prepare(self, start: int) -> None:
        """Draw the examples of the segment from `start` on, while the devices are at work."""
        self._ahead = start, self._examples(start)

    def settle(self) -> None:
        """Take note of the runs that are no longer finite."""
        used = self._layout.runs >= 0
        runs = self._layout.runs[used]
        going = np.isnan(self._stopped_step[runs])
        self._bad_step[runs[going]] = np.asarray(self._state.bad_step)[used][going]

    def values(self, pending: Pending) -> dict[str, Float[np.ndarray, " run"]]:
        """Return each run's losses, metrics and probes at an evaluation, NaN for those that are not finite."""
        used = (pending.layout.runs >= 0) & ~(self._stopped_step < pending.at)[pending.layout.runs]
        runs = pending.layout.runs[used]
        values = {}
        for name, leaf in pending.found.items():
            values[name] = np.full(len(self._bad_step), np.nan, dtype=leaf.dtype)
            values[name][runs] = np.asarray(leaf)[used]
        return values

    @property
    def diverged_step(self) -> Float[np.ndarray, " run"]:
        """The first step of each run with a non-finite loss, NaN for none."""
        return np.where(self._bad_step < 0, np.nan, self._bad_step)

    @property
    def stopped_step(self) -> Float[np.ndarray, " run"]:
        """The step after which each run was stopped, NaN for none."""
        return self._stopped_step

    def _execute(self, start: int, stop: int, *, evaluate: bool) -> Mapping[str, Array]:
        first, examples = self._drawn
        call = _call(first, start, stop, self._fresh, evaluate, examples)
        self._state, found = self._compiled.execute(
            self._state, self._hyper, *self._where, self._shared, call
        )
        self._fresh = False
        return found

    def _draw(self, start: int) -> None:
        """Put the examples of the segment from `start` on onto the devices, unless they are there."""
        if self._ahead is None or self._ahead[0] != start:
            self.prepare(start)
        self._drawn = self._ahead

    def _examples(self, start: int) -> Array:
        compiled = self._compiled
        order = seeds.orders(compiled.recipe.problem, self._seeds, start, compiled.size.segment + 1)
        return jax.device_put(self._padded(order), devices.copied(compiled.mesh))

    def _padded(self, tree: Any) -> Any:
        """Repeat the last seed until there are as many as the program was compiled for."""
        rest = self._compiled.size.seeds - len(self._seeds)
        return jax.tree.map(lambda leaf: np.concatenate([leaf, np.repeat(leaf[-1:], rest, axis=0)]), tree)


def _device(
    recipe: Recipe, state: State, hyper: Hyper, of_chunk: Array, counts: Array, shared: Shared, call: Call
) -> tuple[State, dict[str, Array]]:
    """Do a call's work on one device: chunk after chunk."""
    # Data are arguments of the program: constants would be compiled into it.
    recipe = replace(recipe, problem=replace(recipe.problem, data=shared.data))

    def chunk(index: Any, state: State) -> tuple[State, dict[str, Array]]:
        return _chunk(recipe, _at(state, index), _at(hyper, index), of_chunk[index], shared, call)

    names = jax.eval_shape(chunk, 0, state)[1]
    found = {name: jnp.zeros((of_chunk.shape[0], *leaf.shape), leaf.dtype) for name, leaf in names.items()}

    def body(index: Array, carry: tuple[State, dict[str, Array]]) -> tuple[State, dict[str, Array]]:
        put = lambda all_, one: lax.dynamic_update_index_in_dim(all_, one, index, 0)  # noqa: E731
        return jax.tree.map(put, carry, chunk(index, carry[0]))

    return lax.fori_loop(0, counts[0], body, (state, found))


def _chunk(
    recipe: Recipe, state: State, hyper: Hyper, of_chunk: Array, shared: Shared, call: Call
) -> tuple[State, dict[str, Array]]:
    """Do a call's work on one chunk: begin, train, evaluate, each if asked for."""
    problem, noise = recipe.problem, seeds.key(shared.noise[of_chunk])
    shapes, hyper = shared.schedules.shapes, _ruled(hyper, shared.schedules)
    last = shapes.shape[1] - 1

    def batch(count: Array) -> Any:
        if problem.batch_size is None:
            return problem.data.train
        return lane.pick(problem.data.train, call.examples[of_chunk, count - call.first])

    def factors(count: Array) -> Array:
        return shapes[hyper.row, jnp.minimum(count, last)]

    def step(count: Array, state: State) -> State:
        minibatch, key = batch(count), jax.random.fold_in(noise, count)
        taken: Any = jax.vmap(lambda h, f, s: lane.step(recipe, h, f, s, count, minibatch, key))
        return taken(hyper, factors(count), state)

    def evaluation(state: State) -> tuple[State, dict[str, Array]]:
        minibatch = batch(call.stop)
        seen: Any = jax.vmap(lambda h, f, s: lane.evaluate(recipe, h, f, s, call.stop, minibatch, noise))
        return seen(hyper, factors(call.stop), state)

    def nothing(state: State) -> tuple[State, dict[str, Array]]:
        empty = jax.eval_shape(evaluation, state)[1]
        return state, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), empty)

    begin = lambda _: _init(recipe, hyper, _at(shared.initial, of_chunk))  # noqa: E731
    state = lax.cond(call.fresh, begin, lambda old: old, state)
    state = lax.fori_loop(call.start, call.stop, step, state)
    return lax.cond(call.evaluate, evaluation, nothing, state)


def _ruled(hyper: Hyper, schedules: Table) -> Hyper:
    """Return a chunk's hyper-parameters with the rules of their rows, if the table has rules."""
    if schedules.rules is None:
        return hyper
    return hyper._replace(
        plateau=jax.tree.map(lambda column: jnp.asarray(column)[hyper.row], schedules.rules)
    )


def _init(recipe: Recipe, hyper: Hyper, params: Any) -> State:
    return jax.vmap(lambda h: lane.init(recipe, h, params))(hyper)


def _first(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[0], tree)


def _at(tree: Any, index: Any) -> Any:
    return jax.tree.map(lambda leaf: lax.dynamic_index_in_dim(leaf, index, 0, keepdims=False), tree)


def _call(first: int, start: int, stop: int, fresh: bool, evaluate: bool, examples: Any) -> Call:
    given: Any = (
        np.int32(first),
        np.int32(start),
        np.int32(stop),
        np.bool_(fresh),
        np.bool_(evaluate),
        examples,
    )
    return Call(*given)


def _struct(tree: Any, sharding: NamedSharding) -> Any:
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(np.shape(leaf), leaf.dtype, sharding=sharding), tree
    )
