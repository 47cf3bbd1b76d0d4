"""What a seed determines: initial weights, order of the examples, noise in the loss; the same for all runs of the seed.

Drawn on the host: NumPy shuffles the digits in 15 µs where XLA on a CPU takes 100, and random numbers inside a program
would double the time it takes to compile.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any

import jax
import numpy as np
from jaxtyping import Int, UInt32

from lrbench import machine
from lrbench.engine import decompositions, devices
from lrbench.errors import ProblemError
from lrbench.problems import Problem

_INIT, _NOISE, _ORDER = range(3)


class Initial:
    """The initial parameters of a problem, by seed; its `init` is compiled once, for all programs of the problem."""

    def __init__(self, problem: Problem) -> None:
        """Compute nothing until a seed is requested."""
        self._problem = problem
        self._known: dict[int, Any] = {}

    @cached_property
    def _init(self) -> Any:
        def drawn(data: jax.Array) -> Any:
            return jax.tree.map(jax.numpy.asarray, self._problem.init(key(data)))

        self._check_size(jax.eval_shape(drawn, _words(0, _INIT)))
        platform = jax.default_backend()
        return decompositions.compile_program(drawn, _words(0, _INIT), platform=platform)[0]

    def _check_size(self, parameters: Any) -> None:
        """Refuse parameters that do not fit into memory; XLA would use all of it, or end the process, without an error."""
        needed = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(parameters))
        if needed > (free := machine.memory().free):
            raise ProblemError(
                f"{self._problem.name}: its parameters require {needed / 2**30:,.1f} GiB of memory, and {free / 2**30:,.1f} GiB "
                "are free; make it smaller"
            )

    @cached_property
    def shapes(self) -> Any:
        """Shapes and types of one seed's parameters, as `jax.ShapeDtypeStruct`s."""
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), self.of([0]))

    def of(self, seeds: Sequence[int]) -> Any:
        """Return each seed's parameters, stacked [seed, ...].

        They are drawn in float32 whatever the precision of the study, so that both start from the same weights.
        """
        for seed in set(seeds) - set(self._known):
            with jax.enable_x64(False):
                self._known[seed] = jax.device_get(self._init(_words(seed, _INIT)))
        return devices.cast(
            jax.tree.map(lambda *leaves: np.stack(leaves), *(self._known[seed] for seed in seeds))
        )


def noise(seeds: Sequence[int]) -> UInt32[np.ndarray, "seed word"]:
    """Return the data of each seed's random key for the loss."""
    return np.stack([_words(seed, _NOISE) for seed in seeds])


def orders(
    problem: Problem, seeds: Sequence[int], start: int, count: int
) -> Int[np.ndarray, "seed step example"]:
    """Return which examples each of the `count` steps from `start` on sees.

    Examples are shuffled once an epoch, or have the order of the problem; the few that do not fill a minibatch are left out of that epoch.
    """
    if problem.batch_size is None:
        return np.zeros((len(seeds), 1, 1), np.int32)
    per_epoch = problem.data.examples // problem.batch_size
    first, last = start // per_epoch, (start + count - 1) // per_epoch
    used = per_epoch * problem.batch_size
    skip = start - first * per_epoch
    each = []
    for seed in seeds:
        epochs = [_epoch(problem, seed, epoch)[:used] for epoch in range(first, last + 1)]
        each.append(np.concatenate(epochs).reshape(-1, problem.batch_size)[skip : skip + count])
    return np.stack(each)


def key(data: Any) -> jax.Array:
    """Return a random key from its data; the generator is named, so that results do not depend on a default of JAX."""
    return jax.random.wrap_key_data(data, impl="threefry2x32")


def _words(seed: int, purpose: int) -> UInt32[np.ndarray, " word"]:
    return np.random.SeedSequence([seed, purpose]).generate_state(2, np.uint32)


def _epoch(problem: Problem, seed: int, epoch: int) -> Int[np.ndarray, " example"]:
    """Return the order of the examples in an epoch; a fixed one is that of the first epoch of reshuffled ones."""
    examples = problem.data.examples
    if problem.order == "given":
        return np.arange(examples, dtype=np.int32)
    return _shuffled(seed, 0 if problem.order == "fixed" else epoch, examples)


@lru_cache(maxsize=512)
def _shuffled(seed: int, epoch: int, examples: int) -> Int[np.ndarray, " example"]:
    generator = np.random.Generator(np.random.PCG64([seed, _ORDER, epoch]))
    return generator.permutation(examples).astype(np.int32)
