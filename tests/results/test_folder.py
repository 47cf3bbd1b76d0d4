"""Parts, tables and folders: written whole or not at all, and read back as they were."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import lrbench as lb
from lrbench.analysis import Thresholds
from lrbench.analysis.objective import Objective, objectives_of
from lrbench.errors import StoreError
from lrbench.execution.execute import execute, run
from lrbench.execution.rebuild import rebuild
from lrbench.results import part_file, safe_files
from lrbench.results.building import build, table_writer
from lrbench.results.folder import ResultsFolder
from lrbench.results.inventory import Inventory
from lrbench.results.trained import Trained
from lrbench.study.grid import of_study
from lrbench.study.spec import read
from tests.helpers.frames import problems_of
from tests.helpers.paths import GOLDEN


def _part(name: str, run_ids: list[str], value: float, stopped: list[float] | None = None) -> Trained:
    step = np.array([0, 2, 4])
    curves = {"train_loss": np.full((len(run_ids), 3), value, np.float32)}
    never = np.full(len(run_ids), np.nan)
    at = never if stopped is None else np.array(stopped)
    return Trained(name, np.array(run_ids, "S"), step, curves, never, at, np.ones(len(run_ids)), {})


def test_parts_round_trip_and_overlaps_count_once(tmp_path: Path) -> None:
    store = ResultsFolder(tmp_path)
    store.write_part(_part("b", ["r2", "r3"], 2.0))
    store.write_part(_part("a", ["r1", "r2", "gone"], 1.0))
    ids = np.array([b"r3", b"r2", b"r1", b"r0"])
    assert store.inventory(ids, stopped=False).completed().tolist() == [True, True, True, False]
    held = store.inventory(ids, stopped=False).parts()
    found = [(store.read_part(each).run_ids.tolist(), each.numbers.tolist()) for each in held]
    assert found == [([b"r3", b"r2"], [0, 1]), ([b"r1"], [2])]
    part = store.read_part(held[0])
    assert part.curves["train_loss"].dtype == np.float64
    assert part.curves["train_loss"].shape == (2, 3)
    assert np.isnan(part.diverged_step).all()


def test_runs_that_a_race_stopped_count_where_the_study_races(tmp_path: Path) -> None:
    store = ResultsFolder(tmp_path)
    store.write_part(_part("a", ["r1", "r2"], 1.0, [2.0, np.nan]))
    ids = np.array([b"r1", b"r2"])
    assert store.inventory(ids, stopped=True).completed().tolist() == [True, True]
    assert store.inventory(ids, stopped=False).completed().tolist() == [False, True]
    store.write_part(_part("b", ["r1"], 3.0))
    (first, second) = store.inventory(ids, stopped=False).parts()
    assert store.read_part(first).curves["train_loss"][0, 0] == 3.0
    assert second.numbers.tolist() == [1]


@pytest.mark.slow
def test_a_race_is_finished_without_it(tmp_path: Path, table: dict[str, Any]) -> None:
    """The same study with race = false trains what was stopped, and nothing else, and then equals one that never raced."""
    table |= {"steps": 200, "evaluate_every": 10, "learning_rate": {"min": 1e-4, "max": 1.9, "num": 12}}
    table["lanes_per_chunk"] = 1
    raced = execute({**table, "race": True}, tmp_path / "raced", report=False)
    runs = raced.results.runs
    stopped = runs["status"] == "stopped"
    assert 0 < stopped.sum() < len(runs)
    assert (runs["verdict"][stopped] == "slow").all()
    assert np.isfinite(runs["final_train_loss"][stopped]).all()
    lane_steps = raced.results.manifest["lane_steps"]
    assert 0 < lane_steps["stopped"] <= lane_steps["saved"] < lane_steps["total"]
    assert execute({**table, "race": True}, tmp_path / "raced", report=False).trained == 0
    finished = execute(table, tmp_path / "raced", report=False)
    assert finished.trained == stopped.sum()
    never = execute(table, tmp_path / "never", report=False).results
    left = finished.results.runs.drop(columns="pack_id")
    pd.testing.assert_frame_equal(left, never.runs.drop(columns="pack_id"), rtol=1e-5)
    pd.testing.assert_frame_equal(finished.results.sensitivity, never.sensitivity, rtol=1e-5)


def test_a_damaged_part_holds_nothing(tmp_path: Path) -> None:
    store = ResultsFolder(tmp_path)
    path = store.write_part(_part("a", ["r1"], 1.0))
    path.write_bytes(path.read_bytes()[:-20])
    assert not store.inventory(np.array([b"r1"]), stopped=False).completed().any()
    assert not store.inventory(np.array([b"r1"]), stopped=False).parts()


def test_a_file_of_others_among_the_parts_is_none(tmp_path: Path) -> None:
    store = ResultsFolder(tmp_path)
    store.write_part(_part("none", [], 1.0))
    pd.DataFrame({"run_id": ["r1"]}).to_parquet(tmp_path / "parts" / "mine.parquet")
    assert store.inventory(np.array([b"r1"]), stopped=False).parts() == []


def test_parts_of_older_folders_lie_beside_each_other(tmp_path: Path) -> None:
    store = ResultsFolder(tmp_path)
    path = store.write_part(_part("abcd", ["r1"], 1.0))
    assert path == tmp_path / "parts" / "ab" / "abcd.parquet"
    path.rename(tmp_path / "parts" / "abcd.parquet")
    store.write_part(_part("aabb", ["r2"], 2.0))
    assert [path.stem for path in store.part_paths()] == ["aabb", "abcd"]
    assert store.inventory(np.array([b"r1", b"r2"]), stopped=False).completed().all()


def test_an_inventory_opens_what_is_new_or_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    summary = part_file.summary
    monkeypatch.setattr(
        part_file,
        "summary",
        lambda file, path, *a, **k: opened.append(path.stem) or summary(file, path, *a, **k),
    )
    store = ResultsFolder(tmp_path)
    ids = np.array([b"r1", b"r2", b"r3", b"r4444"])
    (parts, all_parts) = (store.inventory(ids, stopped=stopped) for stopped in (False, True))

    def asked(inventory: Inventory = parts) -> tuple[list[bool], list[str]]:
        opened.clear()
        return inventory.completed().tolist(), sorted(opened)

    paths = [store.write_part(_part(f"aa{i}", [f"r{i}"], 1.0, [2.0 if i == 2 else np.nan])) for i in (1, 2)]
    assert asked() == ([True, False, False, False], ["aa1", "aa2"])
    assert asked(all_parts) == ([True, True, False, False], ["aa1", "aa2"])
    (first,) = store.inventory(ids[:1], stopped=True).parts()
    assert (first.pack_id, first.curves, first.evaluations) == ("aa1", ("train_loss",), 3)
    store.write_part(_part("aa3", ["r3", "r4444"], 1.0))
    assert asked() == ([True, False, True, True], ["aa3"])
    store.write_part(_part("aa1", ["r9", "r8"], 1.0))
    assert asked() == ([False, False, True, True], ["aa1"])
    assert asked()[1] == []
    paths[1].unlink()
    assert asked() == ([False, False, True, True], [])
    # An index that an older version left is not read.
    (tmp_path / "parts" / "aa" / ".index").write_bytes(b"r1")
    assert asked() == ([False, False, True, True], [])


def test_a_part_that_another_process_moves_meanwhile_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, ids = ResultsFolder(tmp_path), np.array([b"r1", b"r2"])
    paths = [store.write_part(_part(f"aa{i}", [f"r{i}"], 1.0)) for i in (1, 2)]
    opened = safe_files.open_file

    def late(folder: Path, name: str) -> Any:
        paths[0].unlink(missing_ok=True)
        return opened(folder, name)

    monkeypatch.setattr(safe_files, "open_file", late)
    assert store.inventory(ids, stopped=False).completed().tolist() == [False, True]


def test_small_parts_are_taken_together_and_the_tables_are_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, whole = (
        ResultsFolder(tmp_path),
        of_study(read(_study(tmp_path, problem=["quadratic", "house_prices"]))),
    )
    random = np.random.default_rng(0)
    for pack in whole.packs([1, 1]):
        curves = {"train_loss": random.uniform(size=(1, len(whole.evaluations(0))))}
        if whole.programs[pack.program].problem:
            curves["valid_loss"] = curves["train_loss"] + 1
        part = _part(pack.pack_id, ["x"], 1.0)
        ids = whole.run_ids[pack.runs]
        store.write_part(replace(part, run_ids=ids, step=whole.evaluations(0), curves=curves))
    objectives = {"quadratic": Objective("train_loss"), "house_prices": Objective("valid_loss")}

    def built() -> list[pd.DataFrame]:
        parts = store.inventory(whole.run_ids, stopped=whole.race).parts()
        build.build(store, whole, parts, Thresholds(), objectives, problems_of(whole))
        return [pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("runs", "curves", "sensitivity")]

    together = built()
    assert together[0]["pack_id"].nunique() == len(together[0]) == len(whole)
    assert together[0]["steps_to_target"].notna().any()
    monkeypatch.setattr("lrbench.results.building.batches.BATCH_ROWS", 1)
    monkeypatch.setattr(table_writer, "ROW_GROUP", 2)
    for one, other in zip(together, built(), strict=True):
        pd.testing.assert_frame_equal(one, other)


def test_chosen_curves_of_a_part(tmp_path: Path) -> None:
    store = ResultsFolder(tmp_path)
    part = _part("a", ["r1", "r2"], 1.0)
    more = {**part.curves, "train_loss_of_all": part.curves["train_loss"] + 1}
    store.write_part(replace(part, curves=more, seconds={"train": 2.0}, saved_lane_steps=3))
    (holding,) = store.inventory(np.array([b"r2", b"r9", b"r1"]), stopped=False).parts()
    assert (holding.pack_id, holding.evaluations, holding.curves) == ("a", 3, tuple(more))
    assert (holding.numbers.tolist(), holding.rows.tolist()) == ([0, 2], [1, 0])
    assert (holding.seconds, holding.saved_lane_steps) == ({"train": 2.0}, 3)
    assert list(store.read_part(holding, ["train_loss"]).curves) == ["train_loss"]
    assert list(store.read_part(holding).curves) == list(more)


def test_a_part_that_was_not_finished_is_none(tmp_path: Path) -> None:
    store = ResultsFolder(tmp_path)
    path = store.write_part(_part("a", ["r1"], 1.0))
    path.rename(path.with_name(".half.parquet"))
    assert store.part_paths() == []
    assert not store.inventory(np.array([b"r1"]), stopped=False).completed().any()


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        path.write_text("half")
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        ResultsFolder(tmp_path).write("thing.txt", fail)
    assert list(tmp_path.iterdir()) == []


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"schema_version": 99}))
    with pytest.raises(StoreError, match="was written by a newer lrbench"):
        _ = ResultsFolder(tmp_path).manifest
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(StoreError, match="cannot be read"):
        _ = ResultsFolder(tmp_path).manifest


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> lb.Results:
    folder = tmp_path_factory.mktemp("results") / "sweep"
    return lb.sweep(
        ["quadratic", "house_prices"],
        optimizers=[lb.Optimizer("sgd", momentum=[0.0, 0.9])],
        learning_rates=lb.logspace(0.01, 10, 4),
        seeds=2,
        steps=20,
        out=folder,
    )


COLUMNS = (
    "run_id study problem optimizer schedule learning_rate seed steps stage optimizer_momentum status verdict diverged_step "
    "initial_train_loss final_train_loss best_train_loss initial_valid_loss final_valid_loss best_valid_loss best_step "
    "initial_valid_accuracy final_valid_accuracy best_valid_accuracy steps_to_target oscillation "
    "initial_valid_r2 final_valid_r2 best_valid_r2 constant_loss optimum headline parameters pack_id"
).split()


def test_columns_are_those_of_the_contract(results: lb.Results) -> None:
    assert list(results.runs) == COLUMNS
    assert (
        list(results.curves)
        == (
            "run_id step learning_rate train_loss valid_loss valid_accuracy gradient_norm update_norm parameter_norm valid_r2"
        ).split()
    )
    named = [
        "problem",
        "optimizer",
        "schedule",
        "optimizer_momentum",
        "best_learning_rate",
        "good_low",
        "cliff_decades",
    ]
    assert set(named) <= set(results.sensitivity)
    assert {"final_valid_loss_iqm", "final_valid_loss_low", "diverged_fraction", "seeds"} <= set(
        results.summary
    )


def test_csv_equals_parquet(results: lb.Results) -> None:
    for name in ("runs", "curves", "summary", "sensitivity"):
        stored = pd.read_parquet(results.folder / f"{name}.parquet")
        text = pd.read_csv(results.folder / f"{name}.csv")
        assert list(text) == list(stored)
        for column in stored:
            kind = stored[column].dtype
            if kind == np.float64:
                np.testing.assert_array_equal(text[column], stored[column])
            elif str(kind) not in {"object", "str"}:
                assert text[column].astype(kind).equals(stored[column])


def test_curves_hold_every_run_at_every_evaluation(results: lb.Results) -> None:
    assert len(results.curves) == len(results.runs) * 21
    last = results.curves.groupby("run_id", sort=False).tail(1).set_index("run_id")
    runs = results.runs.set_index("run_id")
    np.testing.assert_array_equal(last["train_loss"], runs["final_train_loss"].loc[last.index])
    np.testing.assert_allclose(last["learning_rate"], runs["learning_rate"].loc[last.index])


def test_golden_table(results: lb.Results) -> None:
    """What the quadratic gives, written down once; on it, float32 rounding is all that may differ."""
    found = results.runs[results.runs["problem"] == "quadratic"].reset_index(drop=True)
    wanted = pd.read_csv(GOLDEN / "quadratic_runs.csv")
    for column in ("run_id", "status", "verdict"):
        assert list(found[column]) == list(wanted[column])
    for column in ("learning_rate", "initial_train_loss", "final_train_loss", "oscillation"):
        np.testing.assert_allclose(found[column].astype(float), wanted[column], rtol=2e-3)


def test_rebuilding_gives_the_same_tables(results: lb.Results) -> None:
    names = ["runs.csv", "curves.csv", "summary.csv", "sensitivity.csv"]
    before = {name: (results.folder / name).read_bytes() for name in names}
    for name in names:
        (results.folder / name).unlink()
    rebuild(ResultsFolder(results.folder), report=False)
    assert {name: (results.folder / name).read_bytes() for name in names} == before


def test_manifest_says_how(results: lb.Results) -> None:
    manifest = results.manifest
    assert manifest["schema_version"] == 2
    assert manifest["runs"] == {"total": 32, "done": 32, "left": 0}
    assert manifest["thresholds"] == Thresholds().asdict()
    assert objectives_of(manifest) == {
        "quadratic": Objective("train_loss"),
        "house_prices": Objective("valid_loss"),
    }
    assert manifest["model_steps_per_second"] > 0
    assert {"compile", "train", "evaluate", "tables"} <= set(manifest["seconds"])
    assert manifest["versions"]["jax"]
    assert len(manifest["devices"]) == 4
    assert sum(pack["runs"] for pack in manifest["packs"]) == 32


def test_manifest_says_what_took_how_long(tmp_path: Path) -> None:
    trained = lb.sweep("quadratic", learning_rates=[0.1], seeds=1, steps=4, out=tmp_path / "timed")
    seconds = trained.manifest["seconds"]
    assert set(seconds) == {"compile", "train", "evaluate", "training", "starting", "writing", "tables"}
    assert 0 < seconds["starting"] + seconds["writing"] < seconds["training"]


def test_save_and_load(results: lb.Results, tmp_path: Path) -> None:
    saved = results.save(tmp_path / "copy")
    assert lb.load(tmp_path / "copy").runs.equals(saved.runs)
    with pytest.raises(StoreError, match="already exists"):
        results.save(tmp_path / "copy")
    with pytest.raises(StoreError, match="is not a results folder"):
        lb.load(tmp_path / "nowhere")


def _study(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    del tmp_path
    table = {"name": "go_on", "steps": 10, "seeds": 2, "problem": ["quadratic"], "optimizer": ["sgd"]}
    return table | {"learning_rate": {"values": [0.1, 1.0]}} | changes


def test_results_are_pickled_as_their_folder(results: lb.Results) -> None:
    results.runs  # noqa: B018 -- what was read is not pickled
    again = pickle.loads(pickle.dumps(results))
    assert again == results
    assert "runs" not in again.__dict__
    assert again.runs.equals(results.runs)


def test_attributes_of_results(results: lb.Results) -> None:
    results.runs  # noqa: B018
    names = dir(results)
    assert len(names) == len(set(names))
    assert {"runs", "finders", "best"} <= set(names)
    with pytest.raises(
        AttributeError,
        match=r"^unknown attribute or table 'rusn'; nearest: runs.*; `lrbench list tables` lists",
    ):
        results.rusn  # noqa: B018


def test_an_optional_table_that_was_lost_is_not_empty(results: lb.Results, tmp_path: Path) -> None:
    copy = results.save(tmp_path / "copy")
    assert copy.failures.empty
    manifest = copy.manifest
    manifest["tables"]["finders.parquet"] = manifest["tables"]["runs.parquet"]
    (copy.folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match=r"finders.parquet: is missing; `lrbench report"):
        lb.load(copy.folder).finders  # noqa: B018


def test_a_file_is_no_place_for_results(results: lb.Results, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="file: already exists; give a new folder"):
        results.save(tmp_path / "file")


def test_an_export_that_fails_leaves_no_folder(results: lb.Results, tmp_path: Path) -> None:
    copy = results.save(tmp_path / "copy")
    (copy.folder / "runs.parquet").unlink()
    with pytest.raises(StoreError, match=r"runs\.parquet"):
        copy.export("tensorboard", tmp_path / "exported")
    assert not (tmp_path / "exported").exists()


def test_a_study_goes_on_and_grows(tmp_path: Path) -> None:
    first = execute(_study(tmp_path), tmp_path / "out", report=False)
    assert first.trained == 4
    again = execute(_study(tmp_path), tmp_path / "out", report=False)
    assert again.trained == 0
    grown = {"learning_rate": {"values": [0.1, 0.5, 1.0]}, "seeds": 3, "optimizer": ["sgd", "adam"]}
    more = execute(_study(tmp_path, **grown), tmp_path / "out", report=False)
    assert more.trained == 18 - 4
    assert len(more.results.runs) == 18
    whole = execute(_study(tmp_path, **grown), tmp_path / "anew", report=False)
    compared = [name for name in COLUMNS if name in whole.results.runs and name != "pack_id"]
    pd.testing.assert_frame_equal(more.results.runs[compared], whole.results.runs[compared], rtol=1e-5)
    for part in (tmp_path / "out" / "parts").rglob("*.parquet"):
        part.unlink()
        break
    mended = execute(_study(tmp_path, **grown), tmp_path / "out", report=False)
    assert mended.trained > 0
    assert len(mended.results.runs) == 18
    smaller = execute(_study(tmp_path), tmp_path / "out", report=False)
    assert smaller.trained == 0
    assert len(smaller.results.runs) == 4


def test_a_study_of_fewer_problems_and_schedules_needs_no_training(tmp_path: Path) -> None:
    both = {"problem": ["quadratic", "house_prices"], "schedule": ["constant", "cosine"]}
    execute(_study(tmp_path, **both), tmp_path / "out", report=False)
    fewer = execute(_study(tmp_path, problem=["house_prices"]), tmp_path / "out", report=False)
    assert fewer.trained == 0
    assert len(fewer.results.runs) == 4
    assert objectives_of(fewer.results.manifest) == {"house_prices": Objective("valid_loss")}
    assert [each["name"] for each in fewer.results.manifest["schedules"]] == ["constant"]


def test_folders_of_others_are_refused(tmp_path: Path) -> None:
    execute(_study(tmp_path), tmp_path / "out", report=False)
    with pytest.raises(StoreError, match="holds the study 'go_on', not 'else'"):
        execute(_study(tmp_path, name="else"), tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(StoreError, match="is not a results folder, but has other files"):
        execute(_study(tmp_path), tmp_path / "mine")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="is a file"):
        execute(_study(tmp_path), tmp_path / "file")
    fresh = execute(_study(tmp_path, name="else"), tmp_path / "out", fresh=True, report=False)
    assert fresh.trained == 4
    assert len(list(tmp_path.glob("out.before-*/parts/*/*.parquet"))) == 1


def test_changed_code_is_refused(tmp_path: Path) -> None:
    import optax

    def best(rate: float) -> Any:
        return optax.sgd(rate)

    execute(_study(tmp_path, optimizer=[best]), tmp_path / "out", report=False, trust=True)

    def best(rate: float) -> Any:  # type: ignore[no-redef]
        return optax.adam(rate)

    with pytest.raises(StoreError, match="the code of optimizer best has changed"):
        execute(_study(tmp_path, optimizer=[best]), tmp_path / "out", report=False, trust=True)


def test_a_pack_that_fails_leaves_the_others(tmp_path: Path) -> None:
    import jax.numpy as jnp

    broken = lb.problem(name="broken", init=lambda key: jnp.ones(2), loss=lambda w, b, k: w)
    study = _study(tmp_path, problem=["quadratic", broken])
    done = execute(study, tmp_path / "out", report=False, trust=True)
    assert [failed.error.partition(":")[0] for failed in done.failures] == ["ProblemError"]
    assert done.trained == 4
    assert done.results.manifest["runs"] == {"total": 8, "done": 4, "left": 4}
    assert len(done.results.runs) == 4


def test_curves_too_long_for_csv_leave_no_older_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = run(_study(tmp_path), tmp_path / "out", report=False)
    assert (results.folder / "curves.csv").exists()
    monkeypatch.setattr(table_writer, "CSV_ROWS", len(results.curves) - 1)
    again = rebuild(ResultsFolder(results.folder), report=False)
    assert not (results.folder / "curves.csv").exists()
    assert again.curves.equals(results.curves)


def test_tables_of_no_parts(tmp_path: Path) -> None:
    grid = of_study(read(_study(tmp_path)))
    build.build(ResultsFolder(tmp_path), grid, [], Thresholds(), {}, problems_of(grid))
    assert len(pd.read_csv(tmp_path / "runs.csv")) == 0
