"""How gradients vary between examples, and from one step to the next."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jaxtyping import Array, Float

from lrbench.probes._view import View

_GROUPS = 32
"""The number of groups into which the sample is split: the small batches of the estimate."""


def gradient_noise_scale(view: View) -> Float[Array, ""]:
    """Return the batch size at which noise and signal of the gradient are equal: B_simple = tr(Σ) / |G|².

    Σ is the covariance of the gradients of single examples, G their mean. Both are estimated without bias from two batch
    sizes: all N examples of `train_loss`, and 32 random groups of b of them (N groups of one, where there are fewer):
    tr(Σ) ≈ (mean |g_b|² − |g_N|²) / (1/b − 1/N);  |G|² ≈ (N |g_N|² − b mean |g_b|²) / (N − b). It is missing where the estimate
    of |G|² is not above 0, because noise dominates the gradient, and 0 for problems without data.

    Cost: one gradient of the sample of up to 1,024 examples.

    Source: McCandlish et al., An empirical model of large-batch training, arXiv:1812.06162, appendix A.1.
    """
    leaves = jax.tree.leaves(view.sample)
    if not leaves:
        return jnp.zeros_like(optax.tree.norm(view.parameters))
    groups = min(_GROUPS, leaves[0].shape[0])
    small = leaves[0].shape[0] // groups
    if groups < 2:
        return jnp.full_like(optax.tree.norm(view.parameters), jnp.nan)
    # Random, because neighbours in a data set may be similar; from a constant seed, so that every run and evaluation has the same groups.
    drawn = np.random.Generator(np.random.PCG64(0)).permutation(leaves[0].shape[0])[: groups * small]
    parts = jax.tree.map(lambda leaf: leaf[drawn.reshape(groups, small)], view.sample)

    def add(total: Any, part: Any) -> tuple[Any, Array]:
        gradient = jax.grad(view.sample_loss)(view.parameters, part)
        return optax.tree.add(total, gradient), optax.tree.norm(gradient, squared=True)

    total, squares = lax.scan(add, optax.tree.zeros_like(view.parameters), parts)
    of_small, of_all = squares.mean(), optax.tree.norm(total, squared=True) / groups**2
    many = groups * small
    noise = (of_small - of_all) / (1 / small - 1 / many)
    signal = (many * of_all - small * of_small) / (many - small)
    return jnp.where(signal > 0, noise / jnp.where(signal > 0, signal, 1), jnp.nan)


def gradient_cosine(view: View) -> Float[Array, ""]:
    """Return the cosine between the gradients before and after the next step: cos ∠(g(w), g(w + Δw)), on the same minibatch.

    At 1 the direction is unchanged; at −1 the step has jumped to the opposite slope of a valley. On a single minibatch it is
    free of the noise between minibatches; in full-batch training it is the cosine between consecutive gradients. It is
    missing where one of the gradients is 0. It has no state, and does not depend on how often runs are evaluated.

    Cost: one gradient of a minibatch.
    """
    there = jax.grad(view.loss)(optax.apply_updates(view.parameters, view.update), view.batch)
    here, dot = view.gradient, optax.tree.vdot(view.gradient, there)
    lengths = optax.tree.norm(here) * optax.tree.norm(there)
    return jnp.where(lengths > 0, dot / jnp.where(lengths > 0, lengths, 1), jnp.nan)
