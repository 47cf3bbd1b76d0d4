"""How fast the published models of MNIST-1D train in lrbench, together and one at a time, beside PyTorch.

    make bench BENCH=mnist1d
    make bench BENCH=mnist1d ARGS=--quick     # one short round, to see that it works; nothing is saved

Logistic regression, residual MLP, CNN and bidirectional GRU with Adam and batches of 100: 32 runs of different rates in one program, one run
alone, and PyTorch eager, one model at a time, with the faster number of threads and the fastest form of Adam. They take turns, round after round, each in
a fresh process; a ratio is always one of the same round, and a row shows the round with the median ratio. Rounds stop early where the next
one would go past the time that the script has. The note says what the notebooks of MNIST-1D print for a CPU of their own, evaluations included.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks import workloads
from benchmarks.peers import common
from benchmarks.process import Watch, beside, say
from benchmarks.table import Row, compare, is_quick, publish, run_peer, show

TOGETHER = 32
RATE = 0.01
LIMIT_SECONDS, ROUNDS = 240.0, 3
MOST_DISAGREEMENT = 1.5
"""Final losses at the published rate differ by this factor at most: initial weights and minibatches are others."""

Line = dict[str, Any]
"""The JSON line of a peer (`benchmarks.peers.common.report`)."""
Round = dict[str, dict[str, Line]]
"""The problem → who → its line: `together`, `alone` and `torch`."""


class Model(NamedTuple):
    """A model, how many steps are timed, and the steps per second that `mnist1d-classification` prints."""

    name: str
    steps: int
    printed: int


MODELS = {
    "mnist1d_softmax": Model("logistic regression", 500, 1700),
    "mnist1d_mlp": Model("residual MLP", 200, 700),
    "mnist1d_cnn": Model("CNN", 100, 550),
    "mnist1d_gru": Model("bidirectional GRU", 40, 40),
}


def measure_round(*, quick: bool = False) -> Round:
    """Everything once, one process after the other."""
    found: Round = {}
    for problem, model in MODELS.items():
        steps = max(10, model.steps // 10) if quick else model.steps
        repeats = "--repeats", 1 if quick else 3
        found[problem] = {
            "together": _measure("lrbench_engine", "--study", _study(problem, TOGETHER, steps), *repeats),
            "alone": _measure("lrbench_engine", "--study", _study(problem, 1, steps), *repeats),
            "torch": _measure("torch_mnist1d", "--problem", problem, "--steps", steps, *repeats),
        }
        say(
            f"  {problem}: {', '.join(f'{name} {_rate(line):,.0f}' for name, line in found[problem].items())}"
        )
    return found


def _study(problem: str, models: int, steps: int) -> str:
    return json.dumps(workloads.mnist1d(problem, models, steps))


def _measure(peer: str, *args: object) -> Line:
    with Watch() as watch:
        line = run_peer(peer, *args)
    return line | {"others": watch.others}


def rows_of(rounds: Sequence[Round]) -> list[Row]:
    """Two rows per model, many runs together and one alone, each against PyTorch; refuses rounds whose nets did not do the same work."""
    rows = []
    for problem, model in MODELS.items():
        apart = max(disagreement(each[problem]) for each in rounds)
        if not apart < MOST_DISAGREEMENT:
            raise RuntimeError(
                f"{problem}: final losses differ by a factor of {apart:.2f}: somebody did other work"
            )
        for who, what in (("together", f"{TOGETHER} runs together"), ("alone", "one run at a time")):
            rows.append(_row(problem, model, who, what, rounds, apart))
    return rows


def _row(problem: str, model: Model, who: str, what: str, rounds: Sequence[Round], apart: float) -> Row:
    ratios = [_rate(each[problem][who]) / _rate(each[problem]["torch"]) for each in rounds]
    middle = rounds[int(np.argsort(ratios)[(len(ratios) - 1) // 2])][problem]
    ours, theirs = middle[who], middle["torch"]
    spread = f"median of {len(rounds)} rounds ({min(ratios):.3g} to {max(ratios):.3g})"
    threads = theirs["threads"]
    others = [share for share in (ours["others"], theirs["others"]) if share is not None]
    notes = [
        spread if len(rounds) > 1 else "1 round",
        f"better with {threads} thread{'s' if threads > 1 else ''}, {theirs['detail']['fastest']}",
        f"final losses within {apart:.2f} ×",
        beside(max(others, default=None)),
        f"printed: {model.printed:,} steps/s",
    ]
    return compare(
        "mnist1d",
        f"{model.name}, {what}",
        _rate(ours),
        "model-steps/s",
        "PyTorch eager, one at a time",
        _rate(theirs),
        note="; ".join(filter(None, notes)),
    )


def disagreement(found: dict[str, Line]) -> float:
    """By which factor the final losses at the published rate differ; infinite where somebody did not learn.

    Of the runs together, those beside that rate count by their interpolated logarithm.
    """
    logs = {}
    for name, line in found.items():
        losses = np.log([math.nan if loss is None else loss for loss in line["final_losses"]])
        rates = np.log(common.learning_rates(len(losses))) if len(losses) > 1 else np.array([math.log(RATE)])
        logs[name] = float(np.interp(math.log(RATE), rates, losses))
        if not logs[name] < math.log(line["initial_loss"]):
            return math.inf
    return math.exp(max(logs.values()) - min(logs.values()))


def _rate(line: Line) -> float:
    return float(line["model_steps_per_second"])


def main() -> None:
    """Measure, print the table, and save it unless `--quick`."""
    quick = is_quick(__doc__)
    began, rounds = time.perf_counter(), []
    while not rounds or (not quick and len(rounds) < ROUNDS):
        say(f"round {len(rounds) + 1}")
        rounds.append(measure_round(quick=quick))
        taken = time.perf_counter() - began
        if taken + taken / len(rounds) > LIMIT_SECONDS:
            break
    rows = rows_of(rounds)
    show(rows) if quick else publish("mnist1d", rows)


if __name__ == "__main__":
    main()
