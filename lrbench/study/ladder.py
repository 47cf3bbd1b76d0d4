"""The ladder of first hits: 200 fixed losses between where a run starts and the floor of its problem."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

RUNGS, PER_DECADE = 200, 25


def ladder() -> npt.NDArray[np.float64]:
    """Return the rungs: values of (ℓ − floor) / (ℓ₀ − floor), log-spaced from 10^−0.04 down to 10⁻⁸.

    >>> [f"{rung:.3g}" for rung in ladder()[[0, 24, -1]]]
    ['0.912', '0.1', '1e-08']
    """
    return np.asarray(10.0 ** (-np.arange(1, RUNGS + 1) / PER_DECADE), dtype=np.float64)


def floor_of(optimum: float | None) -> float:
    """Return the loss that a ladder goes down to: the known minimum, else 0.

    The least loss of a study would be another one as soon as the study is extended, and hits are kept while runs are trained.
    """
    return 0.0 if optimum is None else optimum
