"""Do the optimizers converge where optax's own tests require it, and how far from those rates do they still?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lrbench.errors import StudyError
from lrbench.experiments._choices import require_known
from lrbench.experiments._optax_convergence import answers, drawing, judging
from lrbench.experiments._optax_convergence.pairs import CONTRIB, CORE, PAIRS, WARMED_UP, Pair, as_choices
from lrbench.experiments.bench import Answer, Bench
from lrbench.experiments.page import MAIN


def optax_convergence(
    bench: Bench,
    *,
    lowest: float = 1e-5,
    highest: float = 100.0,
    steps: int = 10_000,
    optimizers: tuple[str, ...] | None = None,
) -> Answer:
    """Whether every optimizer converges at the rate at which optax tests it, and at which other rates it converges too.

    optax 0.2.8 tests 51 pairs of an optimizer and its hyper-parameters, nearly all with a learning rate: 33 in `alias_test` and 18 in
    `_common_test` of its contributions. Each pair starts at fixed points of two objectives, Σ (p − p*)² from (−1, 10, 1) with p* = (1, −1, 1),
    and Rosenbrock's valley (1 − x)² + 100 (y − x²)² from (0, 0) with p* = (1, 1). A pair passes if every coordinate ends within 0.03 + 0.03·|p*| of
    p*, which is 0.06 in all of them.

    Some pairs are exempt: sign_sgd and signum on Rosenbrock's valley, where optax requires a schedule, and adadelta and adafactor without
    a learning rate, whose outcome optax does not judge. adafactor without a rate is adafactor at rate 1. adadelta without one keeps the sign
    of the gradient in optax 0.2.8, and so climbs: it has no counterpart here and is not run. Tests with complex numbers, of matrices, and of wrappers around other
    optimizers are not included.

    All optimizers are trained in single precision on the same grid of rates: 1, 2 and 5 times the powers of ten, which includes all rates of optax's tests.
    The core ones run for 10,000 steps and the contributed ones for 30,000, as in optax. The two schedule-free optimizers have a separate
    study, with the schedule of optax's test: the rate rises linearly over the first sixth of the run. Their loss is that of the averaged weights,
    but probes see the weights before averaging. So they count as converged only if the loss alone proves it, which is a stricter test. On vectors, muon is
    Adam with Nesterov's momentum, and galore is Adam.

    The steps of a run are the first evaluation (one in every 20 steps) from which on it stays within the tolerance until the end. A run that
    leaves it again does not converge. The band of a pair is the unbroken range of rates around its own that converge, up to the ends of the
    grid. There is one seed, because only noisy_sgd and sophia draw random numbers, and all starts are fixed. At a pair's rate, lrbench's optimizer is
    optax's, with optax's defaults.

    Args:
        lowest: rate of the grid.
        highest: rate of the grid; the rates of optax's tests are always on it.
        steps: of the core optimizers; the contributions take three times as many.
        optimizers: some of those that optax tests; left out, all.

    Pictures:
        optax_convergence: Steps to the optimum of every optimizer at every rate, for the parabola and for Rosenbrock's valley; the rates of optax's tests are ringed.

    Tables:
        pairs: A row per pair of optax's tests and problem; `suite` is `core` or `contrib`, `exempt` says why nothing is required, `converges`
            whether the run ends within the tolerance, `distance` how far its farthest coordinate is from the optimum, in units of the tolerance, `steps`
            after how many it stays within, `band_low` and `band_high` the rates around it that converge, and `fastest_learning_rate` the one of the
            grid that does in the fewest steps, `fastest_steps`.
        rates: A row per optimizer, problem and rate of the grid; `distance` and `steps` are as in `pairs`, and `steps` is empty where the
            run does not converge.

    Source: the tests of optax 0.2.8 (DeepMind, Apache 2.0), optax/_src/alias_test.py and optax/contrib/_common_test.py; Rosenbrock, The
        Computer Journal 3 (1960).
    """
    if not 0 < lowest <= highest:
        raise StudyError(
            f"lowest = {lowest:g}, highest = {highest:g}: must be positive, and lowest at most highest"
        )
    chosen = _chosen(optimizers)
    rates = sorted({*_series(lowest, highest), *(pair.rate for pair in chosen if pair.rate > 0)})
    asked = [bench.check(study) for study in _studies(chosen, rates, steps)]
    judged = judging.judge([bench.train(study) for study in asked])
    pairs = answers.of_pairs(judged, chosen)
    found = answers.findings(pairs, judged, steps)
    paths = (
        *bench.write_table("pairs", pairs),
        *bench.write_table("rates", judged),
        *bench.write_picture("optax_convergence", drawing.picture(judged, pairs)),
    )
    return Answer(tuple(each.line for each in found[:MAIN]), (*paths, *bench.write_findings(found)))


def _chosen(names: Sequence[str] | None) -> list[Pair]:
    """Return the pairs of some optimizers, in the order of optax's tests; None: all."""
    known = list(dict.fromkeys(pair.optimizer for pair in PAIRS))
    require_known("optimizers", names or (), known)
    return [pair for pair in PAIRS if names is None or pair.optimizer in names]


def _series(lowest: float, highest: float) -> list[float]:
    """Return 1, 2 and 5 times the powers of ten in a range.

    >>> _series(0.02, 1.0)
    [0.02, 0.05, 0.1, 0.2, 0.5, 1.0]
    """
    every = [float(f"{digit}e{power}") for power in range(-12, 9) for digit in (1, 2, 5)]
    return [rate for rate in every if lowest <= rate <= highest]


def _studies(chosen: Sequence[Pair], rates: Sequence[float], steps: int) -> list[dict[str, Any]]:
    """Return the study of the core optimizers, that of the contributions, and that of those whose rate rises at first."""
    constant, warmup = {"name": "constant"}, {"name": "warmup_constant", "warmup": 1 / 6}
    of_contrib = [pair for pair in chosen if pair.suite == CONTRIB]
    parts = (
        ("core", [pair for pair in chosen if pair.suite == CORE], steps, constant),
        ("contrib", [pair for pair in of_contrib if pair.optimizer not in WARMED_UP], 3 * steps, constant),
        ("warmed_up", [pair for pair in of_contrib if pair.optimizer in WARMED_UP], 3 * steps, warmup),
    )
    return [
        {
            "name": name,
            "steps": length,
            "evaluate_every": max(1, steps // 500),
            "seeds": 1,
            "objective": "train_loss",
            "probes": list(judging.PROBES),
            "problem": [{"name": "parabola"}, {"name": "rosenbrock", "start": [0.0, 0.0]}],
            "optimizer": as_choices(pairs),
            "schedule": schedule,
            "learning_rate": {"values": list(rates)},
        }
        for name, pairs, length, schedule in parts
        if pairs
    ]
