"""What a run costs in a small study and in a large one, and how much memory the study takes: P7 and P8.

    make bench BENCH=scaling
    make bench BENCH=scaling ARGS=--quick        # two small sizes; nothing is saved

Each size is the whole process `lrbench run --no-report`, and a study grows by its rates. P7 has `digits_softmax`, sgd
for 100 steps: real images, minibatches, validation, and training that is the larger part of a run, as in the studies
that people run. It is judged on seconds that the manifest names, of the dearest size over the cheapest: training,
evaluating and writing parts, which is what a run itself takes; and the same with the tables, which cost every study a
tenth of a second or two, however few its runs. Beside it stand what a further run costs, and the whole process with its
start-up: Python, JAX, data, compiling. P8 has `house_prices`, sgd for 500 steps, whose runs train so fast that 100,000 of them
take seconds; it is judged on the most memory that the process had resident.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from benchmarks import workloads
from benchmarks.process import Job, Point, Watch, beside, run_study, say
from benchmarks.table import FOLDER, Row, compare, is_quick, publish, show

COST_SIZES = (256, 1_000, 4_096, 16_384, 65_536)
MEMORY_SIZES = (1_000, 10_000, 100_000)
QUICK_SIZES = (256, 1_000)
WITHIN, MEMORY_WITHIN = 1.25, 1.3


def measure(study: workloads.Table, cache: Path) -> Point:
    """Train a study in a fresh folder."""
    with tempfile.TemporaryDirectory(prefix="lrbench-scaling-") as place:
        found = point(run_study(study, Path(place), cache, "--no-report"))
    say(f"  {found.runs:,} runs: {found.judged:.2f} s of {found.whole:.1f} s, {found.peak_mib:,.0f} MiB")
    return found


def point(job: Job) -> Point:
    """What a job took, without starting and compiling, as its manifest tells it."""
    seconds = job.manifest["seconds"]
    training = sum(seconds[part] for part in ("train", "evaluate", "writing"))
    return Point(
        job.manifest["runs"]["done"], training, training + seconds["tables"], job.seconds, job.peak_mib
    )


def rows_of(sizes: Sequence[Point], memories: Sequence[Point], others: float | None = None) -> list[Row]:
    """P7, a row for each of its sizes, and P8; both from small to large."""
    few, many = memories[0], memories[-1]
    what = "digits_softmax, 100 steps, "
    further = [
        (after.judged - before.judged) / (after.runs - before.runs) for before, after in pairwise(sizes)
    ]
    return [
        _dearest(
            what, [(size.runs, size.training) for size in sizes], "training, evaluating, writing", others
        ),
        _dearest(
            what,
            [(size.runs, size.judged) for size in sizes],
            "the same with the tables, which cost a study 0.1 to 0.2 s however few its runs",
            others,
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
            f"house_prices, 500 steps, peak resident memory, {many.runs:,} runs",
            many.peak_mib,
            "MiB",
            f"{few.runs:,} runs",
            few.peak_mib,
            at_most=MEMORY_WITHIN,
        ),
    ]


def _dearest(what: str, sizes: Sequence[tuple[int, float]], of: str, others: float | None) -> Row:
    """The cost of a run at the dearest size over that at the cheapest, from runs and seconds."""
    costs = sorted((seconds / runs, runs) for runs, seconds in sizes)
    (cheap, few), (dear, many) = costs[0], costs[-1]
    return compare(
        "P7",
        what + f"cost of a run, dearest size ({many:,} runs)",
        1e6 * dear,
        "µs/run",
        f"cheapest size ({few:,} runs)",
        1e6 * cheap,
        at_most=WITHIN,
        note="; ".join(filter(None, [of, beside(others)])),
    )


def main() -> None:
    """Measure, print the table, and save it with its picture unless `--quick`."""
    quick = is_quick(__doc__)
    costs, memories = (QUICK_SIZES, QUICK_SIZES) if quick else (COST_SIZES, MEMORY_SIZES)
    with tempfile.TemporaryDirectory(prefix="lrbench-cache-") as folder, Watch() as watch:
        cache = Path(folder)
        say("digits_softmax")
        measure(workloads.digits(costs[0]), cache)  # data and a program into the cache
        sizes = [measure(workloads.digits(runs), cache) for runs in costs]
        say("house_prices")
        peaks = [measure(workloads.houses(runs), cache) for runs in memories]
    rows = rows_of(sizes, peaks, watch.others)
    if quick:
        show(rows)
        return
    publish("scaling", rows)
    from benchmarks import pictures

    print(pictures.save(pictures.scaling(sizes, peaks), FOLDER / "scaling.png"))


if __name__ == "__main__":
    main()
