"""The data of MNIST-1D: the published curves, generated anew from the published seed."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from lrbench.datasets.data import Split
from lrbench.errors import ProblemError

LENGTH = 40
"""Points of a curve."""
LABELS = 10
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
_SEED = 42
_LEAST_PADDING, _MOST_PADDING, _STRETCHED, _SHIFT = 36, 60, 72, 48
_SCALE, _SHEAR, _BLURRED_NOISE, _POINT_NOISE = 0.4, 0.75, 0.25, 0.02
_BLUR = 2.0


class _Drawn(NamedTuple):
    """What is random in each curve, in the order in which it is drawn."""

    padding: Int[np.ndarray, " curve"]
    scale: Float[np.ndarray, " curve"]
    shift: Int[np.ndarray, " curve"]
    blurred_noise: Float[np.ndarray, "curve point"]
    point_noise: Float[np.ndarray, "curve point"]
    shear: Float[np.ndarray, " curve"]


@cache
def generate(samples: int) -> Split:
    """Return curves [sample, 40] of mean 0 and standard deviation 1 over all of them, and the digit of each, four fifths for training.

    Each digit's curve is padded and so dilated, scaled, moved, given blurred noise where it was zero and white noise
    everywhere, sheared, and read off at 40 points. With 5,000 samples, these are the published curves in the published order, to
    rounding: NumPy's older generator draws the same numbers from the same seed in every version.

    Args:
        samples: how many curves, a tenth of each digit.

    Source: Greydanus & Kobak, arXiv:2011.14439, section 2; `make_dataset` of github.com/greydanus/mnist1d with its default settings.
    """
    if samples < 50 or samples % LABELS:
        raise ProblemError(f"samples = {samples}: must be a multiple of 10, and 50 or more")
    generator = np.random.RandomState(_SEED)
    labels = np.repeat(np.arange(LABELS, dtype=np.int32), samples // LABELS)
    curves = _curves(labels, _draw(generator, samples))
    order = generator.permutation(samples)
    curves, labels = curves[order], labels[order]
    curves = (curves - curves.mean()) / curves.std()
    training = samples * 4 // 5
    return Split((curves[:training], labels[:training]), (curves[training:], labels[training:]))


def _draw(generator: np.random.RandomState, samples: int) -> _Drawn:
    """Draw what is random, curve by curve."""
    paddings = _MOST_PADDING - _LEAST_PADDING + 1
    drawn = [
        (
            _LEAST_PADDING + int(generator.rand() * paddings),
            generator.rand() - 0.5,
            generator.choice(_SHIFT),
            generator.randn(_STRETCHED),
            generator.randn(_STRETCHED),
            generator.rand() - 0.5,
        )
        for _ in range(samples)
    ]
    return _Drawn(*map(np.array, zip(*drawn, strict=True)))


def _curves(labels: Int[np.ndarray, " curve"], drawn: _Drawn) -> Float[np.ndarray, "curve 40"]:
    """Return the curves before they are standardised."""
    paddings = range(_LEAST_PADDING, _MOST_PADDING + 1)
    dilated = np.stack([[_dilated(shape, padding) for shape in _shapes()] for padding in paddings])
    curves = dilated[drawn.padding - _LEAST_PADDING, labels] * (1 + _SCALE * drawn.scale)[:, None]
    points = np.arange(_STRETCHED)
    curves = np.take_along_axis(curves, (points - drawn.shift[:, None]) % _STRETCHED, axis=1)
    blurred = _BLURRED_NOISE * drawn.blurred_noise @ _blur().T
    curves = np.where(curves != 0, curves, blurred) + _POINT_NOISE * drawn.point_noise
    curves -= _SHEAR * drawn.shear[:, None] * np.linspace(-0.5, 0.5, _STRETCHED)
    return np.stack([_resampled(curve, LENGTH) for curve in curves])


def _shapes() -> Float[np.ndarray, "label 12"]:
    shapes = np.array(_TEMPLATES, dtype=np.float64)
    shapes -= shapes.mean(axis=1, keepdims=True)
    shapes /= shapes.std(axis=1, keepdims=True)
    return (shapes - shapes[:, :1]) / 6


def _dilated(shape: Float[np.ndarray, 12], padding: int) -> Float[np.ndarray, " point"]:
    """Return a digit's curve followed by so many zeros; no point of its own is 0, which marks where noise replaces it."""
    return _resampled(np.append(shape + 1e-8, np.zeros(padding)), _STRETCHED)


def _resampled(curve: Float[np.ndarray, " before"], length: int) -> Float[np.ndarray, " after"]:
    return np.interp(np.linspace(0, 1, length), np.linspace(0, 1, len(curve)), curve)


def _blur() -> Float[np.ndarray, "point point"]:
    """Return the matrix that convolves with a Gaussian of standard deviation 2, mirrored at the ends."""
    reach = int(4 * _BLUR)
    kernel = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / _BLUR))
    padded = np.pad(np.eye(_STRETCHED), ((0, 0), (reach, reach)), mode="symmetric")
    return np.stack([np.convolve(each, kernel / kernel.sum(), mode="valid") for each in padded], axis=1)
