"""Problems from models of Flax (linen and nnx) and Equinox; each library is imported where it is used."""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from lrbench.errors import ProblemError
from lrbench.problems._from_apply import WORDS, Metrics, NamedLoss, build, examples, key_of
from lrbench.problems._problem import Model, Problem

_TRAINING = ("train", "training", "is_training")
_EVALUATION = ("deterministic", "inference")
"""Parameters by which a model is told that this is a training step, or that it is none."""


def from_flax(
    module: Any,
    train: Any,
    valid: Any = None,
    *,
    loss: NamedLoss = "cross_entropy",
    metrics: Metrics = (),
    batch_size: int | None = None,
    name: str | None = None,
    version: str = "",
) -> Problem:
    """Return a problem from a module of Flax linen.

    The collection `params` is what is trained; all others, such as `batch_stats`, are the model's state. Dropout and any other
    randomness of the module get the key of the step. If `__call__` has a parameter `train`, `training` or `is_training`, it gets
    whether this is a training step, and a parameter `deterministic` or `inference` the opposite.

    Args:
        module: an instance, such as `MLP(hidden=64)`.
        train: (inputs, targets), arrays with a row per example.
        valid: the same for validation; `None` for none.
        loss: as of `from_apply`: "cross_entropy", "binary_cross_entropy", "mse", "mae", "huber", "log_cosh", or a function.
        metrics: names of the catalogue, or name → function (predictions, batch) → scalar.
        batch_size: examples in a minibatch; `None` means all of them.
        name: its name in tables; left out, that of the module's class.
        version: identifies the code of the module where that cannot be hashed.

    Raises:
        ProblemError: if Flax is not installed, it is no module, or data, predictions, loss and metrics do not fit together.

    >>> import flax.linen as nn, numpy as np
    >>> x = np.eye(4, dtype=np.float32)
    >>> from_flax(nn.Dense(4), (x, np.arange(4)), metrics="accuracy").name
    'Dense'
    """
    linen = _library("flax.linen", "from_flax", "flax")
    if not isinstance(module, linen.Module):
        raise ProblemError(
            f"from_flax: {_described(module)}; must be an instance of a flax.linen.Module, such as MLP(hidden=64); of nnx, use from_nnx"
        )
    modes = _modes(type(module).__call__)
    inputs, _ = examples(train, "train", loss, "from_flax")
    example = jax.tree.map(lambda leaf: leaf[:1], inputs)

    def variables(key: Array) -> dict[str, Any]:
        # What a module has sown is of one call, not a state.
        found = module.init(key, example, **modes(False))
        return {name: value for name, value in found.items() if name != "intermediates"}

    def init(key: Array) -> Any:
        found = variables(key)
        params = found.pop("params", {})
        return (params, found) if stateful else params

    def apply(model: Model, inputs: Any, key: Array, training: bool) -> Any:
        params, state = model if stateful else (model, {})
        # Streams that are not given, such as that of dropout, are those of the stream `params`.
        call = functools.partial(
            module.apply, {"params": params, **state}, inputs, rngs={"params": key}, **modes(training)
        )
        if not stateful:
            return call()
        return call(mutable=list(state)) if training else (call(), state)

    shapes = _built(lambda: jax.eval_shape(lambda words: variables(key_of(words)), WORDS), dict, "from_flax")
    stateful = len(shapes) > 1
    return build(
        "from_flax",
        init,
        apply,
        (train, valid),
        loss=loss,
        metrics=metrics,
        batch_size=batch_size,
        name=name or type(module).__name__,
        stateful=stateful,
        version=version,
    )


