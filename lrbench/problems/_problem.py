"""What a problem is: a model, its data and its loss, as pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import jax
import numpy as np
from jaxtyping import Array, Float, PyTree

from lrbench.errors import ProblemError

Params: TypeAlias = PyTree[Array]
Batch: TypeAlias = Any
Init: TypeAlias = Callable[[Array], Params]
Loss: TypeAlias = Callable[[Params, Batch, Array], Float[Array, ""]]
Predict: TypeAlias = Callable[[Params, Batch], Array]
Metric: TypeAlias = Callable[[Array, Batch], Float[Array, ""]]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Data:
    """Training and validation data: pytrees of arrays that share their leading axis (examples); `None` is none."""

    train: Any = None
    valid: Any = None

    def __post_init__(self) -> None:
        """Check that every array of a part has the same number of examples, and at least one."""
        for part in ("train", "valid"):
            sizes = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(getattr(self, part))}
            if len(sizes) > 1 or sizes in ({()}, {(0,)}):
                shapes = [np.shape(leaf) for leaf in jax.tree.leaves(getattr(self, part))]
                raise ProblemError(
                    f"{part} data have the shapes {shapes}; every array needs the same leading axis, "
                    "one row an example, and at least one row"
                )

    @property
    def examples(self) -> int:
        """How many training examples there are; 0 for an objective without data."""
        return _length(self.train)

    @property
    def valid_examples(self) -> int:
        """How many validation examples there are."""
        return _length(self.valid)


@dataclass(frozen=True)
class Problem:
    """A model, its data and its loss; everything an optimizer is tried on.

    Args:
        name: what it is called in tables.
        init: key → parameters (any pytree of float arrays).
        loss: (parameters, batch, key) → scalar, a mean over the examples of the batch; `key` is for dropout and the
            like, and is the same for every run of a seed at a step.
        data: training and validation data; without any, the batch is `None` and the objective deterministic.
        predict: (parameters, batch) → predictions, needed by `metrics`.
        metrics: name → (predictions, batch) → scalar, evaluated on the validation data as `valid_<name>`.
        batch_size: examples of a minibatch, drawn without replacement within an epoch; `None` is all of them.
        optimum: the known minimum of the loss, where there is one.
        rates: which learning rate moves which parameters: a pytree of names, of the parameters' structure or a prefix
            of it. A study may then give each name a rate of its own; `None` is one rate for all.
        forms: name → (loss, predict): other ways to compute the same numbers. Which is the fastest depends on the
            device, so the engine measures; `loss` and `predict` are the form that is right on most.
    """

    name: str
    init: Init
    loss: Loss
    data: Data = field(default_factory=Data)
    predict: Predict | None = None
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    batch_size: int | None = None
    optimum: float | None = None
    rates: Any = None
    forms: Mapping[str, tuple[Loss, Predict | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the batch size and that metrics have something to measure."""
        if self.batch_size is not None and not 1 <= self.batch_size <= max(1, self.data.examples):
            raise ProblemError(
                f"batch_size = {self.batch_size}: must be from 1 to the "
                f"{self.data.examples} training examples"
            )
        if self.metrics and self.predict is None:
            raise ProblemError("metrics need `predict`, a function (parameters, batch) -> predictions")

    @property
    def objective(self) -> str:
        """The loss that runs are judged by: the validation loss where there is one."""
        return "valid_loss" if self.data.valid_examples else "train_loss"

    @property
    def rate_names(self) -> tuple[str, ...]:
        """The learning rates that a study may set one by one."""
        return tuple(dict.fromkeys(jax.tree.leaves(self.rates)))

    def in_form(self, form: str) -> Problem:
        """Return the problem computed in another of its forms; "" is its own."""
        if not form:
            return self
        loss, predict = self.forms[form]
        return replace(self, loss=loss, predict=predict)


def problem(
    *,
    init: Init,
    loss: Loss,
    name: str = "custom",
    train: Any = None,
    valid: Any = None,
    predict: Predict | None = None,
    metrics: Mapping[str, Metric] | None = None,
    batch_size: int | None = None,
    optimum: float | None = None,
    rates: Any = None,
) -> Problem:
    """Make a problem from any functions and arrays.

    Args:
        init: key → parameters.
        loss: (parameters, batch, key) → scalar.
        name: what it is called in tables.
        train: training data, a pytree of arrays with a shared leading axis, or `None`.
        valid: validation data, likewise.
        predict: (parameters, batch) → predictions.
        metrics: name → (predictions, batch) → scalar.
        batch_size: examples of a minibatch; `None` is all of them.
        optimum: the known minimum of the loss.
        rates: names of learning rates, a pytree of the parameters' structure or a prefix of it.

    Raises:
        ProblemError: if the pieces do not fit together.

    >>> import jax.numpy as jnp
    >>> bowl = problem(name="bowl", init=lambda key: jnp.ones(2), loss=lambda w, batch, key: jnp.sum(w**2))
    >>> bowl.objective
    'train_loss'
    """
    return Problem(name, init, loss, Data(train, valid), predict, metrics or {}, batch_size, optimum, rates)


def _length(part: Any) -> int:
    leaves = jax.tree.leaves(part)
    return int(np.shape(leaves[0])[0]) if leaves else 0
