"""The claims: their rules on tables built by hand, the page, and a small experiment from end to end."""

from __future__ import annotations

import dataclasses
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lrbench.errors import StudyError
from lrbench.experiments import bench
from lrbench.experiments._claims import (
    band_width,
    decay,
    equal_loss,
    event_files,
    judging,
    optimizer_shift,
    schedule_shapes,
    studies,
    three_effects,
    usual_rates,
    warmup,
)
from lrbench.experiments._claims.evidence import Evidence, NotMeasured, StudyArrays
from lrbench.experiments._claims.limits import LIMITS
from lrbench.experiments._claims.page import page
from lrbench.experiments.findings import Finding
from lrbench.results.results import load
from lrbench.study import catalog
from lrbench.study.grid import of_study
from lrbench.study.spec import read
from tests.helpers import frames
from tests.helpers.heard import Heard

RATES = [float(rate) for rate in np.logspace(-5, 1, 13)]
FAMILIES = ("digits_mlp", "digits_cnn", "char_transformer")
NAN = float("nan")
EVIL = "</style><script>alert(1)</script>"


def met(findings: list[Finding]) -> dict[str, bool | None]:
    return {finding.what: finding.met for finding in findings}


def of(findings: list[Finding], text: str) -> Finding:
    (found,) = [finding for finding in findings if text in finding.what]
    return found


@pytest.fixture(scope="module")
def families() -> frames.Results:
    """Plain gradient descent is best at 0.3, with momentum at 0.1, Adam at 0.01."""
    return frames.study(rates=RATES, seeds=3, problems=FAMILIES)


def schedules(**better: float) -> frames.Results:
    """Schedules that all train alike, but for a loss that is lower by so much."""
    names = (
        "constant",
        "exponential",
        "linear",
        "cosine",
        "reduce_on_plateau",
        "warmup_constant",
        "warmup_cosine",
    )
    results = frames.study(
        rates=RATES,
        seeds=3,
        schedules=names,
        optimizers=(("sgd", 0.0, 0.3), ("sgd", 0.9, 0.1), ("adam", NAN, 0.01)),
    )
    for name, gain in better.items():
        results.runs.loc[results.runs["schedule"] == name, "final_valid_loss"] -= gain
    return results


# ---- rules ----


@pytest.mark.parametrize(
    ("each", "expected"),
    [
        ([True, True], "holds"),
        ([True, False], "holds in part"),
        ([True, None], "holds in part"),
        ([False, False], "does not hold"),
        ([False, None], "does not hold"),
        ([None], "not measured"),
        ([], "not measured"),
    ],
)
def test_verdicts(each: list[bool | None], expected: str) -> None:
    findings = [Finding("reported", 1.0), *(Finding("a", 1.0, rule="is 1", met=one) for one in each)]
    assert judging.verdict(findings) == expected


def test_every_claim_has_a_name_and_a_sentence() -> None:
    names = [claim.name for claim in judging.CLAIMS]
    assert names == ["S1", "S1b", *(f"S{n}" for n in range(2, 11)), "T1", "T2"]
    assert all(claim.text.endswith(".") and len(claim.text) > 30 for claim in judging.CLAIMS)


def test_without_its_study_a_claim_is_not_measured() -> None:
    judged = judging.judge(Evidence({}))
    assert {each.verdict for each in judged} == {"not measured"}
    table = judging.table(judged)
    assert list(table["finding"])[1:3] == ["there is no study step", "there is no study families"]
    found = judging.findings(judged)
    assert [each.line for each in found[:4]] == [
        *(
            f"claims about the learning rate with the verdict “{verdict}”: 0 of 13"
            for verdict in ("holds", "holds in part", "does not hold")
        ),
        f"claims about the learning rate with the verdict “not measured” ({', '.join(each.claim.name for each in judged)}): 13 of 13",
    ]
    assert "Not measured: there is no study step." in page(judged, {}, {})


def test_a_study_with_missing_runs_is_not_judged(families: frames.Results) -> None:
    without_one = dataclasses.replace(families, runs=families.runs.iloc[:-1])
    with pytest.raises(NotMeasured, match=r"^runs of study families are missing$"):
        StudyArrays("families", without_one)
    unfinished = dataclasses.replace(families, manifest={**families.manifest, "runs": {"left": 3}})
    with pytest.raises(NotMeasured, match=r"^3 runs of study families are missing$"):
        Evidence({"families": unfinished})["families"]


