"""How fast lrbench trains, beside its peers: P1 to P5.

    make bench BENCH=throughput
    make bench BENCH=throughput ARGS=--quick     # one short round, to see that it works; nothing is saved

Four workloads: W1, 256 runs of `digits_mlp` (64-64-10, Adam, 200 steps); 32 runs of the convolutional net
`mnist_cnn` (Adam, 20 steps); 32 runs of the recurrent net `mnist1d_gru` (Adam, 50 steps); and 64 × 64 pairs of
rates of `fractal` (full batch, sgd, 50 steps). On a machine with
other work on it a single figure says little. So lrbench and its peers take turns, round after round, each in a
fresh process, and a ratio is always one of the same round. A row shows the round with the median ratio, and its
note the range of all rounds. Rounds stop early where the next one would go past the time that the whole script
has. The column `peak_share` says which part of the machine's product peak lrbench reaches: the floating-point
operations of its matrix products (`benchmarks.workloads.FLOP`), over those that large products reach in the same
round. The note says what ratio the limit allows, and whether a target is above it; and which share of the cores other processes took meanwhile: above a few percent, do not trust
the row.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
import subprocess
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

MODELS, CNN_MODELS, GRU_MODELS, FRACTAL_SIDE = 256, 32, 32, 64
CNN_STEPS, GRU_STEPS, FRACTAL_STEPS = 20, 50, 50
CNN_PEER_MODELS, GRU_PEER_MODELS = 4, 3
"""One after the other, so that their cost does not depend on how many there are."""
THREADS = (1, 2)
"""PyTorch's thread counts in W1 and for the GRU; it gets the better one in every round."""
LAYOUTS = ("apart", "lane", "wide")
REPEATS = {
    "w1": 5,
    "torch_eager": 2,
    "torch_compiled": 2,
    "torch_vmap": 1,
    "torch_vmap_compiled": 1,
    "jax_vmap": 2,
    "jax_single": 3,
    "hyperoptax_grid": 2,
    "products": 3,
    "peak": 3,
    "cnn": 1,
    "torch_cnn": 2,
    "gru": 2,
    "torch_gru": 1,
    "torch_gru_compiled": 1,
    "jax_gru": 1,
    "fractal": 3,
    "notebook_fractal": 1,
}
"""Timed calls of a process after its warm-up; one call of torch_vmap already takes several seconds."""
OPTIONAL = ("torch_compiled", "torch_vmap_compiled", "torch_gru_compiled", "hyperoptax_grid")
"""Peers that need a C++ compiler, or a package that may not fit: where they cannot run, their row says why."""
PEER_SECONDS = 300.0
"""A peer that takes longer, compiling included, counts as one that cannot run."""
LIMIT_SECONDS = 720.0
SHORTER = 0.9
"""About how long a round lasts beside the first, which compiles, and measures all of `LAYOUTS`."""
MOST_DISAGREEMENT = 1.5
"""Final losses of W1 differ by this factor in the median at most; other initial weights make it about 1.1."""
MOST_GRU_DISAGREEMENT = 1.5
"""The same for the GRU, whose initial weights are of one distribution."""
MOST_CNN_DISAGREEMENT = 2.0
"""The same for the convolutional net after its few steps, at PyTorch's rate."""
MOST_FRACTAL_DISAGREEMENT = 0.1
"""By how much the shares of pairs that still have a finite loss may differ."""

Line = dict[str, Any]
"""The JSON line of a peer (`benchmarks.peers.common.report`)."""
Round = dict[str, Line]
"""One round: a peer's name, with its variant after a space → its line; lrbench has a name for each workload.

The line of a peer that could not run is `{"failed": why}`.
"""


@dataclasses.dataclass(frozen=True)
class Effort:
    """How much is measured; `repeats` bounds those of every peer."""

    rounds: int
    steps: int
    cnn_steps: int
    gru_steps: int
    fractal_steps: int
    repeats: int


