"""How often the intervals of lrbench cover what is true, and how often its tests call equal lines different.

    make bench BENCH=coverage                                  # simulated seeds: two minutes on one core
    make bench BENCH=coverage ARGS="FOLDER FOLDER ..."         # also real runs: results folders with many seeds
    make bench BENCH=coverage ARGS=--quick                     # few replicates; nothing is saved

Each method stands beside those that it was compared with. Writes results/answers/coverage.csv, a row per method and kind of seeds, and coverage.md, which sums it up.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import coverage_recorded, coverage_simulated
from benchmarks.coverage_simulated import KINDS, SEEDS, Row
from benchmarks.process import say
from benchmarks.table import ROOT, machine

FOLDER = ROOT / "results" / "answers"
SIMULATED, RECORDED, QUICK = 2000, 100, 20
TUNED = (
    "breast_cancer_logistic",
    "deep_linear",
    "digits_autoencoder",
    "digits_mlp",
    "digits_vae",
    "matrix_factorization",
    "modular_addition_transformer",
    "spirals_mlp",
)
"""The problems on which the weight of neighbours was chosen; the others had no part in it."""
TARGETS = {
    "losses": (0.93, 0.98),
    "metrics": (0.93, 0.98),
    "paired differences": (0.93, 0.98),
    "rates": (0.93, 1.0),
    "steps to the target": (0.93, 1.0),
    "steps, times as many": (0.93, 1.0),
    "equal lines": (0.0, 0.05),
}


def measured(folders: Sequence[Path], quick: bool) -> pd.DataFrame:
    """Everything, a row per method and kind of seeds."""
    rng = np.random.default_rng(0)
    rows = list(coverage_simulated.rows(QUICK if quick else SIMULATED, rng))
    for problem in coverage_recorded.read(folders):
        say(problem.name)
        for seeds in SEEDS:
            rows += coverage_recorded.rows(problem, seeds, QUICK if quick else RECORDED, rng)
    return judged(rows)


def judged(rows: Iterable[Row]) -> pd.DataFrame:
    """The rows as a table, with the target of each measure and whether it is met by what lrbench does."""
    table = pd.DataFrame(rows)
    low, high = (
        table["measure"].map({name: ends[side] for name, ends in TARGETS.items()}) for side in (0, 1)
    )
    error = np.sqrt(
        0.05 * 0.95 / table["replicates"]
    )  # of a share of 5 %: a target is missed by more than chance
    met = (table["share"] >= low - error) & (table["share"] <= high + error)
    target = low.map("{:g}".format) + " to " + high.map("{:g}".format)
    return table.assign(target=target, met=np.where(table["ours"], met, None), **machine())


def page(table: pd.DataFrame) -> str:
    """The table in short."""
    where = ", ".join(f"{key} {value}" for key, value in machine().items() if value)
    parts = [
        "# How often intervals cover",
        "Made by `make bench BENCH=coverage`; [coverage.csv](coverage.csv) has every row. "
        f"95 % is promised. What lrbench does is bold; below it stands what it was compared with. {where}.",
        _simulated(table),
        _recorded(table),
        _equal(table),
        BOUNDS,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


BOUNDS = """## What bounds it

- Losses and metrics of skewed or bimodal seeds are covered in 90 to 94 %, less than those of normal ones. What a mean owes to rare seeds is not seen in a few of them: a mode that holds 30 % of all
  seeds is missing in a third of the studies of three. Neighbouring rates help where they show it, as in real runs: there, seeds alone cover losses in 84 to 92 %, with their neighbours in 92 to 97 %.
- Pooled evenly, variances cover 1 to 3 % more, but intervals are half as wide again. Intervals that are longer on the side to which seeds are skewed (Johnson) meet the target at 10 seeds, 16 % wider, but not at 5,
  and at three, where no skewness can be estimated, they are 42 % wider. Bootstraps cover less than t everywhere.
