"""`lrbench plot` and `lrbench open`: one figure as a file, and the report in a browser."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import lrbench as lb
from lrbench.results.one_problem import OneProblem
from tests.helpers.command import lrbench, refused

ASKED: dict[str, Any] = {
    "optimizers": "sgd",
    "schedules": ["constant", "cosine"],
    "learning_rates": [0.1, 1.0],
    "seeds": 2,
    "steps": 10,
}
BEGINNINGS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of two problems of one name, and of another."""
    out = tmp_path_factory.mktemp("plot") / "out"
    problems = [{"name": "quadratic", "dimension": [2, 3]}, "house_prices"]
    lb.sweep(problems, **ASKED, out=out)
    return out


@pytest.mark.parametrize("kind", BEGINNINGS)
def test_a_plot_is_of_the_type_that_its_name_says(folder: Path, kind: str) -> None:
    file = Path(f"new/x.{kind.upper()}")
    assert lrbench(["plot", str(folder), "rate_map", "--out", str(file)]) == (0, f"{file}\n")
    assert file.read_bytes().startswith(BEGINNINGS[kind])


def test_a_plot_without_a_name_is_in_the_folder(folder: Path) -> None:
    written = folder / "plots/heatmap-quadratic_dimension=2_.png"
    assert lrbench(["plot", str(folder), "heatmap", "--problem", "quadratic(dimension=2)"]) == (
        0,
        f"{written}\n",
    )
    assert written.is_file()
    assert lrbench(["plot", str(folder), "heatmap"]) == (0, f"{folder}/plots/heatmap.png\n")


@pytest.mark.slow
def test_one_problem_is_as_if_it_were_all() -> None:
    both, alone = lb.sweep(["quadratic", "house_prices"], **ASKED), lb.sweep("house_prices", **ASKED)
    one = OneProblem(both, "house_prices")
    for name in ("runs", "sensitivity", "comparison"):
        wanted, found = getattr(alone, name), getattr(one, name)
        shared = [column for column in wanted if column not in ("pack_id", "study")]
        pd.testing.assert_frame_equal(
            found[shared], wanted[shared], check_dtype=False, check_exact=False, rtol=1e-4
        )
    assert set(one.some_curves("step")["run_id"]) == set(alone.runs["run_id"])
    for name in (
        "curves",
        "differences",
        "heatmap",
        "loss_vs_learning_rate",
        "rate_map",
        "schedules",
        "tuning_budget",
    ):
        panels = [axes.get_title(loc="left") for axes in both.plot(name, "house_prices").axes]
        assert panels == [axes.get_title(loc="left") for axes in alone.plot(name).axes]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["heatmpa"], "unknown plot 'heatmpa'; nearest: heatmap, "),
        (
            ["heatmap", "--problem", "quad"],
            "--problem: unknown problem 'quad'; allowed: quadratic(dimension=2), ",
        ),
        (
            ["performance_profile", "--problem", "quadratic"],
            "--problem quadratic: this plot compares over all problems",
        ),
        (["contours"], "contours: has nothing to show of "),
        (["heatmap", "--out", "x.gif"], "--out x.gif: the name of a picture ends in one of .png, .svg, .pdf"),
        (["heatmap", "--out", "x"], "--out x: the name of a picture ends in one of .png, .svg, .pdf"),
        (
            ["heatmap", "--out", "folder.png"],
            "folder.png: cannot be written: Is a directory; choose another --out",
        ),
    ],
)
def test_what_cannot_be_drawn(folder: Path, words: list[str], message: str) -> None:
    Path("folder.png").mkdir()
    assert refused("plot", str(folder), *words).startswith(message)
    assert [path.name for path in Path().iterdir()] == ["folder.png"]


def test_the_report_is_opened_where_there_is_a_browser(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page, opened = folder / "report.html", []

    def opens(address: str) -> bool:
        opened.append(address)
        return works

    monkeypatch.setattr(webbrowser, "open", opens)
    assert refused("open", str(folder)) == f"{page}: is missing; `lrbench report {folder}` writes it"
    page.write_text("a report")
    works = True
    monkeypatch.setenv("BROWSER", "firefox")
    assert lrbench(["open", str(folder)]) == (0, f"{page}\n")
    assert opened == [page.as_uri()]
    works = False
    alone = f"no browser was found; open this file in one:\n{page}\n"
    assert lrbench(["open", str(folder)]) == (0, alone)
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    assert lrbench(["open", str(folder)]) == (0, alone)
    assert len(opened) == 2
    assert refused("open", "nowhere").startswith("nowhere: is not a results folder")
