"""How fast lrbench trains, beside its peers: P1 to P5.

    make bench BENCH=throughput
    make bench BENCH=throughput ARGS=--quick     # one short round, to see that it works; nothing is saved

Three workloads: W1, 256 runs of `digits_mlp` (64-64-10, Adam, 200 steps); 32 runs of the convolutional net
`mnist_cnn` (Adam, 20 steps); and 64 × 64 pairs of rates of `fractal` (full batch, sgd, 50 steps). On a machine with
other work on it a single figure says little. So lrbench and its peers take turns, round after round, each in a
fresh process, and a ratio is always one of the same round. A row shows the round with the median ratio, and its
note the range of all rounds. Rounds stop early where the next one would go past the time that the whole script
has. The note also says which share of the cores other processes took meanwhile: above a few percent, do not trust
the row.
"""

from __future__ import annotations

import dataclasses
import json
import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import workloads
from benchmarks.peers import common
from benchmarks.process import Watch, beside, say
from benchmarks.table import FOLDER, Row, compare, is_quick, publish, run_peer, show

MODELS, CNN_MODELS, FRACTAL_SIDE = 256, 32, 64
CNN_STEPS, FRACTAL_STEPS = 20, 50
CNN_PEER_MODELS = 4
"""One after the other, so that their cost does not depend on how many there are."""
THREADS = (1, 2)
"""PyTorch's thread counts in W1; it gets the better one in every round."""
LAYOUTS = ("apart", "lane", "wide")
REPEATS = {
    "w1": 5,
    "torch_eager": 2,
    "torch_vmap": 1,
    "jax_vmap": 2,
    "jax_single": 3,
    "products": 3,
    "cnn": 1,
    "torch_cnn": 2,
    "fractal": 3,
    "notebook_fractal": 1,
}
"""Timed calls of a process after its warm-up; one call of torch_vmap already takes several seconds."""
LIMIT_SECONDS = 270.0
SHORTER = 0.9
"""About how long a round lasts beside the first, which compiles, and measures all of `LAYOUTS`."""
MOST_DISAGREEMENT = 1.5
"""Final losses of W1 differ by this factor in the median at most; other initial weights make it about 1.1."""
MOST_CNN_DISAGREEMENT = 2.0
"""The same for the convolutional net after its few steps, at PyTorch's rate."""
MOST_FRACTAL_DISAGREEMENT = 0.1
"""By how much the shares of pairs that still have a finite loss may differ."""

Line = dict[str, Any]
"""The JSON line of a peer (`benchmarks.peers.common.report`)."""
Round = dict[str, Line]
"""One round: a peer's name, with its variant after a space → its line; lrbench has a name for each workload."""


@dataclasses.dataclass(frozen=True)
class Effort:
    """How much is measured; `repeats` bounds those of every peer."""

    rounds: int
    steps: int
    cnn_steps: int
    fractal_steps: int
    repeats: int


FULL = Effort(rounds=3, steps=200, cnn_steps=CNN_STEPS, fractal_steps=FRACTAL_STEPS, repeats=5)
QUICK = Effort(rounds=1, steps=50, cnn_steps=10, fractal_steps=10, repeats=1)


class Comparison(NamedTuple):
    """A row: a workload in lrbench against the best variant of a peer."""

    measure: str
    workload: str
    peer: str
    label: str
    at_least: float | None = None
    note: str = ""


COMPARISONS = (
    Comparison("P1", "w1", "torch_eager", "PyTorch eager, one at a time", 30),
    Comparison(
        "P2", "w1", "torch_vmap", "torch.func.vmap, 256 models", 7, "docs/speed.md says what bounds it"
    ),
    Comparison("P2", "w1", "jax_vmap", "plain jax.vmap, 256 lanes, one device", 2.3),
    Comparison("P2", "w1", "jax_single", "JAX jit + scan, one at a time, one device"),
    Comparison(
        "P3",
        "w1",
        "products",
        "W1's matrix products alone",
        0.75,
        "1 × is the ceiling; docs/speed.md says what bounds it",
    ),
    Comparison(
        "P4",
        "cnn",
        "torch_cnn",
        "PyTorch eager, one at a time, 2 threads",
        2.5,
        "docs/speed.md says what bounds it",
    ),
    Comparison(
        "P5",
        "fractal",
        "notebook_fractal",
        "the notebook's loop over a vmapped step",
        9,
        "docs/speed.md says what bounds it",
    ),
)


# ---- measuring ----


