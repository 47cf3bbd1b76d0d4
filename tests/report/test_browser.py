"""The page in a real Chromium, on a phone, on a desk and on paper: it fits, it asks for nothing, and its controls work."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lrbench.report import report
from tests.helpers import frames
from tests.helpers.chromium import PROGRAM, Browser, browser

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("chromium"),
    pytest.mark.skipif(
        PROGRAM is None, reason="NO CHROMIUM HERE: the report is not looked at; install chromium"
    ),
]
OPTIMIZERS = tuple((f"optimizer_{at}", float("nan"), 10 ** (-3 + 0.2 * at)) for at in range(12))
# What sticks out of the window, or scrolls sideways and is none of the tables that may.
WIDE = """[...document.querySelectorAll('body *')].filter(node => {
  const box = node.getBoundingClientRect();
  const may = node.closest('.scroll') || node.closest('svg');
  return !may && box.width && (box.right > document.documentElement.clientWidth + 1 || node.scrollWidth > node.clientWidth + 1
    && getComputedStyle(node).display !== 'inline');
}).map(node => node.outerHTML.slice(0, 80))"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = frames.study(
        rates=list(np.logspace(-4, 2, 13)),
        seeds=2,
        optimizers=(*OPTIMIZERS, ("sgd", 0.9, 0.1), ("sgd", 0.5, 0.2)),
        problems=("digits_mlp", "a_problem_with_quite_a_long_name_for_a_phone"),
    )
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(report(study), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium")) as tab:
        yield tab


@pytest.fixture
def tab(chromium: Browser) -> Browser:
    """The tab, with nothing heard of the test before."""
    chromium.complaints.clear()
    chromium.requests.clear()
    return chromium


def _quiet(tab: Browser, page: Path) -> None:
    assert tab.complaints == []
    assert [each for each in tab.requests if not each.startswith((page.as_uri(), "about:", "blob:"))] == []


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(("width", "height"), [(390, 844), (800, 900), (1280, 900)])
def test_it_fits_and_asks_for_nothing(tab: Browser, page: Path, width: int, height: int, dark: bool) -> None:
    tab.open(page, width, height, dark=dark)
    assert tab.run("document.documentElement.scrollWidth") == width
    assert tab.run(WIDE) == []
    assert tab.run("document.querySelector('table').className") == "answer"
    assert 0 < tab.run("document.querySelector('td.use').getBoundingClientRect().bottom") < height
    assert tab.run("document.querySelectorAll('svg.chart').length") == 4
    legend = "document.querySelector('#legend').getBoundingClientRect().top"
    assert tab.run(f"{legend} >= document.querySelector('#loss-chart svg').getBoundingClientRect().bottom")
    _quiet(tab, page)


@pytest.mark.parametrize("width", [761, 820, 901, 1024])
def test_an_answer_with_long_texts_fits_any_width(tab: Browser, page: Path, width: int) -> None:
    tab.open(page, width, 900)
    tab.run("""document.querySelectorAll('.answer tbody tr').forEach(row => {
      const texts = ['optimistic_<wbr>gradient_<wbr>descent(<wbr>momentum=0.9)', 'warmup_<wbr>cosine', '2.2e-3', '4.6e-4 to 0.022', 'none up to 10',
        '0.50650\u00a0±\u00a00.00016', '0.4313', 'not told apart (6,200 more seeds)'];
      row.replaceChildren(...texts.map((text, at) => {
        const cell = html('td', {class: 'text ' + (['optimizer', 'schedule', 'use'][at] || ''), 'data-name': 'accuracy'});
        cell.innerHTML = text;
        return cell;
      })) })""")
    assert tab.run("document.documentElement.scrollWidth") == width
    assert tab.run(WIDE) == []


def test_it_prints_whole(tab: Browser, page: Path) -> None:
    """On paper nothing scrolls and no column is cut, all lines are there, and the page is a PDF of several pages."""
    tab.open(page, 1046, 688)
    tab.call("Emulation.setEmulatedMedia", media="print", features=[])
    right = (
        "Math.max(...[...document.querySelectorAll('{}')].map(each => each.getBoundingClientRect().right))"
    )
    for width, what in (
        (1046, "table"),
        (688, "section:not(.wide-table) *"),
    ):  # wide tables are on paper in landscape
        size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
        tab.call("Emulation.setDeviceMetricsOverride", **size)
        assert tab.run(right.format(what)) <= width + 1
    assert tab.run(
        "[...document.querySelectorAll('.scroll')].every(box => getComputedStyle(box).overflowX === 'visible')"
    )
    assert tab.run("[...document.querySelectorAll('tr.rest')].every(row => row.offsetHeight > 0)")
    headings = "[...document.querySelectorAll('th button')].map(each => getComputedStyle(each).display)"
    assert set(tab.run(headings)) == {"contents"}  # else Chromium has headings on the first sheet alone
    tab.run(
        "globalThis.onpaper = []; window.addEventListener('beforeprint', () => onpaper.push("
        "[...document.querySelectorAll('svg.chart')].map(each => each.viewBox.baseVal.width),"
        "document.querySelectorAll('article details:not([open])').length)); 0"
    )
    printed = tab.printed()
    assert tab.run("onpaper") == [[650, 650, 310, 310], 0]  # letters keep their size, and nothing is folded
    assert tab.run("document.querySelectorAll('article details[open]').length") == 0
    assert tab.run(
        "[...document.querySelectorAll('svg.chart')].every(each => each.viewBox.baseVal.width !== 650)"
    )
    assert printed.startswith(b"%PDF")
    assert printed.count(b"/Type /Page\n") >= 4
    _quiet(tab, page)


def test_the_pointer_and_the_keys_find_points(tab: Browser, page: Path) -> None:
    tab.open(page, 1280, 900)
    tab.run("document.querySelector('#loss-figure').scrollIntoView({behavior: 'instant'})")
    # A scrolled page tells so in its next frame, and hides the label then.
    tab.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    box = tab.run(
        "(({x, y, width}) => [x, y, width])(document.querySelector('#loss-chart svg').getBoundingClientRect())"
    )
    tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=box[0] + box[2] / 2, y=box[1] + 150)
    assert "rate" in tab.run("by('tip').hidden ? '' : by('tip').textContent")
    tab.open(page, 1280, 900)
    tab.call("Input.dispatchMouseEvent", type="mouseMoved", x=1, y=1)
    tab.run("document.querySelector('#loss-chart svg').focus()")
    for key in ("ArrowRight", "ArrowRight"):
        tab.call("Input.dispatchKeyEvent", type="keyDown", key=key)
    first = "page.lines[state.line].rate"
    assert tab.run("by('tip').textContent").startswith(tab.run("line().title"))
    tab.call("Input.dispatchKeyEvent", type="keyDown", key="Enter")
    assert tab.run(f"state.rate === {first}[{first}.indexOf(line().use) + 1]")
    assert tab.run("document.activeElement.closest('#loss-chart') !== null")
    tab.call("Input.dispatchKeyEvent", type="keyDown", key="ArrowRight")  # goes on from the chosen point
    assert f"rate {tab.run('rateText(state.rate)')}" in tab.run("by('tip').textContent")
    _quiet(tab, page)


