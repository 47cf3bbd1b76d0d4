"""Problems whose gradient is late, coarse, rotated, rarely informative, or of an objective that moves.

Where nothing else is said, the objective is the bowl ½ Σ λᵢ wᵢ² of ten coordinates, λ log-spaced in [0.1, 1], and runs start from N(0, 1).
What depends on earlier steps is a state of the model, which optimizers do not see.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from lrbench.errors import ProblemError
from lrbench.nets.layers import Params, positive
from lrbench.problems._faults import bowl, faulty_bowl, not_negative, shown, spectrum, start
from lrbench.problems._problem import Batch, Model, Problem

_BEYOND = 2.0
"""The slope of the walls of `rare_gradients`, by the slope between them."""
_RARE_SLOPE = 0.05
"""The mean slope of `rare_gradients`: 0.01 above the minimum is a fifth from it, an amplitude that a long memory can keep to."""


def delayed_gradient(*, delay: int = 10) -> Problem:
    """A bowl whose gradient is that of the parameters some steps ago, as with asynchronous workers.

    Formula: loss = ½ Σ λᵢ wᵢ²;  the optimizer sees λᵢ wᵢ of d steps earlier, at first of the start;  minimum 0.  Gradient descent
        converges iff η < 2 sin(π / (4d + 2))

    Args:
        delay: d, in steps; 0 is none.

    Source: Arjevani, Shamir & Srebro, A tight convergence analysis for SGD with delayed updates, arXiv:1806.10188.
    """
    not_negative(delay=delay)

    def init(key: Array) -> Model:
        params = start(key)
        return params, jnp.tile(params, (delay, 1))

    def loss(model: Model, batch: Batch, key: Array) -> tuple[Array, Array]:
        del batch, key
        params, earlier = model
        known = jnp.concatenate([lax.stop_gradient(params)[None], earlier])
        seen = shown(bowl(params), params, spectrum() * params, spectrum() * known[-1])
        return seen, known[:-1]

    def evaluate(model: Model, batch: Batch, key: Array) -> Array:
        del batch, key
        return bowl(model[0])

    return Problem("delayed_gradient", init, loss, optimum=0.0, evaluate=evaluate, stateful=True)


def quantised_gradient(*, spacing: float = 0.1) -> Problem:
    """A bowl whose gradient is rounded to multiples of a number, as in low precision: below half of it, the gradient is 0.

    Formula: loss = ½ Σ λᵢ wᵢ²;  the optimizer sees q · round(λᵢ wᵢ / q);  minimum 0.  A run that creeps up to where the
        gradient vanishes ends at Σ q² / 8λᵢ

    Args:
        spacing: q, the distance of two values that the gradient may have.

    Source: Gupta et al., Deep learning with limited numerical precision, arXiv:1502.02551.
    """
    _above_zero(spacing=spacing)
    return faulty_bowl("quantised_gradient", lambda gradient, key: spacing * jnp.round(gradient / spacing))


def quantised_weights(*, spacing: float = 0.2) -> Problem:
    """Weights that are rounded before use, trained with a straight-through gradient: unless the rate is small, they never settle.

    Formula: loss = ½ Σ λᵢ ((vᵢ − cᵢ)² − (0.3q)²), v = q · round(w / q), cᵢ = 0.3q, so that 0 is the nearest multiple of q;  the
        optimizer sees λᵢ (vᵢ − cᵢ);  minimum 0 at v = 0

    Args:
        spacing: q, the distance of two values that a weight may have.

    Source: Bengio, Léonard & Courville, Estimating or propagating gradients through stochastic neurons, arXiv:1308.3432.
    """
    _above_zero(spacing=spacing)
    target = 0.3 * spacing

    def loss(params: Params, batch: Batch, key: Array) -> Array:
        del batch, key
        rounded = spacing * jnp.round(params / spacing)
        through = params + lax.stop_gradient(rounded - params)
        return bowl(through - target) - bowl(jnp.full_like(params, target))

    return Problem("quantised_weights", start, loss, optimum=0.0)


def drifting_optimum(*, period: float = 500.0) -> Problem:
    """A bowl whose minimum moves in a circle: an optimizer whose steps shrink loses it.

    Formula: loss = ½ ‖w − c‖² of two coordinates, c = (cos 2πt/T, sin 2πt/T) at step t;  minimum 0;  start from N(0, 1).
        Gradient descent follows at a distance of about 2π / Tη

    Args:
        period: T, the steps of a full circle.

    Source: Besbes, Gur & Zeevi, Non-stationary stochastic optimization, Operations Research 63 (2015).
    """
    _above_zero(period=period)

    def init(key: Array) -> Model:
        params = jax.random.normal(key, (2,))
        return params, jnp.zeros((), params.dtype)

    def evaluate(model: Model, batch: Batch, key: Array) -> Array:
        del batch, key
        params, step = model
        angle = 2 * np.pi * step / period
        return 0.5 * jnp.sum(jnp.square(params - jnp.stack([jnp.cos(angle), jnp.sin(angle)])))

    def loss(model: Model, batch: Batch, key: Array) -> tuple[Array, Array]:
        return evaluate(model, batch, key), model[1] + 1

    return Problem("drifting_optimum", init, loss, optimum=0.0, evaluate=evaluate, stateful=True)


def rare_gradients(*, period: int = 47, size: float = 70.0) -> Problem:
    """A slope whose gradient points the wrong way at most steps, and rarely the right way with more weight: Adam's counterexample.

    Formula: loss = 0.05 · (1 + x) for −1 ≤ x ≤ 1, with walls outside;  the optimizer sees `size` · s at one step of every `period`, and
        −s at all others, s such that their mean is the slope;  minimum 0 at −1;  start in [0, 1].  An optimizer that follows signs, or divides
        by a short memory of the gradient's size, is carried to the other end

    Args:
        period: steps from one large gradient to the next.
        size: of the large gradient by the small ones; above period − 1, so that it outweighs them.

    Source: Reddi, Kale & Kumar, On the convergence of Adam and beyond, arXiv:1904.09237, section 3.
    """
    positive(period=period)
    if size <= period - 1:
        raise ProblemError(f"size = {size}: must be above period − 1 = {period - 1}, or the minimum is at 1")
    small = _RARE_SLOPE * period / (size - (period - 1))

    def init(key: Array) -> Model:
        place, phase = jax.random.split(key)
        params = jax.random.uniform(place, (1,))
        return params, jax.random.randint(phase, (), 0, period).astype(params.dtype)

    def evaluate(model: Model, batch: Batch, key: Array) -> Array:
        del batch, key
        x = model[0][0]
        inside, left, right = jnp.clip(x, -1, 1), jnp.maximum(-1 - x, 0), jnp.maximum(x - 1, 0)
        return _RARE_SLOPE * (1 + inside + _BEYOND * (left + right))

    def loss(model: Model, batch: Batch, key: Array) -> tuple[Array, Array]:
        params, step = model
        value = evaluate(model, batch, key)
        seen = jnp.where(step == 0, size * small, -small)
        return shown(value, params, jnp.full_like(params, _RARE_SLOPE), seen), (step + 1) % period

    return Problem("rare_gradients", init, loss, optimum=0.0, evaluate=evaluate, stateful=True)


def rotated_gradient(*, degrees: float = 85.0) -> Problem:
    """A bowl whose gradient is rotated, as in a game of two players: runs circle the minimum, and momentum carries them away.

    Formula: loss = ½ ‖w‖² of two coordinates;  the optimizer sees w turned by an angle θ;  minimum 0;  start from N(0, 1).  Gradient
        descent converges iff η < 2 cos θ

    Args:
        degrees: θ, from 0 to 90.

    Source: Mescheder, Nowozin & Geiger, The numerics of GANs, arXiv:1705.10461.
    """
    if not 0 <= degrees <= 90:
        raise ProblemError(f"degrees = {degrees}: must be from 0 to 90")
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))

    def init(key: Array) -> Params:
        return jax.random.normal(key, (2,))

    def evaluate(params: Params, batch: Batch, key: Array) -> Array:
        del batch, key
        return 0.5 * jnp.sum(jnp.square(params))

    def loss(params: Params, batch: Batch, key: Array) -> Array:
        turned = cosine * params + sine * jnp.stack([-params[1], params[0]])
        return shown(evaluate(params, batch, key), params, params, turned)

    return Problem("rotated_gradient", init, loss, optimum=0.0, evaluate=evaluate)


def _above_zero(**given: float) -> None:
    for name, value in given.items():
        if value <= 0:
            raise ProblemError(f"{name} = {value}: must be positive")
