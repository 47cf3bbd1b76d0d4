"""Objectives of two coordinates: loss surfaces that can be plotted, with known optima.

Runs start at a point that each seed draws uniformly from a box; plots show the same box.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from lrbench.errors import ProblemError
from lrbench.nets.layers import Params
from lrbench.problems._problem import Batch, Box, Problem
from lrbench.study.catalog import history


@history(added=("start",))
def rosenbrock(*, steepness: float = 100.0, start: tuple[float, ...] = ()) -> Problem:
    """A narrow curved valley: easy to reach, slow to follow to its minimum.

    Formula: loss = (1 − w₁)² + b (w₂ − w₁²)²;  minimum 0 at (1, 1);  start in [−2, 2] × [−1, 3]

    Args:
        steepness: b, the steepness of the valley's walls.
        start: w, where the runs of every seed start; left empty, each seed draws its own point of the box.

    Source: Rosenbrock, The Computer Journal 3 (1960).
    """
    if steepness <= 0:
        raise ProblemError(f"steepness = {steepness}: must be positive")
    if len(start) not in (0, 2):
        raise ProblemError(f"start = {list(start)}: must have two coordinates, or be empty")

    def height(x: Array, y: Array) -> Array:
        return jnp.square(1 - x) + steepness * jnp.square(y - jnp.square(x))

    first = ((start[0], start[0]), (start[1], start[1])) if start else None
    return _surface("rosenbrock", height, ((-2.0, 2.0), (-1.0, 3.0)), 0.0, first)


def beale() -> Problem:
    """A surface that is flat nearly everywhere, with steep walls at the corners.

    Formula: loss = (1.5 − w₁ + w₁w₂)² + (2.25 − w₁ + w₁w₂²)² + (2.625 − w₁ + w₁w₂³)²;  minimum 0 at (3, 0.5);
        start in [−4, 4] × [−2, 2]

    Source: Beale, On an iterative method for finding a local minimum (1958).
    """

    def height(x: Array, y: Array) -> Array:
        ends = ((1.5, 1), (2.25, 2), (2.625, 3))
        return sum((jnp.square(end - x + x * y**power) for end, power in ends), jnp.zeros(()))

    return _surface("beale", height, ((-4.0, 4.0), (-2.0, 2.0)), 0.0)


def branin() -> Problem:
    """A surface with three minima of equal depth.

    Formula: loss = (w₂ − 5.1 w₁² / 4π² + 5 w₁ / π − 6)² + 10 (1 − 1/8π) cos w₁ + 10;  minimum 5/4π ≈ 0.397887 at
        (−π, 12.275), (π, 2.275) and (3π, 2.475);  start in [−5, 10] × [0, 15]

    Source: Branin, IBM Journal of Research and Development 16 (1972).
    """

    def height(x: Array, y: Array) -> Array:
        valley = y - 5.1 / (4 * np.pi**2) * jnp.square(x) + 5 / np.pi * x - 6
        return jnp.square(valley) + 10 * (1 - 1 / (8 * np.pi)) * jnp.cos(x) + 10

    return _surface("branin", height, ((-5.0, 10.0), (0.0, 15.0)), 5 / (4 * np.pi))


def rastrigin(*, amplitude: float = 10.0) -> Problem:
    """A bowl with many local minima, one near every point with integer coordinates.

    Formula: loss = 2A + Σᵢ (wᵢ² − A cos 2πwᵢ);  minimum 0 at (0, 0);  start in [−3, 3] × [−3, 3]

    Args:
        amplitude: A, the depth of the local minima.

    Source: Rastrigin, Systems of Extremal Control (1974).
    """
    if amplitude < 0:
        raise ProblemError(f"amplitude = {amplitude}: must be 0 or more")

    def height(x: Array, y: Array) -> Array:
        waves = jnp.cos(2 * np.pi * x) + jnp.cos(2 * np.pi * y)
        return 2 * amplitude + jnp.square(x) + jnp.square(y) - amplitude * waves

    return _surface("rastrigin", height, ((-3.0, 3.0), (-3.0, 3.0)), 0.0)


@history(added=("well",))
def double_well(*, tilt: float = 0.3, well: Literal["either", "deeper", "shallower"] = "either") -> Problem:
    """Two wells, one deeper than the other: a local optimum in which runs get stuck.

    Formula: loss = w₁⁴ − 2 w₁² + t w₁ + w₂² + c;  c makes the minimum of the deeper well 0; the other one is about 2t
        higher;  start in [−2, 2] × [−2, 2]

    Args:
        tilt: t, how much deeper the well at w₁ ≈ −1 is; above 1.54 there is only one well.
        well: the one that runs start in, on its side of the ridge at w₁ ≈ t/4, within the box.

    Source: the normal form of the cusp, Strogatz, Nonlinear Dynamics and Chaos (1994).
    """
    if tilt < 0:
        raise ProblemError(f"tilt = {tilt}: must be 0 or more")
    roots = np.roots([4.0, 0.0, -4.0, tilt])
    flat = np.sort(roots[np.abs(roots.imag) < 1e-9].real)
    bottom = min(x**4 - 2 * x**2 + tilt * x for x in flat)
    if well != "either" and len(flat) < 3:
        raise ProblemError(
            f"well = {well!r}: there is only one with tilt = {tilt}; lower it, or leave well out"
        )

    def height(x: Array, y: Array) -> Array:
        return x**4 - 2 * jnp.square(x) + tilt * x + jnp.square(y) - bottom

    box = (-2.0, 2.0), (-2.0, 2.0)
    sides = {"deeper": (-2.0, float(flat[1])), "shallower": (float(flat[1]), 2.0)} if len(flat) == 3 else {}
    return _surface("double_well", height, box, 0.0, (sides.get(well, box[0]), box[1]))


def styblinski_tang() -> Problem:
    """Four wells of different depths.

    Formula: loss = ½ Σᵢ (wᵢ⁴ − 16 wᵢ² + 5 wᵢ);  minimum −78.33233 at (−2.903534, −2.903534);  start in [−5, 5] × [−5, 5]

    Source: Styblinski & Tang, Neural Networks 3 (1990).
    """

    def height(x: Array, y: Array) -> Array:
        return sum((0.5 * (w**4 - 16 * jnp.square(w) + 5 * w) for w in (x, y)), jnp.zeros(()))

    return _surface("styblinski_tang", height, ((-5.0, 5.0), (-5.0, 5.0)), -78.33233140754282)


def _surface(
    name: str, height: Callable[[Array, Array], Array], box: Box, optimum: float, start: Box | None = None
) -> Problem:
    """Return a surface whose runs start in the box, or in a part of it."""
    low, high = np.array(start or box).T

    def init(key: Array) -> Params:
        return jax.random.uniform(key, (2,), minval=jnp.asarray(low), maxval=jnp.asarray(high))

    def loss(params: Params, batch: Batch, key: Array) -> Array:
        del batch, key
        return height(params[0], params[1])

    return Problem(name, init, loss, optimum=optimum, box=box)