def test_it_opens_on_the_best_line_and_greys_all_but_eight(tab: Browser, page: Path) -> None:
    tab.open(page, 1280, 900)
    assert tab.run("line().score === Math.min(...ofProblem().map(each => each.score).filter(has))")
    assert tab.run("document.querySelectorAll('#loss-chart g:not(.c-rest) > .curve').length") == 8
    assert tab.run("document.querySelectorAll('#loss-chart g.c-rest > .curve').length") == 6
    assert "6 other lines" in tab.run("by('legend').textContent")


@pytest.mark.parametrize("width", [390, 1280])
def test_an_answer_of_many_lines_begins_with_ten(tab: Browser, page: Path, width: int) -> None:
    tab.open(page, width, 900)
    seen = "[...document.querySelector('.answer').tBodies[0].rows].filter(row => row.offsetHeight).length"
    assert tab.run(seen) == 10
    tab.run("document.querySelector('.more').click()")
    assert tab.run(seen) == 14


def test_what_the_best_of_the_study_leave_over_goes_to_the_best_shown(tab: Browser, page: Path) -> None:
    """A list chooses lines of which none is among the best of the study: they have colours all the same, each its own."""
    tab.open(page, 1280, 900)
    grey = tab.run("ofProblem().find(each => !has(each.look)).optimizer")
    tab.run(f"change({{optimizer: '{grey}'}})")
    assert tab.run("document.querySelectorAll('#loss-chart g:not(.c-rest) > .curve').length") == 1
    tab.run("page.lines.forEach((each, at) => { if (at > 2) each.look = null; }); change({optimizer: ''})")
    own = "[...looksOf(shown())].map(([each, look]) => [each.look, page.looks.indexOf(look)])"
    kept = tab.run(own)
    assert len({number for _, number in kept}) == len(kept) == 8
    assert all(look in (None, number) for look, number in kept)


