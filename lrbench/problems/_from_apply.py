"""A problem from a model's own functions and arrays: losses and metrics by name, and everything checked before training."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from lrbench.datasets.data import Data
from lrbench.errors import ProblemError
from lrbench.problems._constants import constant_entropy, constant_shares, constant_square
from lrbench.problems._problem import Batch, Init, Model, Problem, Score
from lrbench.study import catalog
from lrbench.study.metric import declared

Apply: TypeAlias = Callable[..., Any]
NamedLoss: TypeAlias = str | Callable[[Any, Any], Any]
"""A loss by name, or a function (predictions, targets) → the loss of each target, or their mean."""
Metrics: TypeAlias = str | Iterable[str] | Mapping[str, Score]


def _absolute(predictions: Array, targets: Array) -> Array:
    return jnp.abs(predictions - targets)


_LOSSES: Mapping[str, Callable[[Any, Any], Any]] = {
    "cross_entropy": optax.softmax_cross_entropy_with_integer_labels,
    "binary_cross_entropy": optax.sigmoid_binary_cross_entropy,
    "mse": optax.squared_error,
    "mae": _absolute,
    "huber": optax.huber_loss,
    "log_cosh": optax.log_cosh,
}
"""Name → (predictions, targets) → the loss of each target, of which the mean is taken."""
_PARTS = ("train", "valid")
WORDS = np.zeros(2, np.uint32)
"""The data of a random key. A key itself would start JAX, and with it fix the number of devices, before a study does."""


def key_of(words: Any) -> Array:
    """Return a random key from its data, of the generator that the engine uses."""
    return jax.random.wrap_key_data(words, impl="threefry2x32")


def from_apply(
    init: Init,
    apply: Apply,
    train: Any,
    valid: Any = None,
    *,
    loss: NamedLoss = "cross_entropy",
    metrics: Metrics = (),
    batch_size: int | None = None,
    name: str | None = None,
    stateful: bool = False,
    version: str = "",
) -> Problem:
    """Return a problem from a model's two functions, and pairs of arrays.

    Formula: loss = mean ℓ(apply(params, x), y)

    Args:
        init: key → parameters, any pytree of float arrays; for a stateful model, (parameters, state).
        apply: (parameters, inputs) → predictions; for a stateful model, ((parameters, state), inputs) → (predictions, the next
            state). If it has a parameter `key`, it gets the random key of the step, as for dropout; if it has a parameter
            `training`, it gets whether this is a training step, rather than an evaluation.
        train: (inputs, targets), arrays with a row per example; the inputs may be a pytree of such arrays.
        valid: the same for validation; `None` for none.
        loss: "cross_entropy" (scores, whole numbers), "binary_cross_entropy" (logits, 0 or 1), "mse", "mae", "huber", "log_cosh";
            or a function (predictions, targets) → the loss of each target, such as those of `optax.losses`.
        metrics: names of the catalogue, such as "accuracy" or ["accuracy", "f1"]; or name → function (predictions, batch) → scalar.
        batch_size: examples in a minibatch; `None` means all of them.
        name: its name in tables; left out, that of `apply`.
        stateful: whether there is a state besides the parameters, such as running averages.
        version: identifies the code of the functions where that cannot be hashed.

    Raises:
        ProblemError: if data, predictions, loss and metrics do not fit together, naming what was given and what is allowed.

    >>> import jax.numpy as jnp
    >>> x = np.linspace(-1, 1, 8, dtype=np.float32)[:, None]
    >>> line = from_apply(lambda key: jnp.zeros((1, 1)), lambda w, x: x @ w, (x, 3 * x[:, 0]), loss="mse", name="line")
    >>> line.name, line.objective
    ('line', 'train_loss')
    """
    own = getattr(apply, "__name__", type(apply).__name__)
    name = name or ("custom" if own == "<lambda>" else own)
    return build(
        "from_apply",
        init,
        apply,
        (train, valid),
        loss=loss,
        metrics=metrics,
        batch_size=batch_size,
        name=name,
        stateful=stateful,
        version=version,
    )


def build(
    caller: str,
    init: Init,
    apply: Apply,
    data: tuple[Any, Any],
    *,
    loss: NamedLoss,
    metrics: Metrics,
    batch_size: int | None,
    name: str,
    stateful: bool,
    version: str,
) -> Problem:
    """Return the problem of `from_apply`, whose arguments these are; messages begin with the caller's name."""
    each = _LOSSES.get(loss) if isinstance(loss, str) else loss
    if each is None:
        raise ProblemError(f"{caller}: {catalog.unknown('loss', str(loss), list(_LOSSES))}; or a function")
    if batch_size is not None and (not isinstance(batch_size, int) or isinstance(batch_size, bool)):
        raise ProblemError(
            f"{caller}: batch_size = {batch_size!r}: must be a whole number, or None for all examples"
        )
    train, valid = (examples(part, what, loss, caller) for part, what in zip(data, _PARTS, strict=True))
    model = _Functions(apply, each, stateful, loss if isinstance(loss, str) else "")
    problem = Problem(
        name,
        init,
        model.loss,
        Data(train, valid),
        model.predict,
        _named(metrics, model.name, train[1], caller),
        batch_size,
        evaluate=model.evaluate,
        stateful=stateful,
        version=version,
        constant_loss=_constant(model.name, train, train if valid is None else valid),
    )
    _check(problem, model, caller)
    return problem


