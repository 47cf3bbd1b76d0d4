"""The record of a problem: a model, its data and its loss, as pure functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import jax
from jaxtyping import Array, Float, PyTree

from lrbench.datasets.data import Data
from lrbench.errors import ProblemError
from lrbench.nets.layers import Params
from lrbench.study import catalog
from lrbench.study.choice import NamedProblem
from lrbench.study.metric import Metric, declared

Batch: TypeAlias = Any
Model: TypeAlias = Any
"""What `init` returns: the parameters, or (parameters, state) of a problem that is stateful."""
Init: TypeAlias = Callable[[Array], Model]
Loss: TypeAlias = Callable[[Model, Batch, Array], Any]
Predict: TypeAlias = Callable[[Model, Batch], Array]
Score: TypeAlias = Metric | Callable[[Array, Batch], Float[Array, ""]]
File: TypeAlias = str
"""A parameter that is the path of a file, relative to the study file; its content is part of a run's identity."""
Box: TypeAlias = tuple[tuple[float, float], tuple[float, float]]
Order: TypeAlias = Literal["reshuffled", "fixed", "given"]
RESHUFFLED: Order = "reshuffled"
"""The order of the examples where none is set."""


class Form(NamedTuple):
    """One way to compute the functions of a problem."""

    loss: Loss
    predict: Predict | None = None
    evaluate: Loss | None = None


