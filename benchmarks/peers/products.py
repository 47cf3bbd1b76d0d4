"""The matrix products of W1 alone: the ceiling of P3 while XLA's own products are used.

One step has five products for each lane, with C lanes in a chunk (no gradient with respect to the images is
needed):

    hidden  = x · W1           [64, 64] · [64, 64], x shared by all lanes of the chunk
    logits  = hidden · W2      [64, 64] · [64, 10]
    dW2     = hiddenᵀ · logits [64, 64] · [64, 10]
    dhidden = logits · W2ᵀ     [64, 10] · [10, 64]
    dW1     = xᵀ · dhidden     [64, 64] · [64, 64], x shared

They run as W1 itself does: `shard_map` over devices, `lax.map` over a device's chunks, a `scan` over all
steps inside. Nothing may be added, and nothing may be removed or moved out of the loop, so every result is
needed by a later step, as it is or (dW2 alone, 640 numbers a lane) through W2 ← W2 + 1e-8 · dW2, the only
elementwise work. x and W1 are orthogonal and W2 has orthonormal columns, so that the weights come back to a
projection of themselves: no overflow and no denormal numbers, whatever the steps. Both are checked.

The shared products want the lanes side by side, [64, lane · 64], the batched ones want them apart, [lane, 64,
64], and XLA copies between the two. So there are three layouts:

- "apart" (the ceiling): the two shared products feed each other, W1 ← xᵀ(x · W1), and so do the three batched
  ones, hidden ← (hidden · W2) · W2ᵀ; no copies between them.
- "lane": the chain above, W1 ← xᵀ(x · W1 · W2)W2ᵀ, with W1 kept as [lane, 64, 64]; what `vmap` makes of it.
- "wide": the same chain with W1 kept as [64, lane, 64].
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from benchmarks import workloads
from benchmarks.peers import common

PIXELS, HIDDEN, CLASSES = common.IMAGE_PIXELS, common.HIDDEN_UNITS, common.CLASSES
PRODUCTS = 5
IMAGE_POOL = 8
"""Different minibatches that the steps go through in turn, so that x is no constant of the loop."""
NUDGE = 1e-8
"""Below rounding: dW2 is needed, and W2 hardly moves."""
LANES = PartitionSpec("lane")
EVERYWHERE = PartitionSpec()
Weights = tuple[jax.Array, jax.Array]
Apart = tuple[jax.Array, jax.Array, jax.Array]
State = TypeVar("State", bound=tuple[jax.Array, ...])


def products(
    models: int = 256,
    steps: int = 200,
    chunk: int = 8,
    devices: int = 2,
    repeats: int = 5,
    layout: str = "apart",
) -> common.Timing:
    """Do the five products of every step for `models` lanes, in chunks of `chunk` lanes on each device."""
    common.start_jax_on_cpu(devices)
    if models % (chunk * devices):
        raise ValueError(f"models is {models}; it must be a multiple of chunk * devices = {chunk * devices}")
    if layout not in CHUNKS:
        raise ValueError(f"layout is {layout!r}; it must be one of {', '.join(CHUNKS)}")
    first, last, pool = _orthogonal(models)
    mesh = jax.make_mesh((devices,), ("lane",), axis_types=(AxisType.Auto,))
    first, last = jax.device_put((first, last), NamedSharding(mesh, LANES))
    pool = jax.device_put(pool, NamedSharding(mesh, EVERYWHERE))
    compiled = jax.jit(_program(mesh, layout, steps, chunk)).lower(first, last, pool).compile()
    _check_products(compiled.as_text() or "")
    seconds, (final, last_final) = common.measure(
        lambda: jax.block_until_ready(compiled(first, last, pool)), repeats
    )
    expected = first if layout == "apart" else first @ last @ last.mT
    error = float(jnp.maximum(jnp.abs(final - expected).max(), jnp.abs(last_final - last).max()))
    if not error < 0.1:
        raise RuntimeError(f"the products went wrong: the result is off by {error}")
    rate = models * steps / common.median(seconds)
    return common.Timing(
        seconds=common.median(seconds),
        final_losses=(error,),
        initial_loss=float("nan"),
        model_steps=models * steps,
        threads=common.cores(),
        all_seconds=seconds,
        detail={
            "chunk": chunk,
            "devices": devices,
            "layout": layout,
            "gflop_per_second": round(rate * workloads.FLOP["w1"] / 1e9, 1),
        },
    )


def _orthogonal(models: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """W1 [lane, 64, 64], W2 [lane, 64, 10] and minibatches [pool, 64, 64], each with orthonormal columns."""
    generator = np.random.default_rng(0)

    def draw(count: int, columns: int) -> jax.Array:
        return jnp.asarray(np.linalg.qr(generator.normal(size=(count, 64, columns)))[0], jnp.float32)

    return draw(models, HIDDEN), draw(models, CLASSES), draw(IMAGE_POOL, PIXELS)


def _single_step(weights: Weights, images: jax.Array) -> Weights:
    """The five products of one lane, W1 [64, 64]."""
    first, last = weights
    hidden = images @ first
    logits = hidden @ last
    last_gradient = hidden.T @ logits
    hidden_gradient = logits @ last.T
    return images.T @ hidden_gradient, last + NUDGE * last_gradient


def _wide_step(weights: Weights, images: jax.Array) -> Weights:
    """The same for a chunk with W1 as [64, c, 64]: x · W1 and xᵀ · dhidden are products with 64 c columns."""
    first, last = weights
    hidden = jnp.einsum("bp,pch->bch", images, first)
    logits = jnp.einsum("bch,chk->cbk", hidden, last)
    last_gradient = jnp.einsum("bch,cbk->chk", hidden, logits)
    hidden_gradient = jnp.einsum("cbk,chk->bch", logits, last)
    return jnp.einsum("bp,bch->pch", images, hidden_gradient), last + NUDGE * last_gradient


def _apart_step(weights: Apart, images: jax.Array) -> Apart:
    """The same products unconnected: shared ones on W1 [64, 64 c], batched ones on hidden [c, 64, 64] and W2.

    dW2 is taken with the new hidden, of the same shape: with the old one XLA would have to copy it in every
    step.
    """
    first, hidden, last = weights
    logits = hidden @ last
    hidden = logits @ last.mT
    last_gradient = hidden.mT @ logits
    return images.T @ (images @ first), hidden, last + NUDGE * last_gradient


def _apart_chunk(weights: Weights, pool: jax.Array, steps: int) -> Weights:
    first, last = weights
    lanes, pixels, hidden = first.shape
    side_by_side = first.transpose(1, 0, 2).reshape(pixels, lanes * hidden)
    done, features, last = _scan(_apart_step, (side_by_side, first, last), pool, steps)
    last = last + NUDGE * features[..., :CLASSES]
    return done.reshape(pixels, lanes, hidden).transpose(1, 0, 2), last


def _lane_chunk(weights: Weights, pool: jax.Array, steps: int) -> Weights:
    return _scan(jax.vmap(_single_step, in_axes=(0, None)), weights, pool, steps)


def _wide_chunk(weights: Weights, pool: jax.Array, steps: int) -> Weights:
    first, last = _scan(_wide_step, (weights[0].transpose(1, 0, 2), weights[1]), pool, steps)
    return first.transpose(1, 0, 2), last


CHUNKS: dict[str, Callable[[Weights, jax.Array, int], Weights]] = {
    "apart": _apart_chunk,
    "lane": _lane_chunk,
    "wide": _wide_chunk,
}


def _scan(step: Callable[[State, jax.Array], State], state: State, pool: jax.Array, steps: int) -> State:
    def body(state: State, index: jax.Array) -> tuple[State, None]:
        return step(state, pool[index]), None

    return jax.lax.scan(body, state, jnp.arange(steps) % IMAGE_POOL)[0]


def _program(mesh: Mesh, layout: str, steps: int, chunk: int) -> Callable[..., Weights]:
    """(W1 [lane, 64, 64], W2 [lane, 64, 10], pool) -> both at the end, lanes sharded over the devices."""

    def on_device(first: jax.Array, last: jax.Array, pool: jax.Array) -> Weights:
        chunked = tuple(leaf.reshape(-1, chunk, *leaf.shape[1:]) for leaf in (first, last))
        done = jax.lax.map(lambda weights: CHUNKS[layout](weights, pool, steps), chunked)
        return tuple(leaf.reshape(-1, *leaf.shape[2:]) for leaf in done)

    return jax.shard_map(on_device, mesh=mesh, in_specs=(LANES, LANES, EVERYWHERE), out_specs=(LANES, LANES))


def _check_products(hlo: str) -> None:
    """Refuse a program from which XLA removed a product, or merged two."""
    found = len(re.findall(r"= \S+ dot\(", hlo))
    if found != PRODUCTS:
        raise RuntimeError(f"the compiled program has {found} matrix products, not {PRODUCTS}")


if __name__ == "__main__":
    common.main(products, "jax", "jaxlib", "numpy")
