"""Norms of the gradient, the step and the parameters, in total and for each array."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from lrbench.probes._view import View


def gradient_norm(view: View) -> Float[Array, ""]:
    """Return the Euclidean norm of the next minibatch's gradient over all parameters: ‖g‖₂.

    Cost: none besides the gradient and the step that all probes of norms share, one for each evaluation.
    """
    return optax.tree.norm(view.gradient)


def update_norm(view: View) -> Float[Array, ""]:
    """Return the Euclidean norm of the next step: ‖Δw‖₂.

    Cost: as `gradient_norm`.
    """
    return optax.tree.norm(view.update)


def parameter_norm(view: View) -> Float[Array, ""]:
    """Return the Euclidean norm of all parameters: ‖w‖₂.

    Cost: none.
    """
    return optax.tree.norm(view.parameters)


def update_ratio(view: View) -> Float[Array, ""]:
    """Return the norm of the next step relative to that of the parameters: ‖Δw‖₂ / ‖w‖₂; missing while all parameters are 0.

    Cost: as `gradient_norm`.
    """
    return _ratio(view.update, view.parameters)


def layer_gradient_norm(view: View) -> dict[str, Float[Array, ""]]:
    """Return ‖g‖₂ of each array of the parameters, a column each: `layer_gradient_norm/0/weight`.

    Cost: as `gradient_norm`, and a column for each array.
    """
    return _each(optax.tree.norm, view.gradient)


def layer_update_norm(view: View) -> dict[str, Float[Array, ""]]:
    """Return ‖Δw‖₂ of each array of the parameters, a column each: `layer_update_norm/0/weight`.

    Cost: as `gradient_norm`, and a column for each array.
    """
    return _each(optax.tree.norm, view.update)


def layer_parameter_norm(view: View) -> dict[str, Float[Array, ""]]:
    """Return ‖w‖₂ of each array of the parameters, a column each: `layer_parameter_norm/0/weight`.

    Cost: none, and a column for each array.
    """
    return _each(optax.tree.norm, view.parameters)


def layer_update_ratio(view: View) -> dict[str, Float[Array, ""]]:
    """Return ‖Δw‖₂ / ‖w‖₂ of each array of the parameters, a column each; missing while the array is 0, as biases are.

    Cost: as `gradient_norm`, and a column for each array.
    """
    return _each(_ratio, view.update, view.parameters)


def _ratio(update: PyTree[Array], parameters: PyTree[Array]) -> Float[Array, ""]:
    size = optax.tree.norm(parameters)
    return jnp.where(size > 0, optax.tree.norm(update) / jnp.where(size > 0, size, 1), jnp.nan)


def _each(measure: Callable[..., Array], *trees: PyTree[Array]) -> dict[str, Float[Array, ""]]:
    """Return a measure of each array, by its path in the tree: `0/weight`; parameters that are one array are `all`."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(jax.tree.map(measure, *trees))
    return {jax.tree_util.keystr(path, simple=True, separator="/") or "all": found for path, found in leaves}
