"""The pages of experiments: made from tables alone, published as their tables have them."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from lrbench.experiments import page
from lrbench.experiments.bench import Bench
from lrbench.experiments.findings import Finding, of_table, to_table
from lrbench.study import catalog

ROOT = Path(__file__).parents[2]
PUBLISHED = sorted(path.parent for path in (ROOT / "results").glob(f"*/{page.FINDINGS}.csv"))


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: folder.name)
def test_a_published_page_is_that_of_its_tables(folder: Path) -> None:
    text = page.render(folder.name, folder)
    assert (folder / page.NAME).read_text(encoding="utf-8") == text
    entry = catalog.get("experiment", folder.name)
    assert {f"{name}.png" for name in entry.section("Pictures")} == {
        each.name for each in folder.glob("*.png")
    }
    tables = {f"{name}.csv" for name in entry.section("Tables")}
    assert tables == {each.name for each in folder.glob("*.csv")} - {f"{page.FINDINGS}.csv"}
    assert (
        sum(each.stat().st_size for each in folder.iterdir() if each.suffix in {".csv", ".png", ".md"}) < 4e6
    )


def test_the_runs_of_the_atlas_are_those_that_its_table_counts_by_problem() -> None:
    found, by_problem = (
        pd.read_csv(ROOT / "results" / "atlas" / f"{name}.csv") for name in ("findings", "by_problem")
    )
    (runs,) = found.loc[found["finding"].str.startswith("complete runs"), "value"]
    assert runs == by_problem["runs"].sum() > 100_000
    page_of_it = (ROOT / "results" / "atlas" / "index.html").read_text(encoding="utf-8")
    assert f"{runs:,.0f} complete runs of 200 steps" in page_of_it


def test_the_index_is_that_of_the_tables() -> None:
    script = ROOT / "docs" / "make_results.py"
    assert runpy.run_path(str(script))["page"]() == (ROOT / "results" / "README.md").read_text(), (
        f"run python {script}"
    )


def test_a_page_says_what_the_table_has(tmp_path: Path) -> None:
    findings = [
        Finding("best rate | of Adam", 0.00123, 0.001, 0.002, rule="below 1", met=True),
        Finding("share that trains", 0.5, unit="of 2*3", rule="is 1", met=False),
        Finding("not measured", float("nan")),
        Finding("slope", 0.7, 0.3, 1.1, rule="contains 1, and not 0.5"),
        Finding("unknown", float("nan"), rule="is 1"),
    ]
    bench = Bench("transfer", "lrbench experiment transfer", tmp_path)
    paths = bench.write_findings(findings)
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in paths] == ["findings.csv", "findings.parquet", "README.md"]
    assert r"| best rate \| of Adam | 0.00123 | 0.001 … 0.002 | below 1 | met |" in text
    assert "| slope | 0.7 | 0.3 … 1.1 | contains 1, and not 0.5 | cannot be told |" in text
    assert "| unknown | – |  | is 1 |  |" in text
    assert r"| share that trains | 0.5 of 2\*3 |  | is 1 | **not met** |" in text
    assert "| not measured | – |  |  |  |" in text
    assert text.count("lrbench experiment transfer\n") == 1
    assert "Source: Yang et al." in text
    assert "Args:" not in text
    assert page.render("transfer", tmp_path) == text
    assert of_table(to_table(findings))[:1] == findings[:1]


def test_the_index_says_what_was_compared_found_and_expected(tmp_path: Path) -> None:
    bench = Bench("transfer", "lrbench experiment transfer", tmp_path / "transfer")
    bench.write_findings(
        [
            Finding("slope | of Adam", -0.5, -0.7, -0.3, rule="−1 within 0.25", met=False),
            Finding("runs", 3, unit="of 3"),
            Finding("not measured", float("nan"), rule="is 1"),
        ]
    )
    name, command = "[transfer](transfer/README.md)", "`lrbench experiment transfer`"
    assert page.index([tmp_path / "transfer"]).splitlines()[2:] == [
        f"| **{name}** | *Best learning rate against width and against depth, with standard parametrisation and with muP, on the digits.* | | | | |",
        rf"| {name} | slope \| of Adam | −0.5 | −0.7 … −0.3 | −1 within 0.25: **not met** | {command} |",
        f"| {name} | runs | 3 of 3 |  |  | {command} |",
        f"| {name} | not measured | – |  |  | {command} |",
    ]


@pytest.mark.parametrize("name", ["atlas", "claims", "gallery"])
def test_the_style_of_an_html_page_is_that_of_the_report_and_what_differs(name: str) -> None:
    shared, own = (
        (ROOT / "lrbench" / path).read_text(encoding="utf-8")
        for path in ("report/page.css", f"experiments/_{name}/page.css")
    )
    rules = {line.strip() for line in shared.splitlines() if line.strip() != "}"}
    assert not [line for line in own.splitlines() if line.strip() in rules]
    for made in (ROOT / "results" / name).glob("*.html"):
        assert own in made.read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.timeout(900)  # every experiment, one after the other
def test_all_results_are_made_in_small_sizes() -> None:
    """`make results QUICK=1` runs every experiment, and lists what each of them found."""
    done = subprocess.run(
        [sys.executable, "-m", "docs.make_results", "--run", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made = ROOT / "build" / "results"
    text = (made / page.NAME).read_text(encoding="utf-8")
    for name in catalog.names("experiment"):
        assert f"lrbench experiment {name}" in done.stdout
        assert (made / name / page.NAME).read_text(encoding="utf-8") == page.render(name, made / name)
        assert f"[{name}]({name}/{page.NAME})" in text
