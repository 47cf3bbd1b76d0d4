"""Optimizers: each takes the learning rate of a step and returns an optax `GradientTransformation`.

The engine builds the optimizer inside the traced step from that step's rate, so that every rate, schedule and numeric
hyper-parameter shares one compiled program. A `float` parameter is a lane (an axis of the grid costs no new program);
any other type is structure (each value is a program of its own).
"""

import optax


def sgd(
    learning_rate: float, *, momentum: float = 0.0, nesterov: bool = False
) -> optax.GradientTransformation:
    """Stochastic gradient descent, with heavy-ball or Nesterov momentum.

    Formula: m ← β·m + g;  w ← w − η·m   (Nesterov: w ← w − η·(g + β·m))

    Args:
        momentum: β, the share of the last update direction that is kept; 0 is plain gradient descent.
        nesterov: look ahead along the momentum before taking the gradient.

    Source: optax.sgd; equals torch.optim.SGD with dampening = 0.
    """
    return optax.sgd(learning_rate, momentum, nesterov)


def adam(
    learning_rate: float, *, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, nesterov: bool = False
) -> optax.GradientTransformation:
    """Adam: steps scaled by running means of the gradient and of its square.

    Formula: m ← β₁m + (1−β₁)g;  v ← β₂v + (1−β₂)g²;  w ← w − η·m̂ / (√v̂ + ε), hats are bias-corrected

    Args:
        b1: β₁, decay of the running mean of gradients.
        b2: β₂, decay of the running mean of squared gradients.
        eps: ε, added to the root so that it is never zero.
        nesterov: use the Nesterov form of the first moment.

    Source: Kingma & Ba, arXiv:1412.6980; optax.adam; equals torch.optim.Adam.
    """
    return optax.adam(learning_rate, b1, b2, eps, nesterov=nesterov)


def adamw(
    learning_rate: float,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.01,
    nesterov: bool = False,
) -> optax.GradientTransformation:
    """Adam with weight decay that is apart from the gradient.

    Formula: as adam, then w ← w − η·λ·w

    Args:
        b1: β₁, decay of the running mean of gradients.
        b2: β₂, decay of the running mean of squared gradients.
        eps: ε, added to the root so that it is never zero.
        weight_decay: λ, the pull of every weight towards zero, times the learning rate. The default is PyTorch's.
        nesterov: use the Nesterov form of the first moment.

    Source: Loshchilov & Hutter, arXiv:1711.05101; optax.adamw; equals torch.optim.AdamW.
    """
    return optax.adamw(learning_rate, b1, b2, eps, weight_decay=weight_decay, nesterov=nesterov)


def rmsprop(
    learning_rate: float,
    *,
    decay: float = 0.9,
    eps: float = 1e-8,
    momentum: float = 0.0,
    centered: bool = False,
    nesterov: bool = False,
) -> optax.GradientTransformation:
    """RMSProp: the gradient over the root of a running mean of its square.

    Formula: v ← γv + (1−γ)g²;  m ← β·m + g/√(v + ε);  w ← w − η·m

    Args:
        decay: γ, decay of the running mean of squared gradients (PyTorch's alpha, there 0.99).
        eps: ε; optax adds it inside the root, PyTorch outside.
        momentum: β, heavy-ball momentum on the scaled gradient.
        centered: divide by the variance rather than by the second moment.
        nesterov: Nesterov form of that momentum.

    Source: Hinton, lecture 6e of Neural Networks for Machine Learning, 2012; optax.rmsprop.
    """
    return optax.rmsprop(learning_rate, decay, eps, centered=centered, momentum=momentum, nesterov=nesterov)


def adagrad(
    learning_rate: float, *, initial_accumulator: float = 0.1, eps: float = 1e-7
) -> optax.GradientTransformation:
    """AdaGrad: the gradient over the root of the sum of all squared gradients so far.

    Formula: s ← s + g²;  w ← w − η·g/√(s + ε)

    Args:
        initial_accumulator: what s starts from (PyTorch: 0).
        eps: ε, inside the root (PyTorch: outside, 1e-10).

    Source: Duchi, Hazan & Singer, JMLR 12 (2011); optax.adagrad.
    """
    return optax.adagrad(learning_rate, initial_accumulator, eps)


def lion(
    learning_rate: float, *, b1: float = 0.9, b2: float = 0.99, weight_decay: float = 0.0
) -> optax.GradientTransformation:
    """Lion: the sign of an interpolated momentum, so that every weight moves by exactly the rate.

    Formula: w ← w − η·(sign(β₁m + (1−β₁)g) + λw);  m ← β₂m + (1−β₂)g

    Args:
        b1: β₁, the share of momentum in the direction of the step.
        b2: β₂, decay of the momentum.
        weight_decay: λ, the pull of every weight towards zero, times the learning rate.

    Source: Chen et al., arXiv:2302.06675; optax.lion.
    """
    return optax.lion(learning_rate, b1, b2, weight_decay=weight_decay)