@pytest.mark.parametrize("width", [390, 1280])
def test_the_rows_of_the_map_are_told_apart(tab: Browser, tmp_path: Path, width: int) -> None:
    study = frames.study(
        rates=[1e-2, 0.1, 1.0],
        optimizers=(("sgd", 0.9, 0.1), ("sgd", 0.5, 0.2), ("adam", float("nan"), 0.1)),
        schedules=("constant", "warmup_cosine"),
    )
    path = tmp_path / "report.html"
    path.write_text(report(study), encoding="utf-8")
    tab.open(path, width, 900)
    names = "[...document.querySelectorAll('#map-chart text')].filter(each => each.querySelector('title'))"
    told = tab.run(
        f"{names}.map(each => [...each.querySelectorAll('tspan')].map(part => part.textContent).join())"
    )
    assert len(set(told)) == 6
    assert not [name for name in told if "…" in name]
    left = "document.querySelector('#map-chart svg').getBoundingClientRect().left"
    assert tab.run(f"{names}.every(each => each.getBoundingClientRect().left >= {left})")


def test_the_step_moves_all_charts_and_the_address_keeps_the_choice(tab: Browser, page: Path) -> None:
    tab.open(page, 1280, 900)
    charts = "[...document.querySelectorAll('svg.chart')].map(chart => chart.outerHTML)"
    before = tab.run(charts)
    tab.run("by('step').value = 3; by('step').dispatchEvent(new Event('input')); 0")
    assert all(old != new for old, new in zip(before, tab.run(charts), strict=True))
    tab.run("by('problem').value = 1; by('problem').dispatchEvent(new Event('change')); 0")
    tab.run("by('optimizer').value = 'optimizer_3'; by('optimizer').dispatchEvent(new Event('change')); 0")
    assert tab.run("shown().map(each => each.optimizer)") == ["optimizer_3"]
    tab.run("by('rows').value = 'optimizer_momentum'; 0")
    kept = tab.run("location.hash")
    assert "problem=1" in kept
    assert "optimizer=optimizer_3" in kept
    tab.open(page, 1280, 900, state=kept)
    assert tab.run("[state.problem, line().optimizer]") == [1, "optimizer_3"]
    _quiet(tab, page)


@pytest.mark.parametrize(
    ("state", "step"), [("#step=-4", 0), ("#step=2.4", 2), ("#step=1e9&line=-1&rate=0", 10)]
)
def test_an_address_of_anyones_own_opens(tab: Browser, page: Path, state: str, step: int) -> None:
    tab.open(page, 1280, 900, state=state)
    assert tab.run("[stepAt(), line().score === shown()[0].score]") == [step, True]
    _quiet(tab, page)


def test_a_section_is_shown_and_the_choice_stays_in_the_address(tab: Browser, page: Path) -> None:
    tab.open(page, 1280, 900, state="#problem=1&step=3")
    tab.run("document.documentElement.style.scrollBehavior = 'auto'")
    tab.run("document.querySelector('nav a[href=\"#run\"]').click()")
    assert tab.run("scrollY") > 900
    assert "problem=1" in tab.run("location.hash")


def test_a_finger_sees_the_numbers_of_a_point(tab: Browser, page: Path) -> None:
    tab.open(page, 390, 844)
    tab.call("Emulation.setTouchEmulationEnabled", enabled=True)
    tab.run("document.querySelector('#loss-figure').scrollIntoView({behavior: 'instant'})")
    box = tab.run("(({x, y}) => [x, y])(document.querySelector('#loss-chart svg').getBoundingClientRect())")
    point = {"x": box[0] + 150, "y": box[1] + 120}
    tab.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[point])
    tab.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    tab.run("new Promise(done => setTimeout(done, 400))")
    tab.call("Emulation.setTouchEmulationEnabled", enabled=False)
    assert "validation loss" in tab.run("by('tip').hidden ? '' : by('tip').textContent")
    assert tab.run("has(state.rate)")