@dataclass(frozen=True)
class _Functions:
    """The functions of a problem, from those of a model.

    Args:
        apply: as of `from_apply`.
        each: (predictions, targets) → the loss of each target.
        stateful: whether `apply` takes and returns a state.
        name: of the loss; "" for a function of the user's.
    """

    apply: Apply
    each: Callable[[Any, Any], Any]
    stateful: bool
    name: str

    @cached_property
    def _asks(self) -> frozenset[str]:
        """Which of the two optional arguments `apply` has."""
        return frozenset({"key", "training"} & set(inspect.signature(self.apply).parameters))

    def forward(self, model: Model, inputs: Any, key: Array, *, training: bool) -> tuple[Any, Any]:
        """Return the predictions, and the next state of the model: `()` if it has none."""
        offered = {"key": key, "training": training}
        found = self.apply(model, inputs, **{name: offered[name] for name in self._asks})
        if not self.stateful:
            return found, ()
        if not (isinstance(found, tuple) and len(found) == 2):
            raise ProblemError("stateful = True: apply must return two things, (predictions, state)")
        return found

    def loss(self, model: Model, batch: Batch, key: Array) -> Any:
        """Return the training loss of a batch, and the next state of a stateful model."""
        predictions, state = self.forward(model, batch[0], key, training=True)
        found = self._mean(predictions, batch[1])
        return (found, state) if self.stateful else found

    def evaluate(self, model: Model, batch: Batch, key: Array) -> Array:
        """Return the loss of a batch in evaluations."""
        return self._mean(self.forward(model, batch[0], key, training=False)[0], batch[1])

    def predict(self, model: Model, batch: Batch) -> Any:
        """Return predictions as metrics take them: of a binary classifier, the scores [0, logit] of both labels."""
        found = self.forward(model, batch[0], key_of(WORDS), training=False)[0]
        if not self.name:
            return found
        found = self.aligned(found, batch[1])
        if self.name == "binary_cross_entropy" and batch[1].ndim == 1:
            return jnp.stack([jnp.zeros_like(found), found], axis=-1)
        return found

    def aligned(self, predictions: Any, targets: Any) -> Any:
        """Return predictions in the shape of the targets, where a model with one output returns a column of them."""
        if self.name != "cross_entropy" and jnp.shape(predictions) == (*jnp.shape(targets), 1):
            return predictions[..., 0]
        return predictions

    def _mean(self, predictions: Any, targets: Any) -> Array:
        if not self.name:
            return jnp.mean(self.each(predictions, targets))
        return jnp.mean(self.each(self.aligned(predictions, targets), targets))


