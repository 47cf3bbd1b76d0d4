"""How results look where they are printed, and in a notebook."""

from __future__ import annotations

import base64
import html.parser
import io
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.image
import pandas as pd
import pytest

import lrbench as lb
from lrbench.analysis import best
from lrbench.plots import base
from lrbench.results import shown
from lrbench.results.folder import ResultsFolder
from tests.helpers import frames

NAN = float("nan")


def written(study: frames.Results, folder: Path) -> lb.Results:
    """Write synthetic results as a run would."""
    store = ResultsFolder(folder)
    for name in ("runs", "curves", "summary", "sensitivity", "comparison"):
        store.write_table(name, getattr(study, name))
    store.write_manifest(study.manifest)
    return lb.load(folder)


class Page(html.parser.HTMLParser):
    """The tags and the text of a page, and the rows of its tables."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.pictures: list[bytes] = []
        self.rows: list[list[str]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag == "img":
            self.pictures.append(base64.b64decode(str(dict(attrs)["src"]).partition("base64,")[2]))

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.tags[-1:] in (["td"], ["th"]) and data.strip():
            self.rows[-1].append(data)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> lb.Results:
    return written(frames.study(), tmp_path_factory.mktemp("shown") / "study")


def test_the_text_is_the_answer_and_where_it_is(results: lb.Results) -> None:
    assert str(results) == repr(results)
    title, first, *_ = lines = repr(results).splitlines()
    assert title == f"synthetic: 225 runs in {results.folder}"
    assert first.startswith("digits_mlp: sgd(momentum=0.9) + constant at 0.1 (")
    assert len(lines) < 8
    assert max(map(len, lines[1:])) <= 100


def test_a_notebook_shows_the_table_and_the_plot(results: lb.Results) -> None:
    page = Page(str(results._repr_html_()))
    assert page.text.startswith(
        f"synthetic: 225 runs in {results.folder}digits_mlp: sgd(momentum=0.9) + constant at 0.1 ("
    )
    head, *rows = page.rows
    assert head == ["optimizer", "schedule", "use", "band", "collapse", "loss", "behind"]
    assert [row[0] for row in rows] == results.best()["optimizer"].tolist()
    (picture,) = page.pictures
    assert matplotlib.image.imread(io.BytesIO(picture)).shape[1] > 400
    assert len(picture) < 150_000


def test_names_are_text_and_nothing_else(tmp_path: Path) -> None:
    evil = "<script>x</script>\x1b[2J"
    optimizers = tuple((f"{evil}{number}", NAN, 0.1) for number in range(12))
    hostile = written(
        frames.study(rates=[0.01, 0.1], seeds=1, optimizers=optimizers, problems=("<b>x</b>",)),
        tmp_path / "a&b",
    )
    page = Page(shown.as_html(hostile.folder, hostile.manifest, hostile.best(), hostile.thresholds, None))
    assert {"script", "b"}.isdisjoint(page.tags)
    assert len(page.rows) == 1 + shown.MOST_LINES
    assert page.rows[1][0].startswith("<script>x</script>\\x1b[2J")
    assert "2 more lines: .best() has all" in page.text
    assert "\x1b" not in page.text + repr(hostile)


def test_many_problems_are_few_lines(tmp_path: Path) -> None:
    study = frames.study(rates=[0.01, 0.1], seeds=1, problems=tuple("abcde"), optimizers=(("sgd", 0.9, 0.1),))
    many = repr(written(study, tmp_path / "many")).splitlines()
    assert [line[:2] for line in many if re.match("[a-e]: ", line)] == ["a:", "b:", "c:"]
    assert many[-1] == "2 more problems: .best() has all"


def test_what_is_missing_is_said(results: lb.Results, tmp_path: Path) -> None:
    nothing = best(results.sensitivity.iloc[:0])
    manifest = {"study": "x", "runs": {"total": 3, "done": 0, "left": 3}}
    text = shown.as_short_text(Path("here"), manifest, nothing, results.thresholds)
    assert text == "x: 0 runs (3 are missing) in here"
    page = Page(shown.as_html(Path("here"), manifest, nothing, results.thresholds, None))
    assert (page.text, page.tags) == (text, ["div", "p"])
    gone = pickle.loads(pickle.dumps(lb.Results(tmp_path / "gone")))
    assert repr(gone).startswith(
        f"Results('{gone.folder}'), which cannot be read: {gone.folder}/sensitivity.parq"
    )
    assert "\n" not in repr(gone)
    assert gone._repr_html_() is None


def test_nobody_waits_for_a_plot_of_many_runs(results: lb.Results, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown, "MOST_DRAWN", 224)
    page = Page(str(results._repr_html_()))
    assert page.pictures == []
    assert len(page.rows) == 4


def test_a_plot_is_shown_without_pyplot(results: lb.Results) -> None:
    figure = results.plot("loss_vs_learning_rate")
    assert isinstance(figure, base.Picture)
    wide, high = figure.get_size_inches() * figure.dpi
    assert matplotlib.image.imread(io.BytesIO(figure._repr_png_())).shape[:2] == (int(high), int(wide))


def test_the_text_does_without_matplotlib(results: lb.Results) -> None:
    code = f"import sys, lrbench as lb; repr(lb.load({str(results.folder)!r})); sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_read_first_stands_first(results: lb.Results) -> None:
    columns = "problem optimizer schedule use band_low band_high collapse_low collapse_high score behind"
    assert list(results.best())[:10] == columns.split()


def plain(value: Any) -> Any:
    """A value as any library has it: what is missing is None."""
    return None if value is pd.NA or value != value else value


def test_other_libraries_read_the_tables(results: lb.Results) -> None:
    """Each table, with the types and values that pandas gets."""
    import duckdb
    import polars

    for name in ("runs", "curves", "summary", "sensitivity", "comparison"):
        path, table = results.folder / f"{name}.parquet", getattr(results, name)
        pd.testing.assert_frame_equal(pd.read_parquet(path), table)
        for other in (
            polars.read_parquet(path).to_dict(as_series=False),
            duckdb.read_parquet(str(path)).to_arrow_table().to_pydict(),
        ):
            assert list(other) == list(table)
            for column, values in other.items():
                assert [plain(value) for value in values] == [
                    plain(value) for value in table[column].astype(object)
                ]


@pytest.mark.skipif(shutil.which("Rscript") is None, reason="R is not installed: its reading is NOT tested")
def test_r_reads_the_tables(results: lb.Results) -> None:
    code = f"cat(mean(arrow::read_parquet('{results.folder}/runs.parquet')$learning_rate))"
    done = subprocess.run(["Rscript", "-e", code], capture_output=True, text=True, check=False)
    if "there is no package called" in done.stderr:
        pytest.skip("R has no arrow: its reading is NOT tested")
    assert float(done.stdout) == pytest.approx(results.runs["learning_rate"].mean(), rel=1e-5)
