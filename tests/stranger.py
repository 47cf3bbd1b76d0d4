"""A stranger's hour: what the README and a tutorial tell a newcomer to type, typed to the letter.

    make stranger                                   # in the oldest and the newest supported Python
    python -m tests.stranger --python 3.13 --skip 'make test'

There is a new clone of the last commit, an empty home, an environment of one's own with nothing in it, and no variable set but where
packages come from. Each page is one shell, in that clone, from its first block to its last. Each step is printed with the seconds that it took;
what a step says is printed if it fails, and the steps after it are done all the same. The exit code is 1 if one failed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.helpers import pythons
from tests.helpers.pages import blocks, commands
from tests.helpers.paths import ROOT
from tests.helpers.shell import Shell

READ = ("README.md", "tune-my-model.md")
"""The pages that a newcomer follows."""


LIMIT = 1800.0
"""Seconds after which a command hangs, and is killed: `make test` takes the longest."""


def steps(page: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Yield what a page has its reader do: how it is called, and the command; write the files that it has written."""
    for number, block in enumerate(blocks(page), start=1):
        if block.title:
            (folder / block.title).write_text(block.text)
        elif block.language == "python":
            program = f"typed_{number}.py"
            (folder / program).write_text(block.text)
            yield f"python: {block.text.strip().splitlines()[-1]}", f"python {program}"
        elif block.language in {"sh", "console"}:
            yield from ((command, command) for command, _ in commands(block))


def hour(python: Path, skipped: Sequence[str], pages: Sequence[str] = READ) -> bool:
    """Follow the pages with a Python; print each step; return whether all went well."""
    well = True
    with tempfile.TemporaryDirectory(prefix="stranger-") as made:
        folder = Path(made)
        clone, own = folder / "lrbench", folder / "own"
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        subprocess.run([python, "-m", "venv", own], check=True)
        environment = pythons.clean(folder / "home", own / "bin")
        for page in pages:
            print(f"\n{page}")
            shell, start = Shell(clone, environment, LIMIT), time.perf_counter()
            for name, command in steps(page, clone):
                if command in skipped:
                    print(f"{'skipped':>9}  {name}")
                    continue
                before = time.perf_counter()
                code, seen = shell.type(command)
                print(f"{time.perf_counter() - before:7.1f} s  {shortened(name)}", flush=True)
                if code:
                    well = False
                    print(f"EXIT CODE {code}\n{seen}", flush=True)
            print(f"{time.perf_counter() - start:7.1f} s  all of it")
    return well


def shortened(name: str, length: int = 100) -> str:
    return name if len(name) <= length else f"{name[: length - 1]}…"


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    versions = pythons.supported()
    parser.add_argument("--python", nargs="+", default=[versions[0], versions[-1]], help="such as 3.13")
    parser.add_argument(
        "--skip",
        nargs="+",
        action="extend",
        default=[],
        help="commands that are not run, such as 'make test'",
    )
    asked = parser.parse_args(words)
    well = []
    for version in asked.python:
        python = pythons.find(version)
        if python is None:
            sys.exit(f"Python {version} is not found here")
        print(f"\nPython {version}", flush=True)
        well.append(hour(python, asked.skip))
    sys.exit(not all(well))


if __name__ == "__main__":
    main()