def test_the_arrays_are_the_runs(families: frames.Results) -> None:
    study = StudyArrays("families", families)
    line = study.where(problem="digits_cnn", optimizer="adam")[0]
    run = families.runs[(families.runs["problem"] == "digits_cnn") & (families.runs["optimizer"] == "adam")]
    run = run[(run["learning_rate"] == RATES[4]) & (run["seed"] == 2)].iloc[0]
    assert study.column("final_valid_loss")[line, 4, 2] == run["final_valid_loss"]
    assert study.verdicts()[line, 4, 2] == run["verdict"]
    step, loss = study.curve("train_loss")
    mine = families.curves[families.curves["run_id"] == run["run_id"]]
    assert step.tolist() == mine["step"].tolist()
    assert loss[line, 4, 2].tolist() == mine["train_loss"].tolist()
    with pytest.raises(NotMeasured, match=r"^study families has no rate 0\.5$"):
        study.at(0.5)
    with pytest.raises(NotMeasured, match=r"^study families has no lion$"):
        study.where(optimizer="lion")


def test_the_interval_is_over_seeds(families: frames.Results) -> None:
    study = StudyArrays("families", families)
    # Of 3 seeds, 27 resamples; one in 27 has the first seed three times, which is more than 2.5 %.
    assert study.mean(np.array([0.0, 3.0, 6.0])) == (3.0, 0.0, 6.0)


def test_optimizers_shift_the_best_rate(families: frames.Results) -> None:
    found = optimizer_shift.measure(Evidence({"families": families}))
    decades = np.log10(RATES)
    best = StudyArrays("families", families).best[0][:3]  # momentum 0.9, none, Adam
    shift = of(found, "best rate of adam")
    assert shift.value == pytest.approx(decades[best[2]] - decades[best[1]])
    assert shift.value <= -1
    assert shift.met


def test_speed_is_counted_to_most_of_the_way(families: frames.Results) -> None:
    study = StudyArrays("families", families)
    steps = three_effects.steps_to_most(study)
    line, at = study.where(optimizer="adam")[0], study.at(0.01)
    run = study.curve("valid_loss")[1][line, at, 0]
    bar = study.initial[line] - LIMITS.way * (study.initial[line] - study.star[line])
    assert steps[line, at, 0] == 10 * np.flatnonzero(run <= bar)[0]
    assert np.isnan(steps[line, 0]).all()
    evidence = Evidence({"families": families, "equal_loss": families})
    found = of(three_effects.measure(evidence), "ratio of the slowest to the fastest")
    assert found.value > 1


def test_rates_are_compared_where_their_training_loss_is_equal() -> None:
    """Accuracies that depend on the loss alone are equal there; one that is added at a rate is found, on seeds that had no part in the choice."""
    results = frames.study(rates=RATES, seeds=4)
    study = StudyArrays("equal_loss", results)
    found = equal_loss.accuracy_at_equal_loss(study)
    line, at = study.where(optimizer="adam")[0], study.at(0.01)
    _, loss = study.curve("train_loss")
    ends = np.median(loss[line, :, :, -1], axis=1)
    level = 2.3 - LIMITS.alike * (2.3 - np.nanmin(ends))
    run = loss[line, at, 2]
    first = int(np.flatnonzero(run <= level)[0])
    share = (run[first - 1] - level) / (run[first - 1] - run[first])
    accuracy = 1 / (1 + run)
    expected = accuracy[first - 1] + share * (accuracy[first] - accuracy[first - 1])
    assert found[line, at, 2] == pytest.approx(expected)
    assert np.isnan(found[line, 0]).all()  # the smallest rate never gets there
    alike = of(equal_loss.measure(study), "best minus that at the worst")

    better = dataclasses.replace(results, curves=results.curves.copy())
    of_rate = dict(zip(results.runs["run_id"], results.runs["learning_rate"], strict=True))
    raised = better.curves["run_id"].map(of_rate) == RATES[7]
    better.curves.loc[raised, "valid_accuracy"] += 0.2
    gain = of(equal_loss.measure(StudyArrays("equal_loss", better)), "best minus that at the worst")
    assert gain.value > 10 > abs(alike.value)
    assert gain.met


