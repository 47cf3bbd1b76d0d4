"""Is the boundary between learning rates that converge and those that do not a fractal, with other optimizers too?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import pandas as pd
from matplotlib.figure import Figure

from lrbench.errors import StudyError
from lrbench.experiments._choices import require_known
from lrbench.experiments._fractal import boxes, checks, pictures, summary, views
from lrbench.experiments._fractal.conditions import CONDITIONS
from lrbench.experiments._fractal.pictures import Drawn
from lrbench.experiments._fractal.titles import titles
from lrbench.experiments._fractal.views import Window
from lrbench.experiments.bench import Answer, Bench
from lrbench.experiments.page import MAIN

_LEAST = 8
"""Runs along a side: with fewer, a picture has no two sizes of boxes."""


def fractal(
    bench: Bench,
    *,
    conditions: tuple[str, ...] = (
        "tanh",
        "minibatch",
        "relu",
        "identity",
        "single",
        "scale",
        "momentum",
        "adam",
        "muon",
        "lion",
    ),
    resolution: int = 64,
    main: Literal[
        "tanh", "minibatch", "relu", "identity", "single", "scale", "momentum", "adam", "muon", "lion"
    ] = "tanh",
    main_resolution: int = 512,
    zooms: int = 2,
    zoom: float = 16.0,
    zoom_resolution: int = 64,
    checked: int = 64,
    steps: int = 500,
    precision: Literal["float32", "float64"] = "float32",
) -> Answer:
    """Pictures of which pairs of learning rates converge, and the fractal dimension of the boundary, for six conditions of a paper and four more optimizers.

    The problem is `fractal`: two layers of 16 units without biases on 272 random samples, trained by gradient descent on all of them. A pixel is a
    run. All runs start from the same weights. The horizontal axis is the rate of the input layer and the vertical axis that of the output layer, each from 10⁻³ to
    10⁶ in the opening view. Six conditions are those of the paper: `tanh`; `minibatch`, with steps on 16 samples drawn without
    replacement (the paper draws with replacement); `relu`; `identity`, a linear network on 16 samples; `single`, one sample; and `scale`, whose axes are a factor on
    the initial weights, from 10⁻³ to 10³, and one rate for both layers (the paper instead adds an offset to the weights of the input layer).
    Four conditions are new: `momentum` (0.9), `adam`, `muon` and `lion`, with all samples and the rates of the opening view.

    The score of a run is the paper's. A loss that is not finite counts as 10⁶. So do all losses after a gradient with an element above 10¹¹ (in double precision, 10¹³⁰); the comparison with NumPy has no such limit. v is the
    loss of each step relative to the first one, at most 10⁶. A run has converged if the mean of its last 20 v is below 1. Its score is then −Σv, otherwise Σ1/v.
    The random numbers are not the paper's, so its pictures are not reproduced pixel by pixel.

    The boundary is where four neighbouring pixels disagree on whether their runs converge. N is the number of boxes of s × s pixels that contain boundary, with s = 1, 2, 4 … up to
    a quarter of the picture. A slope is −Δlog N / Δlog s from one size to the next. As in the paper, the dimension of a condition is the median of the slopes of its
    pictures: 1 for a smooth line, 2 if the boundary is everywhere. The opening view is left out if there are zooms: it would be one of three pictures here, but is one of some
    50 in the paper. The 95 % interval is a bootstrap over the 16 tiles of each picture; the table `views` shows how much the pictures differ.
    Each zoom shows the part of the previous picture that has the most boundary, so the dimension is that of the roughest parts. The paper chose where
    to look by hand, and has 4,096 runs along each side and some 50 zooms by 2.

    Args:
        conditions: which of the ten are trained.
        resolution: runs along each side of an opening view.
        main: the condition that is drawn alone, if it is among them.
        main_resolution: runs along each side of its opening view.
        zooms: pictures after the opening view.
        zoom: the factor by which each of them is closer than the one before.
        zoom_resolution: runs along each side of a zoom.
        checked: runs along each side of the view of `tanh` that is compared with NumPy and with single precision; 0 for no comparison.
        steps: of every run.
        precision: of every run.

    Pictures:
        largest: The opening view of the main condition, a pixel for each run, coloured by its score: converged runs in green to blue, all others in yellow to red.
        openings: The opening view of each condition: below a rate of the output layer, which depends on that of the input layer, gradient descent converges.
        zoomed: From the opening view of each condition closer to its boundary: the frame in a picture is what the next one shows.
        boxes: Boxes that have boundary in them against their size, a line per picture: the steeper a line, the rougher the boundary.

    Tables:
        dimensions: A row per condition; `dimension` is the median slope with its interval `low` to `high`, from so many `pictures`; `published` tells whether the paper has the condition.
        views: A row per picture: the condition, how many zooms led to it, log₁₀ of the ends of its axes, runs along a side, `converged` (share of runs), `boundary` (share of blocks of four), and `dimension`, the slope of a straight line through all box sizes of this picture, which explains the share `r2` of their variance.
        boxes: A row per picture and `size` of boxes, in pixels; `boxes` is how many of them have boundary in them.
        agreement: A row per comparison of `tanh` in double precision, with `numpy`, a separate implementation, and with `float32`; `agree` is the share of runs on whose convergence both agree, `agree_at_boundary` that among runs at the boundary, `score_difference` the median relative difference of the scores, and `dimension` that of the boundary, which in double precision is `dimension_float64`.

    Source: Sohl-Dickstein, The boundary of neural network trainability is fractal, arXiv:2402.06184, and its notebook,
        https://github.com/Sohl-Dickstein/fractal.
    """
    _check(conditions, (resolution, main_resolution, zoom_resolution), checked, zoom)
    opening = {name: main_resolution if name == main else resolution for name in conditions}
    sequences = {
        name: _sequence(bench, name, side, (zooms, zoom, zoom_resolution), steps, precision)
        for name, side in opening.items()
    }
    compared = checks.agreement(bench, CONDITIONS["tanh"], checked, steps) if checked else None
    return _answer(bench, sequences, main, compared)


def _check(names: tuple[str, ...], sides: tuple[int, ...], checked: int, zoom: float) -> None:
    """Refuse parameters before anything is trained."""
    require_known("conditions", names, CONDITIONS)
    for side in (*sides, *([checked] if checked else [])):
        if side < _LEAST:
            raise StudyError(
                f"a picture of {side} × {side} runs: must have at least {_LEAST} along each side"
            )
    if not zoom > 1:
        raise StudyError(f"zoom = {zoom:g}: must be above 1")


def _sequence(
    bench: Bench, name: str, side: int, zooms: tuple[int, float, int], steps: int, precision: str
) -> list[Drawn]:
    """Train the opening view of a condition and its zooms."""
    condition = CONDITIONS[name]
    count, factor, zoom_side = zooms
    view = Window(condition.x, condition.y, side)
    found: list[Drawn] = []
    for number in range(count + 1):
        study = views.study(f"{name}_{number}", condition, view, steps, precision)
        scores = views.picture(bench.train(study), condition, view)
        found.append(Drawn(condition, view, scores))
        view = views.closer(view, scores, factor, zoom_side)
    return found


def _answer(
    bench: Bench, sequences: Mapping[str, list[Drawn]], main: str, compared: pd.DataFrame | None
) -> Answer:
    """Write the tables, the pictures and the findings."""
    counts = {
        name: [boxes.counts(boxes.boundary(each.scores)) for each in drawn]
        for name, drawn in sequences.items()
    }
    tables = {
        "dimensions": summary.dimensions(counts),
        "views": summary.views(sequences, counts),
        "boxes": summary.box_counts(counts),
    }
    found = summary.findings(tables["dimensions"], tables["views"], compared)
    if compared is not None:
        tables["agreement"] = compared
    paths = [path for name, table in tables.items() for path in bench.write_table(name, table)]
    named = titles(tables["dimensions"], tables["views"], main)
    for name, figure in _pictures(sequences, main, tables, named).items():
        paths += bench.write_picture(name, figure)
    return Answer(tuple(one.line for one in found[:MAIN]), (*paths, *bench.write_findings(found)))


def _pictures(
    sequences: Mapping[str, list[Drawn]],
    main: str,
    tables: Mapping[str, pd.DataFrame],
    named: Mapping[str, str],
) -> dict[str, Figure]:
    """Return all pictures by name."""
    first = {name: drawn[0] for name, drawn in sequences.items()}
    alone = {"largest": pictures.one(first[main], named["largest"])} if main in first else {}
    return alone | {
        "openings": pictures.openings(first, named["openings"]),
        "zoomed": pictures.zooms(sequences, named["zoomed"]),
        "boxes": pictures.counted(tables["boxes"], tables["dimensions"], named["boxes"]),
    }
