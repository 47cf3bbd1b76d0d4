"""What a problem is: a model, its data and its loss, as pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias

import jax
from jaxtyping import Array, Float, PyTree

from lrbench.datasets.data import Data
from lrbench.errors import ProblemError
from lrbench.nets.layers import Params

Batch: TypeAlias = Any
Model: TypeAlias = Any
"""What `init` returns: the parameters, or (parameters, state) of a problem that is stateful."""
Init: TypeAlias = Callable[[Array], Model]
Loss: TypeAlias = Callable[[Model, Batch, Array], Any]
Predict: TypeAlias = Callable[[Model, Batch], Array]
Metric: TypeAlias = Callable[[Array, Batch], Float[Array, ""]]
File: TypeAlias = str
"""A parameter that is the path of a file: relative to the study file, and its content is part of a run's identity."""
Box: TypeAlias = tuple[tuple[float, float], tuple[float, float]]


class Form(NamedTuple):
    """One way to compute a problem's numbers."""

    loss: Loss
    predict: Predict | None = None
    evaluate: Loss | None = None


@dataclass(frozen=True)
class Problem:
    """A model, its data and its loss; everything an optimizer is tried on.

    Args:
        name: what it is called in tables.
        init: key → parameters (any pytree of float arrays); of a stateful problem, (parameters, state).
        loss: (parameters, batch, key) → scalar, a mean over the examples of the batch; `key` is for dropout and the
            like, and is the same for every run of a seed at a step. Of a stateful problem,
            ((parameters, state), batch, key) → (scalar, the next state).
        data: training and validation data; without any, the batch is `None` and the objective deterministic.
        predict: (parameters, batch) → predictions, needed by `metrics`.
        metrics: name → (predictions, batch) → scalar, evaluated on the validation data as `valid_<name>`.
        batch_size: examples of a minibatch, drawn without replacement within an epoch; `None` is all of them.
        optimum: the known minimum of the loss, where there is one.
        rates: which learning rate moves which parameters: a pytree of names, of the parameters' structure or a prefix
            of it. A study may then give each name a rate of its own; `None` is one rate for all.
        forms: name → other ways to compute the same numbers. Which is the fastest depends on the device, so the engine
            measures; `loss`, `predict` and `evaluate` are the form that is right on most.
        evaluate: (parameters, batch, key) → scalar, the loss as evaluations compute it: without dropout, with the running
            averages of batch normalisation; left out, it is `loss`.
        stateful: whether the model has a state beside its parameters, which the loss renews and no optimizer moves;
            `init` then returns (parameters, state), and every function takes that pair for the parameters.
        box: for an objective whose parameters are one array of two numbers w, the ranges of w₁ and w₂ in which runs start
            and pictures are drawn; `None` says that there is no such picture.
        gradient_factors: what the gradient is multiplied by before the optimizer sees it: a pytree of the parameters'
            structure; `None` is 1. Probes see the gradient itself.
        version: what stands for the code of the functions, where that cannot be hashed; raise it whenever they change.
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
    forms: Mapping[str, Form] = field(default_factory=dict)
    evaluate: Loss | None = None
    stateful: bool = False
    box: Box | None = None
    gradient_factors: PyTree[float] | None = None
    version: str = ""

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
        return replace(self, **self.forms[form]._asdict()) if form else self

    def split(self, model: Model) -> tuple[Params, Any]:
        """Return what `init` gave as parameters and state; the state is `()` where there is none."""
        if not self.stateful:
            return model, ()
        if not (isinstance(model, tuple) and len(model) == 2):
            raise ProblemError("stateful = True: init must return two things, (parameters, state)")
        return model

    def join(self, params: Params, state: Any) -> Model:
        """Return parameters and state as the problem's functions take them."""
        return (params, state) if self.stateful else params

    def training_loss(self, params: Params, state: Any, batch: Batch, key: Array) -> tuple[Array, Any]:
        """Return the loss that training goes down, and the next state."""
        found = self.loss(self.join(params, state), batch, key)
        if not self.stateful:
            return found, ()
        if not (isinstance(found, tuple) and len(found) == 2):
            raise ProblemError("stateful = True: loss must return two things, (loss, state)")
        return found

    def scaled(self, gradient: Params) -> Params:
        """Return a gradient as the optimizer sees it."""
        if self.gradient_factors is None:
            return gradient
        return jax.tree.map(lambda leaf, factor: leaf * factor, gradient, self.gradient_factors)

    def evaluation_loss(self, params: Params, state: Any, batch: Batch, key: Array) -> Array:
        """Return the loss that evaluations report."""
        if self.evaluate is None:
            return self.training_loss(params, state, batch, key)[0]
        return self.evaluate(self.join(params, state), batch, key)


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
    evaluate: Loss | None = None,
    stateful: bool = False,
    box: Box | None = None,
    version: str = "",
) -> Problem:
    """Make a problem from any functions and arrays.

    Args:
        init: key → parameters, or (parameters, state) if it is stateful.
        loss: (parameters, batch, key) → scalar, or → (scalar, the next state) if it is stateful.
        name: what it is called in tables.
        train: training data, a pytree of arrays with a shared leading axis, or `None`.
        valid: validation data, likewise.
        predict: (parameters, batch) → predictions.
        metrics: name → (predictions, batch) → scalar.
        batch_size: examples of a minibatch; `None` is all of them.
        optimum: the known minimum of the loss.
        rates: names of learning rates, a pytree of the parameters' structure or a prefix of it.
        evaluate: (parameters, batch, key) → scalar: the loss without dropout and the like, for evaluations.
        stateful: whether there is a state, such as running averages; (parameters, state) then stands for the parameters.
        box: ranges of the two coordinates of an objective that pictures can show.
        version: what stands for the code of the functions, where that cannot be hashed.

    Raises:
        ProblemError: if the pieces do not fit together.

    >>> import jax.numpy as jnp
    >>> bowl = problem(name="bowl", init=lambda key: jnp.ones(2), loss=lambda w, batch, key: jnp.sum(w**2))
    >>> bowl.objective
    'train_loss'
    """
    return Problem(
        name,
        init,
        loss,
        Data(train, valid),
        predict,
        metrics or {},
        batch_size,
        optimum,
        rates,
        evaluate=evaluate,
        stateful=stateful,
        box=box,
        version=version,
    )
