"""The optimizers, rates and hyper-parameters of optax's convergence tests, and what those tests leave out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

CORE, CONTRIB = "core", "contrib"
PROBLEMS = ("parabola", "rosenbrock")
WARMED_UP = ("schedule_free_sgd", "schedule_free_adamw")
"""The optimizers that optax tests with a rate that rises linearly over 5,000 steps; lrbench has a schedule for it."""

_NONE: Mapping[str, float] = MappingProxyType({})
_NO_RATE = "optax sets no rate and does not judge the outcome"
_SIGN = "optax requires a schedule for signs to solve it"


class Pair(NamedTuple):
    """An optimizer with the rate at which optax tests it.

    Args:
        suite: CORE is optax/_src/alias_test.py, CONTRIB optax/contrib/_common_test.py.
        optimizer: its name, in optax as here.
        rate: the learning rate; for those that estimate their own and are given none, 1, the default; NaN where there is none.
        parameters: of lrbench's optimizer: those that the test sets, and optax's defaults where lrbench has others.
        exempt: why the test does not require that it converges, by problem.
    """

    suite: str
    optimizer: str
    rate: float
    parameters: Mapping[str, float] = _NONE
    exempt: Mapping[str, str] = MappingProxyType({})

    @property
    def label(self) -> str:
        """The optimizer with the parameters that are set, as tables have it."""
        return label(self.optimizer, self.parameters)


_UNJUDGED = dict.fromkeys(PROBLEMS, _NO_RATE)
PAIRS = (
    Pair(CORE, "adabelief", 1e-2),
    Pair(CORE, "adadelta", 0.1),
    # Without a rate, optax's adadelta does not turn the sign of its step either, and climbs.
    Pair(CORE, "adadelta", float("nan"), exempt=_UNJUDGED),
    Pair(CORE, "adafactor", 5e-3),
    Pair(CORE, "adafactor", 1.0, exempt=_UNJUDGED),
    Pair(CORE, "adagrad", 1.0),
    Pair(CORE, "adam", 0.1),
    Pair(CORE, "adamax", 0.1),
    Pair(CORE, "adamaxw", 0.1),
    Pair(CORE, "adamw", 0.1, {"weight_decay": 1e-4}),
    Pair(CORE, "adan", 0.1),
    Pair(CORE, "amsgrad", 0.1),
    Pair(CORE, "fromage", 5e-3),
    Pair(CORE, "lamb", 1e-3),
    Pair(CORE, "lars", 1.0),
    Pair(CORE, "lion", 1e-2, {"weight_decay": 1e-4}),
    Pair(CORE, "nadam", 1e-2),
    Pair(CORE, "nadamw", 1e-2),
    Pair(CORE, "noisy_sgd", 1e-3, {"eta": 1e-4}),
    Pair(CORE, "novograd", 1e-3),
    # lrbench's optimism is a multiple of the rate; optax's default is the rate itself.
    Pair(CORE, "optimistic_adam", 2e-3),
    Pair(CORE, "optimistic_adam_v2", 2e-3),
    Pair(CORE, "optimistic_gradient_descent", 2e-3, {"alpha": 0.7, "beta": 0.1}),
    Pair(CORE, "polyak_sgd", 1.0),
    Pair(CORE, "radam", 5e-3),
    Pair(CORE, "rmsprop", 5e-3, {"momentum": 0.0}),
    Pair(CORE, "rmsprop", 5e-3, {"momentum": 0.9}),
    Pair(CORE, "rprop", 0.1),
    Pair(CORE, "sgd", 1e-3, {"momentum": 0.9}),
    Pair(CORE, "sign_sgd", 0.1, exempt={"rosenbrock": _SIGN}),
    Pair(CORE, "signum", 1e-2, exempt={"rosenbrock": _SIGN}),
    Pair(CORE, "sm3", 1.0),
    Pair(CORE, "yogi", 0.1),
    Pair(CONTRIB, "acprop", 1e-3),
    Pair(CONTRIB, "ademamix", 1e-3),
    Pair(CONTRIB, "simplified_ademamix", 1e-3),
    Pair(CONTRIB, "adopt", 1e-2),
    Pair(CONTRIB, "cocob", 1.0, {"weight_decay": 0.0}),
    Pair(CONTRIB, "cocob", 1.0, {"weight_decay": 1e-2}),
    Pair(CONTRIB, "dadapt_adamw", 0.1),
    Pair(CONTRIB, "dog", 1.0),
    Pair(CONTRIB, "dowg", 1.0),
    Pair(CONTRIB, "madgrad", 1e-2),
    Pair(CONTRIB, "momo", 0.1),
    Pair(CONTRIB, "momo_adam", 0.1),
    Pair(CONTRIB, "muon", 1e-2),
    Pair(CONTRIB, "prodigy", 0.1),
    Pair(CONTRIB, "schedule_free_sgd", 1e-2),
    Pair(CONTRIB, "schedule_free_adamw", 1e-2),
    Pair(CONTRIB, "sophia", 1e-2),
    Pair(CONTRIB, "galore", 1e-2, {"rank": 8}),
)
"""All pairs of optax 0.2.8, in the order of its tests."""


def label(optimizer: str, parameters: Mapping[str, float]) -> str:
    """Return the name of an optimizer with parameters.

    >>> label("sgd", {"momentum": 0.9}), label("adam", {})
    ('sgd(momentum=0.9)', 'adam')
    """
    text = ", ".join(f"{name}={value:g}" for name, value in sorted(parameters.items()))
    return f"{optimizer}({text})" if text else optimizer


def as_choices(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """Return the optimizers of pairs as a study lists them: each once, with the values of each parameter as an axis.

    >>> as_choices([PAIRS[25], PAIRS[26]])
    [{'name': 'rmsprop', 'momentum': [0.0, 0.9]}]
    """
    out: dict[str, dict[str, Any]] = {}
    for pair in pairs:
        entry = out.setdefault(pair.optimizer, {"name": pair.optimizer})
        for name, value in pair.parameters.items():
            values = entry.setdefault(name, [])
            if value not in values:
                values.append(value)
    return list(out.values())
