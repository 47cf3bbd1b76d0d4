"""How right the answers of lrbench are: rates recommended from a few seeds, judged on many others.

    python -m benchmarks.answers collect         # train the runs: an hour on two cores; interrupted, it goes on where it was
    python -m benchmarks.answers judge           # judge them, and write results/answers/: a quarter of an hour
    make bench BENCH=answers                     # both

14 problems with six or eight lines each, on 31 rates a sixth of a decade apart, with 60 or 100 seeds. From these, studies of few seeds are drawn again and again, with every
second rate, and judged by the mean loss of 40 other seeds: what `use` and `best` lose with and without `confirm` and `refine`, beside the least median, learning-rate
finders and Optuna's TPE at as many runs; whether the collapse is found; what intervals cover, and how often comparisons err. results/answers/README.md explains the tables.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks import pictures
from benchmarks.protocol import measures
from benchmarks.protocol.judging import QUICK, Sizes, judge_all
from benchmarks.protocol.picture import regret
from benchmarks.protocol.studies import PROBLEMS, collect
from benchmarks.protocol.targets import REPORTED, both_halves, target_rows
from benchmarks.table import ROOT, show, write_csv

FOLDER = ROOT / "results" / "answers"
RUNS = FOLDER / "runs"


def judge(runs: Path, quick: bool) -> None:
    """Judge what was collected; print the targets, and save everything unless `quick`."""
    names = list(PROBLEMS)[:2] if quick else list(PROBLEMS)
    found = judge_all(names, runs, QUICK if quick else Sizes())
    if quick:
        print(measures.by_problem(found.lines).to_string())
        return
    both = both_halves()
    table = measures.summary(found.lines, {**both, "all": names})
    tables = {
        "measures": table,
        "problems": measures.by_problem(found.lines),
        "intervals": found.coverage,
        "comparisons": found.comparisons,
        "paces": found.paces,
        "rules": measures.summary(found.rules, both, ("rule", "seeds", "confirm", "refine")),
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, each in tables.items():
        each.to_csv(FOLDER / f"{name}.csv", index=False, float_format="%.6g", lineterminator="\n")
    rows = target_rows(table, found)
    show(rows)
    write_csv("targets", rows, FOLDER)
    print(pictures.save(regret(table, REPORTED), FOLDER / "answers.png"))


def main() -> None:
    """Collect, judge, or both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("part", nargs="?", choices=("collect", "judge"), help="by default both")
    parser.add_argument("--runs", type=Path, default=RUNS, help="the folder of the runs")
    parser.add_argument(
        "--quick", action="store_true", help="two problems and few replicates; saves nothing but runs"
    )
    given = parser.parse_args()
    np.seterr(invalid="ignore")
    if given.part != "judge":
        collect(given.runs, list(PROBLEMS)[:2] if given.quick else list(PROBLEMS))
    if given.part != "collect":
        judge(given.runs, given.quick)


if __name__ == "__main__":
    main()
