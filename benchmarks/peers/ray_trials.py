"""What Ray Tune costs per trial, on an objective that does nothing: every trial is a process of its own.

Ray runs on this machine alone, without its dashboard and without reporting use; one CPU a trial, as it comes.
"""

from __future__ import annotations

import os
import tempfile
import time

from benchmarks.peers import common


def ray_trials(trials: int = 8, budget: float = 60.0) -> common.Trials:
    """Run up to `trials` empty trials, and begin none after `budget` seconds; counts those that ended."""
    os.environ |= {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AIR_NEW_OUTPUT": "0",
        "RAY_TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    }
    began = time.perf_counter()
    try:
        import ray
        from ray import tune
    except ImportError as error:
        raise SystemExit(f"Ray Tune cannot be imported: {error}") from error
    ray.init(num_cpus=common.cores(), include_dashboard=False, log_to_driver=False, logging_level="error")
    try:
        with tempfile.TemporaryDirectory(prefix="ray-tune-") as folder:
            tuner = tune.Tuner(
                lambda config: {"loss": config["learning_rate"]},
                param_space={"learning_rate": tune.loguniform(1e-4, 1.0)},
                tune_config=tune.TuneConfig(num_samples=trials, time_budget_s=budget),
                run_config=tune.RunConfig(storage_path=folder, verbose=0),
            )
            started = time.perf_counter()
            results = tuner.fit()
            seconds = time.perf_counter() - started
    finally:
        ray.shutdown()
    ended = len(results) - results.num_errors
    if not ended:
        raise SystemExit("no trial of Ray Tune ended")
    return common.Trials(ended, seconds, started - began, {"cpus": common.cores()})


if __name__ == "__main__":
    common.main(ray_trials, "ray")
