"""Options of XLA under which some programs are faster, and others slower: alternatives that are measured, program by program.

A program's options are names joined by "+", such as "without_ynn+wide_vectors"; "" is none.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import jax

OPTIONS: Mapping[str, Mapping[str, str]] = {
    # Products are then computed by XLA's own code or by Eigen, rather than by YNNPACK.
    "without_ynn": {"xla_cpu_experimental_ynn_fusion_type": ""},
    # XLA prefers 256 bits, on processors that have 512 too.
    "wide_vectors": {"xla_cpu_prefer_vector_width": "512"},
}
"""Name → options, which a program on CPUs can be compiled with; results differ in last digits."""

TRAINING = {"xla_backend_optimization_level": 2}
"""LLVM's third level takes a sixth longer to compile training, and makes nothing faster."""
PROBE = {"xla_backend_optimization_level": 1}
"""A few elementwise operations at each evaluation, so that compiling them is all that they cost."""


@cache
def accepted(platform: str) -> tuple[str, ...]:
    """Return the names of the options that XLA takes here: each version knows others, and all of these are for CPUs."""
    return tuple(name for name in OPTIONS if _is_accepted(name)) if platform == "cpu" else ()


def are_accepted(options: str, platform: str) -> bool:
    """Return whether XLA takes all options of a program."""
    return not options or set(options.split("+")) <= set(accepted(platform))


def of(options: str) -> dict[str, Any]:
    """Return the options of a program as XLA takes them.

    >>> of("without_ynn+wide_vectors")
    {'xla_cpu_experimental_ynn_fusion_type': '', 'xla_cpu_prefer_vector_width': '512'}
    """
    names = options.split("+") if options else []
    return {option: value for name in names for option, value in OPTIONS[name].items()}


def _is_accepted(name: str) -> bool:
    try:
        jax.jit(lambda x: x).lower(0.0).compile(compiler_options=of(name))
    except jax.errors.JaxRuntimeError:
        return False
    return True
