"""The identity of a user's own code: every change shows in it, and nothing else does."""

from __future__ import annotations

import ast
import functools
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrbench as lb
from lrbench.errors import LrbenchError
from lrbench.study import fingerprint
from lrbench.study.fingerprint import syntax
from lrbench.study.grid import of_study
from lrbench.study.spec import read
from tests.helpers import kinds_of_code
from tests.helpers.kinds_of_code import KINDS
from tests.helpers.paths import ROOT


@pytest.fixture(autouse=True)
def _no_bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules that are written and imported within one second are told apart by their source alone."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)


def _runs(python: str, minor: int) -> bool:
    """Return whether a path is a Python of that version: what a version manager puts in its place may not run."""
    code = f"import sys; sys.exit(sys.version_info[:2] != (3, {minor}))"
    return not subprocess.run([python, "-c", code], check=False, capture_output=True).returncode


def _other_pythons() -> Iterator[str]:
    """Give a Python of every other version on the path, or beside this one."""
    for minor in range(11, 20):
        beside = sorted(Path(sys.base_prefix).parent.glob(f"*/bin/python3.{minor}"))
        found = [shutil.which(f"python3.{minor}"), *map(str, beside)]
        works = (path for path in found if path and _runs(path, minor))
        if minor != sys.version_info.minor and (python := next(works, None)):
            yield python


OTHER_PYTHONS = list(_other_pythons())


@pytest.mark.parametrize("name", KINDS)
def test_a_change_shows_and_layout_does_not(name: str, tmp_path: Path) -> None:
    """The same after a reload, elsewhere, among comments and moved down; another one after the change."""
    kind, stem = KINDS[name], "kind_" + "".join(filter(str.isalnum, name))
    for folder in ("here", "there", "changed"):
        (tmp_path / folder).mkdir()
    path = kinds_of_code.write(tmp_path / "here", stem, kind)
    before = kinds_of_code.hashed(tmp_path / "here", stem)
    assert kinds_of_code.hashed(tmp_path / "here", stem) == before
    path.write_text(f'"""A docstring."""\n\n# a comment\n{path.read_text()}  # another')
    assert kinds_of_code.hashed(tmp_path / "here", stem) == before
    kinds_of_code.write(tmp_path / "there", stem, kind)
    assert kinds_of_code.hashed(tmp_path / "there", stem) == before
    kinds_of_code.write(tmp_path / "changed", stem, kind.changed)
    assert kinds_of_code.hashed(tmp_path / "changed", stem) != before


def _elsewhere(python: str, folder: Path, seed: str) -> dict[str, str]:
    folder.mkdir()
    found = subprocess.run(
        [python, str(ROOT / "tests" / "helpers" / "kinds_of_code.py"), str(folder)],
        env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=100,
    )
    return dict(json.loads(found.stdout))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the hashes of all kinds in this process."""
    return kinds_of_code.hashes(tmp_path_factory.mktemp("here"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", ["0", "1", "2", "3", "random"])
def test_unchanged_code_is_the_same_in_every_process(seed: str, here: dict[str, str], tmp_path: Path) -> None:
    assert _elsewhere(sys.executable, tmp_path / "there", seed) == here


@pytest.mark.parametrize("python", OTHER_PYTHONS)
def test_unchanged_code_is_the_same_under_every_python(
    python: str, here: dict[str, str], tmp_path: Path
) -> None:
    found = {
        name: hashed
        for name, hashed in _elsewhere(python, tmp_path / "there", "7").items()
        if KINDS[name].every_python and not KINDS[name].library
    }
    assert len(found) > 30
    assert found == {name: here[name] for name in found}


def test_a_formatted_string_is_the_same_however_its_constants_are_cut() -> None:
    """Versions of Python cut them differently."""
    value = ast.FormattedValue(ast.Name("x"), -1)
    cut, whole = (ast.JoinedStr([*map(ast.Constant, pieces), value]) for pieces in (["a", "b"], ["ab"]))
    assert syntax.text(cut) == syntax.text(whole)
    assert syntax.text(cut) != syntax.text(ast.JoinedStr([ast.Constant("b"), value]))
    assert syntax.text(cut) != syntax.text(ast.JoinedStr([ast.Constant("a"), value, ast.Constant("b")]))


def test_a_module_of_python_is_its_name_wherever_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """One Python has it built in, another as a file."""

    def flush() -> None:
        import sys

        sys.stdout.flush()

    built_in, in_a_file = fingerprint.of_object(flush), importlib.util.find_spec("json")
    assert "sys" in sys.builtin_module_names
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: in_a_file)
    assert fingerprint.of_object(flush) == built_in


def test_a_file_is_what_is_in_it(tmp_path: Path) -> None:
    for name, data in {"one": b"x", "other": b"x", "changed": b"y"}.items():
        (tmp_path / name).write_bytes(data)
    one, other, changed = (fingerprint.of_file(tmp_path / name) for name in ("one", "other", "changed"))
    assert one == other != changed


def test_code_is_known_in_memory_not_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was changed after its import says nothing of the code that runs."""
    kind = KINDS["constant"]
    path = kinds_of_code.write(tmp_path, "edited", kind)
    monkeypatch.syspath_prepend(tmp_path)
    thing = kinds_of_code.load("edited")
    before = fingerprint.of_object(thing)
    path.write_text(kind.changed.source)
    edited = fingerprint.of_object(thing)
    changed = fingerprint.of_object(kinds_of_code.load("edited"))
    assert before == edited != changed


