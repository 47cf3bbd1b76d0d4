"""What Optuna costs per trial, on an objective that does nothing but ask for a learning rate.

Random sampling, its cheapest, and no logging: what is left is its bookkeeping, in memory or in an SQLite file.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.peers import common


def optuna_trials(trials: int = 1000, storage: str = "memory") -> common.Trials:
    """Run `trials` empty trials one after the other; `storage` is "memory" or "sqlite"."""
    if storage not in ("memory", "sqlite"):
        raise ValueError(f"storage is {storage!r}; it must be 'memory' or 'sqlite'")
    began = time.perf_counter()
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="optuna-") as folder:
        place = None if storage == "memory" else f"sqlite:///{Path(folder, 'study.db')}"
        study = optuna.create_study(storage=place, sampler=optuna.samplers.RandomSampler(seed=0))
        started = time.perf_counter()
        study.optimize(lambda trial: trial.suggest_float("learning_rate", 1e-4, 1.0, log=True), trials)
        seconds = time.perf_counter() - started
    return common.Trials(trials, seconds, started - began, {"storage": storage})


if __name__ == "__main__":
    common.main(optuna_trials, "optuna")
