"""The wings stay apart, and what needs no JAX does not load it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def _modules_after(code: str, folder: Path) -> set[str]:
    code += "\nimport sys; print('\\n'.join(sorted({name.partition('.')[0] for name in sys.modules})))"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder
    )
    return set(found.stdout.split())


def test_import_contracts() -> None:
    """The rules stand in pyproject.toml; import-linter follows every import, direct or not."""
    found = subprocess.run(
        [sys.executable, "-m", "importlinter.cli", "lint"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if "No module named" in found.stderr:
        found = subprocess.run(
            [Path(sys.executable).with_name("lint-imports")],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize(
    "code",
    [
        "import lrbench",
        "import lrbench.cli",
        "from lrbench.listing import listing; listing()",
        "from lrbench.listing import listing; listing('optimizer', 'adam')",
    ],
)
def test_light_things_load_neither_jax_nor_pandas(code: str, tmp_path: Path) -> None:
    loaded = _modules_after(code, tmp_path)
    assert not loaded & {"jax", "jaxlib", "optax", "pandas", "pyarrow", "matplotlib", "pydantic", "scipy"}


@pytest.mark.parametrize(
    "code",
    [
        "import lrbench.results, lrbench.tables, lrbench.analysis, lrbench.report",
        "from lrbench import study, grid; grid.of_study(study.read('quickstart')).run_ids",
    ],
)
def test_the_data_wing_and_the_grid_load_no_jax(code: str, tmp_path: Path) -> None:
    assert not _modules_after(code, tmp_path) & {"jax", "jaxlib", "optax", "scipy"}


def test_no_circles() -> None:
    """Every module can be imported first."""
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in (ROOT / "lrbench").rglob("*.py")
    ]
    code = (
        "import importlib, sys\n"
        f"for name in {sorted(modules)!r}:\n"
        "    for loaded in [m for m in sys.modules if m.partition('.')[0] == 'lrbench']:\n"
        "        del sys.modules[loaded]\n"
        "    importlib.import_module(name)\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
