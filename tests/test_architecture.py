"""The wings stay apart, and what needs no JAX does not load it."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT


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
        "import lrbench.cli.commands",
        "from lrbench.cli.listing import listing; listing()",
        "from lrbench.cli.listing import listing; listing('optimizer', 'adam')",
    ],
)
def test_light_things_load_neither_jax_nor_pandas(code: str, tmp_path: Path) -> None:
    loaded = _modules_after(code, tmp_path)
    assert not loaded & {"jax", "jaxlib", "optax", "pandas", "pyarrow", "matplotlib", "pydantic", "scipy"}


@pytest.mark.parametrize(
    "code",
    [
        "import lrbench.results.results, lrbench.results.tables.build, lrbench.analysis, lrbench.report",
        "from lrbench.study import grid, spec; grid.of_study(spec.read('quickstart')).run_ids",
    ],
)
def test_the_data_wing_and_the_grid_load_no_jax(code: str, tmp_path: Path) -> None:
    assert not _modules_after(code, tmp_path) & {"jax", "jaxlib", "optax", "scipy"}


@pytest.mark.parametrize(
    "page", sorted((ROOT / "lrbench").glob("*/**/__init__.py")), ids=lambda p: p.parent.name
)
def test_a_folder_opens_with_a_page(page: Path) -> None:
    """Who opens a folder is told what it is for, in 40 words or more."""
    said = ast.get_docstring(ast.parse(page.read_text())) or ""
    assert len(said.split()) >= 40


def test_no_circles() -> None:
    """No module needs, to be imported, one that needs it: every module can be imported first."""
    folder = ROOT / "lrbench"
    names = {_name(path): path for path in folder.rglob("*.py")}
    needs = {name: {found for found in _imported(path) if found in names} for name, path in names.items()}
    try:
        graphlib.TopologicalSorter(needs).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" needs ".join(error.args[1]))


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _imported(path: Path) -> Iterator[str]:
    """Yield what a file imports while it is imported itself; of `from a import b`, b where that is a module, else a."""
    nodes: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                inner = ROOT / f"{node.module}.{alias.name}".replace(".", "/")
                found = inner.is_dir() or inner.with_suffix(".py").exists()
                yield f"{node.module}.{alias.name}" if found else str(node.module)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            nodes += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            nodes += ast.iter_child_nodes(node)