def measure_rounds(effort: Effort, cache: Path, until: float) -> list[Round]:
    """Up to `effort.rounds` rounds: at least one, and none that would likely end after `until`."""
    rounds: list[Round] = []
    layouts: Sequence[str] = LAYOUTS
    lasts = 0.0
    while len(rounds) < effort.rounds:
        began = time.perf_counter()
        if rounds and began + lasts > until:
            say(f"no time for round {len(rounds) + 1}")
            break
        say(f"round {len(rounds) + 1}")
        rounds.append(measure_round(effort, layouts, cache))
        lasts = time.perf_counter() - began
        if layouts is LAYOUTS:  # from here on the fastest alone;
            layouts = [best(rounds[0], "products")["detail"]["layout"]]
            lasts *= SHORTER
    return rounds


def measure_round(effort: Effort, layouts: Sequence[str], cache: Path) -> Round:
    """Everything once, one process after the other; `cache` is where lrbench keeps compiled programs."""
    found: Round = {}

    def measure(peer: str, *args: object, name: str = "", variant: object = "") -> Line:
        name = name or peer
        repeats = min(REPEATS[name], effort.repeats)
        with Watch() as watch:
            line = run_peer(peer, *args, "--repeats", repeats, environment={"XDG_CACHE_HOME": str(cache)})
        line["others"] = watch.others
        name = f"{name} {variant}".strip()
        found[name] = line
        say(f"  {name}: {_rate(line):,.0f} model-steps/s in {watch.seconds:.0f} s; {beside(watch.others)}")
        return line

    def lrbench(study: workloads.Table, warm_up: int = 1) -> Line:
        given = "--study", json.dumps(study), "--warm-up", warm_up
        return measure("lrbench_engine", *given, name=study["name"])

    detail = lrbench(workloads.w1(MODELS, effort.steps))["detail"]
    steps = "--steps", effort.steps
    for threads in THREADS:
        measure("torch_eager", *steps, "--threads", threads, variant=threads)
    for threads in THREADS:
        measure("torch_vmap", *steps, "--models", MODELS, "--threads", threads, variant=threads)
    measure("jax_vmap", *steps, "--models", MODELS)
    measure("jax_single", *steps)
    chunk, devices = detail["chunk"], detail["devices"]
    models = math.ceil(MODELS / (chunk * devices)) * chunk * devices
    same = *steps, "--models", models, "--chunk", chunk, "--devices", devices
    for layout in layouts:
        measure("products", *same, "--layout", layout, variant=layout)
    lrbench(
        workloads.cnn(CNN_MODELS, effort.cnn_steps), warm_up=0
    )  # its evaluations take longer than its steps
    measure("torch_cnn", "--models", CNN_PEER_MODELS, "--steps", effort.cnn_steps)
    lrbench(workloads.fractal(FRACTAL_SIDE, effort.fractal_steps))
    measure("notebook_fractal", "--lanes", FRACTAL_SIDE**2, "--steps", effort.fractal_steps)
    return found


# ---- rows ----