def from_nnx(
    constructor: Callable[..., Any],
    train: Any,
    valid: Any = None,
    *,
    loss: NamedLoss = "cross_entropy",
    metrics: Metrics = (),
    batch_size: int | None = None,
    name: str | None = None,
    version: str = "",
) -> Problem:
    """Return a problem from a module of Flax nnx, or rather what makes one, so that each seed has initial weights of its own.

    Variables of the type `nnx.Param` are trained; all others, such as `nnx.BatchStat`, are the model's state. Random streams are
    set anew at each step, from its key; a parameter `rngs` of `__call__` gets `nnx.Rngs` of it. Steps are taken after `train()`,
    evaluations after `eval()`; parameters such as `training` and `deterministic` are set as by `from_flax`.

    Args:
        constructor: `nnx.Rngs` → module: `lambda rngs: MLP(64, rngs=rngs)`, or a class whose only required parameter is `rngs`.
        train: (inputs, targets), arrays with a row per example.
        valid: the same for validation; `None` for none.
        loss: as of `from_apply`: "cross_entropy", "binary_cross_entropy", "mse", "mae", "huber", "log_cosh", or a function.
        metrics: names of the catalogue, or name → function (predictions, batch) → scalar.
        batch_size: examples in a minibatch; `None` means all of them.
        name: its name in tables; left out, that of the module's class.
        version: identifies the code of the module where that cannot be hashed.

    Raises:
        ProblemError: if Flax is not installed, it is a ready module, or data, predictions, loss and metrics do not fit together.

    >>> from flax import nnx
    >>> import numpy as np
    >>> x = np.eye(4, dtype=np.float32)
    >>> from_nnx(lambda rngs: nnx.Linear(4, 4, rngs=rngs), (x, np.arange(4))).name
    'Linear'
    """
    nnx = _library("flax.nnx", "from_nnx", "flax")
    _refuse_ready(constructor, nnx.Module, "from_nnx", "lambda rngs: {}(..., rngs=rngs)")
    make = _by_name(constructor, "rngs", "from_nnx")
    kinds = nnx.Param, nnx.RngState, ...

    @functools.cache
    def parts() -> Any:
        return nnx.split(nnx.eval_shape(lambda: make(nnx.Rngs(0))), *kinds)

    def init(key: Array) -> Any:
        _, params, _, state = nnx.split(make(nnx.Rngs(key)), *kinds)
        return nnx.to_pure_dict(params), state

    def apply(model: Model, inputs: Any, key: Array, training: bool) -> Any:
        graph, params, streams, _ = parts()
        params = nnx.clone(params)
        nnx.replace_by_pure_dict(params, model[0])
        network = nnx.merge(graph, params, _streams(streams, key), model[1], copy=True)
        (network.train if training else network.eval)()
        taken = inspect.signature(type(network).__call__).parameters
        rngs = {"rngs": nnx.Rngs(key)} if "rngs" in taken else {}
        predictions = network(inputs, **rngs, **_modes(type(network).__call__)(training))
        return predictions, nnx.split(network, *kinds)[3]

    built = _built(lambda: nnx.eval_shape(lambda: make(nnx.Rngs(0))), nnx.Module, "from_nnx")
    return build(
        "from_nnx",
        init,
        apply,
        (train, valid),
        loss=loss,
        metrics=metrics,
        batch_size=batch_size,
        name=name or type(built).__name__,
        stateful=True,
        version=version,
    )


