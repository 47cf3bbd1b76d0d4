"""Optimizers whose runs are evaluated at averaged parameters, not where the gradient is taken."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import optax
from jaxtyping import Array, PyTree

from lrbench.optimizers._wrap import base_of
from lrbench.study.requires import evaluated_at


@evaluated_at(optax.contrib.schedule_free_eval_params)
def schedule_free_sgd(
    learning_rate: float, *, b1: float = 0.9, weight_decay: float = 0.0, weight_lr_power: float = 2.0
) -> optax.GradientTransformation:
    """Gradient descent that averages its iterates instead of using a decaying schedule; runs are evaluated at the average x.

    Formula: y = (1−β)z + βx;  z ← z − η·(∇ℓ(y) + λy);  x ← (1−c)x + c·z, c = η^p / Σ η^p with the largest η so far

    Args:
        b1: β, the share of the average in the point where the gradient is taken; above 0.
        weight_decay: λ, the strength of the weight decay, multiplied by the learning rate.
        weight_lr_power: p, how the weight of a step in the average depends on its rate.

    Source: Defazio et al., arXiv:2405.15682; optax.contrib.schedule_free_sgd.
    """
    return optax.contrib.schedule_free_sgd(
        learning_rate, b1=b1, weight_decay=weight_decay, weight_lr_power=weight_lr_power
    )


@evaluated_at(optax.contrib.schedule_free_eval_params)
def schedule_free_adamw(
    learning_rate: float,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    weight_lr_power: float = 2.0,
) -> optax.GradientTransformation:
    """AdamW that averages its iterates instead of using a decaying schedule; runs are evaluated at the average x.

    Formula: as schedule_free_sgd, with z ← z − η·(g / (√v̂ + ε) + λy)

    Args:
        b1: β₁, the share of the average in the point where the gradient is taken; above 0.
        b2: β₂, decay of the running mean of squared gradients.
        eps: ε, added to the root to avoid division by zero.
        weight_decay: λ, the strength of the weight decay, multiplied by the learning rate.
        weight_lr_power: p, how the weight of a step in the average depends on its rate.

    Source: Defazio et al., arXiv:2405.15682; optax.contrib.schedule_free_adamw.
    """
    return optax.contrib.schedule_free_adamw(
        learning_rate, b1=b1, b2=b2, eps=eps, weight_decay=weight_decay, weight_lr_power=weight_lr_power
    )


class _Lookahead(NamedTuple):
    inner: Any
    slow: PyTree[Array]


@evaluated_at(lambda state, params: state.slow)
def lookahead(
    learning_rate: float, *, slow_step_size: float = 0.5, sync_period: int = 5, base: str = "sgd"
) -> optax.GradientTransformation:
    """Lookahead: slow weights that periodically move towards another optimizer's weights; runs are evaluated at the slow ones.

    Formula: every k steps: s ← s + a·(w − s), w ← s; in between, w is updated by the base optimizer

    Args:
        slow_step_size: a, the fraction of the distance that the slow weights move.
        sync_period: k, steps of the base optimizer between two updates of the slow weights.
        base: name of the base optimizer, which has its defaults.

    Source: Zhang et al., arXiv:1907.08610; optax.lookahead.
    """
    inner = optax.lookahead(base_of(base)(learning_rate), sync_period, slow_step_size)

    def both(params: Any, slow: Any) -> optax.LookaheadParams:
        return optax.LookaheadParams(fast=params, slow=slow)

    def init(params: Any) -> _Lookahead:
        return _Lookahead(inner.init(both(params, params)), params)

    def update(gradient: Any, state: _Lookahead, params: Any = None) -> tuple[Any, _Lookahead]:
        step, after = inner.update(gradient, state.inner, both(params, state.slow))
        return step.fast, _Lookahead(after, jax.tree.map(lambda w, u: w + u, state.slow, step.slow))

    return optax.GradientTransformation(init, update)
