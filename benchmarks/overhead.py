"""What lrbench costs beside training, and what launchers cost per trial: P6, P9, P10 and P12.

    make bench BENCH=overhead
    make bench BENCH=overhead ARGS=--quick       # everything once and small; nothing is saved

P6 is a study whose training costs next to nothing: 10,000 runs of `quadratic`, sgd, 100 steps, as the whole process
`lrbench run --no-report`, from its start to the tables on disk, in a fresh folder. P9 is the main job, `lrbench run
quickstart` with plots and report, until the processes that draw have ended, too. P10 is `lrbench --help` against a
Python that does nothing. P12 is twelve optimizers on `digits_mlp`, as the whole process with empty caches and with tables, against a process
that trains the same runs in a loop of plain `jit(vmap(scan))`. Beside P6 stand
Optuna and Ray Tune, each with an objective that does nothing: their trials train no step, lrbench's runs train all
of theirs. Marginal is what a further run costs, without the start of the process.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import workloads
from benchmarks.peers import common
from benchmarks.process import Job, Watch, beside, lrbench_command, run_command, run_study, say
from benchmarks.table import Row, compare, is_quick, publish, run_peer, show

FEWEST_RUNS = 500
"""The least runs of a main job, in P9."""
LEAST = 100
"""Runs of the small study from which on the marginal cost of P6 is taken."""


@dataclasses.dataclass(frozen=True)
class Effort:
    """How much is measured."""

    runs: int
    warm_studies: int
    warm_jobs: int
    help_runs: int
    breadths: int
    memory_trials: int
    sqlite_trials: int
    ray_trials: int


FULL = Effort(10_000, 3, 2, 15, 3, memory_trials=2000, sqlite_trials=200, ray_trials=8)
QUICK = Effort(1_000, 1, 1, 3, 1, memory_trials=100, sqlite_trials=10, ray_trials=2)


@dataclasses.dataclass(frozen=True)
class Launcher:
    """A launcher's name, its peer, and the JSON line of that, or why there is none."""

    label: str
    line: dict[str, Any] | None
    why: str = ""


# ---- measuring ----


def study_seconds(runs: int, cache: Path) -> float:
    """Seconds of P6's process with so many runs, in a fresh folder."""
    with tempfile.TemporaryDirectory(prefix="lrbench-study-") as place:
        return run_study(workloads.quadratic(runs), Path(place), cache, "--no-report").seconds


def main_job(cache: Path) -> float:
    """Seconds of `lrbench run quickstart` as a user starts it, in an empty folder, with this cache folder."""
    with tempfile.TemporaryDirectory(prefix="lrbench-job-") as place:
        job: Job = run_study("quickstart", Path(place), cache)
        done = job.manifest["runs"]["done"]
        if done < FEWEST_RUNS or not Path(place, "results", "quickstart", "report.html").exists():
            raise RuntimeError(f"quickstart did not do its {FEWEST_RUNS} runs and report: {done} runs")
    return job.seconds


def help_times(runs: int) -> tuple[list[float], list[float]]:
    """Seconds of `lrbench --help` and of `python -c pass`, in turns, after one of each to warm up."""
    place = Path(tempfile.gettempdir())
    commands = [*lrbench_command(), "--help"], [sys.executable, "-c", "pass"]
    pairs = [tuple(run_command(command, place)[0] for command in commands) for _ in range(runs + 1)][1:]
    helps, nothings = zip(*pairs, strict=True)
    return list(helps), list(nothings)


def breadth(rounds: int) -> list[tuple[float, float]]:
    """Seconds of P12's process with empty caches, and of its peer's, in turns."""
    pairs = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="lrbench-twelve-") as place:
            folder = Path(place)
            ours = run_study(workloads.twelve(), folder, folder / "cache", "--no-report").seconds
            plain = [sys.executable, "-m", "benchmarks.peers.plain_loops"]
            pairs.append((ours, run_command(plain, folder)[0]))
    return pairs


def launchers(effort: Effort) -> list[Launcher]:
    """What each launcher did; one that is not installed or takes too long is a line that says so."""
    asked = {
        "Optuna, in memory": ("optuna_trials", "--trials", effort.memory_trials),
        "Optuna, SQLite": ("optuna_trials", "--storage", "sqlite", "--trials", effort.sqlite_trials),
        "Ray Tune, this machine": ("ray_trials", "--trials", effort.ray_trials),
    }
    return [_launcher(label, *call) for label, call in asked.items()]


def _launcher(label: str, peer: str, *args: object) -> Launcher:
    say(label)
    try:
        return Launcher(
            label, run_peer(peer, *args, environment={"RAY_USAGE_STATS_ENABLED": "0"}, timeout=120)
        )
    except subprocess.TimeoutExpired as error:
        return Launcher(label, None, f"not done after {error.timeout:.0f} s")
    except RuntimeError as error:
        return Launcher(label, None, str(error).strip().splitlines()[-1])


# ---- rows ----