def test_a_file_of_the_name_of_a_library_is_the_users(tmp_path: Path) -> None:
    for stem in ("random", "optax"):
        code = "import optax\nclass A:\n    c = {}\ndef mine(learning_rate):\n    return optax.sgd(learning_rate * A.c)\n"
        found = []
        for c in ("1.0", "2.0"):
            (tmp_path / f"{stem}.py").write_text(
                code.format(c).replace("import optax\n", "" if stem == "optax" else "import optax\n")
            )
            found.append(of_study(read(_named(f"{stem}.py:mine", tmp_path), trust=True)).run_ids[0])
        assert found[0] != found[1]


def test_a_file_that_changes_within_a_second_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python keeps bytecode by the second and the size of the source, and would run the old code."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = tmp_path / "quick.py"
    found = []
    for beta in ("0.5", "0.9"):
        path.write_text(
            f"import optax\ndef mine(learning_rate):\n    return optax.sgd(learning_rate, {beta})\n"
        )
        os.utime(path, (1e9, 1e9))
        found.append(read(_named("quick.py:mine", tmp_path), trust=True).optimizer[0].entry.load())
    assert [function.__code__.co_consts[-1] for function in found] == [0.5, 0.9]


def _named(name: str, folder: Path) -> Path:
    path = folder / "study.toml"
    path.write_text(
        f'name = "x"\nsteps = 5\nseeds = 1\nproblem = "quadratic"\n[learning_rate]\nvalues = [0.1]\n'
        f'[[optimizer]]\nname = "{name}"\n'
    )
    return path


def test_what_a_file_imports_beside_it_counts(tmp_path: Path) -> None:
    """The modules that lie beside a file of the user's can be imported, and a change of theirs is a change."""
    (tmp_path / "mine_of_two.py").write_text(
        "from second_of_two import beta\nimport optax\ndef mine(learning_rate):\n    return optax.sgd(learning_rate, beta)\n"
    )
    found = []
    for beta in ("0.5", "0.9"):
        (tmp_path / "second_of_two.py").write_text(f"beta = {beta}\n")
        sys.modules.pop("second_of_two", None)
        found.append(of_study(read(_named("mine_of_two.py:mine", tmp_path), trust=True)).run_ids[0])
    assert found[0] != found[1]


OPEN = (number for number in range(3))


def _logged(learning_rate: Any) -> Any:
    next(OPEN, None)
    return optax.sgd(learning_rate)


