"""How fast lrbench trains W1, beside its peers, and how long its commands take: P1, P2, P3, P9 and P10.

    make bench BENCH=throughput
    make bench BENCH=throughput ARGS=--quick     # one short round, to see that it works; nothing is saved

W1 is 256 runs of `digits_mlp` (64-64-10, Adam, constant rate), 200 steps. On a machine with other work on it a
single figure says little. So lrbench and its peers take turns, round after round, each in a fresh process, and a
ratio is always one of the same round. A row shows the round with the median ratio, and its note the range of all
rounds. Rounds stop early where the next one would go past the six minutes that the whole script has. The note also
says which share of the cores other processes took meanwhile: above a few percent, do not trust the row.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.peers import common
from benchmarks.table import Row, clean_environment, compare, machine, publish, run_peer, text_table

MODELS = 256
THREADS = (1, 2)
"""PyTorch's thread counts; it gets the better one in every round."""
LAYOUTS = ("apart", "lane", "wide")
REPEATS = {
    "lrbench_w1": 5,
    "torch_eager": 2,
    "torch_vmap": 1,
    "jax_vmap": 2,
    "jax_single": 3,
    "products": 3,
}
"""Timed calls of a process after its warm-up; one call of torch_vmap already takes several seconds."""
LIMIT_SECONDS = 350.0
SHORTER = 0.85
"""About how long a round lasts beside the first, which measures all of `LAYOUTS`."""
MOST_DISAGREEMENT = 1.5
"""Final losses differ by this factor in the median at most; other initial weights alone make it about 1.1."""
FEWEST_RUNS = 500
"""The least runs of a main job, in P9."""

Line = dict[str, Any]
"""The JSON line of a peer (`benchmarks.peers.common.report`)."""
Round = dict[str, Line]
"""One round: a peer's name, with its variant after a space → its line."""


@dataclasses.dataclass(frozen=True)
class Effort:
    """How much is measured; `repeats` bounds those of every peer."""

    rounds: int
    steps: int
    repeats: int
    warm_jobs: int
    help_runs: int


FULL = Effort(rounds=3, steps=200, repeats=5, warm_jobs=3, help_runs=15)
QUICK = Effort(rounds=1, steps=50, repeats=1, warm_jobs=1, help_runs=3)


class Comparison(NamedTuple):
    """A row of W1: lrbench against the best variant of a peer."""

    measure: str
    peer: str
    label: str
    at_least: float | None = None
    note: str = ""


COMPARISONS = (
    Comparison("P1", "torch_eager", "PyTorch eager, one at a time", 30),
    Comparison("P2", "torch_vmap", "torch.func.vmap, 256 models", 7),
    Comparison("P2", "jax_vmap", "plain jax.vmap, 256 lanes, one device", 2.3),
    Comparison("P2", "jax_single", "JAX jit + scan, one at a time, one device"),
    Comparison("P3", "products", "W1's matrix products alone", 0.75, "a target of the next round of work"),
)


# ---- measuring ----


class Watch:
    """Seconds that a block took, and the share of all cores that other processes took meanwhile."""

    seconds: float
    others: float | None
    """From 0 to 1; None where /proc/stat is missing."""

    def __enter__(self) -> Watch:
        self._began, self._all, self._own = time.perf_counter(), _machine_seconds(), sum(os.times()[:4])
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.perf_counter() - self._began
        now = _machine_seconds()
        self.others = None
        if now is not None and self._all is not None:
            used = now - self._all - (sum(os.times()[:4]) - self._own)
            self.others = max(0.0, used / self.seconds / (os.cpu_count() or 1))


def _machine_seconds() -> float | None:
    """CPU seconds that all processes of the machine have used, and that its host has taken from it."""
    try:
        user, nice, system, _, _, *interrupts = Path("/proc/stat").read_text(encoding="ascii").split()[1:9]
    except (OSError, ValueError):
        return None
    return sum(map(int, [user, nice, system, *interrupts])) / os.sysconf("SC_CLK_TCK")


def measure_rounds(effort: Effort, cache: Path, until: float) -> list[Round]:
    """Up to `effort.rounds` rounds: at least one, and none that would likely end after `until`."""
    rounds: list[Round] = []
    layouts: Sequence[str] = LAYOUTS
    lasts = 0.0
    while len(rounds) < effort.rounds:
        began = time.perf_counter()
        if rounds and began + lasts > until:
            _say(f"no time for round {len(rounds) + 1}")
            break
        _say(f"round {len(rounds) + 1}")
        rounds.append(measure_round(effort, layouts, cache))
        lasts = time.perf_counter() - began
        if layouts is LAYOUTS:  # from here on the fastest alone;
            layouts = [best(rounds[0], "products")["detail"]["layout"]]
            lasts *= SHORTER
    return rounds


