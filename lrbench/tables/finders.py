"""The table of what learning-rate finders suggest."""

from __future__ import annotations

import pandas as pd

from lrbench.analysis.groups import point_columns
from lrbench.analysis.range_tests import suggest, sweeps


def finders(range_tests: pd.DataFrame, range_test_curves: pd.DataFrame) -> pd.DataFrame:
    """A row per range test and rule: the learning rate that the rule suggests; there is no such table without range tests.

    Range tests are runs of the schedule `range_test` with the probe `minibatch_loss`, such as those of `lrbench find`. The table
    has the columns that identify a run, too.

    Args:
        range_tests: a row per run; those of other schedules are passed over.
        range_test_curves: their curves.

    Columns:
        rule: `steep`, `minimum`, `valley` or `slide`
        suggestion: the learning rate that the rule suggests; missing if it suggests none
        reason: why there is no suggestion
    """
    found = [
        (row, rule, *suggestion)
        for row, sweep in sorted(sweeps(range_tests, range_test_curves), key=lambda pair: pair[0])
        for rule, suggestion in suggest(sweep).items()
    ]
    table = pd.DataFrame(found, columns=pd.Index(["row", "rule", "suggestion", "reason"]))
    names = ["run_id", *point_columns(range_tests), "seed"]
    identity = range_tests[names].iloc[table.pop("row").astype(int)]
    table["reason"] = table["reason"].astype("str").where(table["reason"] != "")
    return pd.concat([identity.reset_index(drop=True), table], axis=1)
