"""What a probe sees of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
from jaxtyping import Array, Float, PyTree

from lrbench.probes import _lanczos


@dataclass(frozen=True)
class View:
    """A run at an evaluation: its parameters, and the step that would follow.

    Args:
        parameters: w, where the gradient is taken.
        gradient: g, of the next minibatch's loss.
        update: Δw, what the optimizer would add to the parameters.
        learning_rates: of the next step: one for all parameters, or one for each array.
        loss: (parameters, examples) → training loss, with the noise of the next step.
        sample_loss: the same with the noise of evaluations, which is the same at each of them, so that curves are comparable.
        batch: the examples of the next minibatch.
        sample: the fixed training examples over which `train_loss` is the mean.
        step_sizes: () → Q of the next step Δw = −Q·m, for each parameter, m being the first moment of an optimizer that has one,
            else the gradient; with Adam, η over the preconditioner.
    """

    parameters: PyTree[Array]
    gradient: PyTree[Array]
    update: PyTree[Array]
    learning_rates: PyTree[Array]
    loss: Callable[[Any, Any], Float[Array, ""]]
    sample_loss: Callable[[Any, Any], Float[Array, ""]]
    batch: Any
    sample: Any
    step_sizes: Callable[[], PyTree[Array]]

    @cached_property
    def sharpness(self) -> Float[Array, ""]:
        """The largest eigenvalue of the Hessian of the loss on the sample, shared by the probes that use it."""
        return _lanczos.largest(self.curvature, self.parameters)

    def curvature(self, direction: PyTree[Array]) -> PyTree[Array]:
        """Return the Hessian of the loss on the sample times a direction."""

        def slope(params: Any) -> Any:
            return jax.grad(self.sample_loss)(params, self.sample)

        return jax.jvp(slope, (self.parameters,), (direction,))[1]
