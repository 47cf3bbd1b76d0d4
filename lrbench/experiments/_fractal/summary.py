"""What the pictures are summed up in: the tables of the experiment, and its findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Int

from lrbench.experiments._fractal import boxes
from lrbench.experiments._fractal.conditions import CONDITIONS, PUBLISHED
from lrbench.experiments._fractal.pictures import Drawn
from lrbench.experiments.findings import Finding

_AGREE = 99.0
"""Per cent of runs on which a separate implementation must agree."""
Counts = Mapping[str, Sequence[Int[np.ndarray, "size tile"]]]
"""Of each condition, the boxes of each of its pictures."""


def dimensions(counts: Counts) -> pd.DataFrame:
    """Return a row per condition."""
    rows = []
    for name, each in counts.items():
        closer = each[1:] or each
        middle, low, high = boxes.dimension(closer)
        published = CONDITIONS[name].published
        row = {"condition": name, "dimension": middle, "low": low, "high": high}
        rows.append(row | {"pictures": len(closer), "published": published})
    return pd.DataFrame(rows)


def views(sequences: Mapping[str, Sequence[Drawn]], counts: Counts) -> pd.DataFrame:
    """Return a row per picture."""
    rows = []
    for name, drawn in sequences.items():
        for number, (each, count) in enumerate(zip(drawn, counts[name], strict=True)):
            line = boxes.fit(count.sum(axis=1))
            rows.append(
                {
                    "condition": name,
                    "zoom": number,
                    "x_from": each.view.x[0],
                    "x_to": each.view.x[1],
                    "y_from": each.view.y[0],
                    "y_to": each.view.y[1],
                    "resolution": each.view.resolution,
                    "converged": float((each.scores < 0).mean()),
                    "boundary": float(boxes.boundary(each.scores).mean()),
                    "dimension": line.dimension,
                    "r2": line.r2,
                }
            )
    return pd.DataFrame(rows)


def box_counts(counts: Counts) -> pd.DataFrame:
    """Return a row per picture and size of boxes."""
    return pd.DataFrame(
        [
            {"condition": name, "zoom": number, "size": 2**power, "boxes": int(boxes_of)}
            for name, each in counts.items()
            for number, count in enumerate(each)
            for power, boxes_of in enumerate(count.sum(axis=1))
        ]
    )


def findings(measured: pd.DataFrame, viewed: pd.DataFrame, compared: pd.DataFrame | None) -> list[Finding]:
    """Return what was found, the main findings first."""
    least, greatest = PUBLISHED
    paper, others = (
        measured[measured["published"] == published].set_index("condition") for published in (True, False)
    )
    found: list[Finding] = []
    if compared is not None:
        found.append(_agreement(compared, "numpy", "a separate implementation in NumPy", True))
    if len(paper):
        within = int(paper["dimension"].between(least, greatest).sum())
        found.append(
            Finding(
                f"conditions of the paper whose boundary has a dimension from {least:g} to {greatest:g}, the range that it reports",
                within,
                unit=f"of {len(paper)}",
                rule="all",
                met=within == len(paper),
            )
        )
    if len(others):
        rough = int((others["low"] > 1).sum())
        found.append(
            Finding(
                "optimizers that the paper did not train whose boundary is rougher than a line, the interval of its dimension above 1",
                rough,
                unit=f"of {len(others)}",
                rule="all",
                met=rough == len(others),
            )
        )
    return [*found, *_each(paper, others), *_by_zoom(viewed), *_single(compared)]


def _each(paper: pd.DataFrame, others: pd.DataFrame) -> list[Finding]:
    """Return the dimension of each condition."""
    least, greatest = PUBLISHED
    return [
        Finding(
            f"dimension of the boundary: {CONDITIONS[str(name)].title}{' (the paper: 1.66)' if name == 'tanh' else ''}",
            row["dimension"],
            row["low"],
            row["high"],
            rule=f"{least:g} to {greatest:g}" if rows is paper else "interval above 1",
            met=bool(least <= row["dimension"] <= greatest) if rows is paper else bool(row["low"] > 1),
        )
        for rows in (paper, others)
        for name, row in rows.iterrows()
    ]


def _by_zoom(viewed: pd.DataFrame) -> list[Finding]:
    """Return how rough the boundary is in opening views, and after the last zoom."""
    last = int(viewed["zoom"].max())
    pictures = {0: "opening view", **({last: f"zoom {last}"} if last else {})}
    return [
        Finding(
            f"dimension by a straight line through all box sizes, median of the conditions: {where}",
            float(viewed.loc[viewed["zoom"] == number, "dimension"].median()),
        )
        for number, where in pictures.items()
    ]


def _single(compared: pd.DataFrame | None) -> list[Finding]:
    """Return what single precision changes."""
    if compared is None:
        return []
    return [
        _agreement(compared, "float32", "single precision", False),
        Finding(
            f"the same among the {_at(compared, 'float32', 'at_boundary'):,.0f} runs at the boundary",
            100 * _at(compared, "float32", "agree_at_boundary"),
            unit="%",
        ),
        Finding(
            f"dimension of the boundary of these runs in single precision; in double precision it is {_at(compared, 'float32', 'dimension_float64'):.2f}",
            _at(compared, "float32", "dimension"),
        ),
    ]


def _agreement(compared: pd.DataFrame, name: str, words: str, ruled: bool) -> Finding:
    share = 100 * _at(compared, name, "agree")
    return Finding(
        f"{_at(compared, name, 'runs'):,.0f} runs of tanh, full batch: {words} agrees with double precision on whether they converge",
        share,
        unit="%",
        rule=f"at least {_AGREE:g} %" if ruled else "",
        met=share >= _AGREE if ruled else None,
    )


def _at(compared: pd.DataFrame, name: str, column: str) -> float:
    return float(compared.loc[compared["compared"] == name, column].iloc[0])