def measure_round(effort: Effort, layouts: Sequence[str], cache: Path) -> Round:
    """Everything once, one process after the other; `cache` is where lrbench keeps compiled programs."""
    found: Round = {}

    def measure(peer: str, *args: object, variant: object = "", **environment: str) -> Line:
        repeats = min(REPEATS[peer], effort.repeats)
        with Watch() as watch:
            line = run_peer(
                peer, *args, "--steps", effort.steps, "--repeats", repeats, environment=environment
            )
        line["others"] = watch.others
        name = f"{peer} {variant}".strip()
        found[name] = line
        _say(f"  {name}: {_rate(line):,.0f} model-steps/s in {watch.seconds:.0f} s; {_beside(watch.others)}")
        return line

    detail = measure("lrbench_w1", "--models", MODELS, XDG_CACHE_HOME=str(cache))["detail"]
    for threads in THREADS:
        measure("torch_eager", "--threads", threads, variant=threads)
    for threads in THREADS:
        measure("torch_vmap", "--models", MODELS, "--threads", threads, variant=threads)
    measure("jax_vmap", "--models", MODELS)
    measure("jax_single")
    chunk, devices = detail["chunk"], detail["devices"]
    models = math.ceil(MODELS / (chunk * devices)) * chunk * devices
    same = "--models", models, "--chunk", chunk, "--devices", devices
    for layout in layouts:
        measure("products", *same, "--layout", layout, variant=layout)
    return found


def main_job(cache: Path) -> float:
    """Seconds of `lrbench run quickstart` as a user starts it, in an empty folder, with this cache folder."""
    with tempfile.TemporaryDirectory(prefix="lrbench-job-") as place:
        seconds = _seconds([*_lrbench(), "run", "quickstart"], Path(place), XDG_CACHE_HOME=str(cache))
        folder = Path(place, "results", "quickstart")
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        if (
            manifest["runs"]["done"] < FEWEST_RUNS
            or manifest["failures"]
            or not (folder / "report.html").exists()
        ):
            raise RuntimeError(f"quickstart did not do its {FEWEST_RUNS} runs and report: {manifest['runs']}")
    return seconds


def help_times(runs: int) -> tuple[list[float], list[float]]:
    """Seconds of `lrbench --help` and of `python -c pass`, in turns, after one of each to warm up."""
    place = Path(tempfile.gettempdir())
    commands = [*_lrbench(), "--help"], [sys.executable, "-c", "pass"]
    pairs = [tuple(_seconds(command, place) for command in commands) for _ in range(runs + 1)][1:]
    helps, nothings = zip(*pairs, strict=True)
    return list(helps), list(nothings)


def _lrbench() -> list[str]:
    """The installed command of this environment."""
    script = Path(sys.executable).with_name("lrbench")
    return [str(script)] if script.exists() else [sys.executable, "-m", "lrbench.cli"]


