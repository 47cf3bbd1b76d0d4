"""Convolutions and pooling written for speed, against the plain ones, with their gradients."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from lrbench.nets import convolutions as fast


def _draw(*shape: int, whole: bool = False) -> Array:
    generator = np.random.default_rng(0)
    drawn = generator.integers(0, 3, shape) if whole else generator.normal(size=shape)
    return jnp.asarray(drawn, jnp.float32)


def _plain_pool(images: Array) -> Array:
    """A maximum over axes, whose gradient JAX shares between equals."""
    channels, rows, columns, examples = images.shape
    even = images[:, : rows // 2 * 2, : columns // 2 * 2]
    return even.reshape(channels, rows // 2, 2, columns // 2, 2, examples).max((2, 4))


@pytest.mark.parametrize("shape", [(2, 4, 6, 3), (1, 5, 7, 2)])
@pytest.mark.parametrize("ties", [False, True])
def test_pooling(shape: tuple[int, ...], ties: bool) -> None:
    images = _draw(*shape, whole=ties)
    weight = _draw(shape[0], shape[1] // 2, shape[2] // 2, shape[3])
    found, expected = (
        (pool(images), jax.grad(lambda x, pool=pool: jnp.sum(pool(x) * weight))(images))
        for pool in (fast.max_pool, _plain_pool)
    )
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-6), found, expected)


def test_pooling_pairs() -> None:
    images = jnp.array([1.0, 3.0, 2.0, 2.0, 9.0]).reshape(1, 1, 5, 1)
    pooled, back = jax.vjp(fast.pool_pairs, images)
    assert pooled.reshape(-1).tolist() == [3, 2]
    (gradient,) = back(jnp.ones_like(pooled))
    assert gradient.reshape(-1).tolist() == [0, 1, 0.5, 0.5, 0]


@pytest.mark.parametrize("side", [3, 2])
def test_slices_equal_the_convolution_of_xla(side: int) -> None:
    images, kernel = _draw(3, 6, 5, 4), _draw(2, 3, side, side)
    weight = _draw(2, 7 - side, 6 - side, 4)
    found, expected = (
        jax.value_and_grad(lambda x, k, form=form: jnp.sum(form(x, k) * weight), (0, 1))(images, kernel)
        for form in (fast.slices, fast.grouped)
    )
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5), found, expected)


@pytest.mark.parametrize("ties", [False, True])
def test_the_first_layer_equals_convolving_and_pooling(ties: bool) -> None:
    images, kernel = _draw(1, 8, 7, 4, whole=ties), _draw(2, 1, 3, 3, whole=ties)
    weight = _draw(2, 3, 2, 4)
    found, expected = (
        jax.value_and_grad(lambda k, layer=layer: jnp.sum(layer(images, k) * weight))(kernel)
        for layer in (fast.first_layer, lambda x, k: _plain_pool(fast.grouped(x, k)))
    )
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5), found, expected)
