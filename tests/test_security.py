"""A study is data, a name is text, a results folder runs nothing: see SECURITY.md."""

from __future__ import annotations

import ast
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.csv
import pytest

import lrbench as lb
from lrbench.datasets import user_images, user_tables
from lrbench.datasets.user_tables import Reading
from lrbench.errors import DataError, StoreError, StudyError
from lrbench.execution.execute import run
from lrbench.experiments import bench as _bench
from lrbench.results.building import csv_text
from lrbench.results.folder import ResultsFolder
from lrbench.study import catalog
from lrbench.study.grid import of_study
from lrbench.study.spec import read
from tests.helpers import frames
from tests.helpers.page import Page, page_of
from tests.helpers.paths import ROOT

SOURCES = sorted((ROOT / "lrbench").rglob("*.py"))
STUDY = {
    "name": "safe",
    "steps": 4,
    "seeds": 1,
    "problem": "quadratic",
    "optimizer": "sgd",
    "learning_rate": {"values": [0.1]},
}
HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "../../x",
    "=1+1",
    "🎉",
    "$\\frac$",
    "x" * 100,
]


# ---- a study is data ----

REFERENCES = [
    "mine.py:evil",
    "./mine.py:evil",
    "../mine.py:evil",
    "mine:evil",
    "os:system",
    "lrbench.cli.commands:main",
    ":evil",
]
PLACES: dict[str, Any] = {
    "problem": lambda name: {"problem": name},
    "problem table": lambda name: {"problem": [{"name": name}]},
    "optimizer": lambda name: {"optimizer": ["sgd", name]},
    "schedule": lambda name: {"schedule": name},
    "base of a wrapper": lambda name: {"optimizer": {"name": "lookahead", "base": name}},
    "part of a join": lambda name: {"schedule": {"name": "join", "parts": ["constant", name]}},
    "table of a join": lambda name: {"schedule": {"name": "join", "parts": ["constant", {"name": name}]}},
    "probe": lambda name: {"probes": [name]},
    "objective": lambda name: {"objective": name},
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", REFERENCES)
def test_code_that_a_study_names_does_not_run(place: str, name: str, tmp_path: Path) -> None:
    from lrbench.engine.engine import Engine

    (tmp_path / "mine.py").write_text(
        "from pathlib import Path\nPath('ran').touch()\ndef evil(*a, **k): ...\n"
    )

    def made() -> Engine:
        study = read(STUDY | PLACES[place](name))
        return Engine(study, of_study(study), 1)

    with pytest.raises(StudyError) as caught:
        made()
    assert str(caught.value).isprintable()
    assert not Path("ran").exists()


def test_every_parameter_that_names_an_entry_is_known_here() -> None:
    """A new parameter that takes a name goes into PLACES, and nobody forgets that it must not run code."""
    known = {
        ("optimizer", "base"),
        ("schedule", "parts"),
        ("problem", "target"),
        ("problem", "data"),
        ("problem", "inputs"),
        ("problem", "text"),
    }
    texts = {
        (kind, parameter.name)
        for kind in ("problem", "optimizer", "schedule")
        for name in catalog.names(kind)
        for parameter in catalog.get(kind, name).settings.values()
        if parameter.annotation in {"str", "File", "Any"} or "Part" in parameter.annotation
    }
    assert texts <= known


def test_experiments_take_values_and_no_code() -> None:
    for name in catalog.names("experiment"):
        entry = catalog.get("experiment", name)
        for parameter in entry.parameters.values():
            if parameter.annotation == "str":
                raise AssertionError(f"{name}.{parameter.name}: a text of an experiment must not name code")
        with pytest.raises(StudyError):
            _bench._given(entry, ["zz='mine.py:evil'"])


# ---- names stay where they are ----


@pytest.mark.parametrize(
    "name", ["..", "../up", "/tmp/x", "a/b", "a\\b", "C:", "", "a" * 65, "É", "a\n", "con.", "~"]
)
def test_a_study_cannot_leave_the_results_folder(name: str) -> None:
    with pytest.raises(StudyError, match=r"^study: name = .*: must be 1 to 64 of a-z, 0-9, _ and -"):
        read(STUDY | {"name": name})


@pytest.mark.slow
def test_hostile_names_are_texts_in_every_file() -> None:
    """Problems and optimizers of the user's: nothing is written beside the folder, nothing is a formula or a script."""
    import jax.numpy as jnp
    import optax

    def optimizer(learning_rate: Any) -> Any:
        return optax.sgd(learning_rate)

    optimizer.__name__ = "@SUM(1+1)*cmd|' /C calc'!A0"
    problems = [
        lb.problem(name=name, init=lambda key: jnp.ones(2), loss=lambda w, batch, key: jnp.sum(w**2))
        for name in HOSTILE[:4]
    ]
    out = Path("inside", "folder")
    results = run(STUDY | {"problem": problems, "optimizer": optimizer}, out, report=False, trust=True)
    assert set(results.runs["problem"]) == set(HOSTILE[:4])
    assert [path.name for path in Path("inside").iterdir()] == ["folder"]
    assert {path.name for path in Path().iterdir()} == {"inside"}
    for path in out.glob("*.csv"):
        table = pyarrow.csv.read_csv(path).to_pandas().select_dtypes(["object", "str"])
        assert not any(str(text)[:1] in set("=+-@\t\r") for text in table.to_numpy().ravel()), path
    assert len(page_of(results).scripts) == 2  # type: ignore[arg-type] -- results have the tables that a page is made of


@pytest.mark.parametrize("name", ["", "a\nb", "a\x1b[2J", "x" * 101, "\u202eb"])
def test_a_name_is_one_printable_line(name: str) -> None:
    problem = lb.problem(name=name, init=lambda key: np.ones(2), loss=lambda w, batch, key: 0.0)
    with pytest.raises(StudyError, match="must be a one-line string of 1 to 100 characters"):
        read(STUDY | {"problem": problem})


def test_a_message_is_one_line_that_no_terminal_obeys() -> None:
    file = Path("study.toml")
    file.write_text('"a\\n\\u001b[2Jb" = 1\n')
    with pytest.raises(StudyError) as caught:
        read(file)
    assert str(caught.value).isprintable()
    assert "\x1b" not in str(caught.value)


# ---- no code in data ----

FORBIDDEN_MODULES = {
    "pickle",
    "cPickle",
    "cloudpickle",
    "dill",
    "joblib",
    "marshal",
    "shelve",
    "yaml",
    "http",
    "urllib",
    "requests",
    "ftplib",
    "socketserver",
    "xmlrpc",
    "pooch",
}
ALLOWED_MODULES = {
    "places.py": {"urllib.parse"},  # which only takes URLs apart
    "helpers.py": {
        "pickle"
    },  # between a process and those that it has started, through pipes that nobody else has
}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_is_unpickled_evaluated_or_fetched(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = (
                [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            )
            names = [name for name in names if name not in ALLOWED_MODULES.get(path.name, ())]
            assert not {name.partition(".")[0] for name in names} & FORBIDDEN_MODULES, names
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            # The source of a function is compiled to compare it with the function's code, and not run.
            forbidden = FORBIDDEN_CALLS - {"compile"} if path.stem == "syntax" else FORBIDDEN_CALLS
            assert not (isinstance(node.func, ast.Name) and node.func.id in forbidden), called
            assert not called.endswith(("torch.load", "read_pickle", "to_pickle", "os.system", "os.popen")), (
                called
            )
            assert given.get("shell") != "True", called
            # All that is asked of sockets: the host's name, and whether the Ray cluster answers that the user names.
            asked = (
                {"socket.gethostname", "socket.create_connection"}
                if path.stem == "ray"
                else {"socket.gethostname"}
            )
            assert not called.startswith("socket.") or called.partition("(")[0] in asked, called
            if called in {"np.load", "numpy.load"}:
                assert given.get("allow_pickle") == "False", called


class Bomb:
    """Touches a file where it is unpickled."""

    def __reduce__(self) -> Any:
        return Path.touch, (Path("ran"),)


def test_arrays_of_objects_are_refused() -> None:
    bomb = np.array([Bomb()] * 12, dtype=object)
    np.savez("o.npz", images=bomb, labels=bomb, price=bomb)
    for act in (lambda: user_tables.prepare("o.npz", Reading("price")), lambda: user_images.images("o.npz")):
        with pytest.raises(
            DataError, match=r"^o\.npz: is not a valid NPZ file: Object arrays cannot be loaded"
        ):
            act()
    with zipfile.ZipFile("p.npz", "w") as archive:
        archive.writestr("price", pickle.dumps(Bomb()))
    Path("q.npz").write_bytes(pickle.dumps(Bomb()))
    for name in ("p.npz", "q.npz"):
        with pytest.raises(DataError, match=rf"^{name}: is not a valid NPZ file"):
            user_tables.prepare(name, Reading("price"))
    assert not Path("ran").exists()


# ---- CSV ----


def test_formulas_are_texts_in_csv_and_exact_in_parquet(tmp_path: Path) -> None:
    texts = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "x=1", "", None]
    frame = pd.DataFrame({"=head": texts, "loss": np.arange(len(texts)) - 4.0})
    ResultsFolder(tmp_path).write_table("t", frame)
    read_back = pyarrow.csv.read_csv(tmp_path / "t.csv").to_pydict()
    assert read_back["'=head"][:8] == ["'=1+1", "'+1", "'-1", "'@x", "'\tx", "'\rx", "x=1", ""]
    assert read_back["loss"] == (np.arange(len(texts)) - 4.0).tolist()
    assert (tmp_path / "t.csv").read_bytes().count(b"\n-") == 0
    assert pd.read_parquet(tmp_path / "t.parquet")["=head"].tolist()[:8] == texts[:8]
    with pytest.raises(StoreError):
        ResultsFolder(tmp_path / "t.csv").write_table("t", frame)
    dictionary = pyarrow.table({"x": pyarrow.array(["=1"]).dictionary_encode()})
    assert csv_text.safe(dictionary)["x"].to_pylist() == ["'=1"]


# ---- the report ----


@pytest.fixture(scope="module")
def page() -> tuple[str, Page]:
    from lrbench.report import report

    names = HOSTILE[:3]
    study = frames.study(
        rates=[0.01, 0.1],
        seeds=2,
        problems=tuple(names),
        schedules=(names[0],),
        optimizers=tuple((name, float("nan"), 0.1) for name in names),
    )
    html = report(study)
    return html, Page(html)


def test_names_are_texts_in_the_report(page: tuple[str, Page]) -> None:
    html, read_page = page
    assert len(read_page.scripts) == 2
    assert not [attrs for _, attrs in read_page.elements if any(str(name).startswith("on") for name in attrs)]
    assert all(name in read_page.text for name in HOSTILE[:3])
    assert not re.search(r"<script>\s*alert", html)


def test_the_report_asks_the_network_for_nothing(page: tuple[str, Page]) -> None:
    _, read_page = page
    policy = next(str(attrs["content"]) for _, attrs in read_page.elements if "http-equiv" in attrs)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules == {
        "default-src": "'none'",
        "script-src": "'unsafe-inline'",
        "style-src": "'unsafe-inline'",
        "img-src": "data: blob:",
        "form-action": "'none'",
        "base-uri": "'none'",
    }
    where = {
        "src",
        "href",
        "srcset",
        "action",
        "poster",
        "data",
        "xlink:href",
        "formaction",
        "ping",
        "background",
    }
    for tag, attrs in read_page.elements:
        for name in where & set(attrs):
            assert not re.match(r"(?i)\s*([a-z][a-z+.-]*:|//|\\\\)", str(attrs[name])), (tag, name)
    own = "".join(
        path.read_text() for path in (ROOT / "lrbench" / "report").iterdir() if path.suffix in (".js", ".css")
    )
    assert not re.findall(
        r"https?:|//[a-z]+\.|\bfetch\b|XMLHttpRequest|WebSocket|@import|url\(|import\(|sendBeacon|innerHTML",
        own,
    )


# ---- SQL ----


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM 'secret.csv'",
        "SELECT * FROM read_csv('secret.csv')",
        "COPY runs TO 'out.csv'",
        "ATTACH 'x.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SELECT * FROM read_text('/etc/hostname')",
        "SET enable_external_access = true",
        "SELECT * FROM 'http://127.0.0.1/x.csv'",
        "EXPORT DATABASE 'out'",
        "SELECT * FROM glob('*')",
    ],
)
def test_sql_reaches_no_file(sql: str, tmp_path: Path) -> None:
    Path("secret.csv").write_text("x\n1\n")
    ResultsFolder(tmp_path / "r").write_table("runs", pd.DataFrame({"x": [1]}))
    ResultsFolder(tmp_path / "r").write_manifest({})
    with pytest.raises(DataError) as caught:
        lb.load(tmp_path / "r").query(sql)
    assert str(caught.value).isprintable()
    assert {path.name for path in Path().iterdir()} <= {"secret.csv", "r"}
