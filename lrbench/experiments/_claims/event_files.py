"""TensorBoard files: some runs are exported, read back, and compared with the tables value by value."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lrbench.errors import DataError
from lrbench.experiments._claims.evidence import NAN, StudyArrays
from lrbench.experiments._claims.limits import LIMITS
from lrbench.experiments.findings import Finding
from lrbench.export.tensorboard import tensorboard
from lrbench.results.results import Results

_CURVES = ("train_loss", "valid_loss")
_HEADER, _FOOTER = 12, 4  # length and its checksum, before a record; the record's checksum, after it
_WHAT = "TensorBoard files: largest relative difference between a loss in them and in the tables"


def compare_with_tables(study: StudyArrays) -> Finding:
    """Compare the losses in event files with those in the tables, for one run of every line, at its best rate."""
    rule = f"at most {LIMITS.equal:g}"
    runs = _runs_at_best(study)
    chosen = study.tables.curves[study.tables.curves["run_id"].isin(runs["run_id"])]
    with tempfile.TemporaryDirectory(prefix="lrbench-") as folder:
        try:
            found = _exported(runs, chosen, Path(folder))
        except DataError as missing:
            return Finding(f"{_WHAT}; not measured: {missing}", NAN, rule=rule)
    worst = 0.0
    for row in chosen.to_dict("records"):
        for name in _CURVES:
            if np.isfinite(row[name]):
                value = found.get((row["run_id"], name, int(row["step"])), np.inf)
                worst = max(worst, abs(value - row[name]) / max(abs(row[name]), LIMITS.equal))
    what = f"{_WHAT}, {len(runs)} runs, {len(found):,} losses"
    return Finding(what, worst, rule=rule, met=worst <= LIMITS.equal)


def _runs_at_best(study: StudyArrays) -> pd.DataFrame:
    best = study.runs["learning_rate"] == study.rate[study.best[0]][study.line]
    return study.runs[best & (study.runs["seed"] == study.runs["seed"].min())]


def _exported(runs: pd.DataFrame, curves: pd.DataFrame, folder: Path) -> dict[tuple[str, str, int], float]:
    """Export runs for TensorBoard, and return the losses in the files by run, curve and step."""
    results = Results(folder)
    # The tables of a results folder are read on first access; these take their place.
    vars(results).update(runs=runs, curves=curves)
    tensorboard(results, folder)
    found = {}
    for file in folder.glob("*/events.*"):
        events = list(_events(file.read_bytes()))
        run = next(filter(None, map(_run_id, events)))
        for event in events:
            for value in event.summary.value:
                if value.tag in _CURVES:
                    found[run, str(value.tag), int(event.step)] = float(value.simple_value)
    return found


def _run_id(event: Any) -> str:
    """Return the run_id among the hyper-parameters of an event, empty if it has none."""
    from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

    contents = (value.metadata.plugin_data.content for value in event.summary.value)
    found = (HParamsPluginData.FromString(content).session_start_info.hparams for content in contents)
    return next((str(each["run_id"].string_value) for each in found if "run_id" in each), "")


def _events(data: bytes) -> Iterator[Any]:
    """Yield the events of a file: records of a length, its checksum, that many bytes, and theirs."""
    from tensorboardX.proto.event_pb2 import Event

    at = 0
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        yield Event.FromString(data[at + _HEADER : at + _HEADER + length])
        at += _HEADER + length + _FOOTER