def test_what_cannot_be_hashed_is_refused_and_a_version_stands_for_it(tmp_path: Path) -> None:
    def swept(optimizer: Any) -> Any:
        table = {"name": "x", "steps": 5, "problem": "quadratic", "optimizer": optimizer}
        return of_study(read({**table, "learning_rate": {"values": [0.1]}}, trust=True)).run_ids[0]

    with pytest.raises(LrbenchError) as caught:
        swept(_logged)
    assert str(caught.value) == (
        "study: optimizer: global OPEN is a builtins.generator, which has no contents that can be hashed, so that a change "
        'would go unnoticed; give lb.Optimizer version="1", and change it whenever the code changes'
    )
    one, two = (swept(lb.Optimizer(_logged, version=version)) for version in ("1", "2"))
    assert one != two
    assert one == swept(lb.Optimizer(_logged, version="1"))
    with pytest.raises(
        LrbenchError, match=r"optimizer\.code_version = '1': only your own code has one; 'sgd' is built in"
    ):
        swept(lb.Optimizer("sgd", version="1"))
    with pytest.raises(LrbenchError, match=r"optimizer\.code_version = 1: must be a one-line string"):
        swept({"name": _logged, "code_version": 1})


def test_the_version_of_a_problem_stands_for_its_code_and_not_for_its_data() -> None:
    def hashed(version: str, data: float) -> Any:
        problem = lb.problem(
            init=lambda key: jnp.ones(2),
            loss=lambda w, batch, key: jnp.mean((batch @ w) ** 2) if OPEN else 0.0,
            train=np.full((3, 2), data),
            version=version,
        )
        table = {"name": "x", "steps": 5, "problem": problem, "optimizer": "sgd"}
        return of_study(read({**table, "learning_rate": {"values": [0.1]}}, trust=True)).run_ids[0]

    with pytest.raises(
        LrbenchError, match=r'loss → global OPEN is a builtins.generator.*give lb.problem version="1"'
    ):
        hashed("", 1.0)
    assert hashed("1", 1.0) == hashed("1", 1.0)
    assert len({hashed("1", 1.0), hashed("2", 1.0), hashed("1", 2.0)}) == 3


def test_the_code_version_of_a_study_file_is_kept(tmp_path: Path) -> None:
    (tmp_path / "locked.py").write_text(
        "import optax\nlog = (i for i in ())\ndef mine(learning_rate):\n    next(log, None)\n    return optax.sgd(learning_rate)\n"
    )
    path = _named("locked.py:mine", tmp_path)
    with pytest.raises(LrbenchError) as caught:
        read(path, trust=True)
    assert str(caught.value).endswith(
        'so that a change would go unnoticed; give it code_version = "1", and change it whenever the code changes'
    )
    study = read(path, ["optimizer.0.code_version='1'"], trust=True)
    assert study.table(tmp_path)["optimizer"] == [{"name": "locked.py:mine", "code_version": "1"}]
    assert (
        of_study(study).run_ids != of_study(read(path, ["optimizer.0.code_version='2'"], trust=True)).run_ids
    )


PACKAGES = {
    "a folder without __init__.py": (
        "import models.net\ndef thing(w): return models.net.f(w)",
        "models/net.py",
    ),
    "a name of such a folder": (
        "def thing(w):\n    from models.net import f\n    return f(w)",
        "models/net.py",
    ),
    "a module of such a folder": (
        "def thing(w):\n    from models import net\n    return net.f(w)",
        "models/net.py",
    ),
    "all of such a folder's module": (
        "import models.net\ndef thing(w): return getattr(models, 'net')",
        "models/net.py",
    ),
    "a module of a package": ("def thing(w):\n    from pk import net\n    return net.f(w)", "pk/net.py"),
}


