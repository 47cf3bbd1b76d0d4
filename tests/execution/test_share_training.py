"""Shards that train: each its share, in any order and however often they are started, and the tables are those of one process."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import lrbench as lb
from lrbench.errors import LaunchError, StoreError
from lrbench.execution import other_shards
from lrbench.execution.execute import Finished, execute
from lrbench.results import lock
from lrbench.results.folder import SHARDS, ResultsFolder
from tests.helpers.command import lrbench
from tests.helpers.heard import Heard

STUDY: dict[str, Any] = {
    "name": "shared",
    "steps": 20,
    "evaluate_every": 5,
    "seeds": 2,
    "problem": ["quadratic", "rosenbrock"],
    "optimizer": ["sgd", "adam"],
    "learning_rate": {"min": 0.001, "max": 10.0, "num": 5},
    "deterministic": True,
    "probes": [],
}
STAGES = STUDY | {"schedule": "cosine", "refine": 1, "confirm": 2}
TABLES = "runs", "curves", "summary", "sensitivity", "comparison", "ranking"


def _run(
    folder: Path, shard: str | None, study: Any = None, wait: float | None = 0.0, **more: Any
) -> Finished:
    patience = {"wait": wait} if shard else {}
    return execute(study or STUDY, folder, report=False, trust=True, shard=shard, **patience, **more)


def _same(one: Path, other: Path) -> None:
    """Compare tables but for the packs of the runs, which are cut within shares."""
    for name in TABLES:
        tables = [pd.read_csv(folder / f"{name}.csv", dtype=str) for folder in (one, other)]
        tables = [each.drop(columns="pack_id", errors="ignore") for each in tables]
        if name == "curves":  # in the order of the packs
            tables = [each.sort_values(["run_id", "step"], ignore_index=True) for each in tables]
        pd.testing.assert_frame_equal(*tables)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study with stages, by one process."""
    folder = tmp_path_factory.mktemp("alone") / "out"
    _run(folder, None, STAGES)
    return folder


@pytest.mark.slow
def test_any_order_of_starts_makes_the_same_tables(alone: Path, tmp_path: Path) -> None:
    """None waits, so that each is started again for every stage; shard 2 is the first in an empty folder."""
    folder, trained = tmp_path / "out", [0, 0, 0]
    for number in (2, 0, 1, 1, 0, 2, 1, 0, 1, 2, 0, 2, 1, 0):
        done = _run(folder, f"{number}/3", STAGES)
        trained[number] += done.trained
        assert not done.failures
        if not done.instead:
            break
    else:
        pytest.fail(done.instead)
    assert number == 0
    assert sum(trained) == len(pd.read_csv(alone / "runs.csv")) + len(pd.read_csv(alone / "shorter_runs.csv"))
    assert min(trained) > 0.2 * sum(trained)
    _same(folder, alone)
    assert ResultsFolder(folder).manifest["shards"]["count"] == 3
    # Whoever is started again finds nothing to do, and does not wait: all stages are chosen.
    again = _run(folder, "1/3", STAGES, wait=100.0)
    assert again.instead == f"shard 1/3: trained 0 runs; shard 0 makes the tables, in {folder}"
    assert _run(folder, "0/3", STAGES, wait=100.0).instead == ""
    assert _run(folder, None, STAGES).trained == 0
    assert "shards" not in ResultsFolder(folder).manifest


@pytest.mark.slow
def test_shards_wait_for_each_other(alone: Path, tmp_path: Path) -> None:
    folder, done = tmp_path / "out", {}
    ears = [Heard(), Heard()]

    def shard(number: int) -> None:
        done[number] = _run(folder, f"{number}/2", STAGES, wait=60.0, listener=ears[number])

    other = threading.Thread(target=shard, args=(1,))
    other.start()
    shard(0)
    other.join()
    assert done[0].instead == ""
    assert (
        done[1].instead == f"shard 1/2: trained {done[1].trained} runs; shard 0 makes the tables, in {folder}"
    )
    _same(folder, alone)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    folder, ear = tmp_path / "out", Heard()
    done = _run(folder, "0/4", listener=ear)
    assert done.trained == 10
    assert done.instead == (
        "shard 0/4: trained 10 runs; missing are 10 runs of shard 1/4 (not begun), 10 runs of shard 2/4 (not begun), "
        "10 runs of shard 3/4 (not begun), and nothing new came for 1 s; start them again, and then this command, which makes the "
        "tables"
    )
    assert not (folder / "runs.csv").exists()
    assert _run(folder, "2/4").instead == f"shard 2/4: trained 10 runs; shard 0 makes the tables, in {folder}"
    assert (
        "missing are 10 runs of shard 1/4 (not begun), 10 runs of shard 3/4 (not begun), and"
        in _run(folder, "0/4").instead
    )
    # Other shares of the same runs, or none, train what is left.
    assert _run(folder, "1/2", listener=ear).trained == 10
    assert ear.lines[-1] == (
        "shard 0 divides the runs among 4; give every process the same N, or some runs are trained twice"
    )
    done = _run(folder, "0/1")
    assert (done.trained, done.instead) == (10, "")
    assert len(pd.read_csv(folder / "runs.csv")) == 40
    many = other_shards.OtherShards(other_shards.Shard(0, 40), ResultsFolder(tmp_path / "many"), ear)
    runs = [pd.Series([number]).to_numpy() for number in range(40)]
    said = many._words(runs, pd.Series([True] * 40).to_numpy())
    assert said.endswith("1 run of shard 5/40 (not begun), 34 of 34 other shards")


