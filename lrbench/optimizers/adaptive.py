"""Steps scaled by sums or running means of squared gradients: AdaGrad, RMSProp, Adadelta and their variants."""

from __future__ import annotations

import optax


def adagrad(
    learning_rate: float, *, initial_accumulator: float = 0.1, eps: float = 1e-7
) -> optax.GradientTransformation:
    """AdaGrad: the gradient divided by the root of the sum of all squared gradients so far.

    Formula: s ← s + g²;  w ← w − η·g/√(s + ε)

    Args:
        initial_accumulator: the initial value of s (PyTorch: 0).
        eps: ε, inside the root (PyTorch: outside, 1e-10).

    Source: Duchi, Hazan & Singer, JMLR 12 (2011); optax.adagrad; equals torch.optim.Adagrad with an initial
        accumulator and ε of 0 in both.
    """
    return optax.adagrad(learning_rate, initial_accumulator, eps)


def rmsprop(
    learning_rate: float,
    *,
    decay: float = 0.9,
    eps: float = 1e-8,
    momentum: float = 0.0,
    eps_in_sqrt: bool = True,
    centered: bool = False,
    nesterov: bool = False,
) -> optax.GradientTransformation:
    """RMSProp: the gradient divided by the root of a running mean of its square.

    Formula: v ← γv + (1−γ)g²;  m ← β·m + η·g/√(v + ε);  w ← w − m

    Args:
        decay: γ, decay of the running mean of squared gradients (PyTorch's alpha, there 0.99).
        eps: ε, added inside the root or to the root.
        momentum: β, heavy-ball momentum on the scaled gradient.
        eps_in_sqrt: add ε inside the root, as optax does; if false, to the root, as PyTorch does.
        centered: divide by the variance rather than by the second moment.
        nesterov: use the Nesterov form of the momentum.

    Source: Hinton, lecture 6e of Neural Networks for Machine Learning, 2012; optax.rmsprop; equals torch.optim.RMSprop
        with decay = 0.99 and without eps_in_sqrt. With a schedule and momentum, PyTorch multiplies m by the rate, this
        optimizer the gradient.
    """
    return optax.rmsprop(
        learning_rate,
        decay,
        eps,
        eps_in_sqrt=eps_in_sqrt,
        centered=centered,
        momentum=momentum,
        nesterov=nesterov,
    )


def adadelta(
    learning_rate: float, *, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0.0
) -> optax.GradientTransformation:
    """Adadelta: gradients scaled by the ratio of the root mean squares of past steps and of gradients.

    Formula: v ← ρv + (1−ρ)g²;  d = g·√(x + ε)/√(v + ε);  x ← ρx + (1−ρ)d²;  w ← w − η·d

    Args:
        rho: ρ, decay of both running means.
        eps: ε, added inside both roots; it determines the first steps.
        weight_decay: λ, added to the gradient as λ·w, as PyTorch does.

    Source: Zeiler, arXiv:1212.5701, where η = 1; optax.adadelta; equals torch.optim.Adadelta.
    """
    return optax.adadelta(learning_rate, rho, eps, weight_decay)


def adafactor(
    learning_rate: float,
    *,
    decay_rate: float = 0.8,
    clipping_threshold: float = 1.0,
    eps: float = 1e-30,
    min_dim_size_to_factor: int = 128,
    multiply_by_parameter_scale: bool = True,
) -> optax.GradientTransformation:
    """Adafactor: second moments of large matrices factored into row and column sums, with steps relative to the weights.

    Formula: v as in rmsprop with a decay of 1 − t^−κ;  u = g/√v;  u ← u / max(1, RMS(u)/c);  w ← w − η·max(RMS(w), 10⁻³)·u

    Args:
        decay_rate: κ, how fast the averaging window of v grows.
        clipping_threshold: c, largest root mean square of a parameter's scaled gradient.
        eps: added to squared gradients.
        min_dim_size_to_factor: the second moment of an array is factored if its second-largest side is at least this.
        multiply_by_parameter_scale: make steps relative to the root mean square of the parameter.

    Source: Shazeer & Stern, arXiv:1804.04235; optax.adafactor.
    """
    return optax.adafactor(
        learning_rate,
        min_dim_size_to_factor,
        decay_rate,
        multiply_by_parameter_scale=multiply_by_parameter_scale,
        clipping_threshold=clipping_threshold,
        eps=eps,
    )


def sm3(learning_rate: float, *, momentum: float = 0.9) -> optax.GradientTransformation:
    """AdaGrad that stores only one sum per row and per column of a matrix, and uses the smaller of the two.

    Formula: s = min(row, column) + g²;  row, column ← the largest s in each;  m ← βm + (1−β)g/√s;  w ← w − η·m

    Args:
        momentum: β, decay of the running mean of scaled gradients.

    Source: Anil et al., arXiv:1901.11150; optax.sm3.
    """
    return optax.sm3(learning_rate, momentum)


def madgrad(
    learning_rate: float, *, momentum: float = 0.9, weight_decay: float = 0.0, eps: float = 1e-6
) -> optax.GradientTransformation:
    """Dual averaging with cube roots: the weights are the initial ones minus a scaled weighted sum of all gradients.

    Formula: l = (η + ε)·√t;  v ← v + l·g²;  s ← s + l·g;  w ← β·w + (1−β)(w₀ − s / (∛v + ε))

    Args:
        momentum: β, the share of the previous weights in the new ones.
        weight_decay: λ, added to the gradient as λ·w.
        eps: ε, added to the rate and to the root.

    Source: Defazio & Jelassi, arXiv:2101.11075; optax.contrib.madgrad.
    """
    return optax.contrib.madgrad(learning_rate, momentum, weight_decay, eps)