@pytest.mark.parametrize("name", PACKAGES)
def test_modules_of_folders_count(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, place = PACKAGES[name]
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / place
    path.parent.mkdir()
    if place.startswith("pk"):
        (path.parent / "__init__.py").touch()
    (tmp_path / "uses_folders.py").write_text(source)
    found = []
    for factor in ("2.0", "2.0", "3.0"):
        path.write_text(f"def f(w): return {factor} * w\n")
        for module in [each for each in sys.modules if each.partition(".")[0] in {"models", "pk"}]:
            monkeypatch.delitem(sys.modules, module)
        found.append(fingerprint.of_object(kinds_of_code.load("uses_folders")))
        if name.startswith("a "):
            kinds_of_code.load("uses_folders")(1.0)  # an import within a function is done once it has run
            assert fingerprint.of_object(kinds_of_code.load("uses_folders")) == found[-1]
    assert found[0] == found[1] != found[2]


def test_methods_of_typed_in_dataclasses_count() -> None:
    """What is typed in, or given to `python -c`, has the file name that Python gives what it writes itself."""
    code = "from dataclasses import dataclass\n@dataclass\nclass A:\n    def f(self): return {}\nthing = A()"

    def hashed(value: str) -> str:
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(code.format(value), names)
        return fingerprint.of_object(names["thing"])

    assert hashed("2.0") == hashed("2.0") != hashed("3.0")


def test_what_is_kept_of_a_computation_is_no_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "keeps.py").write_text(
        "import functools, jax\nclass A:\n    @functools.cached_property\n    def c(self): return 2.0\na = A()\n"
        "@jax.jit\ndef f(w): return a.c * w\ndef thing(w): return f(w)"
    )
    thing = kinds_of_code.load("keeps")
    before = fingerprint.of_object(thing)
    thing(1.0)
    assert fingerprint.of_object(thing) == before


def test_a_comment_in_a_file_that_is_loaded_is_no_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    path = tmp_path / "commented.py"
    path.write_text("def thing(w): return 2.0 * w\n")
    thing = kinds_of_code.load("commented")
    before = fingerprint.of_object(thing)
    path.write_text("# a comment\ndef thing(w): return 2.0 * w\n")
    assert fingerprint.of_object(thing) == before
    assert fingerprint.of_object(kinds_of_code.load("commented")) == before


def test_own_code_beside_installed_distributions_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`pip install --target .` makes a folder that holds both."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "other-1.0.dist-info").mkdir()
    (tmp_path / "other-1.0.dist-info" / "RECORD").write_text(
        "other_package/__init__.py,,\nother_module.py,,\n"
    )
    found = []
    for factor in ("2.0", "3.0"):
        for name in ("mine_beside", "other_module"):
            (tmp_path / f"{name}.py").write_text(f"def thing(w): return {factor} * w\n")
        found.append([fingerprint.of_object(kinds_of_code.load(n)) for n in ("mine_beside", "other_module")])
    assert found[0][0] != found[1][0]
    assert found[0][1] == found[1][1]


def test_an_import_that_ends_the_process_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "ends_it.py").write_text("import sys\nsys.exit(4)")
    (tmp_path / "imports_it.py").write_text("def thing(w):\n    import ends_it\n    return w")
    assert fingerprint.of_object(kinds_of_code.load("imports_it"))


class NoProblem:
    """Has some of the names of a problem."""

    name, loss = "none", None


def test_what_is_no_problem_or_optimizer_is_refused() -> None:
    table = {"name": "x", "steps": 5, "optimizer": "sgd", "learning_rate": {"values": [0.1]}}
    for thing in (NoProblem(), 3):
        with pytest.raises(
            LrbenchError, match="must be a name, a table with a name, or a problem of your own"
        ):
            read({**table, "problem": thing}, trust=True)
    with pytest.raises(LrbenchError, match=r"optimizer = 3: must be a name, .*, or an optimizer of your own"):
        read({**table, "problem": "quadratic", "optimizer": 3}, trust=True)
    for version in ("", " ", 0):
        with pytest.raises(LrbenchError, match="must be a one-line string"):
            read(
                {**table, "problem": "quadratic", "optimizer": lb.Optimizer(_logged, version=version)},
                trust=True,
            )


FACTOR = 1.0


def test_a_changed_global_is_never_answered_with_old_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """End to end: the same folder, a changed global, and no old loss."""
    bowl = lb.problem(
        name="bowl", init=lambda key: jnp.ones(2), loss=lambda w, batch, key: FACTOR * jnp.sum(w**2)
    )

    def swept() -> float:
        sweep = functools.partial(lb.sweep, bowl, optimizers="sgd", seeds=1, steps=5, out=tmp_path / "bowl")
        return float(sweep(learning_rates=[0.1]).runs["initial_train_loss"].iloc[0])

    assert swept() == swept() == 2.0
    monkeypatch.setitem(globals(), "FACTOR", 3.0)
    with pytest.raises(
        LrbenchError, match="the code of problem bowl has changed since its runs were trained"
    ):
        swept()
