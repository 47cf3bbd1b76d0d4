"""What the titles of the pictures say: what was found in them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lrbench.experiments._fractal.conditions import CONDITIONS


def titles(measured: pd.DataFrame, viewed: pd.DataFrame, main: str) -> dict[str, str]:
    """Return the title of each picture, by its name.

    Args:
        measured: dimensions, a row per condition.
        viewed: a row per picture.
        main: the condition that is drawn alone, which may be missing.
    """
    last = int(viewed["zoom"].max())
    opening = viewed[viewed["zoom"] == 0].set_index("condition")
    share = opening["converged"]
    least, most = str(share.idxmin()), str(share.idxmax())
    first, closest = (viewed.loc[viewed["zoom"] == zoom, "dimension"].median() for zoom in (0, last))
    extent = measured["dimension"].dropna()
    found = {
        "openings": " to ".join(
            f"{100 * share[name]:.0f} % ({CONDITIONS[name].title})" for name in dict.fromkeys((least, most))
        )
        + " of the runs converge",
        "zoomed": f"the dimension of the boundary is {_two(first)} in the opening views"
        + (f", {_two(closest)} at zoom {last} (medians of the conditions)" if last else ""),
        "boxes": f"the boundary is rougher than a line in {int((measured['low'] > 1).sum())} of {len(measured)} conditions"
        + (f": dimension {extent.min():.2f} to {extent.max():.2f}" if len(extent) else ""),
    }
    if main in opening.index:
        runs = int(opening["resolution"][main]) ** 2
        dimension = float(measured.set_index("condition")["dimension"][main])
        where = " up close" if last else ""
        found["largest"] = (
            f"{CONDITIONS[main].title}: {100 * share[main]:.0f} % of {runs:,} runs converge; dimension{where}: {_two(dimension)}"
        )
    return found


def _two(dimension: float) -> str:
    return f"{dimension:.2f}" if np.isfinite(dimension) else "unknown"
