"""What verdicts and rankings judge runs by: a loss or a metric, at the end of a run or at its best evaluation."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from lrbench.analysis.groups import Floats, group

Values = TypeVar("Values", float, Floats)


@dataclasses.dataclass(frozen=True)
class Objective:
    """What the runs of a problem are judged by, as a number that is better the smaller it is.

    ℓ = m for a loss; ℓ = bound − m for a metric to raise whose greatest value is known, and ℓ = −m where it is not.

    Args:
        column: the curve: "train_loss", "valid_loss", "valid_accuracy", ...
        larger: whether larger values of it are better.
        bound: the greatest value that it can have, where larger ones are better.
        at: whether ℓ(T) is its value at the "end" of a run, or the "best" of all evaluations.

    Example:
        >>> accuracy = Objective("valid_accuracy", larger=True, bound=1.0)
        >>> accuracy.smaller(0.75), Objective("train_loss").smaller(0.75), accuracy.label
        (0.25, 0.75, '1 − validation accuracy')
    """

    column: str
    larger: bool = False
    bound: float | None = None
    at: Literal["end", "best"] = "end"

    @classmethod
    def of(cls, found: str | Mapping[str, Any]) -> Objective:
        """Return the objective that a manifest holds: a table or, in an older one, the name of a loss."""
        return cls(found) if isinstance(found, str) else cls(**found)

    def asdict(self) -> dict[str, Any]:
        """Return it as plain data, for the manifest."""
        return dataclasses.asdict(self)

    def smaller(self, values: Values) -> Values:
        """Return values of the curve as numbers that are better the smaller they are; of such numbers, the values of the curve."""
        if not self.larger:
            return values
        return -values if self.bound is None else self.bound - values

    @property
    def label(self) -> str:
        """What such a number is, for the axis of a plot."""
        which, _, name = self.column.partition("_")
        name = {"train": "training ", "valid": "validation "}.get(which, which + " ") + name.replace("_", " ")
        if not self.larger:
            return name
        return f"− {name}" if self.bound is None else f"{self.bound:g} − {name}"


Objectives: TypeAlias = Mapping[str, Objective] | None
"""problem name → what its runs are judged by; a problem that is not in it, as every one where this is None, by its
validation loss if it has one, else by its training loss."""


def objectives_of(manifest: Mapping[str, Any]) -> dict[str, Objective]:
    """Return the objectives of the problems of a manifest, old or new.

    Example:
        >>> objectives_of({"objectives": {"bowl": "train_loss", "digits": {"column": "valid_accuracy", "larger": True}}})["digits"]
        Objective(column='valid_accuracy', larger=True, bound=None, at='end')
    """
    return {name: Objective.of(found) for name, found in manifest.get("objectives", {}).items()}


Metrics: TypeAlias = Mapping[str, Mapping[str, bool]]
"""problem name → metric, such as "valid_accuracy" → whether larger values are better."""


def metrics_of(manifest: Mapping[str, Any]) -> dict[str, dict[str, bool]]:
    """Return the metrics of the problems of a manifest; an older one has none.

    Example:
        >>> metrics_of({"problems": [{"name": "digits", "metrics": {"accuracy": {"larger": True, "bound": 1.0}}}]})
        {'digits': {'valid_accuracy': True}}
    """
    return {
        problem["name"]: {
            f"valid_{name}": each["larger"] for name, each in problem.get("metrics", {}).items()
        }
        for problem in manifest.get("problems", [])
    }


def objective_of_each(runs: pd.DataFrame, objectives: Objectives = None) -> dict[str, Objective]:
    """Return what the runs of each problem are judged by, for every problem that has runs.

    Example:
        >>> runs = pd.DataFrame({"problem": ["a", "b"], "initial_valid_loss": [1.0, float("nan")]})
        >>> [each.column for each in objective_of_each(runs, {"b": Objective("valid_accuracy")}).values()]
        ['valid_loss', 'valid_accuracy']
    """
    code, first = group(runs, ["problem"])
    validated = np.zeros(len(first), dtype=np.bool_)
    validated[code[np.isfinite(_column(runs, "initial_valid_loss"))]] = True
    names = [str(name) for name in runs["problem"].iloc[first]]
    default = {
        name: Objective("valid_loss" if valid else "train_loss")
        for name, valid in zip(names, validated, strict=True)
    }
    return {name: (objectives or {}).get(name, default[name]) for name in names}


def losses(runs: pd.DataFrame, objectives: Objectives = None) -> tuple[Floats, Floats]:
    """ℓ₀ and ℓ(T) of every run: its objective at step 0 and at the end, each [run], smaller is better; NaN where not finite.

    With `at="best"` ℓ(T) is the best of all evaluations; it is missing for a run that did not train (see `trained`),
    however good it once was.

    Example:
        >>> runs = pd.DataFrame({"problem": "a", "status": ["ok", "nonfinite"], "initial_valid_accuracy": 0.1,
        ...                      "final_valid_accuracy": [0.8, float("nan")], "best_valid_accuracy": [0.9, 0.7]})
        >>> accuracy = Objective("valid_accuracy", larger=True, bound=1.0, at="best")
        >>> [values.round(3).tolist() for values in losses(runs, {"a": accuracy})]
        [[0.9, 0.9], [0.1, nan]]
    """
    initial, final = np.full(len(runs), np.nan), np.full(len(runs), np.nan)
    code, _ = group(runs, ["problem"])
    each = list(objective_of_each(runs, objectives).values())
    for objective in dict.fromkeys(each):
        mine = np.array([own == objective for own in each])[code]
        initial[mine] = objective.smaller(_column(runs, f"initial_{objective.column}")[mine])
        found = _column(runs, f"final_{objective.column}")
        if objective.at == "best":
            best = _column(runs, f"best_{objective.column}")
            found = np.where(np.isfinite(found) & trained(runs), best, np.nan)
        final[mine] = objective.smaller(found[mine])
    final[~np.isfinite(final)] = np.nan
    return initial, final


def _column(runs: pd.DataFrame, name: str) -> Floats:
    if name not in runs:
        return np.full(len(runs), np.nan)
    return runs[name].to_numpy(dtype=np.float64, na_value=np.nan)


def trained(runs: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Whether each run [run] trained: its status is ok, or it was stopped with a training loss not above its start.

    Example:
        >>> runs = pd.DataFrame({"status": ["ok", "stopped", "stopped", "diverged"],
        ...                      "initial_train_loss": 1.0, "final_train_loss": [0.1, 0.9, 1.1, 2.0]})
        >>> trained(runs).tolist()
        [True, True, False, False]
    """
    status = runs["status"].to_numpy()
    fine: npt.NDArray[np.bool_] = status == "ok"
    stopped = status == "stopped"
    if stopped.any():
        fell = _column(runs, "final_train_loss") <= _column(runs, "initial_train_loss")
        fine = fine | (stopped & fell)
    return fine