def study_rows(
    runs: int, cold: float, warm: Sequence[float], small: Sequence[float], others: float | None = None
) -> list[Row]:
    """P6, from the seconds with empty caches, those after it, and those of a study of `LEAST` runs."""
    what = f"quadratic, {runs:,} runs × 100 steps, whole process, "
    each = marginal(runs, warm, small)
    notes = [
        _spread(warm),
        f"{1e3 * common.median(warm) / runs:.2f} ms a run, {1e3 * each:.2f} ms for a further one",
        beside(others),
    ]
    return [
        compare("P6", what + "warm caches", common.median(warm), "s", at_most=4, note=_joined(notes)),
        compare("P6", what + "cold caches", cold, "s", note=_joined(["compiled anew", beside(others)])),
    ]


def marginal(runs: int, whole: Sequence[float], small: Sequence[float]) -> float:
    """Seconds of a further run: what `runs` took beyond `LEAST` runs, shared out among them."""
    return (common.median(whole) - common.median(small)) / (runs - LEAST)


def launcher_rows(
    runs: int, warm: Sequence[float], small: Sequence[float], found: Sequence[Launcher]
) -> list[Row]:
    """Runs per second of P6's process beside the trials per second of each launcher."""
    ours = runs / common.median(warm)
    each = marginal(runs, warm, small)
    rows = []
    for launcher in found:
        rate = launcher.line["trials_per_second"] if launcher.line else None
        note = launcher.why
        if launcher.line and rate:
            note = (
                f"{1e3 / ours:.3g} ms a run ({1e3 * each:.3g} for a further one) against {1e3 / rate:.3g} ms a trial, "
                f"and {launcher.line['start_seconds']:.1f} s before the first of {launcher.line['trials']}"
            )
        what = "cost of a run with all its training, against an empty trial"
        rows.append(compare("launch", what, ours, "runs/s", launcher.label, rate, note=note))
    return rows


def job_rows(cold: float, warm: Sequence[float], others: float | None = None) -> list[Row]:
    """P9, from the seconds of one main job with empty caches and of those after it."""
    what = "lrbench run quickstart, whole process, "
    first, note = (_joined([text, beside(others)]) for text in ("programs, data and fonts", _spread(warm)))
    return [
        compare("P9", what + "cold caches", cold, "s", at_most=40, note=first),
        compare("P9", what + "warm caches", common.median(warm), "s", at_most=20, note=note),
    ]


def breadth_row(pairs: Sequence[tuple[float, float]], others: float | None = None) -> Row:
    """P12, from the seconds of lrbench and of the plain loops in each round; the row is the round of the median ratio, or the higher of two."""
    ours, theirs = sorted(pairs, key=lambda pair: pair[0] / pair[1])[len(pairs) // 2]
    what = "12 optimizers × 22 runs on digits_mlp, whole process, cold caches, with tables"
    ratios = [one / other for one, other in pairs]
    note = _joined([f"median of {len(pairs)} ({min(ratios):.2f} to {max(ratios):.2f} ×)", beside(others)])
    return compare("P12", what, ours, "s", "12 plain jit(vmap(scan)) loops", theirs, at_most=1, note=note)


def help_row(helps: Sequence[float], nothings: Sequence[float]) -> Row:
    """P10, from the seconds of `lrbench --help` and of `python -c pass`."""
    ours, theirs = common.median(helps), common.median(nothings)
    note = f"medians of {len(helps)} alternating runs: {ours:.3f} and {theirs:.3f} s"
    what = "lrbench --help, beyond python -c pass"
    return compare("P10", what, ours - theirs, "s", at_most=0.12, note=note)


def _spread(seconds: Sequence[float]) -> str:
    return f"median of {len(seconds)} ({min(seconds):.1f} to {max(seconds):.1f} s)"


def _joined(notes: Sequence[str]) -> str:
    return "; ".join(filter(None, notes))


def main() -> None:
    """Measure, print the table, and save it unless `--quick`."""
    quick = is_quick(__doc__)
    effort = QUICK if quick else FULL
    with tempfile.TemporaryDirectory(prefix="lrbench-cache-") as folder:
        cache = Path(folder)
        say("lrbench --help")
        helps = help_times(effort.help_runs)
        say(f"{effort.runs:,} runs of quadratic, cold and warm")
        with Watch() as studies:
            cold, *warm = [study_seconds(effort.runs, cache) for _ in range(1 + effort.warm_studies)]
            small = [study_seconds(LEAST, cache) for _ in range(1 + effort.warm_studies)][1:]
        found = launchers(effort)
        say("lrbench run quickstart, cold and warm")
        with Watch() as jobs:
            cold_job, *warm_jobs = [main_job(cache / "job") for _ in range(1 + effort.warm_jobs)]
        say("twelve optimizers, beside plain loops")
        with Watch() as broad:
            pairs = breadth(effort.breadths)
    rows = [
        *study_rows(effort.runs, cold, warm, small, studies.others),
        *launcher_rows(effort.runs, warm, small, found),
        *job_rows(cold_job, warm_jobs, jobs.others),
        help_row(*helps),
        breadth_row(pairs, broad.others),
    ]
    show(rows) if quick else publish("overhead", rows)


if __name__ == "__main__":
    main()