- The worst problem, chebyshev_mlp, has losses that span four decades from seed to seed under some lines: their mean is that of the two or three worst of sixty seeds. No method here reaches 93 % for it.
- That the seeds which have chosen a rate also judge it costs 1 to 2 %.
- Rates are covered in more than 98 % because the grid is coarse: the interval is a set of rates, and often only one of them.
- Below 6 seeds there is no interval for rates and steps: the smallest and the largest of 5 values cover a median in 93.75 %."""


def _simulated(table: pd.DataFrame) -> str:
    mine = table[table["data"].isin(KINDS) & (table["measure"] != "equal lines")]
    text = (
        f"{int(mine['replicates'].max()):,} replicates each. Skewed: log-normal of skewness 1.75; heavy-tailed: Student's t of 4 degrees of freedom; bimodal: 30 % of the seeds in a "
        "second mode. Five neighbouring rates, or the lines of a seed, are correlated by 0.6, and seeds differ twice as much at the largest rate as at the smallest."
    )
    return _section("Simulated seeds", text, mine, list(KINDS), lambda rows: rows.set_index("data")["share"])


def _recorded(table: pd.DataFrame) -> str:
    mine = table[table["data"].str.contains(", ", regex=False)]
    if mine.empty:
        return ""
    problem = mine["data"].str.split(", ").str[0]
    mine = mine.assign(
        problem=problem,
        chosen=mine["data"].str.split(", ").str[1],
        half=np.where(problem.isin(TUNED), "tuned on", "others"),
    )
    parts = []
    for chosen, words in (
        ("fresh seeds", "as in a confirmed study: a rate is chosen on three seeds and judged on others"),
        (
            "the same seeds",
            "as in a study without `confirm`: the seeds that have chosen the rate also judge it",
        ),
    ):
        rows = mine[mine["chosen"] == chosen]

        def summed(some: pd.DataFrame) -> pd.Series:
            worst = some.loc[some["share"].idxmin()] if some["share"].notna().any() else some.iloc[0]
            halves = some.groupby("half")["share"].mean()
            return pd.concat(
                [
                    halves,
                    pd.Series(
                        {"worst": worst["share"], "of": worst["problem"], "width": some["width"].median()}
                    ),
                ]
            )

        text = (
            f"{rows['problem'].nunique()} problems, {words}; {int(rows['replicates'].max())} replicates of all lines, seeds drawn with replacement from 60 to 100. Mean over the problems on which the weight of "
            "neighbours was chosen, mean over the others, and the worst problem; width is the median over problems, over that of t alone."
        )
        parts.append(
            _section(
                f"Real runs, {chosen}", text, rows, ["tuned on", "others", "worst", "of", "width"], summed
            )
        )
    return "\n\n".join(parts)


def _section(
    title: str, text: str, mine: pd.DataFrame, columns: list[str], summed: Callable[[pd.DataFrame], pd.Series]
) -> str:
    lines = [f"| of | seeds | method | {' | '.join(columns)} |", f"|---|---|---|{'---|' * len(columns)}"]
    for (measure, seeds, method), some in mine.groupby(["measure", "seeds", "method"], sort=False):
        values = summed(some)
        cells = [_cell(values.get(name)) for name in columns]
        name = f"**{method}**" if some["ours"].any() else method
        lines.append(f"| {measure} | {seeds} | {name} | {' | '.join(cells)} |")
    return "\n".join([f"## {title}", "", text, "", *lines])


def _equal(table: pd.DataFrame) -> str:
    mine = table[table["measure"] == "equal lines"].astype({"lines": "Int64"})
    counts = sorted(mine["lines"].dropna().unique())
    lines = [
        "| seeds | method | of | " + " | ".join(f"{count} lines" for count in counts) + " |",
        "|---|---|---|" + "---|" * len(counts),
    ]
    for (seeds, method, kind), some in mine.groupby(["seeds", "method", "data"], sort=False):
        shares = some.set_index("lines")["share"]
        name = f"**{method}**" if some["ours"].any() else method
        lines.append(
            f"| {seeds} | {name} | {kind} | " + " | ".join(_cell(shares[count]) for count in counts) + " |"
        )
    text = "The share of studies of equal lines in which any line is told apart from the winner; at most 5 % is promised."
    return "\n".join(["## Equal lines called different", "", text, "", *lines])


def _cell(value: object) -> str:
    if isinstance(value, str):
        return value
    return "–" if value is None or np.isnan(float(str(value))) else f"{float(str(value)):.3f}"


def main() -> None:
    """Measure, print what misses its target, and save both files unless `--quick`."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, help="results folders with many seeds")
    parser.add_argument(
        "--quick", action="store_true", help="as little as shows that it works; saves nothing"
    )
    given = parser.parse_args()
    table = measured(given.folders, given.quick)
    print(page(table))
    if not given.quick:
        FOLDER.mkdir(parents=True, exist_ok=True)
        table.to_csv(FOLDER / "coverage.csv", index=False, lineterminator="\n")
        (FOLDER / "coverage.md").write_text(page(table), encoding="utf-8")
        print(FOLDER / "coverage.csv")


if __name__ == "__main__":
    main()
