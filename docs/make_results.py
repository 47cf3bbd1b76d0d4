"""Runs the experiments, and writes the findings in results/README.md from their tables.

`python docs/make_results.py` writes the page from the tables that are there; `--run` runs all experiments first, each with the command that
its page names; with `--quick` in the sizes of the tests, into build/results.
"""

from __future__ import annotations

import argparse
import itertools
import re
import shlex
import sys
from pathlib import Path

import pandas as pd

from lrbench.errors import LrbenchError
from lrbench.experiments.bench import Unfinished, command, perform
from lrbench.experiments.page import FINDINGS, NAME, index
from lrbench.study import catalog

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
QUICK = ROOT / "build" / "results"
_MARKED = re.compile(r"(?<=<!-- findings -->\n).*?(?=<!-- end -->)", re.DOTALL)


def page(results: Path = RESULTS) -> str:
    """Return the page, with the main findings of all experiments after `<!-- findings -->`."""
    folders = sorted(path.parent for path in results.glob(f"*/{FINDINGS}.csv"))
    return _MARKED.sub(lambda _: f"\n{index(folders)}\n", (RESULTS / NAME).read_text(encoding="utf-8"))


def published(name: str) -> list[str]:
    """Return the overrides that the published tables of an experiment were made with; none if there are no such tables."""
    table = RESULTS / name / f"{FINDINGS}.csv"
    if not table.is_file():
        return []
    words = shlex.split(str(pd.read_csv(table)["command"].iloc[0]))
    return [word for before, word in itertools.pairwise(words) if before == "--set"]


def run(*, quick: bool) -> int:
    """Run all experiments, one after the other, and return how many of them failed."""
    if quick:
        # Only those who run the tests have the tests.
        from tests.helpers.examples import EXPERIMENTS as sizes
    else:
        sizes = {name: published(name) for name in catalog.names("experiment")}
    results, failed = (QUICK if quick else RESULTS), 0
    for name in catalog.names("experiment"):
        print(command(name, sizes[name]), flush=True)
        try:
            answer = perform(name, results / name, overrides=sizes[name])
        except (LrbenchError, Unfinished) as error:
            print(f"{name}: {error}", file=sys.stderr)
            failed += 1
        else:
            print(*(f"  {line}" for line in answer.lines), sep="\n", flush=True)
    (results / NAME).write_text(page(results), encoding="utf-8")
    print(results / NAME)
    return failed


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--run", action="store_true", help="run all experiments first")
    arguments.add_argument(
        "--quick", action="store_true", help="with --run: in sizes that take seconds, into build/results"
    )
    given = arguments.parse_args()
    if given.run:
        sys.exit(1 if run(quick=given.quick) else 0)
    (RESULTS / NAME).write_text(page(), encoding="utf-8")
