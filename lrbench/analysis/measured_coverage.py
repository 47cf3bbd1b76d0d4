"""How tables make their intervals, and how often these were found to cover: what a manifest says of them."""

from __future__ import annotations

METHODS = {
    "losses": "Student's t, a tenth of whose variance is that at good neighbours of the rate",
    "metrics": "as losses",
    "paired differences": "as losses",
    "rates": "from 6 seeds on: rates not told apart from the best one by a paired t test",
    "steps to the target": "from 6 seeds on: order statistics, by the sign test",
    "steps, times as many": "from 6 seeds on: steps at which a paired t test finds no difference",
}
COVERED = {
    "losses": {3: 0.944, 5: 0.937, 10: 0.949},
    "metrics": {3: 0.948, 5: 0.928, 10: 0.931},
    "paired differences": {3: 0.946, 5: 0.948, 10: 0.945},
    "rates": {10: 0.994},
    "steps to the target": {10: 0.997},
    "steps, times as many": {10: 0.936},
}
"""By what the interval is of and the number of seeds: mean over real problems that had no part in choosing the methods, on fresh seeds (rates: on the seeds
that chose them); `results/answers/coverage.csv`, which a test compares."""


def interval_methods() -> dict[str, dict[str, object]]:
    """Methods and coverage as plain data.

    Example:
        >>> interval_methods()["methods"]["metrics"]
        'as losses'
    """
    covered = {
        measure: {str(seeds): share for seeds, share in each.items()} for measure, each in COVERED.items()
    }
    return {"methods": dict(METHODS), "covered": dict(covered)}
