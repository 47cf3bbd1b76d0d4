"""Arrays of examples: training and validation data, how a data set is parted into them, and how columns are scaled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np

from lrbench.errors import ProblemError

Arrays: TypeAlias = tuple[np.ndarray, np.ndarray]


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


class Split(NamedTuple):
    """Inputs and targets, parted into training and validation."""

    train: Arrays
    valid: Arrays

    @property
    def data(self) -> Data:
        """The same as a problem's data."""
        return Data(self.train, self.valid)


def split(inputs: np.ndarray, targets: np.ndarray, every: int = 5, seed: int = 0) -> Split:
    """Part a data set once and for all, so that seeds differ by training alone: one example in `every` validates.

    Stratified: examples are put in the order of their targets, and one of each `every` neighbours is drawn, so that
    both parts have the same mix of labels or prices. Both are then shuffled. `seed` chooses another such split.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    order = np.lexsort((generator.random(len(targets)), targets))
    starts = np.arange(0, len(order) - every + 1, every)
    valid = order[starts + generator.integers(0, every, len(starts))]
    train = np.setdiff1d(order, valid)
    valid, train = generator.permutation(valid), generator.permutation(train)
    return Split((inputs[train], targets[train]), (inputs[valid], targets[valid]))


def standardise(parts: Split) -> Split:
    """Give every input column mean 0 and deviation 1 on the training part; the validation part is scaled alike."""
    inputs = parts.train[0]
    mean, deviation = inputs.mean(axis=0), inputs.std(axis=0)
    # The deviation of a column that is 0.1 throughout is 1e-17, by rounding.
    deviation = np.where(inputs.max(axis=0) > inputs.min(axis=0), deviation, 1)
    return Split(*(((x - mean) / deviation, y) for x, y in parts))


def standardise_targets(parts: Split) -> Split:
    """Give the targets mean 0 and deviation 1 on the training part; those of the validation part are scaled alike."""
    targets = parts.train[1]
    mean, deviation = targets.mean(), targets.std() or 1.0
    return Split(*((x, (y - mean) / deviation) for x, y in parts))


def _length(part: Any) -> int:
    leaves = jax.tree.leaves(part)
    return int(np.shape(leaves[0])[0]) if leaves else 0
