"""Writes the findings in results/README.md, from the tables beside it: `python docs/make_results.py`."""

from __future__ import annotations

import re
from pathlib import Path

from lrbench.experiments.page import FINDINGS, index

RESULTS = Path(__file__).parents[1] / "results"
PAGE = RESULTS / "README.md"
_MARKED = re.compile(r"(?<=<!-- findings -->\n).*?(?=<!-- end -->)", re.DOTALL)


def page() -> str:
    """Return the page, with the main findings of all experiments after `<!-- findings -->`."""
    folders = sorted(path.parent for path in RESULTS.glob(f"*/{FINDINGS}.csv"))
    return _MARKED.sub(lambda _: f"\n{index(folders)}\n", PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
