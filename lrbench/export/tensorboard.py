"""Runs for TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lrbench.errors import DataError, counted
from lrbench.export._runs import Run, runs
from lrbench.results.results import Results


def tensorboard(results: Results, folder: Path) -> str:
    """Write an event file for each run: its curves as scalars at their steps, its settings and its run_id as hyper-parameters.

    Args:
        results: at most 1,000 runs.
        folder: receives a folder for each run, named by what tells it apart: `sgd_momentum=0.9_lr=0.01_seed=1`.

    Raises:
        DataError: if tensorboardX is not installed.
        StoreError: if there are too many runs.
    """
    try:
        import tensorboardX
    except ImportError as error:
        raise DataError(
            "--to tensorboard requires tensorboardX: pip install 'lrbench[tensorboard]'"
        ) from error
    every = runs(results, "TensorBoard")
    for run in every:
        _write(tensorboardX.SummaryWriter(str(folder / run.file)), run)
    return f"{counted(len(every), 'run')}; open with: tensorboard --logdir {folder}"


def _write(writer: Any, run: Run) -> None:
    from tensorboardX.summary import hparams

    with writer:
        for step, values in run.scalars:
            for name, value in values.items():
                writer.add_scalar(name, value, step)
        # SummaryWriter.add_hparams would put them into a further run beside this one.
        kinds = {
            name: value if isinstance(value, bool | int | float) else str(value)
            for name, value in {**run.settings, "run_id": run.run_id}.items()
        }
        for summary in hparams(kinds, run.outcome):
            writer.file_writer.add_summary(summary)
        last = run.scalars[-1][0]
        for name, value in run.outcome.items():
            writer.add_scalar(name, value, last)