def test_without_another_rate_or_seed_accuracies_are_not_compared() -> None:
    with pytest.raises(NotMeasured, match="no two rates reach the same training loss"):
        equal_loss.measure(StudyArrays("equal_loss", frames.study(rates=RATES[:1], seeds=2)))
    with pytest.raises(NotMeasured, match="has one seed"):
        equal_loss.measure(StudyArrays("equal_loss", frames.study(rates=RATES, seeds=1)))


def test_usual_rates_count_good_runs_in_their_range(families: frames.Results) -> None:
    problems = {
        "house_prices": (1e-3, 1e-2),
        "digits_cnn": (1e-5, 3.2e-4),
        "char_transformer": (1e-5, 3.2e-4),
    }
    results = frames.study(rates=RATES, seeds=3, problems=tuple(problems))
    found = usual_rates.measure(Evidence({"families": results}))
    assert len(found) == 9 + 3
    lowest = of(found, "simple models, adam, 100 steps: lowest good rate")
    good = results.runs[(results.runs["optimizer"] == "adam") & (results.runs["problem"] == "house_prices")]
    share = (good["verdict"] == "good").groupby(good["learning_rate"]).mean()
    assert lowest.value == pytest.approx(share[share > 0.5].index.min())
    longer = frames.study(rates=RATES, seeds=1, problems=tuple(problems), optimizers=(("adam", NAN, 1e-4),))
    longer.runs["steps"] = 1000
    both = usual_rates.measure(Evidence({"families": results, "families_1000": longer}))
    assert len(both) == 9 + 3 + 6
    assert of(both, "CNN, adam, 1,000 steps: share").met
    assert not of(both, "CNN, adam, 100 steps: share").met
    runs = results.runs[(results.runs["problem"] == "house_prices") & (results.runs["optimizer"] == "adam")]
    inside = runs[runs["learning_rate"].between(0.99e-3, 1.01e-2)]
    simple = of(found, "simple models, adam, 100 steps: share")
    assert simple.value == pytest.approx((inside["verdict"] == "good").mean())
    assert simple.met is bool(simple.value >= LIMITS.most)
    assert of(found, "CNN, sgd(momentum=0), 100 steps: share").met is False


def test_schedules_are_compared_with_their_formulas() -> None:
    results = schedules()
    step, last = results.curves["step"], frames.STEPS - 1
    names = dict(zip(results.runs["run_id"], results.runs["schedule"], strict=True))
    share = np.minimum(step, last) / frames.STEPS
    cosine = results.curves["run_id"].map(names) == "cosine"
    results.curves.loc[cosine, "learning_rate"] *= (1 + np.cos(np.pi * share[cosine])) / 2
    found = schedule_shapes.measure(Evidence({"schedules": results}))
    right = {what.partition(":")[0]: value for what, value in met(found).items()}
    assert right["constant"]
    assert right["cosine"]
    assert not right["linear"]
    assert not right["exponential"]


def test_plateau_waits_for_the_third_bad_loss() -> None:
    loss = np.array([9.0, 5.0, 5.0, 6.0, 5.0, 4.0, 4.0, 4.0, 4.0])
    assert schedule_shapes.plateau(loss).tolist() == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.01])


def test_decay_and_constant_are_each_tuned_on_the_other_half_of_the_seeds() -> None:
    judged = judging.judge(Evidence({"schedules": schedules(cosine=0.05)}))
    assert {each.claim.name: each.verdict for each in judged}["S10"] == "not measured"  # no step decay in it
    study = StudyArrays("schedules", schedules(cosine=0.02, linear=-0.02))
    constant = study.where(schedule="constant")
    for name, sign in (("cosine", -1), ("linear", 1), ("exponential", 0)):
        gap = decay.difference(study, study.where(schedule=name), constant)
        assert np.sign(np.round(gap, 9)).tolist() == [sign] * 3
        assert study.mean(gap)[0] == pytest.approx(sign * np.mean(0.02 / study.span[constant]))


