"""The data of MNIST-1D, generated as its paper describes, from a seed of lrbench's own."""

from __future__ import annotations

from functools import cache

import numpy as np

from lrbench.datasets.data import Arrays
from lrbench.errors import ProblemError

LENGTH = 40
"""Points of a curve."""
_TEMPLATES = (
    (5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5),
    (5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5),
    (5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5),
    (5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5),
    (5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5),
    (5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5),
    (5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5),
    (5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5),
)
"""The ten digits as curves of 12 points, from the paper's data set."""
_PADDING, _STRETCHED, _SHIFT = (36, 60), 72, 48
_SCALE, _SHEAR, _BLURRED_NOISE, _POINT_NOISE = 0.4, 0.75, 0.25, 0.02
_BLUR = 2.0


@cache
def generate(samples: int) -> Arrays:
    """Return curves [sample, 40] of mean 0 and standard deviation 1 over all of them, and the digit of each.

    Each digit's curve is padded and so dilated, scaled, moved, given blurred noise where it was zero and white noise
    everywhere, sheared, and read off at 40 points.

    Args:
        samples: how many curves, a tenth of each digit.

    Source: Greydanus & Kobak, arXiv:2011.14439, section 2 and its default settings.
    """
    if samples < 50 or samples % 10:
        raise ProblemError(f"samples = {samples}: must be a multiple of 10, and 50 or more")
    generator = np.random.Generator(np.random.PCG64(42))
    labels = np.repeat(np.arange(10, dtype=np.int32), samples // 10)
    shapes = _shapes()
    curves = np.stack([_curve(generator, shapes[label]) for label in labels])
    return (curves - curves.mean()) / curves.std(), labels


def _shapes() -> np.ndarray:
    shapes = np.array(_TEMPLATES, dtype=np.float64)
    shapes -= shapes.mean(axis=1, keepdims=True)
    shapes /= shapes.std(axis=1, keepdims=True)
    return (shapes - shapes[:, :1]) / 6


def _curve(generator: np.random.Generator, shape: np.ndarray) -> np.ndarray:
    padded = np.append(shape + 1e-8, np.zeros(generator.integers(_PADDING[0], _PADDING[1] + 1)))
    curve = _resampled(padded, _STRETCHED) * (1 + _SCALE * (generator.random() - 0.5))
    curve = np.roll(curve, generator.integers(_SHIFT))
    blurred = _blur(_BLURRED_NOISE * generator.normal(size=_STRETCHED))
    curve = np.where(curve != 0, curve, blurred) + _POINT_NOISE * generator.normal(size=_STRETCHED)
    curve -= _SHEAR * (generator.random() - 0.5) * np.linspace(-0.5, 0.5, _STRETCHED)
    return _resampled(curve, LENGTH)


def _resampled(curve: np.ndarray, length: int) -> np.ndarray:
    return np.interp(np.linspace(0, 1, length), np.linspace(0, 1, len(curve)), curve)


def _blur(noise: np.ndarray) -> np.ndarray:
    """Convolve with a Gaussian of standard deviation 2, mirrored at the ends."""
    reach = int(4 * _BLUR)
    kernel = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / _BLUR))
    return np.convolve(np.pad(noise, reach, mode="symmetric"), kernel / kernel.sum(), mode="valid")
