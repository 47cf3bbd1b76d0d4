"""What a study, a file of data, a name, an option or a question may cost: the rest is one line and exit code 2."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import lrbench as lb
from lrbench import machine
from lrbench.analysis import rank_tests
from lrbench.cli.interrupt import Interrupt
from lrbench.cli.progress import Bar, Plain
from lrbench.errors import DataError, LaunchError, StoreError, StudyError, escaped
from lrbench.launchers import slurm
from lrbench.results.folder import ResultsFolder
from lrbench.results.text_table import aligned
from lrbench.study import catalog, signature
from lrbench.study.spec import read
from tests.helpers.command import STUDY, TABLE, lrbench, refused


@pytest.fixture
def study() -> Path:
    """A study file in the working folder."""
    Path("x.toml").write_text(STUDY)
    return Path("x.toml")


# ---- options of launchers ----


@pytest.mark.parametrize("option", ["partition", "account", "gres", "memory"])
@pytest.mark.parametrize(
    "value", ["gpu\n#SBATCH --wrap=evil", "a b", "a;b", "$(id)", "a'b", 'a"b', "a/b", "é"]
)
def test_what_reaches_the_script_of_a_job_is_checked_before_slurm_is_looked_for(
    option: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm.shutil, "which", lambda _: pytest.fail("Slurm is looked for"))
    with pytest.raises(StudyError) as caught:
        lb.run(TABLE | {"launcher": {"slurm": {option: value}}}, launcher="slurm")
    assert str(caught.value).startswith(f"study: launcher.slurm.{option} = ")
    assert str(caught.value).endswith("must be a string of the characters A-Za-z0-9_.:,=@%+-")


def test_what_slurm_knows_is_allowed(study: Path) -> None:
    options = ["gres=gpu:a100:2", "partition=gpu,long-1", "memory=8GB", "account=a_b.c@d"]
    read(study, [f"launcher.slurm.{option}" for option in options])


def test_no_text_option_of_a_launcher_is_without_a_pattern_and_lists_are_checked_item_by_item() -> None:
    for name in catalog.names("launcher"):
        for parameter in catalog.get("launcher", name).parameters.values():
            assert parameter.annotation.replace(" | None", "") in {"int", "bool", "float", "Word", "Address"}
    words = signature.Parameter("words", "tuple[Word, ...]")
    assert words.coerce(["a", "b"]) == ("a", "b")
    with pytest.raises(ValueError, match="must be"):
        words.coerce(["a", "b\nc"])


@pytest.mark.parametrize(("option", "free"), [("address", "auto"), ("parts", "shared")])
def test_an_address_of_a_study_file_needs_trust_or_the_command_line(
    option: str, free: str, study: Path
) -> None:
    place = "s3://bucket/folder?endpoint_override=127.0.0.1:9&scheme=http"
    with study.open("a") as file:
        file.write(f'[launcher.ray]\n{option} = "{place}"\n')
    message = f"x.toml: launcher.ray.{option} = '{place}': is an address to connect to; allow it with --trust if you"
    with pytest.raises(StudyError) as caught:
        read(study, ["steps=5"])
    assert str(caught.value).startswith(message)
    assert read(study, trust=True).launcher["ray"][option] == place
    assert read(study, [f"launcher.ray.{option}={free}"]).launcher["ray"][option] == free
    for override in (f"launcher.ray.{option}=/x", f'launcher={{ray = {{{option} = "/x"}}}}'):
        assert read(study, [override]).launcher["ray"][option] == "/x"
    with pytest.raises(StudyError, match=r"launcher\.ray\..* must be an address or a URL, of the characters"):
        read(study, [f"launcher.ray.{option}=a b"])


def test_slurm_without_srun_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm.shutil, "which", lambda name: None if name == "srun" else name)
    monkeypatch.setattr(slurm, "states", dict)
    with pytest.raises(LaunchError, match="srun was not found; run the command where jobs can be submitted"):
        lb.run(read({**TABLE, "launcher": {"slurm": {"jobs": 1}}}), tmp_path / "out", launcher="slurm")


LISTENS = """
import psutil, ray, sys
from lrbench.launchers.ray import _connect
_connect(ray, "local")
ray.get(ray.remote(lambda: 1).remote())
here = psutil.Process()
for process in [here, *here.children(recursive=True)]:
    for socket in process.net_connections(kind="inet"):
        if socket.status == "LISTEN":
            print(socket.laddr.ip)
