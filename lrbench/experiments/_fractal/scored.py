"""The problem `fractal` with a score of each run: one number made of the losses of all of its steps."""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from lrbench.datasets.data import Data
from lrbench.problems import Batch, Params, Problem
from lrbench.problems.fractal import fractal
from lrbench.study.metric import Metric

LIMIT = 1e6
"""What a loss that is not finite counts as, and the largest loss relative to the first one."""
LATE = 20
"""A run has converged if the mean of so many last relative losses is below 1."""
_STEEPEST = {jnp.dtype("float32"): 1e11, jnp.dtype("float64"): 1e130}
"""After a gradient with an element above this, losses count as not finite: at rates up to 10⁶ the weights, and their norm, are finite until then,
so that the run can be reported."""


class Losses(NamedTuple):
    """What is kept of the losses of a run.

    Args:
        step: how many losses are in it; below 0 while there are steps to skip.
        first: the first loss.
        total: Σv of the relative losses v.
        inverse: Σ1/v.
        late: Σv of the last steps.
        ended: the step of the first loss that was not finite, −1 while there is none.
    """

    step: Int[Array, ""]
    first: Float[Array, ""]
    total: Float[Array, ""]
    inverse: Float[Array, ""]
    late: Float[Array, ""]
    ended: Int[Array, ""]


def scored(
    *,
    activation: Literal["tanh", "relu", "identity"] = "tanh",
    samples: int = 272,
    batch_size: int = 0,
    steps: int = 500,
    every: int = 50,
    skip: int = 0,
) -> Problem:
    """Two layers on random data, with the score of a run as its metric.

    A run whose loss is not finite keeps its weights until the next evaluation has reported it; its loss is NaN after that, so that its lane is free.

    Args:
        activation: of the hidden units.
        samples: examples.
        batch_size: examples in a minibatch; 0 means all. The score is of the loss on all examples in any case.
        steps: of which the losses are scored.
        every: steps between two evaluations of the study.
        skip: steps before those that are scored.

    Source: Sohl-Dickstein, arXiv:2402.06184, and its notebook.
    """
    plain = fractal(activation=activation, samples=samples, batch_size=batch_size)

    def init(key: Array) -> tuple[Params, Losses]:
        zero, none = jnp.zeros(()), jnp.int32(-1)
        return plain.init(key), Losses(jnp.int32(-skip), zero, zero, zero, zero, none)

    def loss(model: tuple[Params, Losses], batch: Batch, key: Array) -> tuple[Array, Losses]:
        params, before = model
        value, gradient = jax.value_and_grad(plain.loss)(params, batch, key)
        whole = plain.loss(params, _as_arrays(plain.data.train), key) if batch_size else value
        steepest = jnp.stack([jnp.abs(leaf).max() for leaf in jax.tree.leaves(gradient)]).max()
        after = _followed(before, whole, steepest <= _STEEPEST[whole.dtype], steps)
        going = after.ended < 0
        reported = (before.ended >= 0) & (
            (before.step + skip) >= ((before.ended + skip) // every + 1) * every
        )
        shown = jnp.where(reported, jnp.nan, jnp.where(jnp.isfinite(value), value, LIMIT))
        return _with_gradient(shown, params, _where(going, gradient)), after

    def evaluate(model: tuple[Params, Losses], batch: Batch, key: Array) -> Array:
        value = plain.loss(model[0], batch, key)
        return jnp.where(value < LIMIT, value, LIMIT)

    return Problem(
        "fractal_scored",
        init,
        loss,
        Data(plain.data.train, plain.data.train),
        lambda model, batch: score(model[1], steps),
        metrics={"score": Metric(lambda predictions, batch: predictions)},
        batch_size=plain.batch_size,
        rates=plain.rates,
        evaluate=evaluate,
        stateful=True,
    )


def score(losses: Losses, steps: int) -> Float[Array, ""]:
    """Return the score of a run: −Σv if it has converged, else Σ1/v; losses that are yet to come count as not finite."""
    rest = steps - jnp.maximum(losses.step, 0)
    worst = jnp.minimum(LIMIT / jnp.where(losses.first > 0, losses.first, 1.0), LIMIT)
    late = min(LATE, steps)
    mean = (losses.late + jnp.minimum(rest, late) * worst) / late
    return jnp.where(mean < 1, -(losses.total + rest * worst), losses.inverse + rest / worst)


def _followed(losses: Losses, value: Array, goes_on: Array, steps: int) -> Losses:
    """Return losses with one more, `value`; `goes_on` tells whether its gradient can be followed."""
    step = losses.step
    ended = jnp.where(jnp.isfinite(value), jnp.where(goes_on, -1, step + 1), step)
    ended = jnp.where(losses.ended >= 0, losses.ended, ended)
    seen = jnp.where(jnp.isfinite(value) & (losses.ended < 0), value, LIMIT)
    first = jnp.where(step == 0, seen, losses.first)
    relative = jnp.minimum(seen / jnp.where(first > 0, first, 1.0), LIMIT)
    counts = (step >= 0).astype(value.dtype)
    late = counts * (step >= steps - LATE)
    return Losses(
        step + 1,
        first,
        losses.total + counts * relative,
        losses.inverse + counts / relative,
        losses.late + late * relative,
        jnp.where(step >= 0, ended, -1),
    )


def _with_gradient(value: Array, params: Params, gradient: Params) -> Array:
    """Return a value whose gradient is what is given, although it was computed already."""
    parts = jax.tree.map(lambda g, w: jnp.vdot(g, w - jax.lax.stop_gradient(w)), gradient, params)
    return jax.lax.stop_gradient(value) + sum(jax.tree.leaves(parts))


def _where(going: Array, gradient: Params) -> Params:
    """Return the gradient of a run that goes on, and no gradient of one that has ended."""
    return jax.tree.map(lambda leaf: jax.lax.stop_gradient(jnp.where(going, leaf, 0)), gradient)


def _as_arrays(batch: Batch) -> Batch:
    return jax.tree.map(jnp.asarray, batch)
