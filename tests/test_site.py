"""The site of the documentation: it is built without a warning, which a link that leads nowhere would be."""

from __future__ import annotations

import re
import subprocess
import sys

import pandas as pd
import pytest

from docs import measured
from lrbench.analysis.labels import rate_text
from lrbench.study import catalog
from tests.helpers.paths import ROOT


def test_what_was_measured_is_that_of_the_published_tables() -> None:
    said = measured.sections()
    assert set(said) == {(kind, name) for kind in measured.KINDS for name in catalog.names(kind)}
    assert said["problem", "char_lstm"] == "\n## Measured\n\nNot measured: no published table has it.\n"
    schedules = {name: text for (kind, name), text in said.items() if kind == "schedule"}
    missing = [name for name, text in schedules.items() if "schedule_bands" not in text]
    assert not missing, "run `lrbench experiment schedule_bands`"
    lines = pd.read_csv(ROOT / "results/atlas/by_line.csv")
    digits = lines[(lines["problem"] == "digits_mlp") & (lines["optimizer"] == "adam")]
    (row,) = digits[digits["schedule"] == "cosine"].to_dict("records")
    numbers = " | ".join(
        [
            rate_text(row["use_learning_rate"]),
            f"{rate_text(row['own_low'])} … {rate_text(row['own_high'])}",
            rate_text(row["collapse_high"]),
            f"{row['use_loss']:.3g}",
        ]
    )
    assert f"| adam + cosine | {numbers} |" in said["optimizer", "adam"]
    best = pd.read_csv(ROOT / "results/atlas/by_problem.csv").set_index("problem").loc["spirals_mlp"]
    assert (
        f"is {best['best_optimizer']} + {best['best_schedule']} at {rate_text(best['best_rate'])}: its loss is {best['best_loss']:.3g}"
        in said["problem", "spirals_mlp"]
    )
    first = lines[(lines["problem"] == "spirals_mlp") & (lines["schedule"] == "constant")]
    first = first.loc[first["use_loss"].idxmin()]
    rows = said["problem", "spirals_mlp"].partition("| --- |")[2].splitlines()
    assert rows[1].startswith(f"| {first['optimizer']} | ")
    assert "cosine minus constant, each at" in said["schedule", "cosine"]
    assert "1e4 rotated" in said["problem", "ill_conditioned"]
    every = "".join(said.values())
    for link in set(re.findall(r"\]\((\.\./results/[^)]+)\)", every)):
        assert (ROOT / "docs" / link).resolve().is_file(), link


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_site_is_built() -> None:
    done = subprocess.run(
        [sys.executable, "docs/make_site.py"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    site = ROOT / "build" / "site"
    for kind in catalog.FOLDERS:
        for name in catalog.names(kind):
            assert (site / "catalogue" / catalog.plural(kind) / f"{name}.html").is_file()
    adam = (site / "catalogue" / "optimizers" / "adam.html").read_text(encoding="utf-8")
    assert "On the digits" in adam
    assert "adam + constant" in adam
    # Nothing is fetched when a page is opened.
    assert not [line for line in adam.splitlines() if 'src="http' in line or 'stylesheet" href="http' in line]
