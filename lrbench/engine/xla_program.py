"""The compiled XLA programs of a recipe: what trains the runs of a pack, and what evaluates them."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array

from lrbench.engine import (
    decompositions,
    device_memory,
    devices,
    lane,
    probing,
    seeds,
    xla_functions,
    xla_options,
)
from lrbench.engine.lane import Graded, Hyper, Recipe, State
from lrbench.engine.layout import Size
from lrbench.engine.schedule_table import ScheduleTable
from lrbench.engine.xla_functions import Call, Replicated, Shared
from lrbench.problems import Data


@dataclass(frozen=True)
class Inputs:
    """What the programs of a recipe take, as far as it determines what is compiled.

    Args:
        recipe: what is static.
        split: the recipe's probes that do not depend on the step, and those that do; `None` if one evaluation is to compute all of them.
        initial: the problem's initial parameters by seed.
        rates: names of the learning rates.
        numeric: names of the optimizer's numeric hyper-parameters.
        data: the problem's data on the devices.
        schedules: the schedule table.
        size: the largest pack.
        mesh: the devices.
        options: the names of the options of XLA that training is compiled with.
    """

    recipe: Recipe
    split: tuple[probing.Probes, probing.Probes] | None
    initial: seeds.Initial
    rates: tuple[str, ...]
    numeric: tuple[str, ...]
    data: Data
    schedules: ScheduleTable
    size: Size
    mesh: Mesh
    options: str

    @property
    def whole(self) -> bool:
        """Whether evaluations depend on the optimizer as a whole, and not in their probes alone."""
        plateau = self.schedules.rules is not None
        return self.split is None or lane.evaluation_needs_optimizer(self.recipe, plateau=plateau)

    @functools.cached_property
    def given(self) -> tuple[State, Hyper, tuple[Any, Any], Shared]:
        """Shapes, types and sharding of what programs take: the state, the hyper-parameters, seeds and counts of chunks, and the rest."""
        return _given(self)


class Executable(NamedTuple):
    """A compiled function, and the names of its decompositions that became loops over matrices."""

    execute: Any
    looped: tuple[str, ...]


@dataclass(frozen=True)
class CompiledProgram:
    """The programs of a recipe, compiled for packs of a size.

    Args:
        recipe: what is static.
        initial: the problem's initial parameters by seed.
        numeric: names of the optimizer's numeric hyper-parameters.
        size: the largest pack.
        mesh: the devices.
        training: initialises and trains.
        state: shapes, types and sharding of the state.
        data: the problem's data on the devices.
        schedules: the schedule table on the devices.
        needed_bytes: the memory that training takes on each device.
        compile_seconds: the time that compiling the training took.
        whole: whether evaluations depend on the optimizer as a whole.
        evaluation: evaluates; `None` while only the pace of training is asked for.
        probe: measures the probes of the step that would follow, where an evaluation that does not know the optimizer has left them.
    """

    recipe: Recipe
    initial: seeds.Initial
    numeric: tuple[str, ...]
    size: Size
    mesh: Mesh
    training: Executable
    state: State
    data: Data
    schedules: ScheduleTable
    needed_bytes: int
    compile_seconds: float
    whole: bool
    evaluation: Executable | None = None
    probe: Executable | None = None

    @property
    def looped(self) -> tuple[str, ...]:
        """Names of the decompositions that became loops over matrices."""
        return tuple(
            name
            for each in (self.training, self.evaluation, self.probe)
            if each is not None
            for name in each.looped
        )

    def with_schedules(self, table: ScheduleTable) -> CompiledProgram:
        """Return the same program with another schedule table, of the same shape."""
        placed = jax.device_put(devices.cast(table), devices.replicated(self.mesh))
        return replace(self, schedules=placed)

    def with_evaluation(self, evaluation: Executable, probe: Executable | None) -> CompiledProgram:
        """Return the same program with what evaluates its runs."""
        added = sum(
            device_memory.added_bytes(each.execute) for each in (evaluation, probe) if each is not None
        )
        return replace(self, evaluation=evaluation, probe=probe, needed_bytes=self.needed_bytes + added)

    def train(
        self, state: State, hyper: Hyper, chunks: tuple[Any, Any], replicated: Replicated, call: Call
    ) -> State:
        """Train runs; return their state after it, perhaps before it is computed. The state before is given up."""
        after: State = self.training.execute(state, hyper, *chunks, Shared(replicated, call))
        return after

    def evaluate(
        self, state: State, hyper: Hyper, chunks: tuple[Any, Any], replicated: Replicated, call: Call
    ) -> tuple[State, dict[str, Array]]:
        """Evaluate runs; return their state after it, and name → value in each lane, perhaps before they are computed."""
        assert self.evaluation is not None
        shared = Shared(replicated, call)
        given = (state, hyper) if self.whole else (_model_of(state),)
        found = self.evaluation.execute(*given, *chunks, shared)
        state = state._replace(bad_step=found.bad_step, plateau=found.plateau)
        if self.probe is None:
            return state, found.values
        of_step = self.probe.execute(state, hyper, found.graded, chunks[0], shared)
        return state, probing.in_order(self.recipe.probes, {**found.values, **of_step})


def compile_training(inputs: Inputs) -> CompiledProgram:
    """Compile what trains runs of a recipe, without their evaluation."""
    replicated = devices.replicated(inputs.mesh)
    state, hyper, chunks, shared = inputs.given
    began = time.perf_counter()
    function = functools.partial(xla_functions.train, inputs.recipe)
    options = xla_options.TRAINING | xla_options.of(inputs.options)
    training = _compiled(inputs, function, (state, hyper, *chunks), shared, options, donate=(0,))
    return CompiledProgram(
        recipe=inputs.recipe,
        initial=inputs.initial,
        numeric=inputs.numeric,
        size=inputs.size,
        mesh=inputs.mesh,
        training=training,
        state=state,
        data=inputs.data,
        schedules=jax.device_put(devices.cast(inputs.schedules), replicated),
        needed_bytes=device_memory.needed_bytes(training.execute),
        compile_seconds=time.perf_counter() - began,
        whole=inputs.whole,
    )


def compile_evaluation(inputs: Inputs) -> Executable:
    """Compile what evaluates runs of a recipe; unless it does so as a whole, the same serves all recipes of a problem."""
    state, hyper, chunks, shared = inputs.given
    if inputs.split is None or inputs.whole:
        function = functools.partial(xla_functions.evaluate_whole, inputs.recipe)
        return _compiled(inputs, function, (state, hyper, *chunks), shared, xla_options.TRAINING)
    point, step = inputs.split
    problem = inputs.recipe.problem
    function = functools.partial(xla_functions.evaluate, problem, point, bool(step))
    given = _model_of(state), *chunks
    return _compiled(inputs, function, given, shared, xla_options.TRAINING)


def _model_of(state: State) -> State:
    """Return of runs what an evaluation takes that does not depend on the optimizer."""
    return state._replace(optimizer=(), first_hits=None)


def compile_probe(inputs: Inputs) -> Executable | None:
    """Compile what measures the probes of the step that would follow; `None` where an evaluation has them, or there are none."""
    if inputs.split is None or inputs.whole or not inputs.split[1]:
        return None
    state, hyper, chunks, shared = inputs.given
    recipe = replace(inputs.recipe, probes=inputs.split[1])
    loss: Any = jax.ShapeDtypeStruct(
        state.bad_step.shape, hyper.learning_rates[""].dtype, sharding=devices.sharded(inputs.mesh)
    )
    function = functools.partial(xla_functions.probe, recipe)
    given = state, hyper, Graded(loss, state.params), chunks[0]
    return _compiled(inputs, function, given, shared, xla_options.PROBE)


def call(first: int, start: int, stop: int, fresh: bool, examples: Any) -> Call:
    """Return the numbers of a call as the programs take them."""
    given: Any = np.int32(first), np.int32(start), np.int32(stop), np.bool_(fresh), examples
    return Call(*given)


def _compiled(
    inputs: Inputs,
    function: Callable[..., Any],
    sharded: Sequence[Any],
    shared: Shared,
    options: Mapping[str, Any],
    donate: tuple[int, ...] = (),
) -> Executable:
    """Compile a function of what is spread over the devices, and of what each of them has a copy of."""
    over, copied = devices.sharded(inputs.mesh).spec, devices.replicated(inputs.mesh).spec
    mapped = jax.shard_map(
        function,
        mesh=inputs.mesh,
        in_specs=(*[over] * len(sharded), copied),
        out_specs=over,
        check_vma=False,  # the number of chunks differs between devices, which it cannot express
    )
    platform = inputs.mesh.devices.flat[0].platform
    options = options if platform == "cpu" else {}
    found = decompositions.compile_program(
        mapped, *sharded, shared, platform=platform, donate=donate, options=options
    )
    return Executable(*found)


def _given(inputs: Inputs) -> tuple[State, Hyper, tuple[Any, Any], Shared]:
    size, mesh = inputs.size, inputs.mesh
    total = size.chunks * mesh.size
    values = np.zeros((total, size.lanes), inputs.schedules.shapes.dtype)
    each: Any = (
        dict.fromkeys(inputs.rates, values),
        values.astype(np.int32),
        dict.fromkeys(inputs.numeric, values),
    )
    hyper = devices.cast(Hyper(*each))
    initial = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((size.seeds, *leaf.shape), leaf.dtype), inputs.initial.shapes
    )
    noise: Any = seeds.noise([0] * size.seeds)
    examples = seeds.orders(inputs.recipe.problem, [0] * size.seeds, 0, size.segment + 1)
    shared = Shared(
        Replicated(inputs.data, devices.cast(inputs.schedules), initial, noise),
        call(0, 0, 0, False, examples),
    )
    chunks = np.zeros(total, np.int32), np.zeros(mesh.size, np.int32)
    state = jax.eval_shape(
        functools.partial(xla_functions.first, inputs.recipe),
        hyper,
        shared.replicated.schedules,
        inputs.initial.shapes,
    )
    state = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((total, *leaf.shape), leaf.dtype), state)
    return *(_struct(each, mesh) for each in (state, hyper, chunks)), _struct(shared, mesh, shared=True)


def _struct(tree: Any, mesh: Mesh, *, shared: bool = False) -> Any:
    """Return the shapes of what is spread over the devices, or of what each of them has a copy of."""
    sharded, replicated = devices.sharded(mesh), devices.replicated(mesh)

    def struct(leaf: Any) -> jax.ShapeDtypeStruct:
        # A program returns an empty array as one that every device has a copy of, whatever it was told.
        placed = sharded if np.size(leaf) and not shared else replicated
        return jax.ShapeDtypeStruct(np.shape(leaf), leaf.dtype, sharding=placed)

    return jax.tree.map(struct, tree)
