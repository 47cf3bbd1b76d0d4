"""The page: everything inside, everything escaped, nothing from the network, and small."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from lrbench import analysis
from lrbench.report.page_plots import MAX_LINES, as_json, page_data
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
    assert len(page.scripts) == 3
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
    for sentence in analysis.best(results.sensitivity)["answer"]:
        assert sentence in text
    assert "within 5 % of (ℓ₀ − ℓ*) of ℓ*" in text
    assert "jax 0.10" in text


def test_the_page_compares_and_ranks(page: Page, results: frames.Results) -> None:
    text = " ".join(page.text.split())
    for answer in results.comparison["answer"]:
        assert answer in text
    assert "2 problems, each line at its best rate on each" in text
    assert "Speed-ups are relative to sgd(momentum=0.9) + constant." in text
    values = [attrs.get("data-value") for tag, attrs in page.elements if tag == "td"]
    assert {repr(float(rank)) for rank in results.ranking["average_rank"]} <= set(values)
    alone = page_of(frames.study(rates=[0.1], optimizers=(("sgd", float("nan"), 0.1),)))
    assert "Which differences are real" not in alone.text
    assert "Across problems" not in alone.text


def test_every_manifest_text_is_escaped() -> None:
    results = frames.study(rates=[0.1], seeds=1)
    results.manifest |= {"study": EVIL, "devices": [EVIL], "versions": {EVIL: EVIL}, EVIL: {"deep": {"x": 1}}}
    results.runs["optimizer"] = EVIL
    results.sensitivity["optimizer"] = EVIL
    page = page_of(results)
    assert len(page.scripts) == 3
    assert "alert(1)" not in page.scripts[2]


def test_json_cannot_leave_its_element() -> None:
    text = as_json({"a": "</script><!--", "b": [float("inf"), np.nan, 1.5], "c": ("&", "\u2028")})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"a": "</script><!--", "b": [None, None, 1.5], "c": ["&", "\u2028"]}


def test_the_data_are_the_medians(results: frames.Results) -> None:
    line = page_data(results)["lines"][0]
    runs = results.runs[
        (results.runs["problem"] == "digits_mlp") & (results.runs["optimizer_momentum"] == 0.9)
    ]
    assert line["rate"] == [1e-3, 1e-2, 0.1, 1.0, 10.0]
    expected = runs[runs["learning_rate"] == 0.1]["final_valid_loss"].median()
    assert line["median"][2] == pytest.approx(expected, rel=1e-3)
    assert (line["best"], line["diverged"][2], line["seeds"][2], line["zone"][2]) == (0.1, 0, 3, "good")
    assert line["path"]["step"] == list(range(0, 101, 10))
    assert line["path"]["value"][2][-1] == line["median"][2]
    assert line["path"]["value"][4][-1] is None or line["zone"][4] == "too large"


@pytest.mark.parametrize(
    "study",
    [
        {"rates": [0.1], "seeds": 1, "optimizers": (("sgd", float("nan"), 0.1),)},
        {"rates": [1e2, 1e3], "seeds": 2, "valid": False},
    ],
)
def test_small_and_diverged_studies_have_a_page(study: dict[str, object]) -> None:
    assert "Which learning rate to use" in page_of(frames.study(**study)).text  # type: ignore[arg-type]


def test_a_large_study_has_a_small_page() -> None:
    optimizers = tuple((f"o{index}", float("nan"), 0.1) for index in range(MAX_LINES + 5))
    results = frames.study(rates=list(np.logspace(-4, 1, 24)), seeds=1, optimizers=optimizers)
    data = page_data(results)
    assert (len(data["lines"]), data["left_out"]) == (MAX_LINES, 5)
    assert all(line["best"] in line["rate"] for line in data["lines"])
    assert all(line["best"] in line["path"]["rate"] for line in data["lines"])
    assert len(as_json(data)) < 3_000_000
