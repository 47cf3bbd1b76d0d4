"""The site of the documentation: it is built without a warning, which a link that leads nowhere would be."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lrbench.study import catalog
from tests.helpers.paths import ROOT


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
    assert "Measured on the digits" in adam
    assert "adam + constant" in adam
    # Nothing is fetched when a page is opened.
    assert not [line for line in adam.splitlines() if 'src="http' in line or 'stylesheet" href="http' in line]
