"""Memory of the devices: how much is free, what a run and a program take, and how many runs a pack may have."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np
from jax.extend.core import Var

from lrbench import machine
from lrbench.engine import lane
from lrbench.engine.lane import Hyper, Recipe
from lrbench.problems import Problem

LANES_PER_PACK = {"cpu": 2048}
"""The most runs of a pack on a platform: enough to fill any device, few enough that an interruption loses little."""
LANES_PER_PACK_ELSEWHERE = 65536
PACK_BYTES = 2 * 1024**3
"""The most memory that the runs of a pack may take between steps on a CPU; elsewhere, a quarter of the device's memory."""


class AnyDevice(Protocol):
    """What the rules ask a device for: a `jax.Device`, or one that is not here."""

    @property
    def platform(self) -> str:
        """Its platform, such as `gpu`."""

    @property
    def device_kind(self) -> str:
        """Its kind in words."""

    def memory_stats(self) -> dict[str, int] | None:
        """Return its memory, of which the rules read `bytes_limit` and `bytes_in_use`; `None` for a CPU."""


class Target(NamedTuple):
    """What lanes are counted for: so many devices of one kind."""

    device: AnyDevice
    size: int


def lane_bytes(recipe: Recipe, rates: tuple[str, ...], numeric: tuple[str, ...], params: Any) -> int:
    """Return the bytes that one run takes between steps, plus its gradient."""
    half: Any = np.float32(0.5)
    hyper = Hyper(dict.fromkeys(rates, half), np.int32(0), dict.fromkeys(numeric, half))  # type: ignore[arg-type]
    state = jax.eval_shape(lambda params: lane.init(recipe, hyper, params), params)
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves((state, state.params)))


def activation_bytes(problem: Problem, params: Any, batch: Any) -> int:
    """Return the bytes that the gradient of a minibatch keeps of a run from its loss; what depends on the minibatch alone is shared.

    Args:
        problem: of the run.
        params: shapes of the parameters, and of the state of a model that has one.
        batch: a minibatch.
    """
    key = jax.random.key(0, impl="threefry2x32")
    params, state = problem.split(params)

    def kept(params: Any, state: Any) -> Any:
        return jax.vjp(lambda params: problem.training_loss(params, state, batch, key)[0], params)[1]

    traced = jax.make_jaxpr(kept)(params, state).jaxpr
    own = set(traced.invars)
    for equation in traced.eqns:
        if any(isinstance(var, Var) and var in own for var in equation.invars):
            own.update(equation.outvars)
    found = {var for var in traced.outvars if isinstance(var, Var)} & own - set(traced.invars)
    arrays: list[Any] = [var.aval for var in found]
    return sum(math.prod(array.shape) * array.dtype.itemsize for array in arrays)


def most_per_pack(platform: str) -> int:
    """Return the most runs of a pack on a platform, however small they are."""
    return LANES_PER_PACK.get(platform, LANES_PER_PACK_ELSEWHERE)


def lanes_per_pack(bytes_per_lane: int, device: AnyDevice) -> int:
    """Return the most runs of a pack whose runs take so many bytes each."""
    available = PACK_BYTES if device.platform == "cpu" else free_bytes(device) // 4
    return max(1, min(most_per_pack(device.platform), available // bytes_per_lane))


def free_bytes(device: AnyDevice) -> int:
    """Return the free memory of a device; the machine's, for a CPU."""
    stats = device.memory_stats()
    if not stats or "bytes_limit" not in stats:
        return machine.memory().free
    return int(stats["bytes_limit"]) - int(stats["bytes_in_use"])


def needed_bytes(compiled: Any) -> int:
    """Return the memory that a compiled program takes on each device, as XLA counts it."""
    found = compiled.memory_analysis()
    if found is None:
        return 0
    parts = found.argument_size_in_bytes, found.output_size_in_bytes, found.temp_size_in_bytes
    return int(sum(parts) - found.alias_size_in_bytes)


def added_bytes(compiled: Any) -> int:
    """Return the memory that a compiled program takes on each device beyond its arguments, as XLA counts it."""
    found = compiled.memory_analysis()
    return 0 if found is None else int(found.output_size_in_bytes + found.temp_size_in_bytes)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error of XLA means that memory ran out."""
    return isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
