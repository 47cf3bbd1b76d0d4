"""Parts whose checksums are right and whose values no training gives, as anybody can write them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import lrbench as lb
from lrbench.results import part_file
from tests.helpers.command import lrbench

About = dict[str, Any]
Change = Callable[[About, pa.Table], pa.Table]


def said(**changes: Any) -> Change:
    def change(about: About, table: pa.Table) -> pa.Table:
        about |= changes
        return table

    return change


def column(name: str, value: Any) -> Change:
    def change(about: About, table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index(name)
        return table.set_column(place, name, pa.array([value] * len(table)))

    return change


def nothing(about: About, table: pa.Table) -> pa.Table:
    about["step"] = []
    for name in [field.name for field in table.schema if pa.types.is_list(field.type)]:
        table = table.set_column(
            table.schema.get_field_index(name),
            name,
            pa.array([[]] * len(table), table.schema.field(name).type),
        )
    return table


def twice(about: About, table: pa.Table) -> pa.Table:
    return pa.concat_tables([table, table])


LIES: dict[str, Change] = {
    "fewer evaluations": said(step=[0, 1, 2]),
    "steps that go back": said(step=[3 - n for n in range(21)]),
    "no evaluations": nothing,
    "seconds that are no number": said(seconds={"train": float("nan")}),
    "seconds beyond all measure": said(seconds={"train": 1e308}),
    "a name that clears a terminal": said(pack_id="\x1b[2J"),
    "saved steps below 0": said(saved_lane_steps=-1),
    "saved steps of 100 bits": said(saved_lane_steps=10**30),
    "divergence beyond all steps": column("diverged_step", 1e300),
    "curves of other lengths": column("train_loss", [1.0]),
    "every run twice": twice,
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    lb.sweep("quadratic", optimizers="sgd", learning_rates=[0.1], seeds=2, steps=20, out=folder)
    return folder


@pytest.mark.parametrize(
    "lie", [pytest.param(lie, marks=pytest.mark.slow if at > 2 else ()) for at, lie in enumerate(LIES)]
)
def test_a_part_that_lies_is_set_aside_and_the_folder_stays_readable(
    lie: str, trained: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    shutil.copytree(trained, folder)
    (part,) = folder.glob("parts/*/*.parquet")
    table = pq.read_table(part)
    about = json.loads(table.schema.metadata[b"lrbench"])
    table = LIES[lie](about, table)
    part.write_bytes(
        part_file.sealed(table.replace_schema_metadata({b"lrbench": json.dumps(about).encode()}))
    )
    code, lines = lrbench(["report", str(folder)])
    assert code == 0, lines
    assert "was damaged, and is now" in lines
    assert lb.load(folder).runs.empty