FULL = Effort(3, 200, CNN_STEPS, GRU_STEPS, FRACTAL_STEPS, repeats=5)
QUICK = Effort(1, 50, cnn_steps=10, gru_steps=20, fractal_steps=10, repeats=1)


class Comparison(NamedTuple):
    """A row: a workload in lrbench against the best variant of a peer."""

    measure: str
    workload: str
    peer: str
    label: str
    at_least: float | None = None
    note: str = ""


COMPARISONS = (
    Comparison("P1", "w1", "torch_eager", "PyTorch eager, one at a time", 28),
    Comparison("P1", "w1", "torch_compiled", "torch.compile, one at a time"),
    Comparison("P2", "w1", "torch_vmap", "torch.func.vmap, 256 models", 5.8),
    Comparison("P2", "w1", "torch_vmap_compiled", "torch.compile over torch.func.vmap, 256 models"),
    Comparison("P2", "w1", "jax_vmap", "plain jax.vmap, 256 lanes, one device", 2.1),
    Comparison("P2", "w1", "jax_single", "JAX jit + scan, one at a time, one device"),
    Comparison("P2", "w1", "hyperoptax_grid", "hyperoptax, one device"),
    Comparison("P3", "w1", "products", "W1's matrix products alone", 0.85, "1 × is the ceiling"),
    Comparison("P3b", "w1", "peak", "W1's FLOP at the product peak", 0.68, "1 × is the ceiling"),
    Comparison("P4", "cnn", "torch_cnn", "PyTorch eager, one at a time, 2 threads", 1.4),
    Comparison("gru", "gru", "torch_gru", "PyTorch eager, one at a time"),
    Comparison("gru", "gru", "torch_gru_compiled", "torch.compile, one at a time"),
    Comparison("gru", "gru", "jax_gru", "plain jax.vmap, 32 lanes, one device"),
    Comparison("P5", "fractal", "notebook_fractal", "the notebook's loop over a vmapped step", 14),
)
LIMITS = ("products", "peak")
"""No programs that a user could choose, but what bounds them."""


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
    """Everything once, one process after the other; `cache` is where lrbench and PyTorch keep compiled programs."""
    turns = Turns(effort, cache)
    detail = turns.lrbench(workloads.w1(MODELS, effort.steps))["detail"]
    steps = "--steps", effort.steps
    turns.both_forms("torch_single", "torch_eager", "torch_compiled", *steps)
    # A program of a whole step, which torch.optim and its many models do not allow, may be several times as fast.
    one = *steps, "--models", 1, "--threads", 1, "--form", "compiled"
    turns.measure("torch_vmap", *one, name="torch_compiled", variant="step")
    turns.both_forms("torch_vmap", "torch_vmap", "torch_vmap_compiled", *steps, "--models", MODELS)
    turns.measure("jax_vmap", *steps, "--models", MODELS)
    turns.measure("jax_single", *steps)
    turns.measure("hyperoptax_grid", *steps, "--models", MODELS)
    chunk, devices = detail["chunk"], detail["devices"]
    models = math.ceil(MODELS / (chunk * devices)) * chunk * devices
    same = *steps, "--models", models, "--chunk", chunk, "--devices", devices
    for layout in layouts:
        turns.measure("products", *same, "--layout", layout, variant=layout)
    turns.measure("peak")
    # No warm-up: its evaluations take longer than its steps.
    turns.lrbench(workloads.cnn(CNN_MODELS, effort.cnn_steps), warm_up=0)
    turns.measure("torch_cnn", "--models", CNN_PEER_MODELS, "--steps", effort.cnn_steps)
    turns.lrbench(workloads.gru(GRU_MODELS, effort.gru_steps))
    size = "--models", GRU_PEER_MODELS, "--steps", effort.gru_steps
    turns.both_forms("torch_gru", "torch_gru", "torch_gru_compiled", *size)
    turns.measure("jax_gru", "--models", GRU_MODELS, "--steps", effort.gru_steps)
    turns.lrbench(workloads.fractal(FRACTAL_SIDE, effort.fractal_steps))
    turns.measure("notebook_fractal", "--lanes", FRACTAL_SIDE**2, "--steps", effort.fractal_steps)
    return turns.found


