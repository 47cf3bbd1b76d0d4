"""The packages, as strangers install them: into a new environment of each supported Python, with an empty home.

    make test-package             # dist/*.whl of `make package`
    python -m tests.packages dist --python 3.13

In each it is asked that the dependencies agree, that the version is that of the project, and that the quickstart study trains:
as it is in the newest Python, shorter in the others. What was measured is printed as a table.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.helpers import pythons
from tests.helpers.pythons import PROJECT

SHORT = ["--set", "steps=50", "--set", "seeds=1", "--set", "confirm=3", "--set", "refine=0"]
# Prints the bytes of each installed package, bytecode included.
SIZES = """
import json
from importlib.metadata import distributions
print(json.dumps({each.name: sum(file.locate().stat().st_size for file in each.files or () if file.locate().is_file())
                  for each in distributions()}))
"""
# mypy believes the annotations of a package only if it says that it is typed.
TYPED = """
import lrbench as lb
lb.logspace("one", 10.0, 3)
"""


class Installed:
    """A new environment with the wheel, its home, and a folder to work in."""

    def __init__(self, python: Path, wheel: Path, folder: Path) -> None:
        self.bin = folder / "env" / "bin"
        self._work = folder / "work"
        self._work.mkdir()
        self._environment = pythons.clean(folder / "home", self.bin) | {"JAX_PLATFORMS": "cpu"}
        self.run(python, "-m", "venv", folder / "env")
        self.run("python", "-m", "pip", "--disable-pip-version-check", "-qq", "install", wheel)

    def run(self, *words: str | Path) -> str:
        """Run a command there; return what it prints."""
        done = subprocess.run(
            [self.bin / words[0], *words[1:]],  # an absolute path stays as it is
            cwd=self._work,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
        return done.stdout

    def sizes(self) -> dict[str, int]:
        """Return the bytes of each installed package, but for those of every new environment."""
        sizes: dict[str, int] = json.loads(self.run("python", "-c", SIZES))
        return {name: size for name, size in sizes.items() if name not in {"pip", "setuptools"}}


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dist", type=Path, help="the folder of the wheel")
    parser.add_argument(
        "--python", nargs="+", default=pythons.supported(), help="such as 3.13; all supported if left out"
    )
    asked = parser.parse_args(words)
    (wheel,) = asked.dist.resolve().glob("*.whl")
    found = {version: python for version in asked.python if (python := pythons.find(version))}
    for version in asked.python:
        if version not in found:
            print(f"PYTHON {version} IS NOT FOUND HERE: the wheel is not tested with it")
    if not found:
        sys.exit("none of the supported Pythons is found here")
    print(f"{'Python':8}  {'packages':>8}  {'MB':>5}  {'install':>8}  {'--version':>9}  {'quickstart':>10}")
    for version, python in found.items():
        with tempfile.TemporaryDirectory(prefix="lrbench-") as folder:
            sizes = try_out(version, python, wheel, Path(folder), whole=python == [*found.values()][-1])
    print(
        f"\nthe largest of the packages in the last of them, in MB (all: {megabytes(sum(sizes.values()))}):"
    )
    for name in sorted(sizes, key=lambda name: -sizes[name])[:12]:
        print(f"{name:16}{megabytes(sizes[name]):>6}")


def try_out(version: str, python: Path, wheel: Path, folder: Path, whole: bool) -> dict[str, int]:
    """Install the wheel, use it, and print a row; return the bytes of each package."""
    seconds = [time.perf_counter()]
    installed = Installed(python, wheel, folder)
    seconds.append(time.perf_counter())
    said = installed.run("lrbench", "--version")
    seconds.append(time.perf_counter())
    if said != f"lrbench {PROJECT['version']}\n":
        sys.exit(f"lrbench --version printed {said!r}")
    answer = installed.run("lrbench", "run", "quickstart", *([] if whole else SHORT))
    seconds.append(time.perf_counter())
    if not all(f"\n{problem}: " in f"\n{answer}" for problem in ("digits_mlp", "house_prices")):
        sys.exit(f"lrbench run quickstart printed no answer:\n{answer}")
    installed.run("python", "-m", "pip", "check")
    typed(installed, folder)
    sizes = installed.sizes()
    install, first, study = (f"{after - before:.1f} s" for before, after in itertools.pairwise(seconds))
    row = f"{version:8}  {len(sizes):8}  {megabytes(sum(sizes.values())):>5}  {install:>8}  {first:>9}  {study:>10}"
    print(row + ("" if whole else "  (short)"), flush=True)
    return sizes


def typed(installed: Installed, folder: Path) -> None:
    """Ask that a type checker sees the annotations of the installed package: mypy of this environment, on a wrong call."""
    (folder / "wrong.py").write_text(TYPED)
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--python-executable",
        installed.bin / "python",
        "--follow-imports=silent",
    ]
    done = subprocess.run([*command, "wrong.py"], cwd=folder, capture_output=True, text=True, check=False)
    if 'Argument 1 to "logspace" has incompatible type "str"' not in done.stdout:
        sys.exit(f"mypy does not see the types of lrbench:\n{done.stdout}{done.stderr}")


def megabytes(size: int) -> str:
    return f"{size / 1e6:.0f}" if size >= 1e6 else f"{size / 1e6:.1f}"


if __name__ == "__main__":
    main()
