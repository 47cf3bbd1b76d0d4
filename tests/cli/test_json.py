"""What commands print with --json: the record of a schema, whose every key docs/command-line.md explains."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lrbench.cli import doctor, json_schema
from lrbench.cli.json_schema import Diagnosis, Listing
from lrbench.execution.plan_schema import Plan
from lrbench.execution.status import Status
from lrbench.launchers import slurm
from lrbench.machine import Memory
from lrbench.study import catalog
from tests.helpers.command import STUDY, lrbench


def printed(*words: str) -> str:
    code, said = lrbench([*words, "--json"])
    assert code == 0, said
    assert said.isascii()
    return said


def test_plan_is_the_same_as_in_words() -> None:
    Path("x.toml").write_text(STUDY.replace("seeds = 1", "seeds = 1\nconfirm = 2"))
    found = Plan.model_validate_json(printed("plan", "x.toml"))
    assert (found.study, found.runs, found.most_runs, found.least_steps) == ("x", 1, 11, 20)
    assert found.axes == {"problem": 1, "optimizer": 1, "schedule": 1, "learning_rate": 1, "seed": 1}
    assert [(stage.stage, stage.runs, stage.seeds) for stage in found.stages] == [("confirm", 10, 2)]
    (program,) = found.programs
    assert (program.problem, program.optimizer, program.runs) == ("quadratic", "sgd", 11)
    assert found.compile_seconds == program.compile_seconds
    assert found.distribution is None
    spread = Plan.model_validate_json(printed("plan", "x.toml", "--launcher", "slurm", "--nodes", "3"))
    assert spread.distribution is not None
    assert (spread.distribution.nodes, len(spread.distribution.busiest_first)) == (3, 1)
    assert spread.distribution.balance == pytest.approx(1 / 3)


@pytest.mark.slow
def test_status_is_the_same_as_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("x.toml").write_text(STUDY)
    assert lrbench(["run", "x.toml", "--no-report"])[0] == 0
    found = Status.model_validate_json(printed("status", "results/x"))
    assert (found.folder, found.study, found.runs, found.completed) == ("results/x", "x", 1, 1)
    assert (found.missing, found.runs_per_hour, found.jobs) == (0, None, {})
    assert found.seconds_since_last_part is not None
    monkeypatch.setattr(slurm, "submitted", lambda folder: ["1", "2"])
    monkeypatch.setattr(slurm, "states", lambda: None)
    assert Status.model_validate_json(printed("status", "results/x")).jobs == {"unknown": 2}
    code, said = lrbench(["status", "results/x"])
    assert (code, said.splitlines()[-1]) == (
        0,
        "2 Slurm jobs submitted; their states are unknown, because squeue was not found",
    )


def test_list_has_every_entry_with_its_parameters() -> None:
    found = Listing.model_validate_json(printed("list"))
    assert len(found.entries) == sum(len(catalog.names(kind)) for kind in catalog.KINDS)
    (adam,) = Listing.model_validate_json(printed("list", "optimizer", "adam")).entries
    assert (adam.kind, adam.name, adam.parameters[0].name, adam.parameters[0].default) == (
        "optimizer",
        "adam",
        "b1",
        0.9,
    )
    assert [option.name for option in adam.options] == list(catalog.options("optimizer"))
    (table,) = Listing.model_validate_json(printed("list", "problem", "tabular_mlp")).entries
    assert {each.name for each in table.parameters if each.required} >= {"data"}
    names = {entry.name for entry in Listing.model_validate_json(printed("list", "adam")).entries}
    assert {"adam", "adamw", "nadam"} <= names
    assert all("adam" in name for name in names)
    (study,) = Listing.model_validate_json(printed("list", "study", "quadratic")).entries
    assert 'name = "quadratic"' in study.text


def test_doctor_has_facts_and_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = doctor.Facts(
        versions={"python": "3.11.7"},
        extras=[("ray", "ray", "")],
        cores=2,
        memory=Memory(2**34, 2**20),
        devices=[doctor.Device("gpu", "H200", 5, 4)],
        caches=[doctor.Cache("xla", Path("cache/\u202exla"), 3, 2048)],
    )
    monkeypatch.setattr(doctor, "facts_of_machine", lambda: facts)
    code, said = _doctor_json()
    assert code == 0
    found = Diagnosis.model_validate_json(said)
    assert found == json_schema.as_diagnosis(facts)
    assert found.caches[0].folder == "cache/\u202exla"
    assert [found.memory, found.free_memory, found.devices[0].free] == [2**34, 2**20, 4]
    assert found.problems == tuple(doctor.problems(facts))
    assert len(found.problems) == 1


def _doctor_json() -> tuple[int, str]:
    return lrbench(["doctor", "--json"])


def test_what_is_said_beside_the_record_is_not_in_it(capfd: pytest.CaptureFixture[str]) -> None:
    """A line about the defaults goes to standard error."""
    import sys

    from lrbench.cli import commands

    before = sys.argv
    sys.argv = ["lrbench", "plan", "quadratic", "--set", "steps=10", "--json"]
    try:
        with pytest.raises(SystemExit):
            commands.main()
    finally:
        sys.argv = before
    out, err = capfd.readouterr()
    assert json.loads(out)["study"] == "quadratic"
    assert err.startswith("quadratic is a problem; ")