def examples(part: Any, what: str, loss: NamedLoss, caller: str) -> Any:
    """Return a part of the data as arrays of numbers, the targets of the type that the loss takes.

    Args:
        part: a pair (inputs, targets); `None` for no validation.
        what: train or valid.
        loss: as of `from_apply`.
        caller: the name that messages begin with.

    Raises:
        ProblemError: if it is no pair, or has an array that is not of finite numbers.
    """
    if part is None and what == "valid":
        return None
    if not (isinstance(part, tuple | list) and len(part) == 2):
        raise ProblemError(
            f"{caller}: {what} is of type {type(part).__name__}; must be a pair (inputs, targets) of arrays with a row per example"
        )
    inputs = jax.tree.map(np.asarray, part[0], is_leaf=lambda leaf: isinstance(leaf, list))
    targets = np.asarray(part[1])
    for name, array in (*(("inputs", leaf) for leaf in jax.tree.leaves(inputs)), ("targets", targets)):
        if array.dtype.kind not in "biuf":
            raise ProblemError(
                f"{caller}: the {name} of {what} are of type {array.dtype}; must be numbers or booleans"
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ProblemError(
                f"{caller}: the {name} of {what} contain NaN or infinite numbers; remove or replace them"
            )
    if loss == "cross_entropy" and targets.dtype.kind == "f":
        raise ProblemError(
            f'{caller}: the targets of {what} are of type {targets.dtype}; loss = "cross_entropy" takes whole numbers from 0 on: '
            "y.astype(int) of labels, y.argmax(-1) of one-hot rows"
        )
    if loss in ("cross_entropy", "binary_cross_entropy"):
        # Labels stay whole numbers, as metrics take them.
        targets = targets if targets.dtype.kind == "f" else targets.astype(np.int32)
    elif isinstance(loss, str) and targets.dtype.kind != "f":
        targets = targets.astype(np.float32)
    if loss == "binary_cross_entropy" and (targets.min(initial=0) < 0 or targets.max(initial=0) > 1):
        raise ProblemError(
            f'{caller}: the targets of {what} are from {targets.min():g} to {targets.max():g}; loss = "binary_cross_entropy" takes '
            "numbers from 0 to 1"
        )
    return inputs, targets


def _named(metrics: Metrics, loss: str, targets: Any, caller: str) -> Mapping[str, Score]:
    """Return metrics by name, those that are only named from the catalogue, if they are of the kind of problem that the loss is of."""
    if isinstance(metrics, Mapping):
        return metrics
    if not isinstance(metrics, Iterable):
        raise ProblemError(
            f"{caller}: metrics = {metrics!r}: must be a name, a list of names, or {{name: function}}"
        )
    found = {
        name: catalog.get("metric", name).load()
        for name in ([metrics] if isinstance(metrics, str) else metrics)
    }
    labels = targets.dtype.kind == "i" and targets.ndim == 1
    scores = loss == "cross_entropy" or (loss == "binary_cross_entropy" and labels)
    for name, metric in found.items() if loss else ():
        of_scores = len(inspect.signature(metric).parameters["predictions"].annotation.dims) == 2
        # Of a label at each position of a text there is a share that is correct, and no F1.
        fits = of_scores == scores and (targets.ndim == 1 or declared(name, metric).mean)
        if not fits:
            kind = "scores [example, label]" if of_scores else "numbers [example]"
            raise ProblemError(
                f'{caller}: metrics: {name} requires predictions that are {kind}; those of loss = "{loss}" and targets of type '
                f"{targets.dtype} and the shape {targets.shape} are not; pass a function of your own, as {{name: function}}"
            )
    return found


def _constant(loss: str, train: Any, valid: Any) -> float | None:
    """Return the loss of the best constant prediction, where it is simple; with other losses, `None`."""
    targets = train[1], valid[1]
    if loss == "cross_entropy" and min(int(each.min(initial=0)) for each in targets) >= 0:
        return constant_entropy(*targets)
    if loss == "binary_cross_entropy" and targets[0].ndim == 1:
        return constant_shares(*(each[:, None] for each in targets))
    return constant_square(*targets) if loss == "mse" else None


def _check(problem: Problem, model: _Functions, caller: str) -> None:
    """Trace the model on a minibatch, and refuse predictions that do not fit the loss."""
    inputs, targets = jax.tree.map(lambda leaf: leaf[: problem.batch_size], problem.data.train)

    def predictions(words: Any, inputs: Any, training: bool) -> Any:
        key = key_of(words)
        return model.forward(problem.init(key), inputs, key, training=training)[0]

    try:
        traces = (partial(predictions, training=training) for training in (True, False))
        _, found = (jax.eval_shape(trace, WORDS, inputs) for trace in traces)
    except ProblemError as error:
        raise ProblemError(f"{caller}: {problem.name}: {error}") from error
    except Exception as error:
        raise ProblemError(f"{caller}: {problem.name}: {type(error).__name__}: {error}") from error
    if not model.name:
        return
    shape = getattr(found, "shape", None)
    given = f"type {type(found).__name__}" if shape is None else f"the shape {shape}"
    if model.name != "cross_entropy":
        if shape not in (targets.shape, (*targets.shape, 1)):
            raise ProblemError(
                f'{caller}: {problem.name}: its predictions are of {given}; loss = "{model.name}" takes those of the shape of the '
                f"targets, {targets.shape}"
            )
        return
    if shape is None or shape[:-1] != targets.shape:
        raise ProblemError(
            f'{caller}: {problem.name}: its predictions are of {given}; loss = "cross_entropy" takes a score for each label, '
            f"({', '.join(map(str, targets.shape))}, labels)"
        )
    for what in _PARTS:
        labels = getattr(problem.data, what)
        if labels is not None and not 0 <= labels[1].min() <= labels[1].max() < shape[-1]:
            raise ProblemError(
                f"{caller}: {problem.name}: the targets of {what} are from {labels[1].min()} to {labels[1].max()}; the model has "
                f"{shape[-1]} scores, so that they must be from 0 to {shape[-1] - 1}"
            )