def rows_of(rounds: Sequence[Round], effort: Effort = FULL) -> list[Row]:
    """A row for each of `COMPARISONS`; refuses rounds whose peers did not all do the same work.

    The row has the figures of the round with the median ratio (the lower one of two), so that its ratio is that
    of its own figures.
    """
    agreement = {"P1": _agreement(rounds), "P4": _cnn_agreement(rounds), "P5": _fractal_agreement(rounds)}
    what = {
        "w1": f"digits_mlp, {MODELS} runs × {effort.steps} steps",
        "cnn": f"mnist_cnn, {CNN_MODELS} runs × {effort.cnn_steps} steps",
        "fractal": f"fractal, {FRACTAL_SIDE**2:,} runs × {effort.fractal_steps} steps",
    }
    rows = []
    for given in COMPARISONS:
        ranked = sorted(
            (_rate(each[given.workload]) / _rate(best(each, given.peer)), i) for i, each in enumerate(rounds)
        )
        middle = rounds[ranked[(len(ranked) - 1) // 2][1]]
        ours, theirs = middle[given.workload], best(middle, given.peer)
        spread = f"{ranked[0][0]:.3g} to {ranked[-1][0]:.3g}"
        notes = [
            f"median of {len(rounds)} rounds ({spread})" if len(rounds) > 1 else "1 round",
            _variant(given.peer, theirs["detail"], theirs["threads"]),
            agreement.get(given.measure, ""),
            beside(_larger(ours["others"], theirs["others"])),
            given.note,
        ]
        row = compare(
            given.measure,
            what[given.workload],
            _rate(ours),
            "model-steps/s",
            given.label,
            _rate(theirs),
            at_least=given.at_least,
            note="; ".join(filter(None, notes)),
        )
        rows.append(row)
    return rows


def best(found: Round, peer: str) -> Line:
    """The fastest variant of a peer in a round."""
    return max((line for name, line in found.items() if name.split()[0] == peer), key=_rate)


def disagreement(found: Round) -> float:
    """By which factor a peer of W1 differs in its final losses from lrbench's at the same rates; the largest median.

    Infinite where fewer than nine in ten models of anybody have a finite loss, or one did not learn.
    """
    ours = _log_losses(found["w1"])
    rates = np.log(common.learning_rates(len(ours)))
    largest = 0.0
    peers = {given.peer for given in COMPARISONS if given.workload == "w1"} - {"products"}
    for name, line in found.items():
        if name.split()[0] not in peers | {"w1"}:
            continue
        theirs = _log_losses(line)
        here = np.interp(np.log(common.learning_rates(len(theirs))), rates, ours)
        finite = np.isfinite(theirs).mean() >= 0.9
        if not finite or np.nanmedian(theirs) >= math.log(line["initial_loss"]):
            return math.inf
        largest = max(largest, float(np.nanmedian(np.abs(theirs - here))))
    return math.exp(largest)


def cnn_disagreement(found: Round, rate: float = 1e-3) -> float:
    """By which factor PyTorch's nets and lrbench's differ in their final loss at PyTorch's rate."""
    ours, theirs = _log_losses(found["cnn"]), _log_losses(found["torch_cnn"])
    here = np.interp(math.log(rate), np.log(common.learning_rates(len(ours))), ours)
    return math.exp(abs(float(np.median(theirs)) - float(here)))


def fractal_disagreement(found: Round) -> float:
    """By how much the shares of pairs of rates with a finite loss differ."""
    shares = [float(found[name]["finite_fraction"]) for name in ("fractal", "notebook_fractal")]
    return abs(shares[0] - shares[1])


def _agreement(rounds: Sequence[Round]) -> str:
    apart = max(map(disagreement, rounds))
    if not apart < MOST_DISAGREEMENT:
        raise RuntimeError(f"final losses differ by a factor of {apart:.2f}: somebody did other work")
    return f"final losses within {apart:.2f} ×"


def _cnn_agreement(rounds: Sequence[Round]) -> str:
    apart = max(map(cnn_disagreement, rounds))
    if not apart < MOST_CNN_DISAGREEMENT:
        raise RuntimeError(f"final losses of the nets differ by a factor of {apart:.2f}: they did other work")
    return f"final losses within {apart:.2f} ×"


def _fractal_agreement(rounds: Sequence[Round]) -> str:
    apart = max(map(fractal_disagreement, rounds))
    if not apart < MOST_FRACTAL_DISAGREEMENT:
        raise RuntimeError(f"of the pairs of rates, {apart:.0%} more train in one than in the other")
    return f"shares that train within {100 * apart:.0f} points"


def _log_losses(line: Line) -> np.ndarray:
    """The final losses, NaN where a model has none, as logarithms."""
    losses = [math.nan if loss is None else max(loss, 1e-9) for loss in line["final_losses"]]
    logs: np.ndarray = np.log(losses)
    return logs


def _larger(*shares: float | None) -> float | None:
    return max((share for share in shares if share is not None), default=None)


def _rate(line: Line) -> float:
    return float(line["model_steps_per_second"])


def _variant(peer: str, detail: dict[str, Any], threads: int) -> str:
    """What is said of a peer's fastest variant."""
    if peer == "products":
        return f"layout {detail['layout']}, chunks of {detail['chunk']}, {detail['devices']} devices"
    if peer == "torch_cnn":
        return f"fastest with {detail['fastest']}"
    return f"better with {threads} thread{'s' if threads > 1 else ''}" if peer.startswith("torch") else ""


def main() -> None:
    """Measure, print the table, and save it with its picture unless `--quick`."""
    quick = is_quick(__doc__)
    effort = QUICK if quick else FULL
    until = time.perf_counter() + LIMIT_SECONDS
    with tempfile.TemporaryDirectory(prefix="lrbench-cache-") as cache:
        rounds = measure_rounds(effort, Path(cache), until)
    rows = rows_of(rounds, effort)
    if quick:
        show(rows)
        return
    publish("throughput", rows)
    from benchmarks import pictures

    print(pictures.save(pictures.throughput(rows), FOLDER / "throughput.png"))


if __name__ == "__main__":
    main()
