"""A transformer over tokens: embeddings, multi-head attention, residual connections, layer normalisation.

Activations are [feature, position, example]. Tokens are embedded by a product with a one-hot matrix: the gradient of a
look-up is a scatter, which XLA computes one element at a time on a CPU.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from lrbench.errors import ProblemError
from lrbench.nets.layers import Params, Sequences, dense, positive, weights
from lrbench.nets.normalisation import layer_norm, norm_init


@dataclass(frozen=True)
class Transformer:
    """A decoder with normalisation before each layer (pre-LN), as in GPT-2.

    Formula: h = E[token] + P;  h ← h + attention(N(h));  h ← h + W₂ gelu(W₁ N(h));  scores = W N(h)

    Args:
        tokens: size of the vocabulary.
        positions: length of the longest sequence.
        width: features of a position; a hidden layer has four times as many.
        heads: attention heads; `width` must be a multiple of it.
        layers: number of blocks, each of attention and a hidden layer.

    Source: Vaswani et al., arXiv:1706.03762; Radford et al., GPT-2 (2019).
    """

    tokens: int
    positions: int
    width: int
    heads: int
    layers: int

    def __post_init__(self) -> None:
        """Check the sizes."""
        positive(width=self.width, heads=self.heads, layers=self.layers)
        if self.width % self.heads:
            raise ProblemError(f"width = {self.width}: must be a multiple of heads = {self.heads}")

    def init(self, key: Array) -> Params:
        """Return weights of variance 1 / fan-in; those of layers that add to the residual stream are smaller, as in GPT-2."""
        token, position, out, *rest = jax.random.split(key, 3 + 4 * self.layers)
        width, small = self.width, 1 / (2 * self.layers)
        blocks = [
            {
                "norm1": norm_init(width),
                "qkv": weights(rest[4 * layer], (3 * width, width), 1.0),
                "mix": weights(rest[4 * layer + 1], (width, width), small),
                "norm2": norm_init(width),
                "up": weights(rest[4 * layer + 2], (4 * width, width), 1.0),
                "down": weights(rest[4 * layer + 3], (width, 4 * width), small),
            }
            for layer in range(self.layers)
        ]
        return {
            "token": jax.random.normal(token, (width, self.tokens)),
            "place": 0.1 * jax.random.normal(position, (width, self.positions)),
            "blocks": blocks,
            "norm": norm_init(width),
            "out": weights(out, (self.tokens, width), 1.0),
        }

    def hidden(self, params: Params, tokens: Int[Array, "example position"]) -> Sequences:
        """Return the output of the last layer at every position, which depends on no later position."""
        hidden = embed(params["token"], tokens) + params["place"][:, : tokens.shape[1], None]
        for block in params["blocks"]:
            hidden = hidden + self._attend(block, layer_norm(block["norm1"], hidden))
            inner = jax.nn.gelu(dense(block["up"], layer_norm(block["norm2"], hidden)))
            hidden = hidden + dense(block["down"], inner)
        return layer_norm(params["norm"], hidden)

    def _attend(self, block: Params, hidden: Sequences) -> Sequences:
        positions, examples = hidden.shape[1:]
        parts = dense(block["qkv"], hidden).reshape(3, self.heads, -1, positions, examples)
        mixed = attention(*parts)
        return dense(block["mix"], mixed.reshape(self.width, positions, examples))


def attention(
    query: Float[Array, "head feature position example"],
    key: Float[Array, "head feature position example"],
    value: Float[Array, "head feature position example"],
) -> Float[Array, "head feature position example"]:
    """Return softmax(qᵀk / √d) v, where a position attends to itself and those before it."""
    scores = jnp.einsum("hdqe,hdke->heqk", query, key) / np.sqrt(query.shape[1])
    causal = np.tril(np.ones((query.shape[2],) * 2, dtype=bool))[None, None]
    shares = jax.nn.softmax(jnp.where(causal, scores, -jnp.inf), axis=-1)
    return jnp.einsum("heqk,hdke->hdqe", shares, value)


def embed(table: Float[Array, "feature token"], tokens: Int[Array, "example position"]) -> Sequences:
    """Return the embedding of every token, a column of the table."""
    chosen = jax.nn.one_hot(tokens.T.reshape(-1), table.shape[1], dtype=table.dtype, axis=0)
    return (table @ chosen).reshape(table.shape[0], *tokens.T.shape)
