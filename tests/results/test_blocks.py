"""Tables of more runs than memory holds: block by block, in files that are the same however the runs were cut."""

from __future__ import annotations

import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lrbench.results.run_lookup
from lrbench import analysis, machine
from lrbench.analysis import Thresholds
from lrbench.analysis.objective import Objective
from lrbench.execution.execute import run
from lrbench.execution.rebuild import rebuild
from lrbench.results import atomic, part_file
from lrbench.results.building import batches, blocks, build, table_writer, workers
from lrbench.results.building.parquet_pieces import MAGIC, Footer
from lrbench.results.folder import ResultsFolder
from lrbench.results.helpers import HelperPool
from lrbench.results.run_lookup import RunLookup
from lrbench.results.trained import Trained
from lrbench.study.grid import Grid, of_study
from lrbench.study.spec import read
from lrbench.tables.finders import finders
from lrbench.tables.sensitivity import sensitivity
from lrbench.tables.summary import summary
from lrbench.tables.tuning_budget import tuning_budget
from tests.helpers.frames import comparison_of, problems_of
from tests.helpers.heard import Heard

OBJECTIVES = {
    "quadratic": Objective("train_loss"),
    "house_prices": Objective("valid_loss"),
    "digits_mlp": Objective("valid_loss"),
}
METRICS = ([], ["valid_loss", "valid_r2"], ["valid_loss", "valid_accuracy"], ["valid_loss", "valid_f1"])
"""What the parts of each problem hold beside the training loss."""


def _grid() -> Grid:
    asked = {
        "name": "varied",
        "steps": 20,
        "evaluate_every": 5,
        "seeds": 3,
        "race": True,
        "problem": ["quadratic", "house_prices", {"name": "digits_mlp", "hidden": [[4], [8, 8]]}],
        "optimizer": [{"name": "sgd", "momentum": [0.0, 0.9], "nesterov": [True]}, "adam"],
        "schedule": ["constant", {"name": "range_test"}],
        "learning_rate": {"min": 1e-4, "max": 10.0, "num": 4},
    }
    return replace(of_study(read(asked)), named_rates={"output": (0.1, 1.0)})


def _parts(store: ResultsFolder, whole: Grid) -> None:
    """Write parts of 19 runs: some are missing, some runs diverged, some were stopped, and some lines never train."""
    random = np.random.default_rng(0)
    for pack in whole.packs([19] * len(whole.programs)):
        if random.random() < 0.15:
            continue
        step = whole.evaluations(0)
        runs, evaluations = len(pack.runs), len(step)
        at = whole.positions(pack.runs)
        problem, optimizer, seed = at["problem"], at["optimizer"], at["seed"]
        pace = random.uniform(-0.3, 2, (runs, 1))
        loss = (2 + 0.01 * seed[:, None]) * np.array([1, 0.7, 0.5, 0.4, 0.35]) ** pace
        curves = {"train_loss": loss, "minibatch_loss": 1.01 * loss}
        curves["learning_rate"] = np.geomspace(0.1, 1, evaluations) * np.ones((runs, 1))
        for name in METRICS[problem[0]]:
            curves[name] = 1.1 * loss if name == "valid_loss" else random.random(loss.shape)
        diverged = np.where(random.random(runs) < 0.15, 7.0, np.nan)
        diverged[(optimizer == 0) & (problem < 2)] = 1.0
        stopped = np.where(np.isnan(diverged) & (random.random(runs) < 0.1), 10.0, np.nan)
        for values in curves.values():
            values[step >= np.where(np.isnan(diverged), np.inf, diverged)[:, None]] = np.nan
        ids, parameters = whole.run_ids[pack.runs], np.full(runs, 10)
        store.write_part(
            Trained(pack.pack_id, ids, step, curves, diverged, stopped, parameters, {"train": 1.0})
        )


