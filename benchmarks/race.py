"""What `race = true` saves, and what it changes in the answer.

    make bench BENCH=race
    make bench BENCH=race ARGS=--quick           # short studies; nothing is saved

Two studies, each with `race = false` and with `race = true`: quickstart as it is, and its `digits_mlp` with four
times the steps. For each: the lane-steps that were taken, the seconds of training, and whether the answer is the
same: the best rate and the ends of the good band of every problem × optimizer × schedule, and which runs are good.
"""

from __future__ import annotations

import tempfile
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from benchmarks.process import Watch, beside, run_study, say
from benchmarks.table import ROOT, Row, compare, is_quick, publish, show

LINE = ("problem", "optimizer", "schedule")
LONGER = 4


class Outcome(NamedTuple):
    """What one study gave."""

    manifest: dict[str, Any]
    runs: pd.DataFrame
    sensitivity: pd.DataFrame


def studies(quick: bool) -> dict[str, dict[str, Any]]:
    """The studies by what they are called in the table."""
    text = (ROOT / "lrbench" / "study" / "built_in" / "quickstart.toml").read_text(encoding="utf-8")
    quickstart = tomllib.loads(text)
    if quick:
        quickstart |= {"steps": 60, "evaluate_every": 10}
        quickstart["learning_rate"] |= {"num": 8}
    longer = quickstart | {
        "name": "longer",
        "problem": [{"name": "digits_mlp"}],
        "steps": LONGER * quickstart["steps"],
        "evaluate_every": LONGER * quickstart["evaluate_every"],
    }
    return {
        f"quickstart, {quickstart['steps']:,} steps": quickstart,
        f"its digits_mlp, {longer['steps']:,} steps": longer,
    }


def measure(study: dict[str, Any], race: bool, cache: Path) -> Outcome:
    """Train a study in a fresh folder."""
    say(f"{study['name']}, race = {str(race).lower()}")
    with tempfile.TemporaryDirectory(prefix="lrbench-race-") as place:
        job = run_study(study | {"race": race}, Path(place), cache, "--no-report")
        folder = Path(place, "results", study["name"])
        tables = (pd.read_parquet(folder / f"{name}.parquet") for name in ("runs", "sensitivity"))
        return Outcome(job.manifest, *tables)


def rows_of(what: str, whole: Outcome, raced: Outcome, others: float | None = None) -> list[Row]:
    """What racing one study saved, and how far its answer agrees."""
    lines = _paired(whole.sensitivity, raced.sensitivity, LINE)
    runs = _paired(whole.runs, raced.runs, (*LINE, "learning_rate", "seed"))
    stopped = int((raced.runs["status"] == "stopped").sum())
    good = (runs["verdict"] == "good") == (runs["verdict_raced"] == "good")
    band = _same(lines, "good_low") & _same(lines, "good_high")
    seconds = [float(each.manifest["seconds"]["train"]) for each in (raced, whole)]
    of_lines = f"of {len(lines)} problems × optimizers × schedules"
    agreement = {
        f"same best rate, {of_lines}": _same(lines, "best_learning_rate"),
        f"same ends of the good band, {of_lines}": band,
        f"good or not as without, of {len(runs):,} runs": good,
    }
    note = f"{stopped:,} of {len(runs):,} runs were stopped"
    return [
        compare(
            "race",
            f"{what}: lane-steps taken",
            _taken(raced),
            "lane-steps",
            "race = false",
            _taken(whole),
            note=note,
        ),
        compare(
            "race",
            f"{what}: training",
            seconds[0],
            "s",
            "race = false",
            seconds[1],
            note=beside(others),
        ),
        *(
            compare("race", f"{what}: {text}", float(same.mean()), "share")
            for text, same in agreement.items()
        ),
    ]


def _taken(outcome: Outcome) -> float:
    """Steps that lanes took: those of all runs, without those that were saved."""
    steps = outcome.manifest["lane_steps"]
    return float(steps["total"] - steps["saved"])


def _paired(whole: pd.DataFrame, raced: pd.DataFrame, keys: tuple[str, ...]) -> pd.DataFrame:
    """The rows of both tables side by side, those of the raced study with a suffix; every row has its pair."""
    shown = [name for name in whole if name.startswith(("problem_", "optimizer_", "schedule_"))]
    pairs = whole.merge(raced, on=[*keys, *shown], suffixes=("", "_raced"), validate="one_to_one")
    if not len(pairs) == len(whole) == len(raced):
        raise RuntimeError(f"only {len(pairs)} of {len(whole)} rows have a pair in the raced study")
    return pairs


def _same(pairs: pd.DataFrame, name: str) -> pd.Series:
    """Where both have the same value, or none."""
    left, right = pairs[name], pairs[f"{name}_raced"]
    return (left == right) | (left.isna() & right.isna())


def main() -> None:
    """Measure, print the table, and save it unless `--quick`."""
    quick = is_quick(__doc__)
    rows = []
    with tempfile.TemporaryDirectory(prefix="lrbench-cache-") as cache:
        for what, study in studies(quick).items():
            with Watch() as watch:
                whole, raced = (measure(study, race, Path(cache)) for race in (False, True))
            rows += rows_of(what, whole, raced, watch.others)
    show(rows) if quick else publish("race", rows)


if __name__ == "__main__":
    main()
