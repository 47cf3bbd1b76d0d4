"""The page: everything inside, everything escaped, nothing from the network, and small."""

from __future__ import annotations

import dataclasses
import json
import re
from importlib import resources

import numpy as np
import pandas as pd
import pytest

from lrbench import analysis
from lrbench.analysis import Thresholds, answer_words
from lrbench.plots import theme
from lrbench.plots.lines import RankedLines
from lrbench.report import report
from lrbench.report.page_plots import as_json, page_data
from tests.helpers import frames
from tests.helpers.page import Page, page_of

EVIL = "</script><script>alert(1)</script>"


@pytest.fixture(scope="module")
def results() -> frames.Results:
    study = frames.study(rates=[1e-3, 1e-2, 0.1, 1.0, 10.0], seeds=3, problems=("digits_mlp", EVIL))
    study.manifest["tables"] = {
        f"{name}.{kind}": {} for name in ("runs", "curves") for kind in ("csv", "parquet")
    }
    return study


@pytest.fixture(scope="module")
def page(results: frames.Results) -> Page:
    return page_of(results)


def test_the_page_has_no_script_but_its_own(page: Page) -> None:
    assert len(page.scripts) == 2
    assert page.elements.count(("script", {"type": "application/json", "id": "data"})) == 1
    assert EVIL in page.text
    data = json.loads(page.scripts[0])
    assert data["problems"] == ["digits_mlp", EVIL]


def test_the_page_loads_nothing(page: Page) -> None:
    loading = {"img", "link", "iframe", "object", "embed", "video", "audio", "source", "base", "form"}
    assert not loading & {tag for tag, _ in page.elements}
    assert not [attrs for tag, attrs in page.elements if "src" in attrs or "srcset" in attrs]
    links = {attrs["href"] for tag, attrs in page.elements if tag == "a"}
    assert not [link for link in links if link is None or re.match(r"[a-z]+:|//", link)]
    assert links >= {"runs.csv", "curves.parquet", "study.toml", "manifest.json"}
    assert not links & {"runs.parquet", "curves.csv", "sensitivity.csv"}
    policies = [attrs["content"] for tag, attrs in page.elements if "http-equiv" in attrs]
    assert str(policies[0]).startswith("default-src 'none'")


def test_the_page_says_the_answer(page: Page, results: frames.Results) -> None:
    text = " ".join(page.text.split())
    answer = analysis.best(results.sensitivity, comparison=results.comparison)
    for sentence in answer["answer"]:
        assert sentence in text
    for problem, rows in answer.groupby("problem", sort=False):
        records = answer_words.rows_of(rows)
        said = answer_words.headline(records, Thresholds())
        assert said.removeprefix(f"{problem}: ") in text
        cells = answer_words.cells(records)
        assert all(
            "".join(row.values()) in text for row in [dict(zip(cells[0], cells[0], strict=True)), *cells]
        )
        assert all(meaning in text for meaning in answer_words.legend(records, Thresholds()))
    assert "within 5 % of (ℓ₀ − ℓ*) of ℓ*" in text
    assert "jax 0.10" in text


def test_the_page_compares_and_ranks(page: Page, results: frames.Results) -> None:
    text = " ".join(page.text.split())
    for answer in results.comparison["answer"]:
        assert answer in text
    assert "2 problems, each line at its rate to use on each" in text
    assert "Speed-ups are relative to sgd(momentum=0.9) + constant." in text
    values = [attrs.get("data-value") for tag, attrs in page.elements if tag == "td"]
    assert {repr(float(rank)) for rank in results.ranking["average_rank"]} <= set(values)
    alone = page_of(frames.study(rates=[0.1], optimizers=(("sgd", float("nan"), 0.1),)))
    assert "Which differences are real" not in alone.text
    one = page_of(frames.study(rates=[0.1, 1.0]))
    assert "Which differences are real" in one.text
    assert "Across problems" not in alone.text + one.text  # one line, one problem


def test_numbers_below_zero_have_the_minus_of_the_sentences(page: Page, results: frames.Results) -> None:
    assert (results.comparison["difference"] < 0).any()
    assert re.search(r"−0\.\d", page.text)
    assert not re.search(r"(^|[\s(])-\d", page.text)


def test_the_facts_count_lines(page: Page, results: frames.Results) -> None:
    assert f"lines{len(results.sensitivity)}" in "".join(page.text.split())