@dataclasses.dataclass(frozen=True)
class Turns:
    """The turns of a round: each peer in a process of its own, its line kept in `found`."""

    effort: Effort
    cache: Path
    found: Round = dataclasses.field(default_factory=dict)

    def measure(self, peer: str, *args: object, name: str = "", variant: object = "") -> Line:
        """Run a peer; an optional one that cannot run leaves a line that says why."""
        name = name or peer
        key = f"{name} {variant}".strip()
        repeats = min(REPEATS[name], self.effort.repeats)
        caches = {"XDG_CACHE_HOME": str(self.cache), "TORCHINDUCTOR_CACHE_DIR": str(self.cache / "inductor")}
        with Watch() as watch:
            try:
                line = run_peer(peer, *args, "--repeats", repeats, environment=caches, timeout=PEER_SECONDS)
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                if name not in OPTIONAL:
                    raise
                line = {"failed": _why(error)}
        line["others"] = watch.others
        self.found[key] = line
        pace = line.get("failed") or f"{_rate(line):,.0f} model-steps/s"
        say(f"  {key}: {pace} in {watch.seconds:.0f} s; {beside(watch.others)}")
        return line

    def lrbench(self, study: workloads.Table, warm_up: int = 1) -> Line:
        """Run lrbench on a study, whose name it has among the peers."""
        given = "--study", json.dumps(study), "--warm-up", warm_up
        return self.measure("lrbench_engine", *given, name=study["name"])

    def both_forms(self, peer: str, eager: str, compiled: str, *args: object) -> None:
        """Run a peer in PyTorch eager and under `torch.compile`, with every thread count."""
        for name, form in ((eager, "eager"), (compiled, "compiled")):
            for threads in THREADS:
                given = *args, "--threads", threads, "--form", form
                self.measure(peer, *given, name=name, variant=threads)


# ---- rows ----


def rows_of(rounds: Sequence[Round], effort: Effort = FULL) -> list[Row]:
    """A row for each of `COMPARISONS`; refuses rounds whose peers did not all do the same work.

    The row has the figures of the round with the median ratio (the lower one of two), so that its ratio is that
    of its own figures.
    """
    agreement = {
        "w1": _agreement(rounds, "w1", MOST_DISAGREEMENT),
        "cnn": _cnn_agreement(rounds),
        "gru": _agreement(rounds, "gru", MOST_GRU_DISAGREEMENT),
        "fractal": _fractal_agreement(rounds),
    }
    what = {
        "w1": f"digits_mlp, {MODELS} runs × {effort.steps} steps",
        "cnn": f"mnist_cnn, {CNN_MODELS} runs × {effort.cnn_steps} steps",
        "gru": f"mnist1d_gru, {GRU_MODELS} runs × {effort.gru_steps} steps",
        "fractal": f"fractal, {FRACTAL_SIDE**2:,} runs × {effort.fractal_steps} steps",
    }
    return [_row(given, what[given.workload], agreement[given.workload], rounds) for given in COMPARISONS]


