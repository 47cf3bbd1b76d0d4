"""The tests' own strength: the share of small changes of the source (mutants) that a folder's tests notice.

All mutants would take days, so a random share of them is drawn, with a fixed seed, and each is run against those tests of its folder
that reach the changed function. The tool is mutmut, set up in pyproject.toml; it works on a copy of the tree in .mutants/.

    make mutants FOLDER=analysis SHARE=0.05
    make mutants FOLDER=lane SHARE=60           # a number of mutants, rather than a share
    make mutants FOLDER=study ARGS="--mutants lrbench.study.run_id.x_run_id__mutmut_3"

The table of the last runs is results/mutants/README.md.
"""

import argparse
import collections
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

from tests.helpers import environment
from tests.helpers.paths import ROOT

WORK = ROOT / ".mutants"
SEED = 15
NOT_RUN = 255  # mutmut calls it a timeout, as it does those that it ends itself, by a signal

# Slow to import, and harmless to fork; not pytest's plugins, which it must import itself.
PRELOADED = ["numpy", "pandas", "scipy.stats", "pyarrow.parquet", "pydantic", "jax", "optax"]

# What is changed, and the tests that should notice.
FOLDERS = {
    "analysis": (["lrbench/analysis/*"], ["tests/analysis", "lrbench/analysis"]),
    "study": (["lrbench/study/*"], ["tests/study", "lrbench/study"]),
    "results": (
        ["lrbench/results/*"],
        [
            "tests/results",
            "tests/analysis/test_comparison.py",
            "tests/cli/test_limits.py",
            "tests/execution/test_faults.py",
            "tests/execution/test_objective.py",
            "tests/execution/test_stages.py",
            "tests/execution/test_work.py",
            "tests/export",
            "tests/report",
            "tests/tables",
            "lrbench/results",
        ],
    ),
    "lane": (
        ["lrbench/engine/lane.py"],
        [
            "tests/engine/test_lanes.py",
            "tests/nets/test_mup.py",
            "tests/probes/test_probes.py",
            "tests/problems/test_problems.py",
            "tests/schedules/test_schedules.py",
            "tests/study/test_requires.py",
        ],
    ),
}


def copy_tree(folder: str) -> Path:
    """A copy of what git knows, or would add, whose pyproject.toml narrows mutmut to `folder`; what mutmut made there before stays."""
    copy = WORK / folder
    known = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, known.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    changed, tests = FOLDERS[folder]
    settings = copy / "pyproject.toml"
    narrowed = f"[tool.mutmut]\nonly_mutate = {json.dumps(changed)}\npytest_add_cli_args_test_selection = {json.dumps(tests)}"
    (copy / "preloaded.txt").write_text("\n".join(PRELOADED))
    settings.write_text(settings.read_text().replace("[tool.mutmut]", narrowed, 1))
    return copy


def make_mutants() -> list[str]:
    """The names of all mutants of the copy that is the working directory."""
    from mutmut import __main__ as mutmut
    from mutmut.mutation.trampoline import set_mutant_under_test

    set_mutant_under_test("mutant_generation")
    Path("mutants").mkdir(exist_ok=True)
    mutmut.copy_src_dir()
    mutmut.copy_also_copy_files()
    mutmut.setup_source_paths()
    mutmut.create_mutants(1)
    mutants, _ = mutmut.collect_source_file_mutation_data(mutant_names=())
    return sorted(name for _, name, _ in mutants)


def outcomes(names: list[str]) -> dict[str, str]:
    """How each of `names` ended: killed, survived, "no tests", timeout, or "not run" where pytest did not start."""
    from mutmut import __main__ as mutmut
    from mutmut.stats import status_by_exit_code

    mutants, _ = mutmut.collect_source_file_mutation_data(mutant_names=names)
    return {name: "not run" if code == NOT_RUN else status_by_exit_code[code] for _, name, code in mutants}


def main() -> None:
    """Draw, run and count."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", choices=FOLDERS)
    parser.add_argument("--share", type=float, default=0.05, help="of the mutants; above 1: how many")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--mutants", nargs="*", default=[], help="these, rather than a random share")
    asked = parser.parse_args()

    environment.set_up()  # mutmut's processes import JAX before they load the tests' own conftest.py
    os.chdir(copy_tree(asked.folder))
    everything = make_mutants()
    count = round(asked.share if asked.share > 1 else asked.share * len(everything))
    names = sorted(
        asked.mutants or random.Random(asked.seed).sample(everything, min(max(count, 1), len(everything)))
    )
    print(f"{asked.folder}: {len(names)} of {len(everything)} mutants, seed {asked.seed}", flush=True)
    subprocess.run([sys.executable, "-m", "mutmut", "run", "--max-children", "1", *names], check=True)

    ended = outcomes(names)
    for name, how in ended.items():
        if how != "killed":
            print(f"\n{how}: {name}", flush=True)
            subprocess.run([sys.executable, "-m", "mutmut", "show", name], check=True)
    tally = collections.Counter(ended.values())
    found = tally["killed"] + tally["timeout"]
    print(f"\n{asked.folder}: {dict(tally)}; {found / len(names):.0%} killed, with timeouts")


if __name__ == "__main__":
    main()