def test_every_manifest_text_is_escaped() -> None:
    results = frames.study(rates=[0.1], seeds=1)
    results.manifest |= {"study": EVIL, "devices": [EVIL], "versions": {EVIL: EVIL}, EVIL: {"deep": {"x": 1}}}
    results.runs["optimizer"] = EVIL
    results.sensitivity["optimizer"] = EVIL
    page = page_of(results)
    assert len(page.scripts) == 2
    assert "alert(1)" not in page.scripts[1]


def test_json_cannot_leave_its_element() -> None:
    text = as_json({"a": "</script><!--", "b": [float("inf"), np.nan, 1.5], "c": ("&", "\u2028")})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"a": "</script><!--", "b": [None, None, 1.5], "c": ["&", "\u2028"]}


def test_a_page_of_older_tables(results: frames.Results) -> None:
    """What an older lrbench did not write is missing in the page, and nothing else is."""
    old = ("use_", "own_", "pace_", "collapse", "trains", "headline", "confirmed", "degrades")
    sensitivity = results.sensitivity
    lacks = [name for name in sensitivity if name.startswith(old)]
    new = ["decided", "p", "headline", "more_seeds", "step_equivalent", "steps_factor", "steps_factor_low"]
    pairs = results.comparison.drop(columns=new)
    aged = dataclasses.replace(results, sensitivity=sensitivity.drop(columns=lacks), comparison=pairs)
    text = page_of(aged).text
    assert "Which learning rate to use" in text
    assert "collapses between" not in text
    assert "Which differences are real" in text


def test_the_data_are_the_means(results: frames.Results) -> None:
    line = page_data(results)["lines"][0]
    runs = results.runs[
        (results.runs["problem"] == "digits_mlp") & (results.runs["optimizer_momentum"] == 0.9)
    ]
    assert line["rate"] == [1e-3, 1e-2, 0.1, 1.0, 10.0]
    expected = runs[runs["learning_rate"] == 0.1]["final_valid_loss"].mean()
    assert line["loss"][2] == pytest.approx(expected, rel=1e-3)
    assert (line["use"], line["diverged"][2], line["seeds"][2]) == (0.1, 0, 3)
    zones = page_data(results)["zones"]
    assert zones[line["zone"][2]] == "good"
    (row,) = results.sensitivity[
        (results.sensitivity["problem"] == "digits_mlp") & (results.sensitivity["optimizer_momentum"] == 0.9)
    ].to_dict("records")
    assert (line["use"], line["score"]) == (
        row["use_learning_rate"],
        pytest.approx(row["use_loss"], rel=1e-3),
    )
    assert line["collapse"] == [row["collapse_low"], row["collapse_high"]]
    assert line["bands"]["own"] == [row["own_low"], row["own_high"]]
    assert line["params"] == {"optimizer_momentum": 0.9}
    assert line["objective"] == "validation loss"
    assert line["path"]["step"] == list(range(0, 101, 10))
    middle = runs[runs["learning_rate"] == 0.1]["final_valid_loss"].median()
    assert line["path"]["value"][2][-1] == pytest.approx(middle, rel=1e-3)
    assert line["path"]["value"][4][-1] is None or zones[line["zone"][4]] == "too large"


def test_runs_that_looked_for_a_range_are_not_drawn(results: frames.Results) -> None:
    """They are runs all the same, and counted among them; fresh seeds are told apart from those of the grid."""
    runs = results.runs.assign(stage="grid")
    ranged = runs.head(1).assign(stage="range", learning_rate=1e3, run_id="f" * 12)
    confirmed = runs[runs["seed"] == 0].assign(stage="confirm", seed=2**30)
    confirmed["run_id"] = "c" + confirmed["run_id"].str[1:]
    more = dataclasses.replace(results, runs=pd.concat([ranged, runs, confirmed], ignore_index=True))
    assert all(1e3 not in line["rate"] + line["path"]["rate"] for line in page_data(more)["lines"])
    text = " ".join(page_of(more).text.split())
    assert f"runs{len(more.runs)} problems2" in text
    assert "seeds3 + 1 fresh steps" in text


@pytest.mark.parametrize(
    "study",
    [
        {"rates": [0.1], "seeds": 1, "optimizers": (("sgd", float("nan"), 0.1),)},
        {"rates": [1e2, 1e3], "seeds": 2, "valid": False},
    ],
)
def test_small_and_diverged_studies_have_a_page(study: dict[str, object]) -> None:
    assert "Which learning rate to use" in page_of(frames.study(**study)).text  # type: ignore[arg-type]


