"""The claims: their rules on tables made by hand, the page, and a small study of parts from end to end."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lrbench import claims
from lrbench.claims import basics, events, training
from lrbench.claims.evidence import Evidence, Finding, NotMeasured, Part
from lrbench.cli import commands
from lrbench.errors import StoreError, StudyError
from lrbench.results.results import load
from lrbench.study import parts
from tests.helpers import frames

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
    made = frames.study(
        rates=RATES,
        seeds=3,
        schedules=names,
        optimizers=(("sgd", 0.0, 0.3), ("sgd", 0.9, 0.1), ("adam", NAN, 0.01)),
    )
    for name, gain in better.items():
        made.runs.loc[made.runs["schedule"] == name, "final_valid_loss"] -= gain
    return made


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
    findings = [Finding("told", 1.0), *(Finding("a", 1.0, rule="is 1", met=one) for one in each)]
    assert claims.judging.verdict(findings) == expected


def test_every_claim_has_a_name_and_a_sentence() -> None:
    names = [claim.name for claim in claims.CLAIMS]
    assert names == [*(f"S{n}" for n in range(1, 11)), "T1", "T2"]
    assert all(claim.text.endswith(".") and len(claim.text) > 30 for claim in claims.CLAIMS)


def test_without_its_part_a_claim_is_not_measured() -> None:
    judged = claims.judge({})
    assert {each.verdict for each in judged} == {"not measured"}
    table = claims.table(judged)
    assert list(table["finding"])[:2] == ["there is no part step", "there is no part families"]
    assert "Not measured: there is no part step." in claims.page(judged, {}, {})


def test_a_part_that_lacks_runs_is_not_judged(families: frames.Results) -> None:
    lacking = dataclasses.replace(families, runs=families.runs.iloc[:-1])
    with pytest.raises(NotMeasured, match=r"^part families lacks runs$"):
        Part("families", lacking)
    waiting = dataclasses.replace(families, manifest={**families.manifest, "runs": {"left": 3}})
    with pytest.raises(NotMeasured, match=r"^part families lacks 3 runs$"):
        Evidence({"families": waiting})["families"]


def test_the_arrays_are_the_runs(families: frames.Results) -> None:
    part = Part("families", families)
    line = part.where(problem="digits_cnn", optimizer="adam")[0]
    run = families.runs[(families.runs["problem"] == "digits_cnn") & (families.runs["optimizer"] == "adam")]
    run = run[(run["learning_rate"] == RATES[4]) & (run["seed"] == 2)].iloc[0]
    assert part.column("final_valid_loss")[line, 4, 2] == run["final_valid_loss"]
    assert part.verdicts()[line, 4, 2] == run["verdict"]
    step, loss = part.curve("train_loss")
    mine = families.curves[families.curves["run_id"] == run["run_id"]]
    assert step.tolist() == mine["step"].tolist()
    assert loss[line, 4, 2].tolist() == mine["train_loss"].tolist()
    with pytest.raises(NotMeasured, match=r"^part families has no rate 0\.5$"):
        part.at(0.5)
    with pytest.raises(NotMeasured, match=r"^part families has no lion$"):
        part.where(optimizer="lion")


def test_the_interval_is_over_seeds(families: frames.Results) -> None:
    part = Part("families", families)
    # Of 3 seeds, 27 resamples; one in 27 holds the first three times, which is more than 2.5 %.
    assert part.mean(np.array([0.0, 3.0, 6.0])) == (3.0, 0.0, 6.0)


def test_optimizers_shift_the_best_rate(families: frames.Results) -> None:
    found = training.optimizers(Evidence({"families": families}))
    decades = np.log10(RATES)
    best = Part("families", families).best[0][:3]  # momentum 0.9, none, Adam
    shift = of(found, "best rate of adam")
    assert shift.value == pytest.approx(decades[best[2]] - decades[best[1]])
    assert shift.value <= -1
    assert shift.met


def test_speed_is_counted_to_most_of_the_way(families: frames.Results) -> None:
    part = Part("families", families)
    steps = training.steps_to_most(part)
    line, at = part.where(optimizer="adam")[0], part.at(0.01)
    run = part.curve("valid_loss")[1][line, at, 0]
    bar = part.initial[line] - claims.LIMITS.way * (part.initial[line] - part.star[line])
    assert steps[line, at, 0] == 10 * np.flatnonzero(run <= bar)[0]
    assert np.isnan(steps[line, 0]).all()
    found = of(training.three_effects(Evidence({"families": families})), "slowest over fastest")
    assert found.value > 1


def test_usual_rates_count_good_runs_in_their_range(families: frames.Results) -> None:
    problems = {
        "house_prices": (1e-3, 1e-2),
        "digits_cnn": (1e-5, 3.2e-4),
        "char_transformer": (1e-5, 3.2e-4),
    }
    made = frames.study(rates=RATES, seeds=3, problems=tuple(problems))
    found = basics.usual_rates(Evidence({"families": made}))
    assert len(found) == 9
    runs = made.runs[(made.runs["problem"] == "house_prices") & (made.runs["optimizer"] == "adam")]
    inside = runs[runs["learning_rate"].between(0.99e-3, 1.01e-2)]
    simple = of(found, "simple models, adam")
    assert simple.value == pytest.approx((inside["verdict"] == "good").mean())
    assert simple.met is bool(simple.value >= claims.LIMITS.most)
    assert of(found, "CNN, sgd(momentum=0):").met is False


def test_schedules_are_compared_with_their_formulas() -> None:
    made = schedules()
    step, last = made.curves["step"], frames.STEPS - 1
    names = dict(zip(made.runs["run_id"], made.runs["schedule"], strict=True))
    share = np.minimum(step, last) / frames.STEPS
    cosine = made.curves["run_id"].map(names) == "cosine"
    made.curves.loc[cosine, "learning_rate"] *= (1 + np.cos(np.pi * share[cosine])) / 2
    found = basics.schedules(Evidence({"schedules": made}))
    right = {what.partition(":")[0]: value for what, value in met(found).items()}
    assert right["constant"]
    assert right["cosine"]
    assert not right["linear"]
    assert not right["exponential"]


def test_plateau_waits_for_the_third_bad_loss() -> None:
    loss = np.array([9.0, 5.0, 5.0, 6.0, 5.0, 4.0, 4.0, 4.0, 4.0])
    assert basics.plateau(loss).tolist() == pytest.approx([1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.01])


def test_decay_is_paired_with_constant_at_the_same_peak() -> None:
    judged = claims.judge({"schedules": schedules(cosine=0.05)})
    assert {each.claim.name: each.verdict for each in judged}["S10"] == "not measured"  # no step decay in it
    part = Part("schedules", schedules(cosine=0.02, linear=-0.02))
    constant = part.where(schedule="constant")
    at = part.best[0][constant]
    for name, sign in (("cosine", -1), ("linear", 1), ("exponential", 0)):
        gap = training.difference(part, part.where(schedule=name), constant, at)
        assert np.sign(np.round(gap, 9)).tolist() == [sign] * 3
        assert part.mean(gap)[0] == pytest.approx(sign * np.mean(0.02 / part.span[constant]))


def test_warmup_that_adds_no_rate_speaks_against_it() -> None:
    found = training.warmup(Evidence({"schedules": schedules()}))
    assert [finding.value for finding in found] == [0.0] * 4
    assert not any(met(found).values())


def test_the_band_of_adam(families: frames.Results) -> None:
    found = training.width(Evidence({"families": families}))
    part = Part("families", families)
    wide = part.good[0].sum(axis=1) * 0.5
    expected = wide[part.where(optimizer="adam")] - wide[part.where(optimizer="sgd(momentum=0)")]
    assert found[0].value == pytest.approx(expected.mean())
    assert found[1].value == (expected > 0).mean()


def test_event_files_hold_the_curves(families: frames.Results, monkeypatch: pytest.MonkeyPatch) -> None:
    part = Part("families", families)
    found = events.written(part)
    assert "9 runs, 198 losses" in found.what
    assert (found.met, found.value < 1e-6) == (True, True)
    exported = events._exported

    def lost(*given: Any) -> dict[tuple[str, str, int], float]:
        return {key: value for key, value in exported(*given).items() if key[2] != 50}

    monkeypatch.setattr(events, "_exported", lost)
    assert events.written(part).met is False
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    monkeypatch.setattr(events, "_exported", exported)
    without = events.written(part)
    assert without.met is None
    assert "not measured: --to tensorboard needs tensorboardX" in without.what


# ---- pictures and page ----


def test_pictures_and_page(families: frames.Results) -> None:
    judged = claims.judge({"families": families, "schedules": schedules()})
    shown = claims.pictures(judged)
    assert {"S4", "S5", "S6", "S8", "S9", "T1", "T2"} == set(shown)
    assert all(figure.axes for figure in shown.values())
    page = claims.page(judged, {"S6": shown["S6"]}, {"study": EVIL, "parts": [EVIL], "limits": {EVIL: 1}})
    assert "<script" not in page
    assert page.count('src="data:image/png;base64,') == page.count("<img") == 1
    assert not re.findall(r"(?:src|href)=\"(?:https?:)?//", page)
    assert "default-src 'none'" in page
    for each in judged:
        assert f'id="{each.claim.name}"' in page


def test_the_table_has_a_row_per_finding(families: frames.Results) -> None:
    judged = claims.judge({"families": families})
    table = claims.table(judged)
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


# ---- a study of parts ----

STUDY = """
name = "small"
page = "claims"
[part.step]
steps = 1
seeds = 1
precision = "float64"
problem = { name = "one_sale", linear = [true, false] }
optimizer = "sgd"
learning_rate = { values = [0.001, 0.1] }
probes = ["first_coordinate", "second_coordinate"]
[part.wells]
steps = 20
evaluate_every = 10
seeds = 4
problem = "double_well"
optimizer = "sgd"
learning_rate = { min = 1e-3, max = 1.0, num = 4 }
probes = ["gradient_norm", "update_norm", "first_coordinate"]
"""


def lrbench(*words: str) -> tuple[int, str, str]:
    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["lrbench", *words]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            commands.main()
    except SystemExit as done:
        return int(done.code or 0), out.getvalue(), err.getvalue()
    finally:
        sys.argv = before
    return 0, out.getvalue(), err.getvalue()


def test_a_study_of_parts_from_end_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    # The plots of each part are those of any study, which other tests draw.
    monkeypatch.setattr("lrbench.execution.rebuild.write_pictures", lambda results, check: [])
    Path("small.toml").write_text(STUDY)
    code, out, err = lrbench("run", "small.toml", "--out", "here", "--no-report")
    assert code == 0, err
    assert "part wells (2 of 2)" in err
    assert out.startswith("S1  holds in part")
    assert not Path("here/report.html").exists()
    table = pd.read_csv("here/claims.csv")
    first = table[table["claim"] == "S1"]
    assert first["value"].tolist()[:3] == pytest.approx([10.5, 1050, 250_000])
    assert first["value"].tolist()[-2:] == pytest.approx([1000, 10_001])
    assert first["met"].tolist()[:5] == [True, True, True, True, False]
    manifest = json.loads(Path("here/manifest.json").read_text())
    assert manifest["runs"] == {"total": 20, "done": 20, "left": 0}
    assert manifest["limits"] == claims.LIMITS.asdict()

    # Again: nothing to train, and the page is made; more seeds in one part: only those are.
    code, out, err = lrbench("run", "small.toml", "--out", "here", "--set", "part.wells.seeds=5")
    assert code == 0, err
    assert "all 4 runs are there already" in err
    assert "16 of 20 runs are there already" in err
    assert out.splitlines()[-3:] == ["here/claims.csv", "here/plots", "here/report.html"]
    assert Path("here/plots/S1.png").exists()
    assert parts.read("here/study.toml").studies["wells"].seeds == (0, 1, 2, 3, 4)  # type: ignore[union-attr]

    before = Path("here/claims.csv").read_bytes()
    Path("here/claims.csv").unlink()
    assert lrbench("report", "here")[0] == 0
    assert Path("here/claims.csv").read_bytes() == before
    assert lrbench("best", "here")[1].startswith("S1  holds in part")
    told = lrbench("status", "here")[1]
    assert "here/step: small-step: 4 of 4 runs are done, 0 are left\n" in told
    assert "here/wells: small-wells: 20 of 20 runs are done, 0 are left\n" in told
    with pytest.raises(
        StoreError, match=r"here: is a study of parts; give one of them: here/step, here/wells"
    ):
        _ = load("here").runs

    Path("other.toml").write_text(STUDY.replace('"small"', '"other"'))
    code, _, err = lrbench("run", "other.toml", "--out", "here")
    assert (code, err) == (
        2,
        "lrbench: here: holds the study 'small', not 'other' with its parts; choose another --out, or --fresh\n",
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"page": "clams"}, "page = 'clams': unknown page 'clams'; allowed: claims; did you mean 'claims'?"),
        ({"part": {}}, "part: must be tables [part.NAME], each of them a study"),
        (
            {"part": {"plots": {}}},
            "part.plots: the name of a part must be 1 to 32 of a-z, 0-9, _ and -, but not plots or parts",
        ),
        ({"part": {"a": {"steps": 1}}}, "part.a: problem: missing; a study requires it"),
        ({"name": "A"}, "name = 'A': must be 1 to 32 of a-z, 0-9, _ and -"),
        (
            {"steps": 3},
            "steps = 3: unknown key 'steps'; allowed: name, page, part; did you mean 'page'?; the keys of a study stand in its parts",
        ),
    ],
)
def test_a_study_of_parts_that_is_none(change: dict[str, Any], message: str) -> None:
    good = {"name": "a", "page": "claims", "part": {"a": {}}}
    with pytest.raises(StudyError) as error:
        parts.read(good | change)
    assert str(error.value).replace("; did you mean 'page'?", "") == f"study: {message}".replace(
        "; did you mean 'page'?", ""
    )


def test_a_key_is_set_in_every_part_or_in_one() -> None:
    found = parts.read("claims", ["seeds=2", "part.step.seeds=1", "name=mine"])
    assert isinstance(found, parts.Parts)
    assert found.name == "mine"
    assert {name: len(part.seeds) for name, part in found.studies.items()} == {
        "step": 1,
        "wells": 2,
        "scale": 2,
        "families": 2,
        "schedules": 2,
    }
    with pytest.raises(StudyError, match=r"^claims: part.step: stepz = 1: unknown key 'stepz'"):
        parts.read("claims", ["stepz=1"])
