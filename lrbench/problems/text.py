"""Character-level language models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from lrbench.datasets import texts
from lrbench.datasets.texts import Corpus
from lrbench.nets import recurrent
from lrbench.nets.attention import Transformer, embed
from lrbench.nets.layers import Params, dense, next_token_entropy, positive, weights
from lrbench.problems._constants import constant_entropy
from lrbench.problems._problem import Batch, File, Init, Problem
from lrbench.study.metric import Metric


def char_transformer(
    *,
    text: File = "",
    context: int = 32,
    width: int = 32,
    heads: int = 4,
    layers: int = 2,
    batch_size: int = 32,
) -> Problem:
    """Transformer that predicts the next character of a text.

    Formula: h = E[c] + P;  h ← h + attention(N(h));  h ← h + W₂ gelu(W₁ N(h));  p = softmax(W N(h));
        loss = mean −log p[next c], in nats per character;  N layer normalisation

    Args:
        text: a text file of your own (UTF-8); left out, six chapters of Alice's Adventures in Wonderland (1865).
        context: length of the context, in characters.
        width: features of a position.
        heads: attention heads; `width` must be a multiple of it.
        layers: number of blocks, each of attention and a hidden layer.
        batch_size: pieces of `context` characters in a minibatch; 0 means all of them.

    Metrics: accuracy

    Source: Vaswani et al., arXiv:1706.03762; Radford et al., GPT-2 (2019).
    """
    positive(context=context)
    found = texts.read(text, context)
    model = Transformer(found.characters, context, width, heads, layers)

    def scores(params: Params, tokens: Int[Array, "example position"]) -> Array:
        return dense(params["out"], model.hidden(params, tokens))

    return _next_character("char_transformer", found, model.init, scores, batch_size)


def char_lstm(
    *, text: File = "", context: int = 32, width: int = 64, layers: int = 1, batch_size: int = 32
) -> Problem:
    """LSTM that predicts the next character of a text.

    Formula: c ← σ(f) c + σ(i) tanh(g);  h ← σ(o) tanh(c);  (i, f, g, o) = W x + U h + b;  p = softmax(V h);
        loss = mean −log p[next c], in nats per character

    Args:
        text: a text file of your own (UTF-8); left out, six chapters of Alice's Adventures in Wonderland (1865).
        context: number of characters through which gradients are propagated.
        width: size of a hidden state.
        layers: number of stacked LSTM layers.
        batch_size: pieces of `context` characters in a minibatch; 0 means all of them.

    Metrics: accuracy

    Source: Hochreiter & Schmidhuber, Neural Computation 9 (1997); Karpathy, char-rnn (2015).
    """
    positive(width=width, layers=layers)
    positive(context=context)
    found = texts.read(text, context)

    def init(key: Array) -> Params:
        token, out, *rest = jax.random.split(key, 2 + layers)
        return {
            "token": jax.random.normal(token, (width, found.characters)),
            "layers": [recurrent.lstm_init(each, width, width) for each in rest],
            "out": weights(out, (found.characters, width), 1.0),
        }

    def scores(params: Params, tokens: Int[Array, "example position"]) -> Array:
        hidden = embed(params["token"], tokens)
        for layer in params["layers"]:
            hidden = recurrent.lstm(layer, hidden)
        return dense(params["out"], hidden)

    return _next_character("char_lstm", found, init, scores, batch_size)


def _next_character(
    name: str, text: Corpus, init: Init, scores: Callable[[Any, Array], Array], batch_size: int
) -> Problem:
    """Return the problem of predicting the next character; a batch is [example, context + 1] of characters."""

    def correct(predictions: Array, batch: Batch) -> Float[Array, ""]:
        return jnp.mean(predictions == batch[:, 1:], dtype=jnp.result_type(float))

    def predict(params: Params, batch: Batch) -> Array:
        return jnp.argmax(scores(params, batch[:, :-1]), axis=0).T

    def loss(params: Params, batch: Batch, key: Array) -> Array:
        del key
        return next_token_entropy(scores(params, batch[:, :-1]), batch[:, 1:])

    following = text.data.train[:, 1:], text.data.valid[:, 1:]
    return Problem(
        name,
        init,
        loss,
        text.data,
        predict,
        {"accuracy": Metric(correct, larger=True, bound=1.0, mean=True)},
        batch_size or None,
        constant_loss=constant_entropy(*following),
    )