def _built(store: ResultsFolder, whole: Grid) -> dict[str, bytes]:
    parts = store.inventory(whole.run_ids, stopped=whole.race).parts()
    build.build(store, whole, parts, Thresholds(), OBJECTIVES, problems_of(whole))
    assert not list(store.folder.glob(f"{atomic.TEMPORARY}*"))
    return {path.name: path.read_bytes() for path in store.folder.iterdir() if path.is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[ResultsFolder, Grid, dict[str, bytes]]:
    """The tables of a study, made as one block; every line but the three best meets the best alone."""
    store, whole = ResultsFolder(tmp_path_factory.mktemp("varied")), _grid()
    _parts(store, whole)
    return store, whole, _built(store, whole)


@pytest.fixture(autouse=True, scope="module")
def _few_leaders() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lrbench.tables.comparison.EACH_OTHER", 3)
        yield


@pytest.mark.slow
def test_tables_are_the_same_bytes_however_the_runs_are_cut(
    built: tuple[ResultsFolder, Grid, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, whole, together = built
    assert {f"{name}.{kind}" for name in NAMES for kind in ("csv", "parquet")} == together.keys()
    monkeypatch.setattr(blocks, "BLOCK_RUNS", 60)
    read_blocks: list[int] = []
    once = blocks.RunBlocks._read
    monkeypatch.setattr(blocks.RunBlocks, "_read", lambda b, n: read_blocks.append(n) or once(b, n))
    apart = _built(store, whole)
    assert len(set(read_blocks)) == 12
    assert [name for name in together if together[name] != apart[name]] == []


@pytest.mark.slow
def test_tables_are_the_same_bytes_whoever_makes_them(
    built: tuple[ResultsFolder, Grid, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, whole, alone = built
    _check_helpers_make(store, whole, alone, 2, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("most", [1, 2, 3])
def test_tables_of_many_groups_are_the_same_bytes_whoever_makes_them(
    most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place, name, size in (
        (batches, "BATCH_ROWS", 300),
        (blocks, "GROUP_RUNS", 200),
        (blocks, "BLOCK_RUNS", 60),
    ):
        monkeypatch.setattr(place, name, size)
    store, whole = ResultsFolder(tmp_path), _grid()
    _parts(store, whole)
    alone = _built(store, whole)
    assert pq.ParquetFile(tmp_path / "runs.parquet").metadata.num_row_groups > 2
    assert pq.ParquetFile(tmp_path / "curves.parquet").metadata.num_row_groups > 5
    _check_helpers_make(store, whole, alone, most, monkeypatch)


def _check_helpers_make(
    store: ResultsFolder, whole: Grid, alone: dict[str, bytes], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Helpers make the same tables, and this process reads no runs for it; none is left behind."""
    pools = _share(monkeypatch, most)
    monkeypatch.setattr(blocks.RunBlocks, "_read", lambda blocks, number: pytest.fail("read here"))
    together = _built(store, whole)
    assert [name for name in alone if together[name] != alone[name]] == []
    assert [helper.process.poll() for helper in pools[0].running] == [0] * most


def _share(monkeypatch: pytest.MonkeyPatch, most: int) -> list[HelperPool]:
    """Let so many processes make the tables, however few runs there are; the list receives them."""
    pools: list[HelperPool] = []

    def pool(runs: int) -> HelperPool:
        pools.append(HelperPool(most, "lrbench.results.building.workers:prepare"))
        return pools[-1]

    monkeypatch.setattr(workers, "for_tables", pool)
    return pools


def test_tables_are_made_though_every_helper_is_killed(
    built: tuple[ResultsFolder, Grid, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, whole, expected = built
    pools = _share(monkeypatch, 1)
    once = blocks.BlockWriter.add

    def kill(writer: blocks.BlockWriter, found: blocks.MeasuredRuns) -> None:
        pools[0].running[0].process.kill()
        once(writer, found)

    monkeypatch.setattr(blocks.BlockWriter, "add", kill)
    assert _built(store, whole) == expected
    assert pools[0].running[0].process.poll() == -signal.SIGKILL


def test_damage_that_a_helper_meets_is_told_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, whole = ResultsFolder(tmp_path), _grid()
    _parts(store, whole)
    parts = store.inventory(whole.run_ids, stopped=whole.race).parts()
    path = parts[3].path
    data = bytearray(path.read_bytes())
    data[len(data) // 2 - 40] ^= 1
    path.write_bytes(data)
    pools = _share(monkeypatch, 1)
    with pytest.raises(part_file.DamagedPart, match=path.name):
        build.build(store, whole, parts, Thresholds(), OBJECTIVES, problems_of(whole))
    assert pools[0].running[0].process.poll() is not None
    assert [each.name for each in tmp_path.iterdir()] == ["parts"]


def test_ctrl_c_ends_helpers_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, whole = ResultsFolder(tmp_path), _grid()
    _parts(store, whole)
    parts = store.inventory(whole.run_ids, stopped=whole.race).parts()
    pools = _share(monkeypatch, 1)

    def check() -> None:
        if pools and pools[0].running:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build.build(store, whole, parts, Thresholds(), OBJECTIVES, problems_of(whole), check=check)
    assert pools[0].running[0].process.poll() == 0
    assert [each.name for each in tmp_path.iterdir()] == ["parts"]


@pytest.mark.parametrize(
    ("cores", "runs", "gib", "most"),
    [(1, 10**8, 64, 0), (2, 1_000, 64, 0), (2, 10**6, 64, 2), (16, 10**8, 64, 16), (16, 10**8, 2, 4)],
)
def test_helpers_need_cores_and_memory_and_enough_to_do(
    cores: int, runs: int, gib: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "cores", lambda: cores)
    monkeypatch.setattr(machine, "memory", lambda: machine.Memory(gib * 2**30, gib * 2**30))
    assert workers.for_tables(runs).most == most


def test_a_batch_is_a_row_group_of_curves_and_changes_nothing_else(
    built: tuple[ResultsFolder, Grid, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, whole, together = built
    before = pq.read_table(store.folder / "curves.parquet")
    monkeypatch.setattr(batches, "BATCH_ROWS", 300)
    apart = _built(store, whole)
    assert [name for name in together if together[name] != apart[name]] == ["curves.parquet"]
    assert pq.read_table(store.folder / "curves.parquet") == before


NAMES = (
    "runs curves summary sensitivity comparison ranking tuning_budget finders interactions winners".split()
)


def test_tables_are_what_the_analysis_says_of_all_runs_together(
    built: tuple[ResultsFolder, Grid, dict[str, bytes]],
) -> None:
    store = built[0]
    stored = {name: pd.read_parquet(store.folder / f"{name}.parquet") for name in NAMES}
    runs = stored["runs"]
    assert set(runs["verdict"]) == {"good", "slow", "stuck", "collapsed", "diverged"}
    assert set(runs["status"]) == {"ok", "stopped", "diverged", "nonfinite"}
    assert runs["steps_to_target"].notna().any()
    assert len(runs) < len(built[1])
    # Python objects come back as NumPy's; what they say is the same.
    made = {
        "summary": summary(runs),
        "sensitivity": sensitivity(runs, objectives=OBJECTIVES),
        "comparison": comparison_of(stored["sensitivity"], runs, OBJECTIVES),
        "tuning_budget": tuning_budget(runs, objectives=OBJECTIVES),
        "finders": finders(runs, stored["curves"]),
    }
    # From curves, which these do not have: tests/execution/test_stages.py computes them again.
    for name, frame in made.items():
        kept = [
            column for column in frame if not column.startswith(("pace_", "step_equivalent", "steps_factor"))
        ]
        pd.testing.assert_frame_equal(frame[kept], stored[name][kept], check_exact=True, obj=name)


def test_what_a_block_is_told_of_its_problem_is_all_it_needs() -> None:
    """Runs of one line with ℓ* of the problem as a column have the verdicts that they have among all runs."""
    shape = {"problem": "p", "schedule": "constant", "status": "ok", "seed": 0, "rise": 0.0, "late_pace": 0.0}
    runs = pd.DataFrame(
        {"optimizer": ["a", "a", "b"], "learning_rate": [0.1, 1.0, 0.1], "final_train_loss": [0.5, 0.52, 0.1]}
    ).assign(initial_train_loss=1.0, **shape)
    alone = runs[:2]
    assert analysis.judge(runs)["verdict"].tolist() == ["stuck", "stuck", "good"]
    assert analysis.judge(alone)["verdict"].tolist() == ["good", "good"]
    assert analysis.judge(alone.assign(least_loss=0.1, lowest_loss=0.1, rates_of_problem=2))[
        "verdict"
    ].tolist() == ["stuck", "stuck"]


# --- files ----------------------------------------------------------------------------------------


def _encoded(frame: pd.DataFrame, *, csv: bool = True) -> table_writer.Encoded:
    return table_writer.encoded(pa.Table.from_pandas(frame, preserve_index=False), csv=csv)


@pytest.mark.parametrize("cuts", [[], [4], [4, 8], [0, 4, 4]])
def test_a_table_in_pieces_is_the_same_file(
    tmp_path: Path, cuts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as each piece has whole row groups; one without rows is none."""
    monkeypatch.setattr(table_writer, "ROW_GROUP", 4)
    frame = pd.DataFrame({"text": list("abcdefghij"), "loss": np.arange(10.0)})
    whole, pieces = ResultsFolder(tmp_path / "whole"), ResultsFolder(tmp_path / "pieces")
    whole.write_table("t", frame)
    with pieces.table("t") as made:
        for begin, end in zip([0, *cuts], [*cuts, 10], strict=True):
            made.add(_encoded(frame[begin:end]))
    for kind in ("csv", "parquet"):
        assert (whole.folder / f"t.{kind}").read_bytes() == (pieces.folder / f"t.{kind}").read_bytes()
    assert pq.ParquetFile(pieces.folder / "t.parquet").metadata.num_row_groups == 3


def test_joined_pieces_are_the_file_that_arrow_writes(tmp_path: Path) -> None:
    """Texts with a dictionary, truth values, columns without a value, and more row groups than a short list has."""
    random = np.random.default_rng(0)
    rows = 100
    table = pa.table(
        {
            "text": pa.array([None if row % 7 == 0 else f"{row % 5}" for row in range(rows)]),
            "loss": pa.array(random.random(rows)),
            "true": pa.array(random.random(rows) < 0.5),
            "none": pa.nulls(rows, pa.float64()),
            "step": pa.array(np.arange(rows)),
        }
    )
    pieces = [table[begin : begin + 5] for begin in range(0, rows, 5)]
    options = {"use_dictionary": ["text"], "column_encoding": {"loss": "BYTE_STREAM_SPLIT"}}
    with pq.ParquetWriter(tmp_path / "arrow.parquet", table.schema, **options) as writer:
        for piece in pieces:
            writer.write_table(piece)
    footer, joined = Footer(), bytearray(MAGIC)
    for piece in pieces:
        sink = pa.BufferOutputStream()
        pq.write_table(piece, sink, **options)
        joined += footer.add(memoryview(sink.getvalue()))
    joined += footer.encoded()
    assert joined == (tmp_path / "arrow.parquet").read_bytes()
    assert pq.read_table(pa.BufferReader(bytes(joined))) == table
    sink = pa.BufferOutputStream()
    pq.write_table(table.drop_columns(["none"]), sink)
    with pytest.raises(ValueError, match="other columns"):
        footer.add(memoryview(sink.getvalue()))


def test_a_table_too_long_for_csv_has_none_and_leaves_no_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_writer, "CSV_ROWS", 3)
    store, frame = ResultsFolder(tmp_path), pd.DataFrame({"loss": [1.0, 2.0]})
    store.write_table("t", frame)
    assert (tmp_path / "t.csv").read_text() == '"loss"\n1\n2\n'
    with store.table("t") as made:
        made.add(_encoded(frame))
        made.add(_encoded(frame))
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]
    assert pd.read_parquet(tmp_path / "t.parquet")["loss"].tolist() == [1.0, 2.0, 1.0, 2.0]


def test_a_table_that_fails_leaves_the_older_one(tmp_path: Path) -> None:
    store = ResultsFolder(tmp_path)
    store.write_table("t", pd.DataFrame({"loss": [1.0]}))
    before = (tmp_path / "t.parquet").read_bytes()

    def fail() -> None:
        with store.table("t") as made:
            made.add(_encoded(pd.DataFrame({"loss": [2.0]})))
            raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        fail()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t.csv", "t.parquet"]
    assert (tmp_path / "t.parquet").read_bytes() == before


# --- which runs are there -------------------------------------------------------------------------


@given(
    st.lists(st.binary(min_size=1, max_size=20).filter(lambda each: not each.endswith(b"\0")), unique=True)
)
def test_places_are_those_of_a_dictionary(ids: list[bytes]) -> None:
    grid, asked = np.array(ids[::2], "S20"), np.array(ids[::-1], "S20")
    wanted = {run_id: number for number, run_id in enumerate(grid.tolist())}
    found = RunLookup(grid).numbers(asked).tolist()
    assert found == [wanted.get(each, len(grid)) for each in asked.tolist()]


def test_runs_of_one_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lrbench.results.run_lookup, "_keys", lambda ids, _: np.zeros(len(ids), np.uint64))
    grid = np.array([b"a", b"b", b"c"])
    assert RunLookup(grid).numbers(np.array([b"c", b"d", b"a"])).tolist() == [2, 3, 0]


def test_a_part_is_opened_once_by_a_command(
    built: tuple[ResultsFolder, Grid, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, store = built[1], ResultsFolder(built[0].folder)
    opened: Counter[str] = Counter()
    summary = part_file.summary
    monkeypatch.setattr(
        part_file,
        "summary",
        lambda file, path, *a, **k: opened.update([path.name]) or summary(file, path, *a, **k),
    )
    parts = store.inventory(whole.run_ids, stopped=True)
    assert store.repair(parts) == []
    completed = parts.completed()
    assert completed.sum() == sum(len(part.numbers) for part in parts.parts())
    store.repair(parts)
    assert set(opened.values()) == {1}
    assert store.inventory(whole.run_ids, stopped=False).completed().sum() < completed.sum()


def test_repair_tells_of_damage_that_was_seen_before(tmp_path: Path) -> None:
    store, whole = ResultsFolder(tmp_path), _grid()
    (pack, *_) = whole.packs([5] * len(whole.programs))
    nothing, step = np.full(5, np.nan), whole.evaluations(0)
    curves = {"train_loss": np.ones((5, len(step)))}
    path = store.write_part(
        Trained(pack.pack_id, whole.run_ids[pack.runs], step, curves, nothing, nothing, np.ones(5), {})
    )
    path.write_bytes(path.read_bytes()[:-20])
    parts = store.inventory(whole.run_ids, stopped=True)
    assert not parts.completed().any()
    (said,) = store.repair(parts)
    assert "was damaged" in said
    assert store.repair(parts) == []


# --- plots and report -----------------------------------------------------------------------------


@pytest.mark.slow
def test_more_runs_than_pictures_hold_have_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = {"name": "few", "steps": 4, "seeds": 1, "problem": "quadratic", "optimizer": "sgd"}
    study |= {"learning_rate": {"values": [0.1, 1.0]}}
    found = run(study, tmp_path, report=False)
    (tmp_path / "plots").mkdir()
    older = [tmp_path / "report.html", tmp_path / "plots" / "curves.png"]
    for path in older:
        path.write_text("of fewer runs")
    monkeypatch.setattr("lrbench.results.pictures.MOST_ROWS", len(found.curves) - 1)
    listener = Heard()
    rebuild(ResultsFolder(tmp_path), listener=listener)
    assert listener.lines == [
        f"{tmp_path}: plots and the report are written for at most 1,000,000 runs and {len(found.curves) - 1} rows of curves; "
        "`lrbench best` and `lrbench query` read the tables"
    ]
    assert not any(path.exists() for path in [*older, tmp_path / "plots"])