def from_equinox(
    constructor: Callable[..., Any],
    train: Any,
    valid: Any = None,
    *,
    loss: NamedLoss = "cross_entropy",
    metrics: Metrics = (),
    batch_size: int | None = None,
    name: str | None = None,
    version: str = "",
) -> Problem:
    """Return a problem from a module of Equinox, or rather what makes one, so that each seed has initial weights of its own.

    Its arrays of floats are trained. It is called for each example, by `jax.vmap` with `axis_name="batch"`, which batch
    normalisation requires: `module(x)`, with the argument `key` if it has a parameter of that name, and with the state if it has
    one, `module(x, state)`, which then returns (prediction, the next state). Evaluations use `eqx.nn.inference_mode`.

    Args:
        constructor: key → module: `lambda key: eqx.nn.MLP(64, 10, 32, 2, key=key)`, or a class whose only required parameter is `key`.
        train: (inputs, targets), arrays with a row per example.
        valid: the same for validation; `None` for none.
        loss: as of `from_apply`: "cross_entropy", "binary_cross_entropy", "mse", "mae", "huber", "log_cosh", or a function.
        metrics: names of the catalogue, or name → function (predictions, batch) → scalar.
        batch_size: examples in a minibatch; `None` means all of them.
        name: its name in tables; left out, that of the module's class.
        version: identifies the code of the module where that cannot be hashed.

    Raises:
        ProblemError: if Equinox is not installed, it is a ready module, or data, predictions, loss and metrics do not fit together.

    >>> import equinox as eqx, numpy as np
    >>> x = np.eye(4, dtype=np.float32)
    >>> from_equinox(lambda key: eqx.nn.Linear(4, 4, key=key), (x, np.arange(4))).name
    'Linear'
    """
    eqx = _library("equinox", "from_equinox", "equinox")
    _refuse_ready(constructor, eqx.Module, "from_equinox", "lambda key: {}(..., key=key)")
    construct = _by_name(constructor, "key", "from_equinox")

    def make(key: Array) -> Any:
        return eqx.nn.make_with_state(construct)(key)

    def is_shape(leaf: Any) -> bool:
        return isinstance(leaf, jax.ShapeDtypeStruct)

    @functools.cache
    def shapes() -> Any:
        return eqx.filter_eval_shape(lambda words: make(key_of(words)), WORDS)

    def init(key: Array) -> Any:
        network, state = make(key)
        params, rest = eqx.partition(network, eqx.is_inexact_array)
        return params, (eqx.filter(rest, eqx.is_array), state)

    def apply(model: Model, inputs: Any, key: Array, training: bool) -> Any:
        params, (fixed, state) = model
        static = eqx.filter(shapes()[0], is_shape, inverse=True)
        network = eqx.nn.inference_mode(eqx.combine(params, fixed, static), not training)
        keyed = "key" in inspect.signature(type(network).__call__).parameters
        keys = jax.random.split(key, len(jax.tree.leaves(inputs)[0]))

        def one(x: Any, state: Any, key: Array) -> Any:
            with_key = {"key": key} if keyed else {}
            return network(x, state, **with_key) if has_state else (network(x, **with_key), state)

        has_state = bool(jax.tree.leaves(state))
        over = jax.vmap(one, axis_name="batch", in_axes=(0, None, 0), out_axes=(0, None))
        found = over(inputs, state, keys)
        return found[0], (fixed, found[1])

    built = _built(lambda: shapes()[0], eqx.Module, "from_equinox")
    return build(
        "from_equinox",
        init,
        apply,
        (train, valid),
        loss=loss,
        metrics=metrics,
        batch_size=batch_size,
        name=name or type(built).__name__,
        stateful=True,
        version=version,
    )


def _library(module: str, caller: str, extra: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ProblemError(
            f"{caller}: requires {extra}, which is not installed; pip install {extra}"
        ) from error


def _modes(call: Callable[..., Any]) -> Callable[[bool], dict[str, bool]]:
    """Return a function from whether a step trains to the arguments by which a model is told."""
    taken = inspect.signature(call).parameters
    on, off = ([name for name in names if name in taken] for names in (_TRAINING, _EVALUATION))
    return lambda training: {**dict.fromkeys(on, training), **dict.fromkeys(off, not training)}


def _by_name(constructor: Callable[..., Any], argument: str, caller: str) -> Callable[[Any], Any]:
    """Return a constructor as a function of one argument, which it gets by name if it has a parameter of that name."""
    if not callable(constructor):
        raise ProblemError(f"{caller}: {_described(constructor)}; must be a function {argument} -> module")
    # A class of nnx is called through its metaclass, whose signature says nothing.
    called: Any = (
        vars(constructor).get("__init__", constructor) if isinstance(constructor, type) else constructor
    )
    named = argument in inspect.signature(called).parameters

    def make(value: Any) -> Any:
        return constructor(**{argument: value}) if named else constructor(value)

    return make


def _refuse_ready(constructor: Any, module: type, caller: str, example: str) -> None:
    if isinstance(constructor, module):
        kind = type(constructor).__name__
        raise ProblemError(
            f"{caller}: a ready {kind}, whose initial weights all seeds would share; pass what makes one: {example.format(kind)}"
        )


def _described(thing: Any) -> str:
    return (
        f"{thing.__name__} is a class" if isinstance(thing, type) else f"it is of type {type(thing).__name__}"
    )


def _streams(shapes: Any, key: Array) -> Any:
    """Return the state of nnx's random streams: a key for each, and no draws from it yet."""
    leaves, structure = jax.tree.flatten(shapes)
    fresh = [
        jax.random.fold_in(key, number)
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        else jnp.zeros(leaf.shape, leaf.dtype)
        for number, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(structure, fresh)


def _built(build: Callable[[], Any], kind: type, caller: str) -> Any:
    """Return what the user's code builds, without weights; an exception, or anything but a model, becomes one line."""
    try:
        found = build()
    except Exception as error:
        raise ProblemError(f"{caller}: the model cannot be built: {type(error).__name__}: {error}") from error
    if not isinstance(found, kind):
        raise ProblemError(
            f"{caller}: the constructor returned {type(found).__name__}; it must return a module"
        )
    return found
