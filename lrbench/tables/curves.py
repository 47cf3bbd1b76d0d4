"""The table of curves, as Arrow: it is by far the longest, and is written while the parts are read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

_FIRST = (
    "run_id step learning_rate train_loss valid_loss valid_accuracy gradient_norm update_norm parameter_norm"
).split()
_TYPES = {"run_id": pa.string(), "step": pa.int64()}


class Evaluations(NamedTuple):
    """What the evaluations of some runs found."""

    run_ids: np.ndarray  # [run]
    step: np.ndarray  # [evaluation]
    values: Mapping[str, np.ndarray]  # name -> [run, evaluation]


def curves(evaluations: Evaluations, names: Sequence[str]) -> pa.Table:
    """A row per run and evaluation: the rate, the losses, and what the probes measured.

    From the first value on that is not finite, all values of a run are missing. Further probes of a study have a column of their name
    each; `lrbench list probe NAME` explains it.

    Args:
        evaluations: of some runs.
        names: of all columns; what these runs have no values of is missing.

    Columns:
        run_id: the run
        step: how many steps were taken
        learning_rate: the rate of the next step; at the end, that of the last step. With a schedule that depends on the losses, the rate
            that the run had; once it is stopped or no longer finite, the last rate before
        train_loss, valid_loss: the losses of the parameters at that step
        valid_accuracy: the accuracy on the validation data; missing if the problem has none
        valid_<metric>: likewise for each further metric of a problem
        gradient_norm: norm of the gradient on the next minibatch
        update_norm: norm of the next update
        parameter_norm: norm of all parameters
    """
    runs, count = len(evaluations.run_ids), len(evaluations.step)
    each = pa.array(np.repeat(np.arange(runs), count))
    columns: dict[str, Any] = {
        "run_id": pa.array(evaluations.run_ids, pa.string()).take(each),
        "step": np.tile(evaluations.step, runs),
        **{name: values.reshape(-1) for name, values in evaluations.values.items()},
    }
    arrays = [
        pa.array(columns[field.name], field.type, from_pandas=True)
        if field.name in columns
        else pa.nulls(runs * count, field.type)
        for field in schema(names)
    ]
    return pa.Table.from_arrays(arrays, schema=schema(names))


def names_of(measured: Iterable[str]) -> list[str]:
    """Return the columns of the table for what was measured in any run: those of every study first.

    >>> names_of(["sharpness", "train_loss"])[-2:]
    ['parameter_norm', 'sharpness']
    """
    return list(dict.fromkeys([*_FIRST, *measured]))


def schema(names: Iterable[str]) -> pa.Schema:
    """Return the types of the named columns."""
    return pa.schema([(name, _TYPES.get(name, pa.float64())) for name in names])
