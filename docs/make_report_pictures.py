"""Takes docs/images/report-*.png, the report of three studies: `python docs/make_report_pictures.py QUICKSTART OPTIMIZERS ONE_LINE`.

The folders are those of `lrbench run quickstart`, of `lrbench run optimizers`, and of a study of one line; Chromium is needed.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs/images"
PHONE, DESK = (390, 844), (1280, 1000)


def take(quickstart: Path, optimizers: Path, one_line: Path) -> None:
    """Open each report, and keep what is seen: its top on a phone, its charts on a desk."""
    sys.path.insert(0, str(ROOT / "tests/helpers"))
    from chromium import browser

    views = {
        "phone": (quickstart, PHONE, False, "body"),
        "quickstart": (quickstart, DESK, False, "#charts"),
        "optimizers": (optimizers, DESK, False, "#charts"),
        "one-line": (one_line, DESK, True, "#charts"),
    }
    with tempfile.TemporaryDirectory() as profile, browser(Path(profile)) as tab:
        for name, (folder, size, dark, what) in views.items():
            tab.open((folder / "report.html").resolve(), *size, dark=dark)
            tab.run(f"document.querySelector('{what}').scrollIntoView({{behavior: 'instant'}})")
            tab.run("new Promise(done => setTimeout(done, 500))")
            picture = Image.open(io.BytesIO(tab.picture())).convert(
                "RGB"
            )  # a palette would mix the colours of lines
            picture.save(IMAGES / f"report-{name}.png", optimize=True)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    take(*map(Path, sys.argv[1:]))