@dataclass(frozen=True)
class Problem:
    """A model, its data and its loss: what optimizers are compared on.

    Without `init` and `loss`, `Problem("digits_mlp", hidden=[[64], [128]])` is a choice as `Optimizer("adam", b2=[0.9, 0.99])` is: a problem
    of the catalogue, or a function that returns one, and the values of its parameters, of which a list is an axis of the grid.

    >>> Problem("digits_mlp", batch_size=[16, 64])
    {'name': 'digits_mlp', 'batch_size': [16, 64]}

    Args:
        name: its name in tables.
        init: key → parameters (any pytree of float arrays); for a stateful problem, (parameters, state).
        loss: (parameters, batch, key) → scalar, a mean over the examples of the batch; `key` is for dropout and
            other noise, and is the same for all runs of a seed at a step. For a stateful problem,
            ((parameters, state), batch, key) → (scalar, the next state).
        data: training and validation data; without data, the batch is `None` and the objective deterministic.
        predict: (parameters, batch) → predictions; required by `metrics`.
        metrics: name → (predictions, batch) → scalar, evaluated on the whole validation data as `valid_<name>`; a `Metric` says
            which values are better, of a plain function the name does (see `study.metric`).
        batch_size: examples in a minibatch, drawn without replacement within an epoch; `None` means all of them.
        optimum: the minimum of the loss, where it is known.
        rates: which learning rate applies to which parameters: a pytree of names, with the structure of the parameters or
            a prefix of it. A study may then set a rate for each name; `None` means one rate for all.
        forms: name → other ways to compute the same functions. Which is the fastest depends on the device, so the engine
            measures it; `loss`, `predict` and `evaluate` are the form that is the fastest on most devices.
        evaluate: (parameters, batch, key) → scalar, the loss in evaluations: without dropout, with the running averages of
            batch normalisation; left out, `loss`.
        stateful: whether the model has a state besides its parameters, which the loss updates and the optimizer does not;
            `init` then returns (parameters, state), and every function takes that pair in place of the parameters.
        box: for an objective whose parameters are one array of two numbers w, the ranges of w₁ and w₂ in which runs start
            and plots are drawn; `None` for no such plot.
        gradient_factors: factors by which the gradient is multiplied before the optimizer sees it, a pytree with the structure
            of the parameters; `None` means 1. Probes see the gradient itself.
        version: identifies the code of the functions where that cannot be hashed; change it whenever they change.
        headline: the metric that is shown beside the loss; left out, the first of `metrics`.
        constant_loss: the loss of the best constant prediction, where it is known: that of a model that has learnt nothing of its
            inputs. A run that ends above it counts as if it had ended there.
        order: of the examples, from which minibatches are taken one after the other: `"reshuffled"` anew in each epoch; `"fixed"`,
            shuffled once by the run's seed and then the same in each epoch; `"given"`, that of the data, in each epoch and for all seeds.
            The few examples at the end that do not fill a minibatch are left out of the epoch. With full batches it has no effect.
        notes: what was decided of its data and a person should know, a line each.
    """

    name: str
    init: Init
    loss: Loss
    data: Data = field(default_factory=Data)
    predict: Predict | None = None
    metrics: Mapping[str, Score] = field(default_factory=dict)
    batch_size: int | None = None
    optimum: float | None = None
    rates: Any = None
    forms: Mapping[str, Form] = field(default_factory=dict)
    evaluate: Loss | None = None
    stateful: bool = False
    box: Box | None = None
    gradient_factors: PyTree[float] | None = None
    version: str = ""
    headline: str | None = None
    constant_loss: float | None = None
    order: Order = RESHUFFLED
    notes: tuple[str, ...] = field(default=(), compare=False)

    def __new__(cls, name: Any = None, *given: Any, **more: Any) -> Any:
        """Return a problem that is still to be filled, or, of a name and parameters alone, what a study is to choose."""
        # Copies and pickles are made without arguments.
        if name is None or given or not {"init", "loss"}.isdisjoint(more):
            return super().__new__(cls)
        return NamedProblem(name, **more)

    def __post_init__(self) -> None:
        """Check the batch size and the order, that metrics have predictions, and that the headline is one."""
        self._check_order()
        if self.batch_size is not None and not 1 <= self.batch_size <= max(1, self.data.examples):
            raise ProblemError(
                f"batch_size = {self.batch_size}: must be from 1 to the "
                f"{self.data.examples} training examples"
            )
        if self.metrics and self.predict is None:
            raise ProblemError("metrics require `predict`, a function (parameters, batch) -> predictions")
        if self.headline is not None and self.headline not in self.metrics:
            raise ProblemError(f"headline: {catalog.unknown('metric', self.headline, list(self.metrics))}")
        if self.constant_loss is not None and not math.isfinite(self.constant_loss):
            raise ProblemError(
                f"constant_loss = {self.constant_loss}: must be finite; leave it out where it is not known"
            )

    def _check_order(self) -> None:
        if self.order not in get_args(Order):
            allowed = ", ".join(f'"{each}"' for each in get_args(Order))
            raise ProblemError(f"order = {self.order!r}: must be one of {allowed}")
        if self.order != RESHUFFLED and not self.data.examples:
            raise ProblemError(
                f'order = "{self.order}": has no training data that have an order; leave it out'
            )

    @property
    def objective(self) -> str:
        """The name of the loss by which runs are compared: the validation loss where there is one."""
        return "valid_loss" if self.data.valid_examples else "train_loss"

    @property
    def measures(self) -> dict[str, Metric]:
        """The metrics that are evaluated, with what they declare, the one shown beside the loss first; none without validation data."""
        if not self.data.valid_examples:
            return {}
        names = sorted(self.metrics, key=lambda name: name != self.headline)
        return {name: declared(name, self.metrics[name]) for name in names}

    @property
    def curves(self) -> tuple[str, ...]:
        """The losses and metrics that evaluations report, any of which a study can judge its runs by."""
        valid = [f"valid_{name}" for name in ("loss", *self.measures)] if self.data.valid_examples else []
        return "train_loss", *valid

    @property
    def rate_names(self) -> tuple[str, ...]:
        """The names of the learning rates that a study may set separately."""
        return tuple(dict.fromkeys(jax.tree.leaves(self.rates)))

    def in_form(self, form: str) -> Problem:
        """Return the problem computed in another of its forms; "" is its own."""
        return replace(self, **self.forms[form]._asdict()) if form else self

    def split(self, model: Model) -> tuple[Params, Any]:
        """Return the parameters and the state of what `init` returned; the state is `()` where there is none."""
        if not self.stateful:
            return model, ()
        if not (isinstance(model, tuple) and len(model) == 2):
            raise ProblemError("stateful = True: init must return two things, (parameters, state)")
        return model

    def join(self, params: Params, state: Any) -> Model:
        """Return parameters and state in the form that the problem's functions take."""
        return (params, state) if self.stateful else params

    def training_loss(self, params: Params, state: Any, batch: Batch, key: Array) -> tuple[Array, Any]:
        """Return the loss that is minimised, and the next state."""
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
    metrics: Mapping[str, Score] | None = None,
    batch_size: int | None = None,
    optimum: float | None = None,
    rates: Any = None,
    evaluate: Loss | None = None,
    stateful: bool = False,
    box: Box | None = None,
    version: str = "",
    headline: str | None = None,
    constant_loss: float | None = None,
    order: Order = RESHUFFLED,
) -> Problem:
    """Return a problem from any functions and arrays.

    Args:
        init: key → parameters, or (parameters, state) if it is stateful.
        loss: (parameters, batch, key) → scalar, or → (scalar, the next state) if it is stateful.
        name: its name in tables.
        train: training data, a pytree of arrays with a shared leading axis, or `None`.
        valid: validation data, likewise.
        predict: (parameters, batch) → predictions.
        metrics: name → (predictions, batch) → scalar, or a `Metric` of such a function.
        batch_size: examples in a minibatch; `None` means all of them.
        optimum: the known minimum of the loss.
        rates: names of learning rates, a pytree with the structure of the parameters or a prefix of it.
        evaluate: (parameters, batch, key) → scalar: the loss in evaluations, such as without dropout.
        stateful: whether there is a state, such as running averages; (parameters, state) then replaces the parameters.
        box: ranges of the two coordinates of an objective of two coordinates, for starts and plots.
        version: identifies the code of the functions where that cannot be hashed.
        headline: the metric that is shown beside the loss; left out, the first.
        constant_loss: the loss of the best constant prediction.
        order: of the examples: `"reshuffled"` each epoch, `"fixed"` once per seed, or that of the data, `"given"`.

    Raises:
        ProblemError: if the arguments are inconsistent.

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
        headline=headline,
        constant_loss=constant_loss,
        order=order,
    )
