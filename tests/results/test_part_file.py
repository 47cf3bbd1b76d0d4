"""A part file: read back as it was written, and any damage to it is found, in parts of older versions too."""

from __future__ import annotations

import io
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from lrbench.results import part_file
from lrbench.results.part_file import DamagedPart, NotAPart
from lrbench.results.run_lookup import RunLookup
from lrbench.results.trained import Trained, joined
from tests.helpers.paths import GOLDEN

OLDER = GOLDEN / "part_with_column_sums.parquet"
"""Of the version before page checksums: its metadata hold a CRC-32 of each column's values."""
PATH = Path("0123456789abcdef.parquet")
CURVES = ("train_loss", "valid_loss")


def trained(runs: int = 4) -> Trained:
    nothing = np.full(runs, np.nan)
    return Trained(
        "0123456789abcdef",
        np.array([f"{number:020x}" for number in range(runs)], "S20"),
        np.array([0, 5, 10]),
        {
            "train_loss": np.linspace(2, 1, 3 * runs).reshape(runs, 3).astype(np.float32),
            "valid_loss": np.linspace(3, 1.5, 3 * runs).reshape(runs, 3),
        },
        np.where(np.arange(runs) == 1, 5.0, nothing),
        np.where(np.arange(runs) == 2, 8.0, nothing),
        np.full(runs, 2),
        {"compile": 1.0, "train": 0.5, "evaluate": 0.25},
        7,
        2,
    )


def values(found: Trained) -> list[Any]:
    """All that a record holds, to be compared with ==."""
    arrays = [found.run_ids, found.step, found.diverged_step, found.stopped_step, found.parameters]
    arrays += [found.curves[name] for name in CURVES]
    rest = [found.pack_id, dict(found.seconds), found.saved_lane_steps, found.stopped_lane_steps]
    return rest + [(each.dtype.kind, each.shape, each.tobytes()) for each in arrays]


def found_in(data: bytes) -> list[Any]:
    """What a file's two readers find; raises where it is damaged."""
    run_ids = trained().run_ids
    summary = part_file.summary(
        io.BytesIO(data), PATH, RunLookup(run_ids).numbers, grid_size=len(run_ids), stopped=False
    )
    known = [summary.pack_id, summary.curves, summary.evaluations, dict(summary.seconds)]
    known += [summary.saved_lane_steps, summary.stopped_lane_steps]
    known += [summary.rows.tolist(), summary.numbers.tolist()]
    return known + values(part_file.read(io.BytesIO(data), PATH, CURVES))


def test_a_part_is_read_as_it_was_written() -> None:
    given = trained()
    found = found_in(part_file.encoded(given))
    assert found[:8] == [
        "0123456789abcdef",
        CURVES,
        3,
        {"compile": 1.0, "train": 0.5, "evaluate": 0.25},
        7,
        2,
        [0, 1, 3],
        [0, 1, 3],
    ]
    wide = {name: each.astype(np.float64) for name, each in given.curves.items()}
    assert found[8:] == values(replace(given, curves=wide))


def test_a_run_may_diverge_at_the_first_step_of_all() -> None:
    given = replace(trained(), diverged_step=np.array([0.0, np.nan, part_file.LARGEST_STEP, np.nan]))
    found = part_file.read(io.BytesIO(part_file.encoded(given)), PATH, ())
    np.testing.assert_array_equal(found.diverged_step, given.diverged_step)


def test_a_part_is_a_parquet_file_that_others_read(tmp_path: Path) -> None:
    """The digest before its footer is in nobody's way."""
    (tmp_path / "part.parquet").write_bytes(part_file.encoded(trained()))
    frame = pd.read_parquet(tmp_path / "part.parquet")
    assert frame["parameters"].tolist() == [2] * 4
    duckdb = pytest.importorskip("duckdb")
    rows = duckdb.sql(f"SELECT count(*), max(len(train_loss)) FROM '{tmp_path}/part.parquet'").fetchall()
    assert rows == [(4, 3)]


def kinds(data: bytes) -> dict[str, range]:
    """Which bytes of a part are what: pages with their headers, the digest, the footer, its length and the end."""
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    seal = 20 if data[footer - 20 : footer - 16] == b"lrb1" else 0
    places = {"start": range(4), "digest": range(footer - seal, footer)}
    places |= {"footer": range(footer, len(data) - 8), "end": range(len(data) - 8, len(data))}
    group = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0)
    for number in range(group.num_columns):
        column = group.column(number)
        begin = column.data_page_offset
        places[column.path_in_schema] = range(begin, begin + column.total_compressed_size)
    return places


@pytest.mark.slow
@pytest.mark.parametrize("older", [False, True])
def test_any_flipped_bit_is_found_or_harmless(older: bool) -> None:
    """One bit of every byte, whatever it is part of: the part is refused, or what is read from it is what was written."""
    data = OLDER.read_bytes() if older else part_file.encoded(trained())
    sound, chance = found_in(data), random.Random(0)
    found: dict[str, int] = {}
    for kind, places in kinds(data).items():
        for place in places:
            broken = bytearray(data)
            broken[place] ^= 1 << chance.randrange(8)
            try:
                assert found_in(bytes(broken)) == sound, (kind, place)
            except (DamagedPart, NotAPart):
                found[kind] = found.get(kind, 0) + 1
    share = {kind: found.get(kind, 0) / max(1, len(places)) for kind, places in kinds(data).items()}
    assert min(share[name] for name in share if "loss" in name) > 0.5
    if not older:
        assert share["footer"] == share["digest"] == share["end"] == 1


