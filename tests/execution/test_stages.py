"""Stages: what later ones train is chosen once, and whatever happens in between the tables are the same."""

from __future__ import annotations

import json
import pickle
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lrbench.errors import StoreError, StudyError
from lrbench.execution.execute import execute
from lrbench.execution.listener import Listener
from lrbench.execution.plan import plan_text
from lrbench.execution.rebuild import rebuild
from lrbench.execution.status import status_text
from lrbench.launchers import Outcome, Work
from lrbench.results.folder import ResultsFolder
from lrbench.results.results import Results
from lrbench.study.grid import Pack, of_study
from lrbench.study.spec import check
from lrbench.study.stages import FRESH
from tests.helpers.heard import Heard

STUDY: dict[str, Any] = {
    "name": "stages",
    "steps": 40,
    "evaluate_every": 10,
    "seeds": 2,
    "confirm": 3,
    "refine": 1,
    "problem": {"name": "house_prices", "batch_size": [16, 64]},
    "optimizer": "sgd",
    "schedule": ["constant", "cosine"],
    "learning_rate": {"min": 1e-3, "max": 10.0, "num": 9},
    "deterministic": True,
    "probes": [],
}
FAILING = """
import optax

def failing(learning_rate):
    def init(params):
        raise RuntimeError("never")
    return optax.GradientTransformation(init, optax.sgd(learning_rate).update)
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of four lines that went through all its stages."""
    folder = tmp_path_factory.mktemp("stages") / "done"
    execute(STUDY, folder, report=False)
    return folder


