"""Autoencoders of handwritten digits."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array

from lrbench.datasets import bundled
from lrbench.datasets.data import Data, Split, split
from lrbench.nets.layers import Params, dense_stack, positive
from lrbench.problems._constants import constant_shares, constant_square
from lrbench.problems._problem import Batch, Problem

_PIXELS = 64


def digits_autoencoder(*, hidden: tuple[int, ...] = (32,), code: int = 8, batch_size: int = 64) -> Problem:
    """Autoencoder of handwritten digits of 8×8 pixels: compress an image into a few numbers, and reconstruct it.

    Formula: z = E(x);  x̂ = sigmoid(D(z));  loss = mean ‖x̂ − x‖²;  E and D fully connected with tanh between their layers

    Args:
        hidden: widths of the encoder's hidden layers; the decoder has them in reverse.
        code: dimension of z.
        batch_size: images in a minibatch; 0 means all of them.

    Source: Hinton & Salakhutdinov, Science 313 (2006); images: UCI.
    """
    positive(hidden=hidden, code=code)
    start, encode = dense_stack([_PIXELS, *hidden, code], 1.0, jnp.tanh)
    finish, decode = dense_stack([code, *hidden[::-1], _PIXELS], 1.0, jnp.tanh)

    def init(key: Array) -> Params:
        first, second = jax.random.split(key)
        return {"encoder": start(first), "decoder": finish(second)}

    def predict(params: Params, batch: Batch) -> Array:
        image: Array = jax.nn.sigmoid(decode(params["decoder"], encode(params["encoder"], batch).T).T)
        return image

    def loss(params: Params, batch: Batch, key: Array) -> Array:
        del key
        return jnp.sum(jnp.square(predict(params, batch) - batch)) / batch.shape[0]

    images = _images()
    return Problem(
        "digits_autoencoder",
        init,
        loss,
        images,
        predict,
        batch_size=batch_size or None,
        constant_loss=_PIXELS * constant_square(images.train, images.valid),
    )


def digits_vae(
    *, hidden: tuple[int, ...] = (32,), code: int = 4, beta: float = 1.0, batch_size: int = 64
) -> Problem:
    """Variational autoencoder of handwritten digits of 8×8 pixels: a loss with random noise.

    Formula: (μ, log σ²) = E(x);  z = μ + σ·ε, ε ~ N(0, 1);  x̂ = sigmoid(D(z));  loss = mean over images of
        −Σ (x log x̂ + (1 − x) log(1 − x̂)) + β · ½ Σ (μ² + σ² − 1 − log σ²);  E and D as in digits_autoencoder

    The noise ε of a step is the same for all runs of a seed; all evaluations use the same noise.

    Args:
        hidden: widths of the encoder's hidden layers; the decoder has them in reverse.
        code: dimension of z.
        beta: β, the weight of the divergence from the prior.
        batch_size: images in a minibatch; 0 means all of them.

    Source: Kingma & Welling, arXiv:1312.6114; β: Higgins et al., ICLR 2017; images: UCI.
    """
    positive(hidden=hidden, code=code)
    start, encode = dense_stack([_PIXELS, *hidden, 2 * code], 1.0, jnp.tanh)
    finish, decode = dense_stack([code, *hidden[::-1], _PIXELS], 1.0, jnp.tanh)

    def init(key: Array) -> Params:
        first, second = jax.random.split(key)
        return {"encoder": start(first), "decoder": finish(second)}

    def loss(params: Params, batch: Batch, key: Array) -> Array:
        found = encode(params["encoder"], batch)
        mean, log_variance = found[:code], found[code:]
        noise = jax.random.normal(key, mean.shape, mean.dtype)
        scores = decode(params["decoder"], (mean + jnp.exp(0.5 * log_variance) * noise).T).T
        # −x log s(a) − (1 − x) log(1 − s(a)) = softplus(a) − x·a, without taking a logarithm of zero.
        reconstruction = jnp.sum(jax.nn.softplus(scores) - batch * scores)
        divergence = 0.5 * jnp.sum(jnp.square(mean) + jnp.exp(log_variance) - 1 - log_variance)
        return (reconstruction + beta * divergence) / batch.shape[0]

    images = _images()
    # The image of mean pixels, whatever the code, which is then the prior's.
    constant = constant_shares(images.train, images.valid)
    return Problem("digits_vae", init, loss, images, batch_size=batch_size or None, constant_loss=constant)


def _images() -> Data:
    parts: Split = split(*bundled.digits())
    return Data(parts.train[0], parts.valid[0])