@pytest.mark.parametrize("older", [False, True])
def test_a_part_cut_anywhere_is_found(older: bool) -> None:
    data = OLDER.read_bytes() if older else part_file.encoded(trained())
    for size in range(len(data)):
        with pytest.raises(DamagedPart):
            found_in(data[:size])


def test_blocks_that_change_places_are_found() -> None:
    """Two blocks of 64 bytes are swapped, as a file system might, or one is written over with zeros."""
    given = trained(200)
    noise = {name: np.random.default_rng(1).random((200, 3)) for name in CURVES}
    data = part_file.encoded(replace(given, curves=noise))
    sound = part_file.read(io.BytesIO(data), PATH, CURVES)
    chance, damaged = random.Random(0), 0
    for turn in range(300):
        one, other = sorted(64 * chance.randrange(len(data) // 64) for _ in range(2))
        blocks = data[one : one + 64], data[other : other + 64]
        if turn % 2:
            broken = data[:one] + bytes(64) + data[one + 64 :]
        elif one < other:
            broken = data[:one] + blocks[1] + data[one + 64 : other] + blocks[0] + data[other + 64 :]
        else:
            continue
        try:
            assert values(part_file.read(io.BytesIO(broken), PATH, CURVES)) == values(sound)
        except (DamagedPart, NotAPart):
            damaged += 1
    assert damaged > 200


def test_a_part_of_an_older_version_is_verified() -> None:
    """Its values are right, and a changed column or changed metadata are found by its own checksums."""
    assert found_in(OLDER.read_bytes()) == found_in(part_file.encoded(trained()))
    table = pq.read_table(OLDER)
    changes = {
        "train_loss has changed": (CURVES[0], table["valid_loss"]),
        "parameters has changed": ("parameters", table["parameters"].cast("int32")),
    }
    for said, (name, column) in changes.items():
        place = table.schema.get_field_index(name)
        with pytest.raises(DamagedPart, match=said):
            found_in(_written(table.set_column(place, name, column)))
    about = json.loads(table.schema.metadata[b"lrbench"]) | {"saved_lane_steps": 8}
    changed = {**table.schema.metadata, b"lrbench": json.dumps(about).encode()}
    with pytest.raises(DamagedPart, match="its metadata have changed"):
        found_in(_written(table.replace_schema_metadata(changed)))


def _written(table: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, use_dictionary=False)
    return file.getvalue()


def test_a_part_without_its_digest_is_damaged() -> None:
    data = part_file.encoded(trained())
    footer = kinds(data)["footer"].start
    with pytest.raises(DamagedPart, match="its footer has changed"):
        found_in(data[: footer - 20] + data[footer:])


def test_runs_are_taken_and_joined() -> None:
    whole = trained()
    assert (
        values(joined([whole.take(np.array([0, 1])), whole.take(np.array([2, 3]))]))[4:] == values(whole)[4:]
    )
    twice = joined([whole, whole])
    assert (len(twice.run_ids), twice.saved_lane_steps, twice.seconds["train"]) == (8, 14, 1.0)
    assert joined([whole]) is whole
    assert whole.take(np.array([2, 0])).run_ids.tolist() == whole.run_ids[[2, 0]].tolist()


def test_first_hits_come_back_as_they_were_and_are_no_curve() -> None:
    kept = np.arange(800, dtype=np.int32).reshape(4, 200) - 1
    data = part_file.encoded(replace(trained(), first_hits=kept))
    numbers = RunLookup(trained().run_ids).numbers
    summary = part_file.summary(io.BytesIO(data), PATH, numbers, grid_size=4, stopped=True)
    assert summary.first_hits
    assert summary.curves == CURVES
    found = part_file.read(io.BytesIO(data), PATH, (), first_hits=True)
    assert found.first_hits is not None
    np.testing.assert_array_equal(found.first_hits, kept)
    np.testing.assert_array_equal(found.take(np.array([2, 0])).first_hits, kept[[2, 0]])
    twice = joined([found, found]).first_hits
    assert twice is not None
    np.testing.assert_array_equal(twice, np.concatenate([kept, kept]))
    assert part_file.read(io.BytesIO(data), PATH, CURVES).first_hits is None
    assert not part_file.summary(
        io.BytesIO(part_file.encoded(trained())), PATH, numbers, grid_size=4, stopped=True
    ).first_hits


@pytest.mark.parametrize(
    "wrong", [np.zeros((4, 3), np.int32), np.full((4, 200), -2, np.int32), np.zeros((4, 200))]
)
def test_first_hits_that_no_training_gives_are_damage(wrong: np.ndarray) -> None:
    data = part_file.encoded(replace(trained(), first_hits=wrong))
    with pytest.raises(DamagedPart, match="first_hits does not fit its runs and evaluations"):
        part_file.read(io.BytesIO(data), PATH, (), first_hits=True)