def _tables(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.csv"))}


def test_each_stage_has_its_rates_and_seeds(done: Path) -> None:
    results = Results(done)
    grid = of_study(check(STUDY, "test", trust=True))
    for _, line in results.runs.groupby(["problem_batch_size", "schedule"]):
        by_stage = dict(list(line.groupby("stage")))
        assert set(by_stage) == {"grid", "refine", "confirm"}
        assert set(by_stage["grid"]["learning_rate"]) == set(grid.learning_rates)
        assert set(by_stage["grid"]["seed"]) == set(by_stage["refine"]["seed"]) == {0, 1}
        assert set(by_stage["confirm"]["seed"]) == {FRESH, FRESH + 1, FRESH + 2}
        between = set(by_stage["refine"]["learning_rate"])
        assert 1 <= len(between) <= 3
        assert not between & set(grid.learning_rates)
        candidates = set(by_stage["confirm"]["learning_rate"])
        assert 1 <= len(candidates) <= 5
        assert candidates <= set(grid.learning_rates) | between
        # Each candidate has every fresh seed, each new rate every seed of the grid.
        assert len(by_stage["confirm"]) == 3 * len(candidates)
        assert len(by_stage["refine"]) == 2 * len(between)
        tried = line[line["stage"] != "confirm"]
        means = (
            np.fmin(tried["final_valid_loss"], tried["initial_valid_loss"])
            .groupby(tried["learning_rate"])
            .mean()
        )
        assert means.idxmin() in candidates


def test_the_same_command_trains_nothing(done: Path) -> None:
    before, heard = _tables(done), Heard()
    assert execute(STUDY, done, report=False, listener=heard).trained == 0
    assert heard.lines == [f"{done}: all {len(Results(done).runs)} runs are cached; nothing to train"]
    assert _tables(done) == before


def test_a_report_needs_no_study(done: Path) -> None:
    before = _tables(done)
    rebuild(ResultsFolder(done), report=False)
    assert _tables(done) == before


class _Ends(Listener):
    """Ends the command at the given call."""

    def __init__(self, call: int) -> None:
        self.left = call

    def notify(self, text: str) -> None:
        """Listen to nothing."""

    def stopping(self) -> bool:
        """Count the calls."""
        self.left -= 1
        return self.left < 0


@pytest.mark.slow
def test_ended_anywhere_it_goes_on_to_the_same_tables(done: Path, tmp_path: Path) -> None:
    folder, ended = tmp_path / "ended", 0
    for call in range(0, 400, 3):
        try:
            execute(STUDY, folder, report=False, listener=_Ends(call))
            break
        except KeyboardInterrupt:
            ended += 1
    assert ended >= 5
    assert _tables(folder) == _tables(done)
    assert {path.name: path.read_text() for path in (folder / "stages").iterdir()} == {
        path.name: path.read_text() for path in (done / "stages").iterdir()
    }


@pytest.mark.slow
def test_another_process_trains_the_same_runs(
    done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the study and what was chosen, and builds everything else itself."""

    stages: list[str] = []

    def elsewhere(packs: Sequence[Pack], work: Work) -> Generator[Outcome, None, None]:
        stages.extend(pack.stage for pack in packs)
        yield from map(pickle.loads(pickle.dumps(work)), packs)

    monkeypatch.setattr("lrbench.launchers.local.local", elsewhere)
    execute(STUDY, tmp_path / "elsewhere", report=False)
    assert set(stages) == {"grid", "refine", "confirm", "shorter"}
    assert _tables(tmp_path / "elsewhere") == _tables(done)


@pytest.mark.slow
def test_what_is_recorded_is_not_chosen_again(tmp_path: Path) -> None:
    study = {**STUDY, "refine": 0, "schedule": "constant", "problem": "house_prices"}
    execute({**study, "confirm": 0}, tmp_path, report=False)
    execute(study, tmp_path, report=False)
    record = tmp_path / "stages" / "confirm.json"
    found = json.loads(record.read_text())
    (key,) = found["lines"]
    found["lines"][key] = [0.001]
    record.write_text(json.dumps(found))
    runs = execute(study, tmp_path, report=False).results.runs
    assert runs.loc[runs["stage"] == "confirm", "learning_rate"].unique().tolist() == [0.001]


@pytest.mark.slow
def test_an_extension_leaves_the_choices_of_other_lines(done: Path, tmp_path: Path) -> None:
    folder = tmp_path / "extended"
    execute({**STUDY, "schedule": "constant"}, folder, report=False)
    before = json.loads((folder / "stages" / "confirm.json").read_text())["lines"]
    execute(STUDY, folder, report=False)
    after = json.loads((folder / "stages" / "confirm.json").read_text())["lines"]
    assert len(before) == 2
    assert len(after) == 4
    assert before.items() <= after.items()
    columns = ["run_id", "stage", "final_valid_loss", "verdict"]
    pd.testing.assert_frame_equal(Results(folder).runs[columns], Results(done).runs[columns])


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"lines": {"x": [1.0]}}', '{"lines": {"' + 32 * "0" + '": [-1.0]}}', '{"lines": 3}'],
)
def test_a_damaged_record_is_one_line(text: str, tmp_path: Path) -> None:
    study = {**STUDY, "refine": 0, "schedule": "constant", "problem": "house_prices"}
    execute({**study, "confirm": 0}, tmp_path, report=False)
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / "confirm.json").write_text(text)
    with pytest.raises(StoreError) as caught:
        execute(study, tmp_path, report=False)
    assert str(caught.value).startswith(f"{tmp_path / 'stages' / 'confirm.json'}: is damaged (")
    assert str(caught.value).endswith(
        "; put it back as lrbench wrote it, or remove it, and the stage is chosen again"
    )
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_shorter_runs_are_those_of_a_shorter_study(done: Path, tmp_path: Path) -> None:
    """Each has fewer steps of the whole schedule; so it is the run of a study with so many steps."""
    few = Results(done).shorter_runs
    assert set(few["schedule"]) == {"cosine"}
    assert sorted(few["steps"].unique()) == [13, 20, 27, 33]
    study = {**STUDY, "refine": 0, "steps": 27, "schedule": "cosine"}
    study["learning_rate"] = {"values": few.loc[few["steps"] == 27, "learning_rate"].unique().tolist()}
    other = execute(study, tmp_path, report=False).results.runs.set_index("run_id")
    mine = few[few["steps"] == 27].set_index("run_id")
    assert len(mine)
    assert set(mine.index) <= set(other.index)
    for name in ("final_valid_loss", "final_train_loss"):
        np.testing.assert_allclose(mine[name], other.loc[mine.index, name], rtol=1e-5)


def test_a_study_does_without_shorter_runs(tmp_path: Path) -> None:
    """Then a line whose schedule decays has no band by pace; that of a constant rate is from its curves."""
    study = {**STUDY, "refine": 0, "steps": 12, "shorter": False}
    study["problem"] = "house_prices"
    results = execute(study, tmp_path, report=False).results
    assert results.shorter_runs.empty
    assert set(results.runs["stage"]) == {"grid", "confirm"}
    pace = results.sensitivity.set_index("schedule")["pace_low"]
    assert np.isnan(pace["cosine"])
    assert np.isfinite(pace["constant"])


def test_bands_by_pace_are_what_curves_say(done: Path) -> None:
    """Computed again from the tables of runs and curves, line by line."""
    results = Results(done)
    runs, few = results.runs, results.shorter_runs
    keys = ["problem_batch_size", "schedule"]
    for _, row in results.sensitivity.iterrows():
        line = runs[(runs[keys] == row[keys]).all(axis=1)]
        best = line[(line["learning_rate"] == row["best_learning_rate"]) & (line["stage"] == "confirm")]
        assert len(best) == row["confirmed_seeds"] == 3
        if row["schedule"] == "constant":
            curves = results.curves[results.curves["run_id"].isin(best["run_id"])]
            mean = curves.groupby("step")["valid_loss"].mean().cummin()
            reached = np.interp(40 / 1.2, mean.index, mean)
        else:
            same = few[(few[keys] == row[keys]).all(axis=1) & (few["steps"] == 33)]
            reached = same.loc[same["learning_rate"] == row["best_learning_rate"], "final_valid_loss"].mean()
        start = min(line["initial_valid_loss"].median(), line["constant_loss"].iloc[0])
        loss = np.fmin(line["final_valid_loss"].fillna(np.inf), start)
        stages = loss.groupby([line["learning_rate"], line["stage"] == "confirm"]).mean().unstack()
        means = stages[True].fillna(stages[False])
        gap = (means - row["best_loss"]) / (start - row["best_loss"])
        inside = (means <= reached) | (gap <= 0.01)
        rates = means.index.to_numpy()
        at = int(np.searchsorted(rates, row["best_learning_rate"]))
        low = high = at
        while low > 0 and inside.iloc[low - 1]:
            low -= 1
        while high < len(rates) - 1 and inside.iloc[high + 1]:
            high += 1
        assert (row["pace_low"], row["pace_high"]) == (rates[low], rates[high])


def test_a_range_is_found(tmp_path: Path) -> None:
    study = {**STUDY, "refine": 0, "confirm": 0, "learning_rate": {"per_decade": 2}, "schedule": "constant"}
    results = execute(study, tmp_path, report=False).results
    for _, line in results.runs.groupby("problem_batch_size"):
        ranged, grid = line[line["stage"] == "range"], line[line["stage"] == "grid"]
        # Rates that the grid has, too, are its own.
        assert len(ranged) + len(set(grid["learning_rate"])) == 21
        assert set(ranged["seed"]) == {0}
        assert set(grid["seed"]) == {0, 1}
        decades = np.log10(np.sort(grid["learning_rate"].unique()))
        np.testing.assert_allclose(np.diff(decades), 0.5)
        best = grid.groupby("learning_rate")["final_valid_loss"].mean().idxmin()
        assert decades[0] + 0.9 < np.log10(best) < decades[-1] - 0.9
    summary = results.summary
    assert len(summary) == len(
        results.runs[results.runs["stage"] == "grid"].drop_duplicates(["problem_batch_size", "learning_rate"])
    )


def test_a_study_without_rates_finds_them() -> None:
    without = {key: value for key, value in STUDY.items() if key != "learning_rate"}
    for table in (without, {**without, "learning_rate": "auto"}, {**without, "learning_rate": {}}):
        study = check(table, "test", trust=True)
        assert study.learning_rate.auto
        assert study.stages()[0].stage == "grid"
        assert study.table(Path())["learning_rate"] == "auto"


def test_fresh_seeds_are_refused() -> None:
    with pytest.raises(StudyError, match="must be a count, a list of whole numbers below 2"):
        check({**STUDY, "seeds": [0, FRESH]}, "test", trust=True)


@pytest.mark.slow
def test_a_batch_size_has_a_budget_of_steps_or_epochs(tmp_path: Path) -> None:
    equal = of_study(check(STUDY, "test", trust=True))
    assert equal.lengths == ()
    study = {
        **STUDY,
        "confirm": 0,
        "refine": 0,
        "budget": "epochs",
        "problem": {"name": "house_prices", "batch_size": [16, 64, 12]},
    }
    grid = of_study(check(study, "test", trust=True))
    # ⌈40 · 16 / b⌉ steps, evaluated four times after the start.
    assert grid.lengths == ((40, 10), (10, 3), (54, 14))
    results = execute(study, tmp_path, report=False).results
    found = results.runs.groupby("problem_batch_size")["steps"].unique().map(list).to_dict()
    assert found == {12: [54], 16: [40], 64: [10]}
    steps = (
        results.curves.merge(results.runs, on="run_id")
        .groupby("problem_batch_size")["step"]
        .unique()
        .map(list)
    )
    assert steps[64] == [0, 3, 6, 9, 10]
    assert steps[16] == [0, 10, 20, 30, 40]
    # The run of 10 steps is that of a study of 10 steps.
    short = {
        **study,
        "budget": "steps",
        "steps": 10,
        "evaluate_every": 3,
        "problem": {"name": "house_prices", "batch_size": 64},
    }
    other = execute(short, tmp_path / "short", report=False).results.runs.set_index("run_id")
    mine = results.runs[results.runs["steps"] == 10].set_index("run_id")
    assert set(mine.index) == set(other.index)
    np.testing.assert_allclose(mine["final_valid_loss"], other.loc[mine.index, "final_valid_loss"], rtol=1e-5)


@pytest.mark.parametrize(
    ("problem", "has"),
    [
        ("rosenbrock", "has no batch_size"),
        ({"name": "house_prices", "batch_size": 0}, "has batch_size = 0, which is no number of examples"),
    ],
)
def test_epochs_need_a_batch_size(problem: Any, has: str) -> None:
    with pytest.raises(StudyError) as caught:
        of_study(check({**STUDY, "budget": "epochs", "problem": problem}, "test", trust=True))
    assert (
        f'budget = "epochs": problem.0: {problem if isinstance(problem, str) else problem["name"]} {has}; leave budget out'
        in str(caught.value)
    )


@pytest.mark.slow
def test_later_stages_never_race(tmp_path: Path) -> None:
    study = {**STUDY, "race": True, "steps": 80, "deterministic": False}
    runs = execute(study, tmp_path, report=False).results.runs
    assert not (runs.loc[runs["stage"] != "grid", "status"] == "stopped").any()


def test_a_plan_says_how_many_runs_there_may_be() -> None:
    text = plan_text(check(STUDY, "test", trust=True))
    assert text.splitlines()[:2] == [
        "stages: 72 runs of 40 steps (2 problems × 1 optimizer × 2 schedules × 9 learning rates × 2 seeds), evaluated 5 times",
        "then at most: refine-1 24 (4 × 3 rates × 2 seeds), confirm 60 (4 × 5 rates × 3 seeds); up to 156 runs in all, as below, "
        "and 30 shorter runs, as a schedule decays",
    ]


def test_status_knows_the_stages(done: Path, tmp_path: Path) -> None:
    runs = Results(done).runs["stage"].value_counts()
    assert status_text(done).splitlines()[1] == (
        f"stages: grid 72 runs, refine {runs['refine']} runs, confirm {runs['confirm']} runs"
    )
    with pytest.raises(KeyboardInterrupt):
        execute(STUDY, tmp_path, report=False, listener=_Ends(1))
    assert status_text(tmp_path).splitlines()[1] == (
        "stages: grid 72 runs; not chosen yet: refine-1, confirm: give the same command again when the stages before are completed"
    )


@pytest.mark.slow
def test_enough_seeds_are_added_until_lines_are_told_apart(tmp_path: Path) -> None:
    study = {
        **STUDY,
        "seeds": "enough",
        "most_seeds": 12,
        "confirm": 0,
        "refine": 0,
        "problem": "house_prices",
        "optimizer": {"name": "sgd", "momentum": [0.0, 0.9]},
    }
    results = execute(study, tmp_path, report=False).results
    fresh = results.runs[results.runs["stage"] == "confirm"]
    seeds = fresh.groupby(["optimizer_momentum", "schedule"])["seed"].nunique()
    assert set(seeds) <= {5, 10, 12}
    undecided = results.comparison[results.comparison["headline"] & ~results.comparison["decided"]]
    winners = results.sensitivity.loc[results.sensitivity["use_loss"].idxmin()]
    assert results.sensitivity["confirmed_seeds"].tolist() == [
        seeds[row["optimizer_momentum"], row["schedule"]] for _, row in results.sensitivity.iterrows()
    ]
    # Who cannot be told apart has all seeds, and so has who they are compared with.
    if len(undecided):
        assert winners["confirmed_seeds"] == 12
    before = _tables(tmp_path)
    assert execute(study, tmp_path, report=False).trained == 0
    assert _tables(tmp_path) == before


@pytest.mark.slow
def test_the_tables_are_the_same_on_one_device(done: Path, tmp_path: Path) -> None:
    """A study that is `deterministic` chooses the same on any number of devices."""
    execute(STUDY, tmp_path / "alone", devices=1, report=False)
    assert _tables(tmp_path / "alone") == _tables(done)


def test_a_failure_is_that_of_its_own_stage(tmp_path: Path) -> None:
    """The numbers of runs change with every stage that is chosen."""
    Path("own.py").write_text(FAILING)
    optimizers = ["sgd", "own.py:failing"]
    study = STUDY | {"problem": "quadratic", "optimizer": optimizers, "schedule": "constant"}
    execute(study, tmp_path / "out", trust=True, report=False)
    failures = pd.read_csv(tmp_path / "out" / "failures.csv")
    assert failures["optimizer"].tolist() == ["failing"]
    assert failures["seeds"].tolist() == ["0 1"]
    assert failures[["learning_rate_low", "learning_rate_high"]].to_numpy().tolist() == [[1e-3, 10.0]]
