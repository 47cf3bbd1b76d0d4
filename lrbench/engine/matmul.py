"""How fast devices multiply matrices: the upper bound of any training speed."""

from __future__ import annotations

import time
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lrbench.engine import devices

PRECISION = "highest"
"""Of all products, as `jax_default_matmul_precision` has it. JAX's own choice takes fewer bits of each factor on GPUs (TF32) and TPUs (bfloat16)."""
_LONG_ENOUGH = 0.01
"""A shorter call, in seconds, would measure the clock and the overhead of the call."""
_CALLS, _SECONDS = 5, 0.5
"""How often a call is repeated, and after how many seconds no further one starts."""


def flops_per_second(side: int, over: Sequence[jax.Device], lanes: int = 1) -> float:
    """Return the floating-point operations per second of float32 matrix products: the best of a few short calls.

    Each device multiplies [side, side] matrices, `lanes` at a time, a product of n × n matrices
    being 2 n³ operations. Their precision is that of training.

    Args:
        side: rows and columns of the matrices.
        over: the devices, which compute at the same time.
        lanes: how many products a device computes at once, as one batched product.

    Example:
        >>> flops_per_second(64, jax.devices()[:1]) > 0
        True
    """
    mesh = devices.mesh(list(over))
    sharded, replicated = devices.sharded(mesh), devices.replicated(mesh)

    def multiply(matrices: jax.Array, count: jax.Array) -> jax.Array:
        def product(_: int, before: jax.Array) -> jax.Array:
            return jnp.matmul(matrices, before, precision=PRECISION)

        return lax.fori_loop(0, count, product, matrices)

    # A product of identity matrices is an identity matrix, so nothing overflows; XLA does not know that they are.
    ones = np.broadcast_to(np.eye(side, dtype=np.float32), (mesh.size * lanes, side, side))
    matrices = jax.device_put(ones, sharded)
    mapped = jax.shard_map(
        multiply, mesh=mesh, in_specs=(sharded.spec, replicated.spec), out_specs=sharded.spec
    )
    program = jax.jit(mapped)

    def seconds(count: int) -> float:
        began = time.perf_counter()
        program(matrices, jnp.int32(count)).block_until_ready()
        return time.perf_counter() - began

    seconds(1)  # compiles
    count = 1
    while (elapsed := seconds(count)) < _LONG_ENOUGH:
        count *= 2
    found = [elapsed]
    while len(found) < _CALLS and sum(found) < _SECONDS:
        found.append(seconds(count))
    return 2 * side**3 * lanes * mesh.size * count / min(found)
