"""A study in a notebook: a bar where there is a kernel, and the tutorial as a reader runs it."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import IPython
import nbformat
import pytest
from nbclient import NotebookClient

from lrbench.execution import notebook
from lrbench.execution.listener import Listener
from tests.helpers.paths import ROOT

TUTORIAL = ROOT / "docs" / "tutorial.ipynb"


class Screen:
    """What a notebook is told to show: what was shown at each time, which the next replaces."""

    def __init__(self) -> None:
        self.shown: list[Mapping[str, str]] = []

    def display(self, data: Mapping[str, str], *, raw: bool, display_id: bool) -> Screen:
        assert raw
        assert display_id
        assert not self.shown, "a second line"
        self.shown.append(data)
        return self

    def update(self, data: Mapping[str, str], *, raw: bool) -> None:
        assert raw
        self.shown.append(data)

    @property
    def texts(self) -> list[str]:
        return [data["text/plain"] for data in self.shown]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    found = Screen()
    monkeypatch.setattr("IPython.display.display", found.display)
    return found


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which a test sets."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_the_bar_of_a_notebook(screen: Screen, clock: list[float]) -> None:
    bar = notebook.NotebookBar()
    bar.begin(10, 1000, "")
    bar.compiling("<b>mine")
    clock[0] += 1.0
    bar.advance(10, 25)
    clock[0] += 0.1
    bar.advance(10, 25)  # too soon to be drawn again
    clock[0] += 0.9
    bar.advance(10, 50)
    bar.end()
    assert screen.texts == [
        "10 runs, 0%, starting",
        "10 runs, 0%, compiling <b>mine",
        "10 runs, 25%, 250 model-steps/s, about 3 seconds left",
        "10 runs, 100%, 500 model-steps/s, about 0 seconds left",
        "trained 10 runs in 2.0 s",
    ]
    assert screen.shown[1]["text/html"] == (
        '<progress max="1" value="0.000"></progress> 10 runs, 0%, compiling &lt;b&gt;mine'
    )
    assert screen.shown[-1]["text/html"] == "trained 10 runs in 2.0 s"


def test_one_line_is_for_all_stages_and_what_stops_early_says_so(screen: Screen, clock: list[float]) -> None:
    bar = notebook.NotebookBar()
    for stage in ("grid", "confirm"):
        bar.begin(10, 100, stage)
        clock[0] += 1.0
        bar.advance(10, 10)
        bar.end()
    bar.begin(1, 100, "refine")
    bar.end()
    assert screen.texts[3:6] == [
        "confirm: 10 runs, 0%, starting",
        screen.texts[4],
        "trained 20 runs in 2.0 s",
    ]
    assert screen.texts[-1] == "refine: 1 run, 0%, ended after 2.0 s"


def test_only_a_kernel_shows_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(notebook.default_listener()) is Listener
    monkeypatch.setattr(IPython, "get_ipython", object)  # a shell in a terminal
    assert type(notebook.default_listener()) is Listener


def test_the_tutorial_is_small_and_has_no_outputs() -> None:
    assert TUTORIAL.stat().st_size < 100_000
    tutorial = nbformat.read(TUTORIAL, as_version=4)
    nbformat.validate(tutorial)
    code = [cell for cell in tutorial.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    for target in re.findall(r"\]\(([^)#]+)\)", str([cell.source for cell in tutorial.cells])):
        assert (TUTORIAL.parent / target).exists(), target


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_tutorial_runs(tmp_path: Path) -> None:
    """Each cell, in a kernel of its own: a study draws a bar that is redrawn, and results and plots are shown as pictures."""

    class Client(NotebookClient):  # type: ignore[misc]
        def process_message(self, message: dict[str, Any], cell: Any, index: int) -> Any:
            data = message["content"].get("data", {})
            seen.append((index, data.get("text/html", ""), "image/png" in data))
            return super().process_message(message, cell, index)

    seen: list[tuple[int, str, bool]] = []
    tutorial = nbformat.read(TUTORIAL, as_version=4)
    Client(tutorial, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    cells = [cell for cell in tutorial.cells if cell.cell_type == "code"]
    assert not any(output.get("name") == "stderr" for cell in cells for output in cell.outputs)
    assert not any("\x1b" in str(output) for cell in cells for output in cell.outputs)
    for index, cell in enumerate(tutorial.cells):
        if cell.cell_type == "code" and "lb.sweep(" in cell.source and "try" not in cell.source:
            bars = [text for at, text, _ in seen if at == index and text.startswith("<progress ")]
            assert any("compiling" in text for text in bars)
            assert re.fullmatch(r"trained \d+ runs in [\d.]+ s", cell.outputs[0]["data"]["text/html"])
        if cell.cell_type == "code" and ".plot(" in cell.source:
            assert any(picture for at, _, picture in seen if at == index)
    (answer,) = [output for output in cells[0].outputs if output.output_type == "execute_result"]
    assert answer["data"]["text/plain"].startswith("sweep: 198 runs in ")
    assert "data:image/png;base64," in answer["data"]["text/html"]
