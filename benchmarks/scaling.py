"""What a run costs in a small study and in a large one, and how much memory the study takes: P7 and P8.

    make bench BENCH=scaling
    make bench BENCH=scaling ARGS=--quick        # two small sizes; nothing is saved

One study, `house_prices` with sgd for 500 steps, with ever more rates, each as the whole process `lrbench run
--no-report`. It is a real problem with minibatches and validation data, and it trains fast: what does not train,
evaluating, writing and tables, is the larger part here than in any other, so that this is the hard case. P7 is
judged on the seconds that the manifest names: training, evaluating, writing parts and tables, of the dearest size
over the cheapest. Beside it stand what a further run costs, and the whole process with its start-up: Python, JAX,
data, compiling. P8 is the most memory that the process had resident.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from benchmarks import workloads
from benchmarks.process import Job, Watch, beside, run_study, say
from benchmarks.table import FOLDER, Row, compare, is_quick, publish, show

COST_SIZES = (256, 1_000, 4_096, 16_384, 65_536)
MEMORY_SIZES = (1_000, 100_000)
QUICK_SIZES = (256, 1_000)
STEPS = 500
WITHIN, MEMORY_WITHIN = 1.25, 1.3


class Point(NamedTuple):
    """A study of a size: seconds and memory of its process."""

    runs: int
    judged: float
    """Seconds of training, evaluating, writing and tables."""
    whole: float
    """Seconds of the process."""
    peak_mib: float

    @property
    def cost(self) -> float:
        """Judged seconds per run."""
        return self.judged / self.runs


def measure(runs: int, cache: Path) -> Point:
    """Train a study of so many runs, in a fresh folder."""
    with tempfile.TemporaryDirectory(prefix="lrbench-scaling-") as place:
        found = point(runs, run_study(workloads.houses(runs, STEPS), Path(place), cache, "--no-report"))
    say(f"  {runs:,} runs: {found.judged:.2f} s of {found.whole:.1f} s, {found.peak_mib:,.0f} MiB")
    return found


def point(runs: int, job: Job) -> Point:
    """What a job took, without starting and compiling, as its manifest tells it."""
    seconds = job.manifest["seconds"]
    judged = sum(seconds[part] for part in ("train", "evaluate", "writing", "tables"))
    return Point(runs, judged, job.seconds, job.peak_mib)


def rows_of(
    points: Sequence[Point],
    cost_sizes: Sequence[int] = COST_SIZES,
    memory_sizes: Sequence[int] = MEMORY_SIZES,
    others: float | None = None,
) -> list[Row]:
    """P7 and P8, and a row for each size of P7."""
    by_runs = {point.runs: point for point in points}
    sizes = [by_runs[runs] for runs in cost_sizes]
    few, many = by_runs[memory_sizes[0]], by_runs[memory_sizes[1]]
    what = f"house_prices, {STEPS} steps, "
    dearest, cheapest = max(sizes, key=_cost), min(sizes, key=_cost)
    further = [
        (after.judged - before.judged) / (after.runs - before.runs) for before, after in pairwise(sizes)
    ]
    return [
        compare(
            "P7",
            what + f"cost of a run, dearest size ({dearest.runs:,} runs)",
            1e6 * dearest.cost,
            "µs/run",
            f"cheapest size ({cheapest.runs:,} runs)",
            1e6 * cheapest.cost,
            at_most=WITHIN,
            note="; ".join(filter(None, ["training, evaluating, writing and tables", beside(others)])),
        ),
        compare(
            "P7",
            what + f"cost of a further run, up to {sizes[-1].runs:,}",
            1e6 * further[-1],
            "µs/run",
            f"up to {sizes[1].runs:,}",
            1e6 * further[0],
            note="the same seconds, without what every study pays once",
        ),
        *(
            compare(
                "P7",
                what + f"whole process, {size.runs:,} runs",
                1e6 * size.whole / size.runs,
                "µs/run",
                "without starting and compiling",
                1e6 * size.cost,
                note=f"{size.whole:.1f} s, of which {size.whole - size.judged:.1f} s start and compile",
            )
            for size in sizes
        ),
        compare(
            "P8",
            what + f"peak resident memory, {many.runs:,} runs",
            many.peak_mib,
            "MiB",
            f"{few.runs:,} runs",
            few.peak_mib,
            at_most=MEMORY_WITHIN,
        ),
    ]


def _cost(point: Point) -> float:
    return point.cost


def main() -> None:
    """Measure, print the table, and save it with its picture unless `--quick`."""
    quick = is_quick(__doc__)
    costs, memories = (QUICK_SIZES, QUICK_SIZES) if quick else (COST_SIZES, MEMORY_SIZES)
    with tempfile.TemporaryDirectory(prefix="lrbench-cache-") as cache:
        say("studies of house_prices")
        run_of = sorted({*costs, *memories})
        measure(run_of[0], Path(cache))  # data and programs into the cache
        with Watch() as watch:
            points = [measure(runs, Path(cache)) for runs in run_of]
    rows = rows_of(points, costs, memories, watch.others)
    if quick:
        show(rows)
        return
    publish("scaling", rows)
    from benchmarks import pictures

    print(pictures.save(pictures.scaling(points), FOLDER / "scaling.png"))


if __name__ == "__main__":
    main()
