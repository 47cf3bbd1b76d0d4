"""The layers stay apart, no modules need one another, and what needs no JAX does not load it."""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from docs import make_architecture as imports
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
        "import lrbench.results.results, lrbench.results.building.build, lrbench.analysis, lrbench.report",
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


def test_imports_by_name_keep_to_the_layers() -> None:
    """import-linter reads no texts: no folder names a module of a folder that is not below it."""
    height = {name: -row for row, layer in enumerate(imports.layers()) for name in layer}
    above = [
        (name, other)
        for name, used in imports.folders().items()
        for other in used
        if height[other] >= height[name]
    ]
    assert above == []


@pytest.mark.slow
def test_the_drawing_and_its_table_are_current() -> None:
    """`python docs/make_architecture.py` makes them."""
    assert imports.PICTURE.read_text(encoding="utf-8") == imports.drawing()
    assert imports.PAGE.read_text(encoding="utf-8") == imports.page()


def test_no_circles() -> None:
    """Whatever way it is imported, under `TYPE_CHECKING`, inside a function or by its name as a text: no module needs one that needs it."""
    try:
        graphlib.TopologicalSorter(imports.modules()).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" needs ".join(error.args[1]))


def test_no_two_classes_share_a_name() -> None:
    """A name says where a thing is: `Memory` of the machine and `Memory` of a schedule would not."""
    classes: dict[str, list[str]] = {}
    for module, path in imports.files().items():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                classes.setdefault(node.name, []).append(module)
    assert {name: where for name, where in classes.items() if len(where) > 1} == {}


def _own_looks(source: str) -> list[str]:
    """Sizes of letters, colours and dashes that a source states itself."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found += re.findall(r"^#(?:[0-9a-f]{3}|[0-9a-f]{6})$", node.value, re.IGNORECASE)
        pairs: list[tuple[object, ast.expr]] = []
        if isinstance(node, ast.Call):
            pairs = [(keyword.arg, keyword.value) for keyword in node.keywords]
        elif isinstance(node, ast.Dict):
            keys = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
            pairs = list(zip(keys, node.values, strict=True))
        elif isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("colormaps"):
            pairs = [("cmap", node.slice)]
        for name, value in pairs:
            stated = value.value if isinstance(value, ast.Constant) else None
            size = str(name).endswith(("fontsize", "labelsize")) and isinstance(stated, int | float | str)
            colours = name == "cmap" and isinstance(stated, str)
            dashes = name in {"ls", "linestyle"} and (
                isinstance(value, ast.Tuple) or stated in {"--", ":", "-."}
            )
            if size or colours or dashes:
                found.append(f"{name}={ast.unparse(value)}")
    return found


def test_every_picture_has_its_looks_from_the_theme() -> None:
    bad = (
        'axes.plot(x, color="#d55e00", ls="--"); axes.text(fontsize=9, **{"labelsize": 8}); colormaps["jet"]'
    )
    assert len(_own_looks(bad)) == 5
    assert not _own_looks("axes.plot(x, color=theme.INK, ls=theme.DASHES[1]); axes.text(fontsize=theme.TINY)")
    files = [path for folder in ("lrbench", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    found = {str(path.relative_to(ROOT)): _own_looks(path.read_text()) for path in files}
    assert found.pop("lrbench/plots/theme.py")
    assert not {path: looks for path, looks in found.items() if looks}


def test_files_and_functions_are_short() -> None:
    """No file has more than 450 lines, and no function more than 90 beside its docstring."""
    for path in imports.files().values():
        text = path.read_text()
        assert text.count("\n") <= 450, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                first = node.body[0]
                docstring = ast.get_docstring(node, clean=False) is not None
                begin = first.end_lineno if docstring else node.lineno
                assert (node.end_lineno or 0) - (begin or 0) <= 90, f"{path}: {node.name}"


def test_nothing_private_crosses_folders() -> None:
    """`_name` belongs to its folder: no other one imports it, be it a module or what is in one."""
    assert [str(found) for found in imports.imports() if found.private and found.crosses] == []