def _row(given: Comparison, what: str, agreement: str, rounds: Sequence[Round]) -> Row:
    ran = [each for each in rounds if "failed" not in best(each, given.peer)]
    ranked = sorted(
        (_rate(each[given.workload]) / _rate(best(each, given.peer)), i) for i, each in enumerate(ran)
    )
    middle = ran[ranked[(len(ranked) - 1) // 2][1]] if ran else rounds[0]
    ours, theirs = middle[given.workload], best(middle, given.peer)
    share = _rate(ours) / _peak(middle, given.workload) if given.workload in workloads.FLOP else None
    if not ran:
        why = theirs["failed"]
        return compare(
            given.measure, what, _rate(ours), "model-steps/s", given.label, peak_share=share, note=why
        )
    spread = f"{ranked[0][0]:.3g} to {ranked[-1][0]:.3g}"
    notes = [
        f"median of {len(ran)} rounds ({spread})" if len(ran) > 1 else "1 round",
        _variant(given.peer, theirs["detail"], theirs["threads"]),
        "" if given.peer in LIMITS else agreement,
        beside(_larger(ours["others"], theirs["others"])),
        _limit(middle, given),
        given.note,
    ]
    return compare(
        given.measure,
        what,
        _rate(ours),
        "model-steps/s",
        given.label,
        _rate(theirs),
        at_least=given.at_least,
        peak_share=share,
        note="; ".join(filter(None, notes)),
    )


def _limit(found: Round, given: Comparison) -> str:
    """What ratio the physical limit allows, and whether the target is above it: the products of W1, or the peak."""
    if given.peer in LIMITS or given.workload not in workloads.FLOP:
        return ""
    limit, name = _peak(found, given.workload), "the product peak"
    if given.workload == "w1":
        limit, name = _rate(best(found, "products")), "W1's products alone"
    most = limit / _rate(best(found, given.peer))
    above = ", less than the target" if given.at_least is not None and given.at_least > most else ""
    return f"{name} would be {most:.3g} ×{above}"


def _peak(found: Round, workload: str) -> float:
    """Model-steps per second of a workload at the machine's product peak."""
    return float(found["peak"]["detail"]["flop_per_second"]) / workloads.FLOP[workload]


def best(found: Round, peer: str) -> Line:
    """The fastest variant of a peer in a round; one that failed only if all did."""
    lines = [line for name, line in found.items() if name.split()[0] == peer]
    return max(lines, key=lambda line: -1.0 if "failed" in line else _rate(line))


def disagreement(found: Round, workload: str = "w1") -> float:
    """By which factor a peer of a workload differs in its final losses from lrbench's at the same rates; the largest median.

    Infinite where fewer than nine in ten models of anybody have a finite loss, or one did not learn.
    """
    ours = _log_losses(found[workload])
    rates = np.log(common.learning_rates(len(ours)))
    largest = 0.0
    peers = {given.peer for given in COMPARISONS if given.workload == workload}.difference(LIMITS)
    for name, line in found.items():
        if name.split()[0] not in peers | {workload} or "failed" in line:
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


def _agreement(rounds: Sequence[Round], workload: str, most: float) -> str:
    apart = max(disagreement(each, workload) for each in rounds)
    if not apart < most:
        raise RuntimeError(
            f"{workload}: final losses differ by a factor of {apart:.2f}: somebody did other work"
        )
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


def _why(error: RuntimeError | subprocess.TimeoutExpired) -> str:
    """The error that ended a peer, else the last line of what it said; or how long it was waited for."""
    if isinstance(error, subprocess.TimeoutExpired):
        return f"not done after {error.timeout:.0f} s"
    said = str(error).strip().splitlines()
    return next((line for line in reversed(said) if re.match(r"[\w.]+: \S", line)), said[-1])


def _variant(peer: str, detail: dict[str, Any], threads: int) -> str:
    """What is said of a peer's fastest variant."""
    if peer == "products":
        return f"layout {detail['layout']}, chunks of {detail['chunk']}, {detail['devices']} devices"
    if peer == "torch_cnn":
        return f"fastest with {detail['fastest']}"
    if peer == "peak":
        return f"{detail['flop_per_second'] / 1e9:,.0f} GFLOP/s, products of {detail['side']} × {detail['side']} matrices"
    if peer == "hyperoptax_grid":
        return f"fastest with {detail['together']} in parallel"
    if not peer.startswith("torch"):
        return ""
    fastest = f", {detail['fastest']}" if "fastest" in detail else ""
    if peer == "torch_compiled":
        fastest = f", {'its loss' if 'adam' in detail else 'a whole step'} compiled"
    return f"better with {threads} thread{'s' if threads > 1 else ''}{fastest}"


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