def test_a_large_study_has_a_small_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lrbench.report.page_plots.MAX_LINES", 40)
    optimizers = tuple((f"o{index}", float("nan"), 0.1) for index in range(45))
    results = frames.study(rates=list(np.logspace(-4, 1, 24)), seeds=1, optimizers=optimizers)
    data = page_data(results)
    assert (len(data["lines"]), data["left_out"]) == (40, 5)
    assert all(line["use"] in line["rate"] for line in data["lines"])
    assert all(line["use"] in line["path"]["rate"] for line in data["lines"])
    assert len(as_json(data)) < 1_000_000


def _luminance(colour: str) -> float:
    parts = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def _contrast(one: str, two: str) -> float:
    low, high = sorted((_luminance(one), _luminance(two)))
    return (high + 0.05) / (low + 0.05)


def test_texts_and_lines_stand_out_in_every_scheme() -> None:
    """WCAG's AA: a contrast of 4.5 for texts, and of 3 for the lines of charts; on a screen, light and dark, and on paper."""
    css = resources.files("lrbench.report").joinpath("page.css").read_text("utf-8")
    schemes = [
        dict(re.findall(r"--([\w-]+): (#\w{6})", block)) for block in re.findall(r":root \{([^}]*)\}", css)
    ]
    light, dark, paper = schemes
    for scheme, lines in ((light, theme.ON_LIGHT), (dark, theme.ON_DARK), (paper, theme.ON_LIGHT)):
        for name in ("ink", "muted", "accent", "warn"):
            assert min(_contrast(scheme[name], scheme[ground]) for ground in ("paper", "card")) >= 4.5, name
        for colour in (*lines, scheme["best"]):  # charts are on cards
            assert _contrast(colour, scheme["card"]) >= 3.0, colour


def test_a_line_looks_as_in_the_plots() -> None:
    """The same lines have looks, the same dashes, and the same colours where a thin line of them stands out on a page."""
    optimizers = tuple((f"o{at}", float("nan"), 10 ** (-3 + 0.2 * at)) for at in range(12))
    study = frames.study(rates=[1e-3, 1e-2, 0.1, 1.0], seeds=1, optimizers=optimizers, problems=("p", "q"))
    lines, data = RankedLines(study), page_data(study)
    style = report(study)
    for name, line in zip(lines.names, data["lines"], strict=True):
        look = lines.look(name)
        if look is None:
            assert line["look"] is None
            continue
        mine = data["looks"][line["look"]]
        assert theme.COLOURS[mine["hue"]] == look.colour
        assert mine["dash"] == ([] if look.dash == "-" else list(look.dash[1]))
        assert f".c{mine['hue']} {{ --own: {theme.ON_LIGHT[mine['hue']]}; }}" in style
    assert sum(line["look"] is not None for line in data["lines"]) == 16
    for plain, page in zip(theme.COLOURS, theme.ON_LIGHT, strict=True):
        assert page == plain or _contrast(plain, "#ffffff") < 3.0


def test_the_manifest_lists_nothing_empty_or_cryptic() -> None:
    study = frames.study(rates=[0.1], seeds=1)
    study.manifest |= {
        "devices": [{"kind": "H200", "id": 0}, {"kind": "H200", "id": 1}],
        "target": None,
        "failures": [],
        "packs": [{"id": "a"}],
        "tables": {"runs.csv": {}},
        "objective_of": {"digits_mlp": {"at": "end"}},
    }
    text = " ".join(page_of(study).text.split())
    assert "objective ofdigits_mlp" in text
    assert "devices2 × H200" in text
    assert "failures" not in text
    assert "None" not in text
    assert "of them" not in text
    assert "tablesruns.csv" not in text


def test_a_number_is_not_broken_after_its_minus() -> None:
    study = frames.study(rates=[1e-5, 1e-4, 1e-3], optimizers=(("sgd", float("nan"), 1e-4),))
    assert ("span", {"class": "number"}) in page_of(study).elements


def test_a_page_opens_on_no_line_that_diverges() -> None:
    """A line that trains nowhere has no score, so that every other one goes before it."""
    study = frames.study(
        rates=[1.0, 0.1], optimizers=(("sgd", float("nan"), 1e-4), ("adam", float("nan"), 0.1))
    )
    scores = {line["optimizer"]: line["score"] for line in page_data(study)["lines"]}
    assert scores["sgd"] is None
    assert scores["adam"] is not None
