"""Arrays of examples: training and validation data, how a data set is split into them, and how columns are scaled."""

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
    """Training and validation data: pytrees of arrays that share their leading axis (examples); `None` for no data."""

    train: Any = None
    valid: Any = None

    def __post_init__(self) -> None:
        """Check that every array of a part has the same number of examples, and at least one."""
        for part in ("train", "valid"):
            sizes = {np.shape(leaf)[:1] for leaf in jax.tree.leaves(getattr(self, part))}
            if len(sizes) > 1 or sizes in ({()}, {(0,)}):
                shapes = [np.shape(leaf) for leaf in jax.tree.leaves(getattr(self, part))]
                raise ProblemError(
                    f"{part} data have the shapes {shapes}; all arrays must have the same leading axis, "
                    "one row per example, and at least one row"
                )

    @property
    def examples(self) -> int:
        """The number of training examples; 0 for an objective without data."""
        return _length(self.train)

    @property
    def valid_examples(self) -> int:
        """The number of validation examples."""
        return _length(self.valid)


class Split(NamedTuple):
    """Inputs and targets, split into training and validation."""

    train: Arrays
    valid: Arrays

    @property
    def data(self) -> Data:
        """The same as a problem's data."""
        return Data(self.train, self.valid)


def split(inputs: np.ndarray, targets: np.ndarray, every: float = 5, seed: int = 0) -> Split:
    """Split a data set: one example in `every` is for validation. The split does not depend on the seed of a run.

    It is stratified: examples are sorted by their targets, and one of each `every` neighbours is drawn, so that both parts
    have the same distribution of targets. Both are then shuffled. Another `seed` gives another such split.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    order = np.lexsort((generator.random(len(targets)), targets))
    bounds = np.floor(np.arange(int(len(order) / every) + 1) * every).astype(int)
    widths = int(every) if every == int(every) else np.diff(bounds)
    valid = order[bounds[:-1] + generator.integers(0, widths, len(bounds) - 1)]
    train = np.setdiff1d(order, valid)
    valid, train = generator.permutation(valid), generator.permutation(train)
    return Split((inputs[train], targets[train]), (inputs[valid], targets[valid]))


def standardise(parts: Split) -> Split:
    """Scale each input column to mean 0 and standard deviation 1 on the training part; the validation part is scaled alike."""
    inputs = parts.train[0]
    mean, deviation = inputs.mean(axis=0), inputs.std(axis=0)
    # By rounding, the standard deviation of a column that is constant at 0.1 is 1e-17.
    deviation = np.where(inputs.max(axis=0) > inputs.min(axis=0), deviation, 1)
    return Split(*(((x - mean) / deviation, y) for x, y in parts))


def standardise_targets(parts: Split) -> Split:
    """Scale the targets to mean 0 and standard deviation 1 on the training part; the validation part is scaled alike."""
    targets = parts.train[1]
    mean, deviation = targets.mean(), targets.std() or 1.0
    return Split(*((x, (y - mean) / deviation) for x, y in parts))


def _length(part: Any) -> int:
    leaves = jax.tree.leaves(part)
    return int(np.shape(leaves[0])[0]) if leaves else 0
