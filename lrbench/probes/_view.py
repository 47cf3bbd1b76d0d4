"""What a probe sees."""

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
    """A lane at an evaluation: its parameters, and the step that would be taken next from there.

    Args:
        parameters: w, where the gradient is taken.
        gradient: g, of the next minibatch's loss.
        update: Δw, what the optimizer adds to the parameters next.
        learning_rates: of the next step: one for all parameters, or a rate for each array of them.
        loss: (parameters, examples) → training loss, with the noise of the next step.
        sample_loss: the same with the noise of evaluations, which is that of every evaluation, so that curves compare.
        batch: the examples of the next minibatch.
        sample: the fixed training examples that `train_loss` is the mean over.
    """

    parameters: PyTree[Array]
    gradient: PyTree[Array]
    update: PyTree[Array]
    learning_rates: PyTree[Array]
    loss: Callable[[Any, Any], Float[Array, ""]]
    sample_loss: Callable[[Any, Any], Float[Array, ""]]
    batch: Any
    sample: Any

    @cached_property
    def sharpness(self) -> Float[Array, ""]:
        """The largest eigenvalue of the loss's Hessian on the sample, for all probes that need it."""
        return _lanczos.largest(self.curvature, self.parameters)

    def curvature(self, direction: PyTree[Array]) -> PyTree[Array]:
        """Return the Hessian of the loss on the sample times a direction."""

        def slope(params: Any) -> Any:
            return jax.grad(self.sample_loss)(params, self.sample)

        return jax.jvp(slope, (self.parameters,), (direction,))[1]
