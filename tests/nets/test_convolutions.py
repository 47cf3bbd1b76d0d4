"""Convolutions and pooling written for speed, against the plain ones, with their gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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


def _agree(found: Any, expected: Any, tolerance: float = 1e-4) -> None:
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, tolerance, tolerance / 10), found, expected)


def _graded(convolve: fast.Convolution, padded: bool) -> Callable[..., Any]:
    """Return the function (images, kernel, weight) → weighted sum of the outputs, with both gradients."""
    return jax.value_and_grad(lambda x, k, weight: jnp.sum(convolve(x, k, padded) * weight), (0, 1))


SHAPES = [
    ((2, 3, 3, 3), False),
    ((2, 3, 2, 2), False),
    ((2, 3, 2, 3), False),
    ((2, 3, 3, 1), True),
    ((2, 3, 3, 5), True),
]


@pytest.mark.parametrize(("shape", "padded"), SHAPES)
def test_slices_equal_the_convolution_of_xla(shape: tuple[int, ...], padded: bool) -> None:
    images, kernel = _draw(3, 6, 5, 4), _draw(*shape)
    weight = _draw(*fast.grouped(images, kernel, padded).shape)
    _agree(*(_graded(form, padded)(images, kernel, weight) for form in (fast.slices, fast.grouped)))


@pytest.mark.parametrize("own_images", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_slices_of_many_kernels_equal_those_of_each(own_images: bool, padded: bool) -> None:
    images, kernels = _draw(3, 2, 5, 6, 4), _draw(3, 2, 2, 3, 3)
    weight = _draw(*fast.grouped(images[0], kernels[0], padded).shape)
    given = images if own_images else images[0]
    found = jax.vmap(_graded(fast.slices, padded), (0 if own_images else None, 0, None))(
        given, kernels, weight
    )
    each = [
        _graded(fast.grouped, padded)(images[lane if own_images else 0], kernels[lane], weight)
        for lane in range(3)
    ]
    _agree(found, jax.tree.map(lambda *lanes: jnp.stack(lanes), *each))


def test_slices_in_double_precision() -> None:
    with jax.enable_x64(True):
        images, kernel = (jnp.asarray(_draw(*shape), jnp.float64) for shape in ((1, 5, 5, 3), (2, 1, 3, 3)))
        forms = fast.slices, fast.grouped
        _agree(*(_graded(form, True)(images, kernel, 1.0) for form in forms), tolerance=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("ties", [False, True])
def test_the_first_layer_equals_convolving_and_pooling(ties: bool, padded: bool, many: bool) -> None:
    images, kernels = _draw(2, 8, 7, 4, whole=ties), _draw(3, 2, 2, 3, 3, whole=ties)
    weight = _draw(2, *((4, 3) if padded else (3, 2)), 4)

    def graded(layer: Callable[[Array], Array]) -> Any:
        each = jax.value_and_grad(lambda kernel: jnp.sum(layer(kernel) * weight))
        return jax.vmap(each)(kernels) if many else each(kernels[0])

    def plain(kernel: Array) -> Array:
        return _plain_pool(fast.grouped(images, kernel, padded))

    _agree(graded(lambda kernel: fast.first_layer(fast.slices, images, kernel, padded)), graded(plain))


@pytest.mark.parametrize("form", fast.FORMS)
def test_data_have_no_gradient(form: str) -> None:
    images, kernel = _draw(1, 4, 4, 2), _draw(2, 1, 3, 3)
    layer = jax.grad(lambda x: jnp.sum(fast.first_layer(fast.FORMS[form], x, kernel, False)))
    assert not layer(images).any()
