"""How programs are compiled: chosen before the first part of each, and kept by whatever goes on with the folder."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from lrbench import machine
from lrbench.engine import tuner, tuning_cache
from lrbench.engine.tuner import Tuner
from lrbench.engine.tuning_cache import Tuning
from lrbench.execution import work as work_module
from lrbench.execution.execute import execute
from lrbench.execution.plan import plan_text
from lrbench.execution.work import PackWork
from lrbench.results.folder import ResultsFolder
from lrbench.study.grid import of_study
from lrbench.study.spec import read

MEASURED = Tuning(4, "", "wide_vectors", "measured", 1e-6)


@pytest.fixture(autouse=True)
def _no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command is the first of its user, so that what is kept is kept by the folder."""
    count = iter(range(100))
    monkeypatch.setattr(
        tuning_cache.platformdirs, "user_cache_dir", lambda name: str(tmp_path / f"cache{next(count)}")
    )


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let any training be long enough; returns the optimizers of the programs that were measured."""
    found: list[str] = []

    def measure(self: Tuner, program: Any, *more: Any) -> Tuning:
        found.append(self._instances.grid.optimizers[program.optimizers[0]].name)
        return MEASURED

    monkeypatch.setattr(tuner, "WORTH_MEASURING", 0)
    monkeypatch.setattr(Tuner, "measure", measure)
    return found


def _choices(folder: Path) -> dict[tuple[str, str], tuple[Any, ...]]:
    names = ("lanes_per_chunk", "form", "options", "chosen")
    return {
        (each["optimizer"], each["machine"]["processor"]): tuple(each[name] for name in names)
        for each in ResultsFolder(folder).manifest["tunings"]
    }


@pytest.mark.slow
def test_what_is_measured_is_in_the_manifest_before_the_first_part(
    table: dict[str, Any], tmp_path: Path, measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, Any]] = []
    write = ResultsFolder.write_part
    monkeypatch.setattr(
        ResultsFolder,
        "write_part",
        lambda folder, trained: seen.append(folder.manifest) or write(folder, trained),
    )
    done = execute(table, tmp_path / "out", report=False)
    (manifest,) = seen
    (record,), (program,) = manifest["tunings"], manifest["programs"]
    assert (record["options"], record["lanes_per_chunk"], record["chosen"]) == ("wide_vectors", 4, "measured")
    assert (program["options"], program["chunk_chosen"]) == ("wide_vectors", "measured")
    assert done.results.manifest["tunings"] == [record]
    assert done.results.manifest["programs"][0]["options"] == "wide_vectors"
    assert measured == ["sgd"]


@pytest.mark.slow
def test_a_study_that_goes_on_compiles_its_programs_as_before(
    table: dict[str, Any], tmp_path: Path, measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measured or not; a program that is new is measured, and the others are not measured again."""
    here = machine.processor()
    with monkeypatch.context() as short:
        short.setattr(tuner, "WORTH_MEASURING", 1e12)
        execute(table, tmp_path / "out", report=False)
    before = _choices(tmp_path / "out")
    assert before["sgd", here][-1] == "rule"
    execute({**table, "seeds": 3, "optimizer": ["sgd", "adam"]}, tmp_path / "out", report=False)
    assert measured == ["adam"]
    after = {**before, ("adam", here): (4, "", "wide_vectors", "measured")}
    assert _choices(tmp_path / "out") == after
    execute({**table, "seeds": 4, "optimizer": ["adam", "sgd"]}, tmp_path / "out", report=False)
    assert measured == ["adam"]
    assert _choices(tmp_path / "out") == after


@pytest.mark.slow
def test_another_kind_of_machine_chooses_for_itself(
    table: dict[str, Any], tmp_path: Path, measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for seeds, processor in enumerate(["first", "second", "first"], 1):
        monkeypatch.setattr(machine, "processor", lambda name=processor: name)
        execute({**table, "seeds": seeds}, tmp_path / "out", report=False)
    assert measured == ["sgd", "sgd"]
    assert set(_choices(tmp_path / "out")) == {("sgd", "first"), ("sgd", "second")}


@pytest.mark.slow
def test_a_program_of_which_nothing_is_trained_may_still_be_measured(
    table: dict[str, Any], tmp_path: Path, measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a command that was interrupted while it compiled."""
    with monkeypatch.context() as broken:
        broken.setattr(Tuner, "worth_measuring", lambda *given: 1 / 0)
        assert execute(table, tmp_path / "out", report=False).failures
    assert [choice[-1] for choice in _choices(tmp_path / "out").values()] == ["rule"]
    execute(table, tmp_path / "out", report=False)
    assert measured == ["sgd"]


@pytest.mark.slow
def test_other_processes_compile_as_the_command_did(
    table: dict[str, Any], tmp_path: Path, measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a launcher sends says how programs are compiled; a worker measures nothing, also where it is another kind of machine."""
    sent: list[bytes] = []

    def elsewhere(packs: Any, work: PackWork) -> Any:
        sent.append(pickle.dumps(work))
        yield from map(work, packs)

    monkeypatch.setattr("lrbench.launchers.local.local", elsewhere)
    execute(table, tmp_path / "out", report=False)
    execute({**table, "seeds": 3}, tmp_path / "out", report=False)
    (program,) = of_study(read(table)).programs
    for processor, options in ((machine.processor(), "wide_vectors"), ("another", "")):
        monkeypatch.setattr(machine, "processor", lambda name=processor: name)
        work_module._trainer.cache_clear()
        engine = work_module._trainer(pickle.loads(sent[-1])).engine
        assert engine.tuner.tuning(program).options == options
        assert not engine.tuner.worth_measuring(program, 1.0, lambda: 1e9)
    work_module._trainer.cache_clear()
    assert measured == ["sgd"]


def test_a_plan_shows_options_where_there_are_any(
    table: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    study = read(table, trust=True)
    assert "options" not in plan_text(study)
    monkeypatch.setattr(tuning_cache.TuningCache, "load", lambda cache, key: MEASURED)
    head, row = plan_text(study).split("\n\n")[1].splitlines()
    assert "options" in head
    assert "wide_vectors" in row
