"""What Optuna's tree-structured Parzen estimator finds, where each trial is one run of a line."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.protocol.methods import Advice
from benchmarks.protocol.recorded import Draw, Floats, Recorded


def tpe(problem: Recorded, drawn: Draw, trials: Sequence[int]) -> dict[int, Advice]:
    """The rate of the best trial so far, after each of these numbers of trials; a replicate for each of the draw's.

    Every line is a study of its own: the rate is log-uniform over the range of the line, and a trial trains it on the next seed. What it is told is
    min(ℓ(T), ℓ₀) of the trained rate nearest to it; those are a sixth of a decade apart.

    Raises:
        RuntimeError: if Optuna is not installed.
    """
    shape = (len(drawn.study), len(problem.rate), max(trials))
    rate, loss = np.empty(shape), np.empty(shape)
    for replicate, seeds in enumerate(drawn.study):
        for line in range(shape[1]):
            rate[replicate, line], loss[replicate, line] = _study(problem, line, seeds, shape[2], replicate)
    found = {}
    for count in trials:
        best = loss[..., :count].argmin(axis=-1)[..., None]
        found[count] = Advice(np.take_along_axis(rate, best, axis=-1)[..., 0], float(count))
    return found


def _study(problem: Recorded, line: int, seeds: np.ndarray, trials: int, seed: int) -> tuple[Floats, Floats]:
    """The rate and the loss [trial] of each trial of one line."""
    try:
        import optuna
    except ImportError as error:
        raise RuntimeError(
            "Optuna is not installed: make bench installs it, as pip install optuna does"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logs = np.log(problem.rate[line])
    axis = optuna.distributions.FloatDistribution(problem.rate[line, 0], problem.rate[line, -1], log=True)
    search = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=1000 * seed + line))
    rate, loss = np.empty(trials), np.empty(trials)
    for number in range(trials):
        trial = search.ask({"learning_rate": axis})
        at = int(np.abs(logs - np.log(trial.params["learning_rate"])).argmin())
        rate[number] = problem.rate[line, at]
        loss[number] = problem.loss[line, at, seeds[number % len(seeds)]]
        search.tell(trial, float(loss[number]))
    return rate, loss
