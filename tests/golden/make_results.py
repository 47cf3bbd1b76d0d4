"""Writes results_v2: a results folder as schema 2 has it, without what is made from its parts.

`python tests/golden/make_results.py FOLDER`, run on the commit whose folders are to be kept. Do not make results_v1 or results_v2 again:
they stand for the folders that people have.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import lrbench as lb

STUDY = {
    "name": "golden",
    "steps": 10,
    "evaluate_every": 5,
    "seeds": 2,
    "problem": ["quadratic", "house_prices"],
    "optimizer": [{"name": "sgd", "momentum": [0.0, 0.9]}],
    "schedule": ["constant", "cosine"],
    "confirm": 2,
    "refine": 1,
    "learning_rate": {"values": [0.01, 0.1, 1000.0]},
}


def main(target: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lb.run(STUDY, folder, report=False)
        target.mkdir(parents=True)
        for name in ("study.toml", "manifest.json"):
            shutil.copy(Path(folder, name), target)
        for name in ("parts", "stages"):
            shutil.copytree(Path(folder, name), target / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
