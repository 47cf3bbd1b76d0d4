"""Gradient descent: plain, with momentum, optimistic, and by the sign of the gradient."""

from __future__ import annotations

import optax


def sgd(
    learning_rate: float, *, momentum: float = 0.0, nesterov: bool = False
) -> optax.GradientTransformation:
    """Stochastic gradient descent, with heavy-ball or Nesterov momentum.

    Formula: m ← β·m + g;  w ← w − η·m   (Nesterov: w ← w − η·(g + β·m))

    Args:
        momentum: β, the weight of the previous update direction; 0 is plain gradient descent.
        nesterov: use Nesterov momentum.

    Source: optax.sgd; equals torch.optim.SGD with dampening = 0; its weight_decay is added to the gradient.
    """
    return optax.sgd(learning_rate, momentum, nesterov)


def optimistic_gradient_descent(
    learning_rate: float, *, alpha: float = 1.0, beta: float = 1.0
) -> optax.GradientTransformation:
    """Optimistic gradient descent: extrapolates the gradient by adding its last change.

    Formula: w ← w − η·((α + β)·g − β·g₋), g₋ the gradient of the step before

    Args:
        alpha: α, weight of the gradient.
        beta: β, weight of the gradient's change.

    Source: Mokhtari, Ozdaglar & Pattathil, arXiv:1901.08511; optax.optimistic_gradient_descent.
    """
    return optax.optimistic_gradient_descent(learning_rate, alpha, beta)


def sign_sgd(learning_rate: float) -> optax.GradientTransformation:
    """Sign descent: every weight moves by exactly the learning rate, in the direction of its gradient's sign.

    Formula: w ← w − η·sign(g)

    Source: Bernstein et al., arXiv:1802.04434; optax.sign_sgd.
    """
    return optax.sign_sgd(learning_rate)


def signum(learning_rate: float, *, beta: float = 0.9) -> optax.GradientTransformation:
    """Sign descent with momentum: the sign of a running mean of gradients.

    Formula: m ← βm + (1−β)g;  w ← w − η·sign(m)

    Args:
        beta: β, decay of the running mean.

    Source: Bernstein et al., arXiv:1802.04434; optax.signum.
    """
    return optax.signum(learning_rate, beta)


def lion(
    learning_rate: float, *, b1: float = 0.9, b2: float = 0.99, weight_decay: float = 0.0
) -> optax.GradientTransformation:
    """Lion: the sign of an interpolated momentum, so that every weight moves by exactly the learning rate.

    Formula: w ← w − η·(sign(β₁m + (1−β₁)g) + λw);  m ← β₂m + (1−β₂)g

    Args:
        b1: β₁, the weight of the momentum in the direction of the step.
        b2: β₂, decay of the momentum.
        weight_decay: λ, the strength of the weight decay, multiplied by the learning rate (optax's default is 0.001).

    Source: Chen et al., arXiv:2302.06675; optax.lion.
    """
    return optax.lion(learning_rate, b1, b2, weight_decay=weight_decay)


def rprop(
    learning_rate: float,
    *,
    eta_minus: float = 0.5,
    eta_plus: float = 1.2,
    min_step_size: float = 1e-6,
    max_step_size: float = 50.0,
) -> optax.GradientTransformation:
    """Resilient propagation: every weight has its own step size, which grows until the sign of its gradient changes.

    The learning rate is the initial step size of all weights, so that a schedule has no effect. It is meant for full-batch
    gradients: the noise of minibatches changes signs.

    Formula: s ← clip(s·η₊) if the sign is that of the last step, clip(s·η₋) if it changed;  w ← w − s·sign(g), but no
        step where it changed;  s = η initially

    Args:
        eta_minus: η₋, factor of the step size when the sign changes.
        eta_plus: η₊, factor of the step size while the sign is the same.
        min_step_size: the smallest step size.
        max_step_size: the largest step size.

    Source: Riedmiller & Braun, IEEE International Conference on Neural Networks (1993); optax.rprop.
    """
    return optax.rprop(learning_rate, eta_minus, eta_plus, min_step_size, max_step_size)