def test_where_nothing_trains_no_rate_looks_good(tab: Browser, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(report(frames.STUDIES["all diverge, no validation"]()), encoding="utf-8")
    tab.open(path, 1280, 900)
    for chart in ("map", "heat"):
        colours = f"[...document.querySelectorAll('#{chart}-chart svg svg path')].map(each => each.getAttribute('fill'))"
        assert set(tab.run(colours)) == {tab.run("colour(1)")}
    _quiet(tab, path)


def test_a_map_has_a_row_for_each_value_of_a_parameter(tab: Browser, page: Path) -> None:
    tab.open(page, 1280, 900, state="#rows=optimizer_momentum&optimizer=")
    assert tab.run("mapRows().map(row => row.name)") == ["0.9", "0.5"]
    _quiet(tab, page)


def test_tables_are_sorted_filtered_and_saved_as_shown(tab: Browser, page: Path) -> None:
    tab.open(page, 1280, 900)
    tab.run("globalThis.saved = []; save = (...what) => saved.push(what); 0")
    tab.run(
        "{ const box = document.querySelector('#sensitivity input'); box.value = 'sgd digits'; box.dispatchEvent(new Event('input')) } 0"
    )
    rows = "[...document.querySelectorAll('#sensitivity tbody tr')].filter(row => row.offsetHeight)"
    assert tab.run(f"{rows}.length") == 2
    tab.run("document.querySelectorAll('#sensitivity th button')[3].click()")
    tab.run("document.querySelectorAll('#sensitivity th button')[3].click()")
    shown = tab.run(f"{rows}.map(row => Number(row.cells[3].dataset.value))")
    assert shown == sorted(shown, reverse=True)
    tab.run("[...document.querySelectorAll('#sensitivity .controls button')].at(-1).click()")
    name, text, kind = tab.run("saved[0]")
    assert (name, kind) == ("synthetic-sensitivity.csv", "text/csv")
    assert text.count("\n") == 3
    assert text.startswith("problem,optimizer,schedule,use,")
    tab.run("document.querySelector('button.svg').click()")
    assert tab.run("saved[1][1]").startswith("<svg")
    chart = tab.run("saved[1][1]")
    assert "var(" not in chart
    assert tab.run("by('legend').textContent.length") > 0
    for name in tab.run("[...document.querySelectorAll('#legend .key')].map(key => key.textContent)"):
        assert f">{name}</text>" in chart  # the legend is in the file
    assert 'class="ring"' not in chart
    _quiet(tab, page)


def test_the_numbers_of_a_chart_are_a_table(tab: Browser, page: Path) -> None:
    tab.open(page, 390, 844)
    tab.run("document.querySelectorAll('figure details').forEach(each => { each.open = true; }); 0")
    tab.run("new Promise(done => setTimeout(done, 200))")
    assert tab.run(
        "[...document.querySelectorAll('figure')].map(each => each.querySelectorAll('tbody tr').length)"
    ) == [13, 14, 11, 13]
    assert tab.run("document.documentElement.scrollWidth") == 390
    _quiet(tab, page)


def _ten_times(study: frames.Results) -> frames.Results:
    """The study on ten problems, which are the same one."""
    names = [f"problem_{at}" for at in range(10)]

    def copies(table: pd.DataFrame) -> pd.DataFrame:
        parts = []
        for at, name in enumerate(names):
            part = table.assign(problem=name) if "problem" in table else table.copy()
            parts.append(part.assign(run_id=f"{at}" + part["run_id"]) if "run_id" in part else part)
        return pd.concat(parts, ignore_index=True)

    tables = {name: copies(getattr(study, name)) for name in ("runs", "curves", "sensitivity", "comparison")}
    objective = study.manifest["objectives"]["digits_mlp"]
    manifest = study.manifest | {"objectives": dict.fromkeys(names, objective)}
    return dataclasses.replace(study, **tables, manifest=manifest)


def _busy(tab: Browser) -> float:
    """The seconds of work so far: parsing, scripts, styles and layout."""
    return {each["name"]: each["value"] for each in tab.call("Performance.getMetrics")["metrics"]}[
        "TaskDuration"
    ]


def test_many_lines_open_within_a_second(tab: Browser, tmp_path: Path) -> None:
    """53 lines on 10 problems, with as many rates as the page keeps; counted is the processor's time, which other work does not change."""
    optimizers = tuple((f"optimizer_{at}", float("nan"), 10 ** (-3 + at / 18)) for at in range(53))
    study = frames.study(rates=list(np.logspace(-4, 2, 30)), seeds=1, optimizers=optimizers)
    path = tmp_path / "report.html"
    path.write_text(report(_ten_times(study)), encoding="utf-8")
    assert path.stat().st_size < 3_000_000
    tab.call("Performance.enable", timeDomain="threadTicks")
    before = _busy(tab)
    tab.open(path, 1280, 900)
    assert 0 < _busy(tab) - before < 1
    tab.call("Performance.disable")
    assert tab.run("page.lines.length") == 530
    assert tab.run("document.querySelectorAll('svg.chart').length") == 4
    assert tab.run("document.documentElement.scrollWidth") == 1280
