"""lrbench: train every model of a learning-rate study at once, and learn which rate to use.

>>> import lrbench as lb
>>> results = lb.sweep("quadratic", optimizers="sgd", learning_rates=lb.logspace(0.01, 10, 7), seeds=1, steps=50)
>>> float(results.sensitivity["max_stable_learning_rate"].iloc[0])
1.0
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lrbench import problems
    from lrbench.errors import LrbenchError
    from lrbench.execution.execute import run
    from lrbench.execution.find import find
    from lrbench.execution.sweep import sweep
    from lrbench.execution.trainable_results import load
    from lrbench.problems import Data, Problem, from_apply, from_equinox, from_flax, from_nnx, problem
    from lrbench.results.results import Results, compare
    from lrbench.study.choice import Optimizer, Schedule
    from lrbench.study.learning_rates import logspace
    from lrbench.study.metric import Metric
    from lrbench.study.requires import asks, evaluated_at

_MODULES = {
    "Data": "problems",
    "LrbenchError": "errors",
    "Metric": "study.metric",
    "Optimizer": "study.choice",
    "Problem": "problems",
    "Results": "results.results",
    "Schedule": "study.choice",
    "asks": "study.requires",
    "compare": "results.results",
    "evaluated_at": "study.requires",
    "find": "execution.find",
    "from_apply": "problems",
    "from_equinox": "problems",
    "from_flax": "problems",
    "from_nnx": "problems",
    "load": "execution.trainable_results",
    "logspace": "study.learning_rates",
    "problem": "problems",
    "problems": "problems",
    "run": "execution.execute",
    "sweep": "execution.sweep",
}

__all__ = [
    "Data",
    "LrbenchError",
    "Metric",
    "Optimizer",
    "Problem",
    "Results",
    "Schedule",
    "asks",
    "compare",
    "evaluated_at",
    "find",
    "from_apply",
    "from_equinox",
    "from_flax",
    "from_nnx",
    "load",
    "logspace",
    "problem",
    "problems",
    "run",
    "sweep",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use: `import lrbench` alone loads neither JAX nor pandas."""
    if name not in _MODULES:
        raise AttributeError(f"module 'lrbench' has no attribute {name!r}")
    module = importlib.import_module(f"lrbench.{_MODULES[name]}")
    found = module if name == "problems" else getattr(module, name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """List the public names."""
    return __all__