def test_a_rate_that_is_lucky_on_the_seeds_it_was_chosen_by_gains_nothing() -> None:
    """Cosine is 1 lower at one rate with the even seeds alone; chosen by them, it has nothing there with the odd ones."""
    results = schedules()
    lucky = (results.runs["schedule"] == "cosine") & (results.runs["learning_rate"] == RATES[0])
    results.runs.loc[lucky & (results.runs["seed"] % 2 == 0), "final_valid_loss"] = -1.0
    study = StudyArrays("schedules", results)
    constant, cosine = study.where(schedule="constant"), study.where(schedule="cosine")
    even, odd = decay.halves(3)[0]
    assert (decay.chosen(study, cosine, even) == 0).all()
    gap = decay.difference(study, cosine, constant)
    assert (gap[odd] > 0).all()
    assert gap[even] == pytest.approx(np.zeros(2), abs=0.05)


def test_warmup_that_adds_no_rate_speaks_against_it() -> None:
    found = warmup.measure(Evidence({"schedules": schedules()}))
    assert [finding.value for finding in found] == [0.0] * 4
    assert not any(met(found).values())


def test_the_band_of_adam(families: frames.Results) -> None:
    found = band_width.measure(Evidence({"families": families}))
    study = StudyArrays("families", families)
    wide = study.good[0].sum(axis=1) * 0.5
    expected = wide[study.where(optimizer="adam")] - wide[study.where(optimizer="sgd(momentum=0)")]
    assert found[0].value == pytest.approx(expected.mean())
    assert found[1].value == (expected > 0).mean()


def test_event_files_hold_the_curves(families: frames.Results, monkeypatch: pytest.MonkeyPatch) -> None:
    study = StudyArrays("families", families)
    found = event_files.compare_with_tables(study)
    assert "9 runs, 198 losses" in found.what
    assert (found.met, found.value < 1e-6) == (True, True)
    exported = event_files._exported

    def lost(*given: Any) -> dict[tuple[str, str, int], float]:
        return {key: value for key, value in exported(*given).items() if key[2] != 50}

    monkeypatch.setattr(event_files, "_exported", lost)
    assert event_files.compare_with_tables(study).met is False
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    monkeypatch.setattr(event_files, "_exported", exported)
    without = event_files.compare_with_tables(study)
    assert without.met is None
    assert "not measured: --to tensorboard requires tensorboardX" in without.what


# ---- pictures and page ----


def test_pictures_and_page(families: frames.Results) -> None:
    judged = judging.judge(Evidence({"families": families, "equal_loss": families, "schedules": schedules()}))
    shown = judging.pictures(judged)
    assert set(shown) == {"S4", "S5", "S6", "S8", "S9", "T1", "T2"}
    assert all(figure.axes for figure in shown.values())
    judged[0] = dataclasses.replace(judged[0], reason=EVIL)
    html = page(judged, {"S6": b"a picture"}, {EVIL: 3, "families": 4_500})
    assert "<script" not in html
    assert html.count("alert(1)") == 3  # the reason, and the address and the text of a link
    assert html.count('src="data:image/png;base64,') == html.count("<img") == 1
    assert not re.findall(r"(?:src|href)=\"(?:https?:)?//", html)
    assert "default-src 'none'" in html
    assert "<dt>runs</dt><dd>4,503</dd>" in html
    assert all(f"<dt>{name}</dt><dd>{value}</dd>" in html for name, value in LIMITS.asdict().items())
    for each in judged:
        assert f'id="{each.claim.name}"' in html


def test_the_table_has_a_row_per_finding(families: frames.Results) -> None:
    judged = judging.judge(Evidence({"families": families}))
    table = judging.table(judged)
    assert list(table) == [
        "claim",
        "text",
        "verdict",
        "finding",
        "value",
        "low",
        "high",
        "unit",
        "rule",
        "met",
    ]
    assert (table["claim"] == "S6").sum() == 5
    assert table.loc[table["rule"] == "", "met"].isna().all()


def test_the_findings_of_the_page() -> None:
    problems = ("house_prices", "digits_cnn", "char_transformer")
    judged = judging.judge(Evidence({"families": frames.study(rates=RATES, seeds=3, problems=problems)}))
    found = judging.findings(judged)
    lines = {each.claim.name: each for each in judged}
    shift = of(found, "claim S6 ")
    met = [each.met for each in lines["S6"].findings if each.rule]
    assert (shift.value, shift.unit) == (met.count(True), f"of {len(met)} rules met")
    assert shift.what == f"claim S6 {lines['S6'].verdict}: {lines['S6'].claim.text}"
    assert shift.met is (lines["S6"].verdict == "holds")
    assert np.isnan(of(found, "S10 ").value)
    telling = [each for each in found if each.what.startswith("S4: ")]
    last = [each for each in lines["S4"].findings if "adam, 100 steps: share" in each.what]
    assert [(each.value, each.met) for each in telling] == [(each.value, each.met) for each in last]


