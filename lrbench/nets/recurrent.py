"""Recurrent layers: LSTM and GRU.

The products with the inputs of all positions are one wide matrix product before the recurrence; only the products with
the hidden state are sequential. Activations are [feature, position, example].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from lrbench.nets.layers import Params, Sequences, dense, uniform_weights, weights


def lstm_init(key: Array, inputs: int, width: int) -> Params:
    """Return an LSTM's weights of variance 1 / fan-in; the forget gate has a bias of 1, so that it is open initially."""
    first, second = jax.random.split(key)
    of_input = weights(first, (4 * width, inputs), 1.0)
    of_input["bias"] = of_input["bias"].at[width : 2 * width].set(1.0)
    return {"input": of_input, "hidden": weights(second, (4 * width, width), 1.0)["weight"]}


def lstm(params: Params, inputs: Sequences) -> Sequences:
    """Return the hidden states of an LSTM at every position.

    Formula: c ← σ(f) c + σ(i) tanh(g);  h ← σ(o) tanh(c);  (i, f, g, o) = W x + U h + b

    Source: Hochreiter & Schmidhuber (1997), with the forget gates of Gers et al. (2000), as in PyTorch.
    """
    matrix = params["hidden"]

    def step(carry: tuple[Array, Array], gates: Array) -> tuple[tuple[Array, Array], Array]:
        hidden, cell = carry
        i, f, g, o = jnp.split(gates + matrix @ hidden, 4)
        cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
        hidden = jax.nn.sigmoid(o) * jnp.tanh(cell)
        return (hidden, cell), hidden

    return _along(step, dense(params["input"], inputs), matrix.shape[1], 2)


def gru_init(key: Array, inputs: int, width: int) -> Params:
    """Return a GRU's weights and biases, all uniform in ±1 / √width, as in PyTorch."""
    first, second = jax.random.split(key)
    return {
        "input": uniform_weights(first, (3 * width, inputs), width),
        "hidden": uniform_weights(second, (3 * width, width)),
    }


def gru(params: Params, inputs: Sequences) -> Sequences:
    """Return the hidden states of a GRU at every position.

    Formula: h ← (1 − z) n + z h;  n = tanh(W_n x + r (U_n h + b'_n) + b_n);  r, z = σ(W x + b + U h + b')

    Source: Cho et al., arXiv:1406.1078, in the form of cuDNN and PyTorch.
    """
    width = params["hidden"]["weight"].shape[1]

    def step(carry: tuple[Array], gates: Array) -> tuple[tuple[Array], Array]:
        (hidden,) = carry
        r, z, n = jnp.split(gates, 3)
        of_r, of_z, of_n = jnp.split(dense(params["hidden"], hidden), 3)
        reset, keep = jax.nn.sigmoid(r + of_r), jax.nn.sigmoid(z + of_z)
        hidden = (1 - keep) * jnp.tanh(n + reset * of_n) + keep * hidden
        return (hidden,), hidden

    return _along(step, dense(params["input"], inputs), width, 1)


def grus(
    directions: Sequence[Params], inputs: Sequences
) -> Float[Array, "direction feature position example"]:
    """Return the hidden states at every position of a GRU that reads forwards, and of a second one, if there is one, that reads backwards.

    Both are in one scan, which has half as many sequential steps as two.
    """
    if len(directions) == 1:
        return gru(directions[0], inputs)[None]
    both = jax.tree.map(lambda *layers: jnp.stack(layers), *directions)
    found = jax.vmap(gru)(both, jnp.stack([inputs, inputs[:, ::-1]]))
    return found.at[1].set(found[1, :, ::-1])


def _along(
    step: Callable[..., tuple[tuple[Array, ...], Array]], gates: Sequences, width: int, carried: int
) -> Sequences:
    """Scan the positions from states of zero, and return the hidden states."""
    zero = jnp.zeros((width, gates.shape[2]), gates.dtype)
    _, hidden = lax.scan(step, (zero,) * carried, jnp.moveaxis(gates, 1, 0))
    return jnp.moveaxis(hidden, 0, 1)