def _seconds(command: list[str], place: Path, **environment: str) -> float:
    began = time.perf_counter()
    done = subprocess.run(
        command,
        cwd=place,
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    seconds = time.perf_counter() - began
    if done.returncode != 0:
        last = "\n".join(done.stderr.strip().splitlines()[-15:])
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{last}")
    return seconds


# ---- rows ----


def w1_rows(rounds: Sequence[Round], steps: int = FULL.steps) -> list[Row]:
    """A row for each of `COMPARISONS`; refuses rounds whose peers did not all do the same work.

    The row has the figures of the round with the median ratio (the lower one of two), so that its ratio is that
    of its own figures.
    """
    apart = max(disagreement(each) for each in rounds)
    if not apart < MOST_DISAGREEMENT:
        raise RuntimeError(f"final losses differ by a factor of {apart:.2f}: somebody did other work")
    rows = []
    for given in COMPARISONS:
        ranked = sorted(
            (_rate(each["lrbench_w1"]) / _rate(best(each, given.peer)), i) for i, each in enumerate(rounds)
        )
        middle = rounds[ranked[(len(ranked) - 1) // 2][1]]
        theirs = best(middle, given.peer)
        spread = f"{ranked[0][0]:.3g} to {ranked[-1][0]:.3g}"
        notes = [
            f"median of {len(rounds)} rounds ({spread})" if len(rounds) > 1 else "1 round",
            _variant(given.peer, theirs["detail"], theirs["threads"]),
            f"final losses within {apart:.2f} ×" if given.measure == "P1" else "",
            _beside(_larger(middle["lrbench_w1"]["others"], theirs["others"])),
            given.note,
        ]
        row = compare(
            given.measure,
            f"digits_mlp, {MODELS} runs × {steps} steps",
            _rate(middle["lrbench_w1"]),
            "model-steps/s",
            given.label,
            _rate(theirs),
            at_least=given.at_least,
            note="; ".join(filter(None, notes)),
        )
        rows.append(row)
    return rows


def job_rows(cold: float, warm: Sequence[float], others: float | None = None) -> list[Row]:
    """P9, from the seconds of one main job with empty caches and of those after it."""
    what = "lrbench run quickstart, whole process, "
    notes = "programs, data and fonts", f"median of {len(warm)} ({min(warm):.1f} to {max(warm):.1f} s)"
    first, note = ("; ".join(filter(None, [text, _beside(others)])) for text in notes)
    return [
        compare("P9", what + "cold caches", cold, "s", at_most=40, note=first),
        compare("P9", what + "warm caches", common.median(warm), "s", at_most=20, note=note),
    ]


def help_row(helps: Sequence[float], nothings: Sequence[float]) -> Row:
    """P10, from the seconds of `lrbench --help` and of `python -c pass`."""
    ours, theirs = common.median(helps), common.median(nothings)
    note = f"medians of {len(helps)} alternating runs: {ours:.3f} and {theirs:.3f} s"
    what = "lrbench --help, beyond python -c pass"
    return compare("P10", what, ours - theirs, "s", at_most=0.3, note=note)


def best(found: Round, peer: str) -> Line:
    """The fastest variant of a peer in a round."""
    return max((line for name, line in found.items() if name.split()[0] == peer), key=_rate)


def disagreement(found: Round) -> float:
    """By which factor a peer's final losses differ from lrbench's at the same rates; the largest median.

    Infinite where fewer than nine in ten models of anybody have a finite loss, or one did not learn.
    """
    ours = _log_losses(found["lrbench_w1"])
    rates = np.log(common.learning_rates(len(ours)))
    largest = 0.0
    for name, line in found.items():
        if name.startswith("products"):
            continue
        theirs = _log_losses(line)
        here = np.interp(np.log(common.learning_rates(len(theirs))), rates, ours)
        finite = np.isfinite(theirs).mean() >= 0.9
        if not finite or np.nanmedian(theirs) >= math.log(line["initial_loss"]):
            return math.inf
        largest = max(largest, float(np.nanmedian(np.abs(theirs - here))))
    return math.exp(largest)


def _log_losses(line: Line) -> np.ndarray:
    """The final losses, NaN where a model has none, as logarithms."""
    losses = [math.nan if loss is None else max(loss, 1e-9) for loss in line["final_losses"]]
    logs: np.ndarray = np.log(losses)
    return logs


def _beside(others: float | None) -> str:
    return "" if others is None else f"other work took {others:.0%} of the cores"


def _larger(*shares: float | None) -> float | None:
    return max((share for share in shares if share is not None), default=None)


def _rate(line: Line) -> float:
    return float(line["model_steps_per_second"])


def _variant(peer: str, detail: dict[str, Any], threads: int) -> str:
    """What is said of a peer's fastest variant."""
    if peer == "products":
        return f"layout {detail['layout']}, chunks of {detail['chunk']}, {detail['devices']} devices"
    return f"better with {threads} thread{'s' if threads > 1 else ''}" if peer.startswith("torch") else ""


def _say(text: str) -> None:
    load = f" [load {os.getloadavg()[0]:.1f}]" if hasattr(os, "getloadavg") else ""
    print(text + load, file=sys.stderr, flush=True)


def main() -> None:
    """Measure, print the table, and save it unless `--quick`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="one short round, to see that it works; saves nothing"
    )
    quick = parser.parse_args().quick
    effort = QUICK if quick else FULL
    until = time.perf_counter() + LIMIT_SECONDS
    with tempfile.TemporaryDirectory(prefix="lrbench-cache-") as cache:
        _say("lrbench --help")
        helps = help_times(effort.help_runs)
        _say("lrbench run quickstart, cold and warm")
        with Watch() as watch:
            cold, *warm = [main_job(Path(cache)) for _ in range(1 + effort.warm_jobs)]
        rounds = measure_rounds(effort, Path(cache), until)
    rows = [*w1_rows(rounds, effort.steps), *job_rows(cold, warm, watch.others), help_row(*helps)]
    if quick:
        print(text_table(rows))
        print(", ".join(f"{key} {value}" for key, value in machine().items() if value))
    else:
        publish("throughput", rows)


if __name__ == "__main__":
    main()
