"""The work that launchers map over packs: it travels, it can be repeated, and it refuses what is not its study's."""

from __future__ import annotations

import dataclasses
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import jax.numpy as jnp
import numpy as np
import pytest

import lrbench as lb
from lrbench.engine.engine import Engine
from lrbench.errors import StudyError
from lrbench.execution import costs
from lrbench.execution.costs import CostEstimate
from lrbench.execution.execute import execute
from lrbench.execution.listener import Listener
from lrbench.execution.work import PackWork
from lrbench.launchers import Outcome
from lrbench.results.folder import ResultsFolder
from lrbench.study import grid
from lrbench.study.grid import Pack
from lrbench.study.spec import read

CODE = """\
import jax.numpy as jnp
import lrbench as lb

def bowl(curvature: float = 2.0):
    return lb.problem(name="bowl", init=lambda key: jnp.ones(3), loss=lambda w, batch, key: curvature * jnp.sum(w * w))
"""


def _work(asked: Any, folder: Path, lanes: int = 4, **more: Any) -> tuple[PackWork, list[Any]]:
    study = read(asked, trust=True)
    whole = grid.of_study(study)
    lanes_per_pack = [lanes] * len(whole.programs)
    return PackWork(study, folder, tuple(lanes_per_pack), **more), list(whole.packs(lanes_per_pack))


@pytest.mark.slow
def test_it_travels_small_and_does_the_same_elsewhere(table: dict[str, Any], tmp_path: Path) -> None:
    whole = execute(table, tmp_path / "local", report=False).results.runs
    work, packs = _work(table, tmp_path / "out")
    assert len(packs) == 2
    assert len(pickle.dumps(work)) < 5000
    assert max(len(pickle.dumps(pack)) for pack in packs) < 1000
    there: PackWork = pickle.loads(pickle.dumps(work.to("returned")))
    store = ResultsFolder(tmp_path / "out")
    for pack in packs:
        outcome = there(pack)
        assert not outcome.error
        store.write_part_file(pack.pack_id, outcome.part)
    assert {path.stem for path in store.part_paths()} == {pack.pack_id for pack in packs}
    found = execute(table, tmp_path / "out", report=False)
    assert found.trained == 0
    ours = found.results.runs.drop(columns="pack_id")
    np.testing.assert_allclose(ours["final_train_loss"], whole["final_train_loss"], rtol=1e-6)
    assert list(ours["run_id"]) == list(whole["run_id"])


def test_the_same_pack_again_does_nothing(table: dict[str, Any], tmp_path: Path) -> None:
    work, packs = _work(table, tmp_path)
    first, again = work(packs[0]), work(packs[0])
    assert first.seconds["train"] > 0
    assert (again.seconds, again.error) == ({}, "")
    (path,) = ResultsFolder(tmp_path).part_paths()
    path.write_bytes(b"broken")
    assert work(packs[0]).seconds["train"] > 0
    assert (
        ResultsFolder(tmp_path).inventory(grid.of_study(work.study).run_ids, stopped=False).completed().sum()
        == 4
    )


def test_a_worker_builds_the_engine_of_its_work_once(
    table: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A launcher may unpickle the work for every pack; the work of another study has an engine of its own."""
    built: list[str] = []
    init: Any = Engine.__init__

    def counting(engine: Engine, study: Any, *more: Any, **named: Any) -> None:
        built.append(study.name)
        init(engine, study, *more, **named)

    monkeypatch.setattr(Engine, "__init__", counting)
    work, packs = _work(table, tmp_path)
    sent = pickle.dumps(work.to("returned"))
    assert [pickle.loads(sent)(pack).error for pack in packs] == ["", ""]
    other, others = _work(table | {"name": "other", "steps": 8}, tmp_path)
    assert other.to("returned")(others[0]).error == ""
    assert built == ["small", "other"]


def test_code_of_a_file_is_imported_where_the_work_is(
    table: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(CODE)
    work, packs = _work(table | {"problem": "mine.py:bowl"}, tmp_path / "out")
    sent = pickle.dumps(work.to("returned"))
    monkeypatch.chdir("/")
    assert pickle.loads(sent)(packs[0]).error == ""
    assert pickle.loads(sent).study.table(tmp_path) == work.study.table(tmp_path)
    (tmp_path / "mine.py").write_text(CODE.replace("2.0", "3.0"))
    changed = pickle.loads(sent.replace(work.token.encode(), b"0" * 32))
    error = changed(packs[0]).error
    assert re.fullmatch(
        r"LaunchError: the code or data of small on \S+ differ from those where the study was started; give every machine "
        "the same files and the same lrbench",
        error,
    )


def test_objects_from_python_travel_too(table: dict[str, Any], tmp_path: Path) -> None:
    def loss(weights: Any, batch: Any, key: Any) -> Any:
        return jnp.sum(weights**2)

    bowl = lb.problem(name="bowl", init=lambda key: jnp.ones(3), loss=loss)
    work, packs = _work(table | {"problem": bowl}, tmp_path)
    assert cloudpickle.loads(cloudpickle.dumps(work.to("returned")))(packs[0]).error == ""


@pytest.mark.slow
def test_parts_that_come_back_are_written_as_they_come(
    table: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A launcher of other processes, as the pipeline sees it: progress by outcomes, parts by bytes, failures by pack."""
    told: list[tuple[int, int]] = []
    monkeypatch.setattr("lrbench.launchers.local.local", elsewhere)
    listener = Listener()
    monkeypatch.setattr(listener, "advance", lambda runs, steps: told.append((runs, steps)))
    monkeypatch.setattr(Engine, "lanes_per_pack", lambda engine, program: 4)
    done = execute(table, tmp_path / "out", listener=listener, report=False)
    assert told == [(4, 10)]
    assert [failed.error for failed in done.failures] == ["ValueError: no luck"]
    assert done.trained == 4
    monkeypatch.undo()
    assert execute(table, tmp_path / "out", report=False).trained == 4


def elsewhere(packs: list[Any], work: PackWork) -> Iterator[Outcome]:
    there = pickle.loads(pickle.dumps(work.to("returned")))
    yield dataclasses.replace(there(packs[0]), process="other:1")
    yield work.failed(packs[1], ValueError("no\nluck"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cloud": {}}, "unknown launcher 'cloud'; allowed: "),
        (
            {"local": {"speed": 2}},
            "launcher.local.speed = 2: unknown parameter of local 'speed'; allowed: none",
        ),
        (3, "launcher = 3: must be tables of launchers, such as [launcher.ray]"),
    ],
)
def test_launchers_in_a_study_are_checked(table: dict[str, Any], given: Any, message: str) -> None:
    with pytest.raises(StudyError) as error:
        read(table | {"launcher": given})
    assert message in str(error.value)


def test_a_program_is_compiled_at_its_first_pack() -> None:
    each = [CostEstimate(10.0, 0.5, measured=True), CostEstimate(20.0, 2.0, measured=True)]
    packs = [
        Pack(name, program, np.arange(runs))
        for name, program, runs in (("a", 0, 4), ("b", 0, 2), ("c", 1, 1))
    ]
    assert costs.of_packs(each, packs) == [12.0, 1.0, 22.0]
    assert costs.of_packs(each, packs[1:]) == [11.0, 22.0]