# ---- the experiment ----


def perform(*overrides: str) -> tuple[bench.Answer, list[str]]:
    listener = Heard()
    return bench.perform("claims", "here", overrides=overrides, listener=listener), listener.lines


@pytest.mark.slow
def test_the_experiment_from_end_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of its five studies the two that train in a second: what the others would show is not measured."""
    five = studies.studies
    monkeypatch.setattr("lrbench.experiments.claims.studies", lambda *given: five(*given)[:2])
    answer, said = perform("steps=20", "seeds=4")
    assert said == ["study step", "study wells"]
    assert answer.lines[0].startswith("S1  holds          The learning rate is the size of a step")
    assert answer.lines[1].startswith("S1b does not hold  The gradient of the squared error")
    assert [line[4:18].strip() for line in answer.lines[2:]] == ["not measured"] * 11
    names = [f"{name}.{kind}" for name in ("claims", "escapes") for kind in ("csv", "parquet")]
    names += [f"{name}.{kind}" for name in ("S1", "S1b") for kind in ("png", "svg")]
    names += ["report.html", "findings.csv", "findings.parquet", "README.md"]
    assert [str(path) for path in answer.paths] == [f"here/{name}" for name in names]
    table = pd.read_csv("here/claims.csv")
    first = table[table["claim"] == "S1"]
    assert first["value"].tolist()[1:] == pytest.approx([10.5, 1050, 250_000])
    assert first["met"].tolist() == [True] * 4
    second = table[table["claim"] == "S1b"]
    assert second["value"].tolist() == pytest.approx([-100_000, -1000, 10_001])
    assert second["met"].tolist()[:2] == [False, False]
    assert set(table["finding"][table["verdict"] == "not measured"]) == {
        f"there is no study {name}" for name in ("scale", "families", "schedules")
    }
    escapes = pd.read_csv("here/escapes.csv")
    assert (escapes["runs"] == 4).all()
    assert (escapes["low"].le(escapes["share"]) & escapes["share"].le(escapes["high"])).all()

    # Again: nothing is trained, and what is missing is written; more seeds: only those are trained.
    before = Path("here/claims.csv").read_bytes()
    Path("here/claims.csv").unlink()
    assert perform("steps=20", "seeds=4")[0] == answer
    assert Path("here/claims.csv").read_bytes() == before
    _, said = perform("steps=20", "seeds=5")
    assert any("here/wells: 124 of 155 runs" in line for line in said), said
    assert load("here/wells").manifest["runs"] == {"total": 155, "done": 155, "left": 0}


def test_the_studies_are_as_published() -> None:
    """With the defaults, they have the runs whose verdicts docs/claims.md shows."""
    defaults = {name: each.default for name, each in catalog.get("experiment", "claims").parameters.items()}
    asked = studies.studies(*defaults.values())
    runs = {study["name"]: len(of_study(read(study)).run_ids) for study in asked}
    longer = {"families_3000": 65, "families_30000": 65, "equal_loss": 288}
    assert runs == {"step": 4, "wells": 12400, "scale": 530, "families": 780, **longer, "schedules": 3888}
    assert [study.get("evaluate_every") for study in asked] == [None, 15, 10, 15, 150, 1500, 10, 10]


def test_seeds_and_steps_are_those_of_every_study_but_the_one_step() -> None:
    asked = studies.studies(20, 2, [50], ["house_prices"], ["digits_mlp"])
    assert [study["seeds"] for study in asked] == [1, 2, 2, 2, 2, 2, 2]
    assert [study["steps"] for study in asked] == [1, 20, 20, 20, 50, 80, 20]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["family_problems=[]"], "claims: family_problems = []: must have at least one value"),
        (["schedule_problems=['digits_mpl']"], "unknown problem 'digits_mpl'"),
        (["part.wells.seeds=3"], "unknown parameter of claims 'part'"),
    ],
)
def test_what_the_experiment_refuses(
    overrides: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    five = studies.studies
    monkeypatch.setattr("lrbench.experiments.claims.studies", lambda *given: five(*given)[5:])
    with pytest.raises(StudyError) as caught:
        perform(*overrides)
    assert message in str(caught.value)
