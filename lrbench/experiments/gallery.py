"""Where does every optimizer go on surfaces of two coordinates, at its best rate?"""

from __future__ import annotations

import numpy as np
import pandas as pd

from lrbench.errors import StudyError
from lrbench.experiments._gallery import drawing, page, paths
from lrbench.experiments.bench import Answer, Bench
from lrbench.experiments.findings import Finding
from lrbench.experiments.page import MAIN
from lrbench.study import catalog

_LANES = 64
"""The lanes of a chunk: all of a line, with the default rates and seeds."""
_SADDLE = 0.25
"""The loss at the saddle of the problem `saddle`."""


def gallery(
    bench: Bench,
    *,
    problems: tuple[str, ...] = ("rosenbrock", "rastrigin", "beale", "saddle"),
    optimizers: tuple[str, ...] = ("all",),
    rates: int = 13,
    steps: int = 200,
    seeds: int = 3,
    target: float = 0.01,
) -> Answer:
    """The paths of every optimizer on Rosenbrock, Rastrigin, Beale and a saddle, each at its best rate, on one page.

    Every optimizer is trained at every rate of a grid from 10⁻⁴ to 10, with its other parameters at their defaults, and is evaluated after
    every step. Its best rate is the one that the study says to use (`use_learning_rate`). All optimizers start at the same point, which each
    seed draws anew. Pictures show the first seed.

    A run reaches the minimum at the first step from which on its loss stays within `target` of the least one, to the end. An optimizer
    reaches it if more than half of its seeds do; the steps that it needs are the median over seeds.

    `gallery.html` shows all paths in one file that loads nothing from the network, for light and dark, wide and narrow screens.

    Args:
        problems: of two coordinates, with a surface to be drawn and a known minimum.
        optimizers: names of optimizers; `all` are all of the catalogue.
        rates: how many learning rates, log-spaced from 10⁻⁴ to 10.
        steps: of every run.
        seeds: a count.
        target: how far above the minimum a run may be that has reached it.

    Pictures:
        rosenbrock: Rosenbrock's valley. Blue: most seeds reach the minimum, in the order of the steps that they need; orange: they do not. The path is that of the
            first seed, which may be one of the others.
        rastrigin: Rastrigin's surface, with a local minimum in every unit square.
        beale: Beale's surface, flat nearly everywhere.
        saddle: A saddle between two minima, approached along its ridge.

    Tables:
        lines: A row per problem and optimizer; `learning_rate` is the best one, `reached_share` the share of seeds that reach the minimum,
            `steps_needed` the median of the steps that they need (infinite if most do not), `gap` the median of the final loss above the minimum.
        paths: A row per point of the path of the first seed; points that a picture cannot tell from the one before are left out, and
            so is what follows where a path leaves the picture by five of its sides.

    Source: Ruder, An overview of gradient descent optimization algorithms, arXiv:1609.04747, section 4.11, shows seven optimizers so,
        after Radford; pictures and code are lrbench's own.
    """
    names = tuple(catalog.names("optimizer")) if optimizers == ("all",) else optimizers
    optimum = _optima(problems)
    results = bench.train(
        {
            "name": "gallery",
            "steps": steps,
            "evaluate_every": 1,
            "seeds": seeds,
            "probes": list(paths.COORDINATES),
            # Hundreds of small programs: timing chunk sizes for each would take longer than training.
            "lanes_per_chunk": _LANES,
            "problem": list(problems),
            "optimizer": list(names),
            "learning_rate": {"min": 1e-4, "max": 10.0, "num": rates},
        }
    )
    table = paths.lines(results, optimum, target)
    points = paths.paths(results, table)
    written = [
        *bench.write_table("lines", table.drop(columns="run_id")),
        *bench.write_table("paths", points),
        bench.write_text("gallery.html", page.page(table, points, results.surfaces, steps, target)),
    ]
    for problem, lines in table.groupby("problem", sort=False):
        own = points[points["problem"] == problem]
        written += bench.write_picture(
            str(problem), drawing.picture(str(problem), lines, own, results.surfaces)
        )
    findings = _findings(table)
    written += bench.write_findings(findings)
    return Answer(tuple(finding.line for finding in findings[:MAIN]), tuple(written))


def _optima(problems: tuple[str, ...]) -> dict[str, float]:
    """Return the minimum of each problem, all of which have to have a surface.

    Raises:
        StudyError: if one has no surface of two coordinates, or its minimum is not known.
    """
    found = {}
    for name in problems:
        made = catalog.get("problem", name).load()()
        if made.box is None or made.optimum is None:
            raise StudyError(
                f"problems: {name}: has no surface of two coordinates with a known minimum; choose one that has, such as rosenbrock"
            )
        found[name] = float(made.optimum)
    return found


def _findings(table: pd.DataFrame) -> list[Finding]:
    """Return how many optimizers reach each minimum, which do on all surfaces, and who is the quickest."""
    problems = list(table["problem"].unique())
    table = table.assign(reached=table["reached_share"] > 0.5)
    count = table["optimizer"].nunique()
    everywhere = table.groupby("optimizer")["reached"].sum() == len(problems)
    found = [
        Finding(
            f"optimizers that reach the minimum of {problem} at their best rate",
            float(lines["reached"].sum()),
            unit=f"of {count}",
        )
        for problem, lines in table.groupby("problem", sort=False)
    ]
    found.append(
        Finding(
            f"optimizers that reach the minimum on all {len(problems)} surfaces",
            float(everywhere.sum()),
            unit=f"of {count}",
        )
    )
    for problem, lines in table.groupby("problem", sort=False):
        quickest = lines.iloc[int(lines["steps_needed"].argmin())]
        if np.isfinite(quickest["steps_needed"]):
            found.append(
                Finding(
                    f"steps to the minimum of {problem} of the quickest optimizer, {quickest['optimizer']}",
                    float(quickest["steps_needed"]),
                )
            )
            middle = float(lines.loc[lines["reached"], "steps_needed"].median())
            found.append(
                Finding(f"steps to the minimum of {problem}, median over those that reach it", middle)
            )
    if "saddle" in problems:
        stuck = (table["problem"] == "saddle") & (np.abs(table["gap"] - _SADDLE) < 0.02)
        which = ", ".join(table.loc[stuck, "optimizer"])
        found.append(
            Finding(
                "optimizers that are still at the saddle at the end"
                + (f" ({which})" if 0 < stuck.sum() < 6 else ""),
                float(stuck.sum()),
                unit=f"of {count}",
            )
        )
    return found
