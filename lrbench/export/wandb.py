"""Runs for Weights & Biases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lrbench.errors import DataError, counted
from lrbench.export._runs import Run, runs
from lrbench.results.results import Results


def wandb(results: Results, folder: Path) -> str:
    """Write an offline W&B run for each run: its curves at their steps, its settings as config; nothing is uploaded.

    A run is called what tells it apart, such as `sgd(momentum=0.9) lr=0.01 seed=1`; its id is the run_id. `wandb sync` uploads them, when and where you choose; the only fact about this machine in them is its platform.

    Args:
        results: at most 1,000 runs; each takes about a quarter of a second.
        folder: receives a folder `wandb/offline-run-...` for each run.

    Raises:
        DataError: if wandb is not installed.
        StoreError: if there are too many runs.
    """
    try:
        import wandb as client
    except ImportError as error:
        raise DataError("--to wandb requires wandb: pip install 'lrbench[wandb]'") from error
    every = runs(results, "Weights & Biases")
    project = str(results.manifest.get("study", "lrbench"))
    settings = client.Settings(
        silent=True,
        console="off",
        disable_git=True,
        save_code=False,
        reinit="create_new",  # a run that is open in this process goes on
        host="",
        x_disable_machine_info=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_save_requirements=False,
    )
    for run in every:
        _write(
            client.init(
                mode="offline",
                dir=folder,
                project=project,
                id=run.run_id,
                name=run.name,
                group=run.group,
                config=run.settings,
                settings=settings,
            ),
            run,
        )
    return f"{counted(len(every), 'run')}; upload with: wandb sync {folder}/wandb/offline-run-*"


def _write(open_run: Any, run: Run) -> None:
    for step, values in run.scalars:
        open_run.log(values, step=step)
    open_run.summary.update(run.outcome)
    open_run.finish()