def test_a_stage_that_is_not_chosen_is_waited_for(tmp_path: Path) -> None:
    done = _run(tmp_path / "out", "1/2", STAGES)
    assert done.instead == (
        f"shard 1/2: trained {done.trained} runs; waited for shard 0 to choose the next stage, and nothing new came for 1 s; "
        "start shard 0, and then this command again"
    )
    assert done.trained == 20


@pytest.mark.slow
def test_more_shards_than_runs(tmp_path: Path) -> None:
    study = STUDY | {"problem": "quadratic", "optimizer": "sgd", "seeds": 1}
    for number in [*range(1, 9), 0]:
        done = _run(tmp_path / "out", f"{number}/9", study)
        assert done.trained <= 1
    assert len(pd.read_csv(tmp_path / "out" / "runs.csv")) == 5


# ---- failures ----


CODE = """\
from pathlib import Path
import optax
import lrbench as lb

def failing(learning_rate):
    tx = optax.sgd(learning_rate)
    def init(params):
        if Path({switch!r}).exists():
            raise RuntimeError("switched off")
        return tx.init(params)
    return optax.GradientTransformation(init, tx.update)
"""


def test_a_pack_that_fails_in_a_shard_fails_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, switch = tmp_path / "out", tmp_path / "off"
    (tmp_path / "own.py").write_text(CODE.format(switch=str(switch)))
    study = STUDY | {"problem": "quadratic", "optimizer": ["sgd", f"{tmp_path}/own.py:failing"]}
    switch.touch()
    _run(folder, "0/2", study)
    done = _run(folder, "1/2", study)
    assert (done.trained, len(done.failures)) == (0, 1)
    records = list((folder / SHARDS).glob("*.failed.json"))
    assert len(records) == 1
    assert json.loads(records[0].read_text())["error"].endswith("switched off")
    done = _run(folder, "0/2", study)
    assert (done.trained, done.instead, [len(each.pack.runs) for each in done.failures]) == (0, "", [10])
    failures = pd.read_csv(folder / "failures.csv")
    assert failures["error"].str.endswith("switched off").all()
    assert failures["optimizer"].tolist() == ["failing"]
    # Started again, the shard takes back what it recorded.
    switch.unlink()
    assert _run(folder, "1/2", study).trained == 10
    assert not list((folder / SHARDS).glob("*.failed.json"))
    done = _run(folder, "0/2", study)
    assert (done.failures, done.instead) == ((), "")
    assert len(pd.read_csv(folder / "runs.csv")) == 20


def test_the_command_line_says_what_a_shard_did(tmp_path: Path) -> None:
    import tomli_w

    (tmp_path / "own.py").write_text(CODE.format(switch=str(tmp_path / "own.py")))
    study = STUDY | {"problem": "quadratic", "optimizer": ["sgd", "own.py:failing"]}
    Path("shared.toml").write_text(tomli_w.dumps(study))
    words = ["run", "shared.toml", "--out", "out", "--trust", "--no-report"]
    code, said = lrbench([*words, "--shard", "1/2"])
    lines = said.splitlines()
    assert code == 3
    assert lines[0] == "shard 1/2: training 10 runs of 20 steps"
    assert "shard 1/2: trained 0 runs; shard 0 makes the tables, in out" in lines
    assert (
        lines[-2].endswith("failed: ProblemError: failing: RuntimeError: switched off")
        or "switched off" in lines[-2]
    )
    assert lines[-1] == "10 runs are missing; the same command tries them again"
    code, said = lrbench([*words, "--shard", "0/2", "--wait", "0", "--quiet"])
    assert code == 3
    assert "10 runs are missing; the others are saved; the same command tries them again" in said
    assert (tmp_path / "out" / "failures.csv").exists()


