"""Draws docs/images/plots-*.png, every plot of three studies: `python docs/make_plots.py [RESULTS]`, after `lrbench run quickstart`."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import lrbench as lb
from lrbench.plots import theme
from lrbench.study import catalog
from lrbench.tables.base import StudyTables

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs/images"
WIDTH, GAP, DPI = 2680, 20, 80
MANY = "adabelief adadelta adagrad adam adamax adamw lamb lars lion nadam novograd radam rmsprop sgd sm3 yogi".split()


def studies(quickstart: Path) -> dict[str, StudyTables]:
    """The study of the README, one of many lines, and one of a single line; the latter two are synthetic."""
    sys.path.insert(0, str(ROOT / "tests/helpers"))
    import frames

    rates = list(np.logspace(-4, 2, 13))
    many = [(name, float("nan"), 10 ** (-0.5 - 1.7 * at / len(MANY))) for at, name in enumerate(MANY)]
    synthetic = {
        "many": frames.study(rates, 3, tuple(many), problems=("digits_mlp", "house_prices", "rosenbrock")),
        "one": frames.study(rates, 3, (("sgd", float("nan"), 0.1),)),
    }
    for made in synthetic.values():
        made.manifest["schedules"] = made.manifest["schedules"][:1]  # the one that its runs have
    return {"quickstart": lb.load(quickstart), **synthetic}


def sheet(results: StudyTables) -> Image.Image:
    """Every plot that has something to show, row after row."""
    pictures = []
    for name in catalog.names("plot"):
        figure = catalog.get("plot", name).load()(results)
        if figure.axes:
            file = io.BytesIO()
            figure.savefig(file, format="png", dpi=DPI)
            pictures.append(Image.open(file).convert("RGB"))
    places, x, y, row = [], GAP, GAP, 0
    for picture in sorted(pictures, key=lambda each: each.height):
        if x + picture.width + GAP > WIDTH and x > GAP:
            x, y, row = GAP, y + row + GAP, 0
        places.append((picture, (x, y)))
        x, row = x + picture.width + GAP, max(row, picture.height)
    found = Image.new("RGB", (WIDTH, y + row + GAP), theme.GRID)
    for picture, place in places:
        found.paste(picture, place)
    return found


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "results/quickstart"
    for name, results in studies(folder).items():
        # A palette makes the file a third as large; without dithering, lines keep their colours.
        sheet(results).quantize(256, dither=Image.Dither.NONE).save(
            IMAGES / f"plots-{name}.png", optimize=True
        )
