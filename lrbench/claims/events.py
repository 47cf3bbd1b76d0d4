"""S9's files: some runs written for TensorBoard and read back, value by value."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lrbench.claims.evidence import NOWHERE, Finding, Part
from lrbench.claims.limits import LIMITS
from lrbench.errors import DataError
from lrbench.results.results import Results

_CURVES = ("train_loss", "valid_loss")
_HEADER, _FOOTER = 12, 4  # length and its checksum, before a record; the record's checksum, after it
_WHAT = "TensorBoard's files: greatest relative difference of a loss that they hold from the tables"


def written(part: Part) -> Finding:
    """Compare the losses in event files with those in the tables, for a run of every line at its best rate."""
    rule = f"at most {LIMITS.equal:g}"
    runs = _some_runs(part)
    chosen = part.tables.curves[part.tables.curves["run_id"].isin(runs["run_id"])]
    with tempfile.TemporaryDirectory(prefix="lrbench-") as place:
        try:
            found = _exported(runs, chosen, Path(place))
        except DataError as lacking:
            return Finding(f"{_WHAT}; not measured: {lacking}", NOWHERE, rule=rule)
    worst = 0.0
    for row in chosen.to_dict("records"):
        for name in _CURVES:
            if np.isfinite(row[name]):
                value = found.get((row["run_id"], name, int(row["step"])), np.inf)
                worst = max(worst, abs(value - row[name]) / max(abs(row[name]), LIMITS.equal))
    what = f"{_WHAT}, {len(runs)} runs, {len(found):,} losses"
    return Finding(what, worst, rule=rule, met=worst <= LIMITS.equal)


def _some_runs(part: Part) -> pd.DataFrame:
    best = part.runs["learning_rate"] == part.rate[part.best[0]][part.line]
    return part.runs[best & (part.runs["seed"] == part.runs["seed"].min())]


def _exported(runs: pd.DataFrame, curves: pd.DataFrame, place: Path) -> dict[tuple[str, str, int], float]:
    """Write runs for TensorBoard, and return what the files hold: run, curve and step → loss."""
    from lrbench.export.tensorboard import tensorboard

    results = Results(place)
    # The tables of a results folder are read when asked for; these are some rows of them.
    vars(results).update(runs=runs, curves=curves)
    tensorboard(results, place)
    found = {}
    for file in place.glob("*/events.*"):
        run = file.parent.name.rpartition("-")[2]
        for event in _events(file.read_bytes()):
            for value in event.summary.value:
                if value.tag in _CURVES:
                    found[run, str(value.tag), int(event.step)] = float(value.simple_value)
    return found


def _events(data: bytes) -> Iterator[Any]:
    """Yield the events of a file: records of a length, its checksum, that many bytes, and theirs."""
    from tensorboardX.proto.event_pb2 import Event

    at = 0
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        yield Event.FromString(data[at + _HEADER : at + _HEADER + length])
        at += _HEADER + length + _FOOTER