# ---- folders of others ----


def test_a_folder_of_another_study_or_of_changed_code_is_refused(tmp_path: Path) -> None:
    _run(tmp_path / "out", "0/2")
    with pytest.raises(StoreError, match=r"out: holds the study 'shared', not 'other'; choose another --out"):
        _run(tmp_path / "out", "1/2", STUDY | {"name": "other"})
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "thesis.tex").touch()
    with pytest.raises(StoreError, match="files: is not a results folder, but has other files"):
        _run(tmp_path / "files", "1/2")
    own, study = tmp_path / "own.py", STUDY | {"optimizer": f"{tmp_path}/own.py:failing"}
    own.write_text(CODE.format(switch="nowhere"))
    _run(tmp_path / "code", "0/2", study)
    own.write_text(CODE.format(switch="nowhere").replace("optax.sgd", "optax.adam"))
    with pytest.raises(
        StoreError, match="code: the code of optimizer failing has changed since its runs were trained"
    ):
        _run(tmp_path / "code", "1/2", study)


def test_who_divides_otherwise_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    _run(folder, "0/2")
    store = ResultsFolder(folder)
    manifest = store.manifest
    manifest["shards"]["division"] = "0" * 32
    manifest["versions"]["jax"] = "0.9"
    store.write_manifest(manifest)
    with pytest.raises(
        LaunchError,
        match=r"^shard 1/2: divides the runs otherwise than shard 0 of .*out: .*jax is 0\..* there; give",
    ):
        _run(folder, "1/2")
    assert not (folder / SHARDS).exists()


def test_foreign_records_are_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    _run(folder, "1/2")
    record = folder / SHARDS / "1-of-2.json"
    for text in ('{"lanes_per_pack": [1]}', "\xff"):
        record.write_text(text, encoding="latin-1")
        (folder / SHARDS / f"{'0' * 16}.failed.json").write_text(text, encoding="latin-1")
        assert _run(folder, "1/2").trained == 0
    done = _run(folder, "0/2")
    assert (done.failures, done.instead) == ((), "")


# ---- two of the same number ----


@pytest.mark.slow
def test_a_second_shard_0_waits_for_the_first(tmp_path: Path) -> None:
    folder, ear = tmp_path / "out", Heard()
    _run(folder, "1/2")
    with lock.locked(folder):
        done = _run(folder, "0/2", listener=ear)
        assert done.instead == (
            f"shard 0/2: trained nothing: another process is shard 0 of {folder}, and makes the tables"
        )
        with pytest.raises(StoreError, match="has been working on it"):
            _run(folder, None)
        found: list[Finished] = []
        waiting = threading.Thread(target=lambda: found.append(_run(folder, "0/2", wait=60.0)))
        waiting.start()
        time.sleep(0.5)
        assert not found
    waiting.join()
    assert (found[0].trained, found[0].instead) == (20, "")
    assert ": shard 0/2 waits for it" in ear.lines[0]


@pytest.mark.slow
def test_a_store_out_of_reach_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fails = [True]
    for name in ("folder", "store"):
        _run(tmp_path / name, "1/2")

    def refresh(store: ResultsFolder) -> None:
        if fails and fails.pop():
            raise StoreError("the network is down")

    monkeypatch.setattr(ResultsFolder, "refresh", refresh)
    with pytest.raises(StoreError, match="the network is down"):  # that of a folder is no network
        _run(tmp_path / "folder", "0/2", wait=60.0)
    monkeypatch.setattr(ResultsFolder, "url", "s3://bucket/out")
    fails[:] = [True, True]
    assert _run(tmp_path / "store", "0/2", wait=60.0).instead == ""
    assert not fails


def test_it_is_interrupted_while_it_waits(tmp_path: Path) -> None:
    ear = Heard()
    ear.stopping = lambda: any("waiting for" in line for line in ear.lines)  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        _run(tmp_path / "out", "0/2", wait=1000.0, listener=ear)


@pytest.mark.slow
def test_python_gives_results_once_there_are_tables(tmp_path: Path) -> None:
    results = lb.run(STUDY, tmp_path / "out", shard="1/2", report=False)
    with pytest.raises(StoreError):
        results.runs  # noqa: B018
    results = lb.run(STUDY, tmp_path / "out", shard="0/2", report=False)
    assert len(results.runs) == 40