ray.shutdown()
"""


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_ray_of_this_machine_alone_listens_on_loopback_alone() -> None:
    pytest.importorskip("ray", reason="NO RAY IS INSTALLED: its addresses are NOT tested")
    there = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", LISTENS], capture_output=True, text=True, check=True, env=there, timeout=150
    )
    listening = done.stdout.split()
    assert len(listening) >= 5
    assert set(listening) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


# ---- exit codes ----


def test_ratios_of_nothing_are_nothing() -> None:
    assert rank_tests.ratios(np.zeros((0, 1))).shape == (0, 1)
    assert rank_tests.ratios(np.zeros((0, 0))).shape == (0, 0)


@pytest.mark.slow
def test_all_packs_fail_with_a_report(study: Path) -> None:
    Path("mine.py").write_text(
        "import optax\n"
        "def opt(learning_rate):\n"
        "    def update(g, s, p=None, **k): raise ValueError('no')\n"
        "    return optax.GradientTransformation(optax.sgd(learning_rate).init, update)\n"
    )
    study.write_text(STUDY.replace('"sgd"', '"mine.py:opt"'))
    code, said = lrbench(["run", "x.toml", "--trust", "--out", "out"])
    assert code == 3
    assert "Traceback" not in said
    assert said.endswith("1 run is missing; the same command tries it again\n")
    assert Path("out/report.html").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("problem", "need"),
    [
        ('{name = "quadratic", dimension = 1000000000000}', "3,725.3 GiB"),
        ('{name = "digits_mlp", hidden = [[2000000000]]}', "558.8 GiB"),
    ],
)
def test_parameters_that_have_no_room_are_not_drawn(study: Path, problem: str, need: str) -> None:
    study.write_text(STUDY.replace('"quadratic"', problem))
    code, said = lrbench(["run", str(study)])
    assert code == 3
    assert f"its parameters require {need} of memory" in said
    assert need in refused("plan", str(study))


def test_jobs_that_are_detached_the_first_time_are_no_failure(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm, "states", dict)
    monkeypatch.setattr(
        slurm, "_submit", lambda folder, each, *_: {"7": [pack.pack_id for pack in each[0].packs]}
    )
    code, said = lrbench(["run", "x.toml", "--launcher", "slurm", "--detach", "--out", "out"])
    assert code == 0, said
    assert "submitted 1 pack in 1 job: 7\n" in said
    assert "no run is finished yet" in said


# ---- names and arguments ----

LONG = "é" * 128


@pytest.mark.parametrize(
    "words",
    [
        ["run", "x.toml", "--out", LONG],
        ["run", "x.toml", "--out", f"{LONG}/b"],
        ["run", "x.toml", "--out", "a/" * 2500],
        ["find", "x.toml", "--set", "learning_rate.values=[0.1,1]", "--out", LONG],
        *([command, LONG] for command in ("best", "report", "status")),
        ["query", LONG, "SELECT 1"],
        ["compare", LONG, "b"],
        ["experiment", "edge_of_stability", "--out", LONG],
    ],
)
def test_a_name_that_no_file_system_holds(study: Path, words: list[str]) -> None:
    assert refused(*words).endswith(
        "is too long; the name of a file or folder may have at most 255 bytes, and a path 4,000"
    )


def test_other_names_that_are_too_long(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"schema_version": 1}')
    results = lb.load(tmp_path)
    for act in (lambda: results.export("csv", LONG), lambda: results.save(LONG)):
        with pytest.raises(StoreError, match="is too long"):
            act()
    assert "no such file" in refused("run", f"{LONG}.toml")


@pytest.mark.parametrize(
    "words", [["run", "a\udcff"], ["best", "a\udcff"], ["query", ".", "SELECT '\udcff'"], ["\udcff"]]
)
def test_an_argument_that_is_no_text(words: list[str]) -> None:
    assert refused(*words).endswith("is not UTF-8; arguments must be Unicode text")


@pytest.mark.parametrize("count", ["²", "٣", "0", "-1", "1e3", "", "9" * 5000])
def test_a_number_of_devices_that_is_none(study: Path, count: str) -> None:
    assert refused("plan", "x.toml", "--devices", count).endswith(": must be a number of 1 or more, or all")


def test_fresh_leaves_a_link_and_what_it_leads_to(study: Path) -> None:
    Path("real").mkdir()
    Path("real/manifest.json").write_text('{"schema_version": 1, "study": "x"}')
    Path("link").symlink_to("real")
    said = refused("run", "x.toml", "--out", "link", "--fresh")
    assert said.startswith("link: is a symbolic link, which --fresh would leave dangling; give the folder")
    assert sorted(path.name for path in Path().iterdir()) == ["link", "real", "x.toml"]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["a file", "forbidden"])
def test_parts_that_cannot_be_read_are_not_trained_again(
    study: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lrbench(["run", "x.toml", "--out", "out", "--no-report"])[0] == 0
    if how == "a file":
        Path("out/parts").rename("parts")
        Path("out/parts").write_text("")
    else:
        scan = os.scandir

        def forbidden(path: Any = ".") -> Any:
            if "parts" in str(path):
                raise PermissionError(13, "Permission denied", str(path))
            return scan(path)

        monkeypatch.setattr(os, "scandir", forbidden)
    for words in (["run", "x.toml", "--out", "out", "--no-report"], ["report", "out"], ["status", "out"]):
        assert refused(*words).startswith("out/parts: cannot be read: ")


@pytest.mark.parametrize("name", ["runs", "sensitivity"])
def test_a_folder_in_place_of_a_table(name: str, tmp_path: Path) -> None:
    store = ResultsFolder(tmp_path)
    store.write_manifest({})
    (tmp_path / f"{name}.parquet").mkdir()
    path = f"{tmp_path}/{name}.parquet"
    with pytest.raises(StoreError) as caught:
        getattr(lb.load(tmp_path), name)
    assert str(caught.value) == (
        f"{path}: is a folder, not a table; remove it, and `lrbench report {tmp_path}` writes it again"
    )
    assert refused("query", str(tmp_path), "SELECT 1") == f"{path}: is not a regular file; remove it"
    with pytest.raises(StoreError, match=rf"{name}\.parquet: cannot be written: Is a directory"):
        store.write_table(name, pd.DataFrame({"x": [1]}))


@pytest.mark.parametrize("char", ["\x1b[2J", "\r", "\x07", "\u202e", "\x9b", "\t"])
def test_no_control_character_of_a_name_reaches_the_terminal(
    char: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"a{char}b"
    assert escaped(name).isprintable()
    assert char not in aligned([{name: name}])
    written = io.StringIO()
    Plain(Interrupt(), written).notify(name)
    assert written.getvalue() == escaped(name) + "\n"
    Bar(Interrupt()).notify(name)
    assert char not in capsys.readouterr().err
    ResultsFolder(tmp_path).write_manifest({})
    ResultsFolder(tmp_path).write_table("runs", pd.DataFrame({name: [name]}))
    code, said = lrbench(["query", str(tmp_path), f'SELECT *, chr({ord(char[0])}) AS "{name}2" FROM runs'])
    assert code == 0
    assert said.replace("\n", "").isprintable()
    assert escaped(name) in said
    folder = tmp_path / name
    folder.mkdir()
    assert refused("best", str(folder)).isprintable()


# ---- SQL ----


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """A results folder of one table."""
    pytest.importorskip("duckdb")
    ResultsFolder(tmp_path / "r").write_manifest({})
    ResultsFolder(tmp_path / "r").write_table("runs", pd.DataFrame({"x": [1]}))
    return str(tmp_path / "r")


def test_a_question_has_a_time_limit(folder: str) -> None:
    endless = "SELECT count(*) FROM range(100000000) a, range(100000000) b"
    assert refused("query", folder, endless, "--timeout", "0.3") == (
        "query: took more than 0.3 seconds; ask for less, or give it more by --timeout SECONDS"
    )
    with pytest.raises(DataError, match=r"took more than 0\.2 seconds"):
        lb.load(folder).query(endless, timeout=0.2)
    with pytest.raises(DataError, match="took more than"):  # while rows are fetched
        lb.load(folder).query("SELECT sum(i) OVER (ORDER BY i) FROM range(100000000) t(i)", timeout=0.2)
    assert lb.load(folder).query("FROM runs", timeout=0)["x"].tolist() == [1]
    for wrong in ("-1", "nan", "inf"):
        assert "must be from 0, which is never, to" in refused(
            "query", folder, "FROM runs", "--timeout", wrong
        )


@pytest.mark.slow
def test_a_call_that_duckdb_does_not_interrupt_ends_in_time(folder: str) -> None:
    one_call = "SELECT list_sort(range(100000000))[1]"
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "lrbench", "query", folder, one_call, "--timeout", "0.1"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 2
    assert done.stderr == (
        "lrbench: query: took more than 0.1 seconds; ask for less, or give it more by --timeout SECONDS\n"
    )
    assert time.monotonic() - began < 12


def test_rows_are_made_as_they_are_shown(folder: str) -> None:
    code, said = lrbench(["query", folder, "SELECT * FROM range(1000000000000)"])
    assert code == 0
    assert said.splitlines()[-1] == "... and more rows; LIMIT and OFFSET choose which 100 are shown"
    assert len(said.splitlines()) == 102


def test_rows_that_come_in_several_chunks_are_all_shown(folder: str) -> None:
    each = "SELECT 0 AS i UNION ALL SELECT 1000 UNION ALL SELECT 2000"
    code, said = lrbench(["query", folder, each])
    assert code == 0
    assert [line.strip() for line in said.splitlines()] == ["i", "0", "1000", "2000"]
    code, said = lrbench(["query", folder, "SELECT i FROM range(300000) t(i) WHERE i % 1000 = 0"])
    assert len(said.splitlines()) == 102
    assert "... and more rows" in said


def test_a_question_has_a_limit_of_memory_and_writes_nothing(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "memory", lambda: machine.Memory(2**27, 2**27))
    large = "SELECT list(i) FROM range(100000000) t(i)"
    assert (
        refused("query", folder, large)
        == "query: needs more than the 64MiB of memory that it may take; ask for less"
    )
    assert not list(Path().glob(".*"))


def test_memory_that_a_library_does_not_count_is_bounded_too(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Texts that a function makes are not in DuckDB's limit."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_AS)
    monkeypatch.setattr(machine, "memory", lambda: machine.Memory(2**28, 2**28))
    said = refused("query", folder, "SELECT repeat('a', 100000000) FROM range(2000)")
    assert said == "query: needs more than the 128MiB of memory that it may take; ask for less"
    assert resource.getrlimit(resource.RLIMIT_AS) == before
