"""Runs for MLflow."""

from __future__ import annotations

import logging
import os
import re
import time
import warnings
from pathlib import Path
from typing import Any

from lrbench.errors import DataError, StoreError, counted
from lrbench.export._runs import Run, runs
from lrbench.results.results import Results

_STORE = "mlflow.db"
_MOST_METRICS = 1000
"""The most metrics that MLflow takes at once."""


def mlflow(results: Results, folder: Path) -> str:
    """Write an MLflow experiment, with an MLflow run for each run: its curves as metrics at their steps, its settings as parameters.

    MLflow's own client writes a database of SQLite, since MLflow opens folders `mlruns` only where it is told to. A run is called what
    tells it apart, such as `sgd(momentum=0.9) lr=0.01 seed=1`; its tag `run_id` is that of the tables. Nothing is sent anywhere.

    Args:
        results: at most 1,000 runs; each takes a twentieth of a second.
        folder: receives `mlflow.db`.

    Raises:
        DataError: if MLflow's client, or what it writes databases with, is not installed.
        StoreError: if there are too many runs, or MLflow could not open the path.
    """
    # It would report its use, and reads this as it is imported.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    try:
        import alembic  # noqa: F401 -- mlflow-skinny alone has no databases
        import sqlalchemy  # noqa: F401
        from mlflow import MlflowClient
    except ImportError as error:
        raise DataError("--to mlflow requires MLflow's client: pip install 'lrbench[mlflow]'") from error
    if "?" in str(folder.absolute()):
        raise StoreError(f"{folder}: MLflow opens no path with a question mark; choose another --out")
    every = runs(results, "MLflow")
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # it tells of each table it makes
    store = f"sqlite:///{folder.absolute() / _STORE}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of its queries, which SQLAlchemy 2.1 objects to
        client = MlflowClient(store)
        study = str(results.manifest.get("study", "lrbench"))
        experiment = client.create_experiment(study, (folder.absolute() / "artifacts").as_uri())
        for run in every:
            _write(client, experiment, run)
    return f"{counted(len(every), 'run')}; open with: mlflow ui --backend-store-uri {store}"


def _write(client: Any, experiment: str, run: Run) -> None:
    from mlflow.entities import Metric, Param

    now = time.time_ns() // 1_000_000
    tags = {"run_id": run.run_id, "group": run.group}
    opened = client.create_run(experiment, now, tags, run.name).info.run_id
    client.log_batch(opened, params=[Param(name, str(value)) for name, value in run.settings.items()])
    last = run.scalars[-1][0]
    values = [*run.scalars, (last, run.outcome)]
    metrics = [Metric(_key(name), value, now, step) for step, each in values for name, value in each.items()]
    for first in range(0, len(metrics), _MOST_METRICS):
        client.log_batch(opened, metrics=metrics[first : first + _MOST_METRICS])
    client.set_terminated(opened, "FINISHED", now)


def _key(name: str) -> str:
    """Return the name of a metric, of a user's own too, without the characters that MLflow refuses."""
    return re.sub(r"[^A-Za-z0-9_./ -]", "_", name)
