"""Results folders that others wrote: nothing outside them is touched, and whatever they hold is answered in one line."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import math
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import tomli_w

import lrbench as lb
from lrbench.cli import commands
from lrbench.errors import StoreError
from lrbench.execution.execute import execute
from lrbench.execution.rebuild import rebuild
from lrbench.results import checksums
from lrbench.results.folder import MANIFEST, ResultsFolder
from lrbench.results.results import Results
from lrbench.study import catalog

STUDY = {"name": "foreign", "steps": 4, "seeds": 2, "problem": ["quadratic"], "optimizer": ["sgd", "adam"]}
STUDY |= {"learning_rate": {"values": [0.1, 1.0]}, "probes": [], "lanes_per_chunk": 2}
TABLES = ("runs", "curves", "summary", "sensitivity", "comparison", "ranking", "tuning_budget")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study."""
    folder = tmp_path_factory.mktemp("foreign") / "made"
    execute(STUDY, folder, report=False)
    return folder


def _slurm() -> Iterator[Any]:
    """Submit a pack to Slurm, or to what passes for it here."""
    from lrbench.launchers import slurm

    work: Any = type(
        "Work", (), {"folder": Path("out"), "costs": lambda self, packs: [1.0], "notify": print}
    )()
    work.study = type("Study", (), {"name": "foreign"})()
    pack: Any = type("Pack", (), {"pack_id": "0" * 16})()
    yield from slurm.slurm([pack], work, detach=True)


@pytest.fixture(autouse=True)
def _sbatch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that takes jobs, and does nothing with them."""
    Path("bin").mkdir()
    for name in ("sbatch", "srun"):  # submitit looks for srun too
        Path("bin", name).write_text("#!/bin/sh\necho Submitted batch job 1\n")
        Path("bin", name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{Path('bin').resolve()}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def folder(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, of which reports are quick: one picture, and a page without its script."""
    names = catalog.names
    monkeypatch.setattr(catalog, "names", lambda kind: ["schedules"] if kind == "plot" else names(kind))
    monkeypatch.setattr(Results, "report", lambda self: "page")
    Path("foreign.toml").write_text(tomli_w.dumps(STUDY))
    return Path(shutil.copytree(made, "out"))


def lrbench(*words: str) -> tuple[int, str, str]:
    """Run the command line in this process; return exit code, output and errors; a traceback fails the test."""
    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["lrbench", *words]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            commands.main()
    except SystemExit as done:
        return int(done.code or 0), out.getvalue(), err.getvalue()
    finally:
        sys.argv = before
    return 0, out.getvalue(), err.getvalue()


COMMANDS = {
    "best": ["best", "out"],
    "query": ["query", "out", "SELECT count(*) FROM runs"],
    "status": ["status", "out"],
    "compare": ["compare", "out", "out"],
    "export": ["export", "out", "--to", "csv"],
    "report": ["report", "out"],
    "run": ["run", "foreign.toml", "--out", "out", "--quiet", "--no-report"],
    "fresh": ["run", "foreign.toml", "--out", "out", "--quiet", "--no-report", "--fresh"],
    "profile": ["run", "foreign.toml", "--out", "out", "--quiet", "--no-report", "--profile"],
    "plot": ["plot"],
    "save": ["save"],
    "slurm": ["slurm"],
}
"""What a person can do with a folder; the last three from Python."""


def do(command: str) -> tuple[int, str]:
    """Do something with the folder; return the exit code, and what it said of a mistake."""
    act: dict[str, Callable[[], Any]] = {
        "plot": lambda: lb.load("out").plot("curves"),
        "save": lambda: lb.load("out").save("saved"),
        "slurm": lambda: list(_slurm()),
    }
    if command not in act:
        code, _, err = lrbench(*COMMANDS[command])
        return code, err
    try:
        act[command]()
    except lb.LrbenchError as error:
        return commands.MISTAKE, f"lrbench: {error}\n"
    return 0, ""


def refused(code: int, said: str) -> bool:
    """Return whether a command was refused, which is one line."""
    assert code in {commands.DONE, commands.MISTAKE}, said
    assert "Traceback" not in said
    if code == commands.MISTAKE:
        assert said.count("\n") == 1, said
        assert said.startswith("lrbench: "), said
    return code == commands.MISTAKE


# ---- links ----

PACK = "0123456789abcdef"


def names_in(folder: Path) -> list[str]:
    """Return every name that any command reads, writes or removes, by a finished folder."""
    parts = [str(path.relative_to(folder)) for path in sorted(folder.glob("parts/*/*.parquet"))]
    room = str(Path(parts[0]).parent)
    files = [
        "manifest.json",
        "study.toml",
        "report.html",
        "plots/schedules.png",
        ".lock",
        ".new-x",
    ]
    files += [f"{name}.{kind}" for name in TABLES for kind in ("csv", "parquet")]
    files += ["failures.csv", "failures.parquet", "finders.csv", "surfaces.parquet", "runs.arrow"]
    files += [parts[0], f"{room}/.new-x", "parts/mine.parquet"]
    files += ["jobs/submitted.json", "jobs/1_0_log.out", "jobs/.new-x", "profile/plugins/profile/1/x.pb"]
    own = Path(parts[0]).stem
    rooms = [
        "parts",
        room,
        "plots",
        "checkpoints",
        f"checkpoints/{own}",
        f"checkpoints/{own}/0-2",
        f"checkpoints/{own}/0-2.npz",
        "jobs",
    ]
    rooms += ["profile", "profile/plugins", "csv", "checkpoints/loose"]
    return files + rooms


def whole(place: Path) -> dict[str, tuple[Any, ...]]:
    """Return all that can be seen of a folder: names, kinds, contents, times of change, and when files were last read."""
    found = {}
    for path in sorted([place, *place.rglob("*")]):
        stat = path.lstat()
        content = str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        read = stat.st_atime_ns if path.is_file() else 0
        found[str(path)] = (stat.st_mode, stat.st_mtime_ns, content, read)
        if path.is_file():
            os.utime(path, ns=(read, stat.st_mtime_ns))
    return found


def victim(folder: Path, name: str) -> Path:
    """Make something outside the folder that a link of that name could lead to, as tempting as can be."""
    place, there = Path("victim"), folder / name
    place.mkdir()
    target = place / "target"
    file = "." in Path(name).name
    if there.is_dir() or not file:
        if there.is_dir():
            shutil.copytree(there, target)
        for each in (PACK, *(path.stem for path in folder.glob("parts/*/*.parquet")), "0-2"):
            (target / each / "0-2").mkdir(parents=True, exist_ok=True)
            (target / each / "0-2" / "precious").write_text("precious")
        for each in (".new-x", "schedules.png", "submitted.json", "precious.parquet"):
            (target / each).write_text("{}")
    elif there.exists():
        shutil.copy(there, target)
    else:
        target.write_text("{}")
    for path in place.rglob("*"):
        os.utime(path, ns=(10**18, 2 * 10**18))
    return target


def linked(folder: Path, name: str, target: Path) -> None:
    there = folder / name
    if there.is_dir():
        shutil.rmtree(there)
    there.unlink(missing_ok=True)
    there.parent.mkdir(parents=True, exist_ok=True)
    there.symlink_to(target.resolve())


def _links(folder: Path, command: str, names: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """Put a link in place of each name in turn, and yield whether the command was refused; no link is followed."""
    for name in names:
        kept = Path(shutil.copytree(folder, "kept"))
        linked(folder, name, victim(folder, name))
        before = whole(Path("victim"))
        was = refused(*do(command))
        assert whole(Path("victim")) == before, name
        yield name, was
        for place in [*Path().glob("out*"), Path("victim"), Path("saved")]:
            shutil.rmtree(place, ignore_errors=True)
        kept.rename(folder)


FOLLOWED = {
    "report": ["checkpoints", "plots", "jobs", ".lock", "parts", "parts/mine.parquet"],
    "run": ["checkpoints", "parts"],
    "best": [MANIFEST, "sensitivity.parquet", "curves.csv"],
    "query": ["runs.parquet"],
    "status": ["parts", "jobs", "jobs/submitted.json"],
    "export": ["csv"],
    "plot": ["curves.parquet"],
    "profile": ["profile"],
    "save": ["plots"],
    "slurm": ["jobs", "jobs/1_0_log.out"],
}
"""Where links were followed once, and by which command."""


@pytest.mark.parametrize("command", FOLLOWED)
def test_a_link_in_a_results_folder_is_refused(command: str, folder: Path) -> None:
    if command == "profile":  # it traces what it trains
        next(folder.glob("parts/*/*.parquet")).unlink()
    for name, was in _links(folder, command, FOLLOWED[command]):
        assert was, name


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_follows_any_link(command: str, folder: Path) -> None:
    """Every name that any command reads, writes or removes."""
    was = dict(_links(folder, command, names_in(folder)))
    assert any(was.values())
    assert command == "save" or not all(was.values())


def test_a_results_folder_may_be_a_link_itself(folder: Path) -> None:
    folder.rename("elsewhere")
    folder.symlink_to("elsewhere")
    assert [do(command)[0] for command in ("best", "status", "report", "run", "export")] == [0] * 5


@pytest.mark.parametrize("name", ["runs.parquet", "runs.csv", MANIFEST, "parts/ab/x.parquet", ".lock"])
def test_a_pipe_or_a_folder_in_place_of_a_file_is_one_line(folder: Path, name: str) -> None:
    for make in (os.mkfifo, os.mkdir):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).unlink(missing_ok=True)
        make(folder / name)
        for command in ("best", "query", "report"):
            refused(*do(command))
        with contextlib.suppress(OSError):
            (folder / name).rmdir()


# ---- manifests ----

STRANGE: list[Any] = [
    None,
    True,
    -1,
    0,
    0.5,
    1e300,
    math.nan,
    math.inf,
    10**30,
    "",
    "x",
    "../x",
    "/",
    "\ud800",
    "a\nb",
    "a\0",
]
STRANGE += [[], [None], [1], ["x", "x"], {}, {"x": 1}, {"": {"": []}}, [[[[]]]], "x" * 200_000]
RAW = [
    b"",
    b"\x00\xff\xfe",
    b"\xff",
    b"[]",
    b"null",
    b"1",
    b'"x"',
    b"{",
    b"[" * 200_000,
    b'{"a":' * 200_000,
    b"9" * 10_000,
]
RAW += [
    b"\xef\xbb\xbf{}",
    b"{}",
    b'{"schema_version": NaN}',
    b'{"schema_version": 1, "schema_version": "x"}',
    os.urandom(1000),
]


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the way to every value of a manifest; of lists, to the first two."""
    each = (
        value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    )
    for key, inner in each:
        yield (*at, key)
        yield from places(inner, (*at, key))


def mutated(manifest: dict[str, Any]) -> Iterator[bytes]:
    """Yield manifests of which one value is gone, another, or there twice."""
    for way in places(manifest):
        for change in ("drop", "double", *STRANGE):
            other = copy.deepcopy(manifest)
            place = other
            for key in way[:-1]:
                place = place[key]
            if change == "drop":
                del place[way[-1]]
            elif change == "double" and isinstance(place, list):
                place.append(place[way[-1]])
            elif change == "double" and isinstance(place, dict):
                place["another"] = place[way[-1]]
            else:
                place[way[-1]] = change
            yield json.dumps(other).encode()
    for key in ("parts", "another"):
        for strange in ([PACK], ["../x", "/abs"], *STRANGE):
            yield json.dumps({**manifest, key: strange}).encode()
            yield json.dumps({"schema_version": 1, "study": "x", "page": "claims", key: strange}).encode()
    yield from RAW


READ = ("best", "query", "status", "report", "run", "compare", "export", "plot")


def answered(folder: Path, text: bytes, commands: Sequence[str]) -> list[bool]:
    """Give commands to a folder with such a manifest; return which were refused."""
    found = []
    for command in commands:
        (folder / MANIFEST).write_bytes(text)
        found.append(refused(*do(command)))
        for place in Path().glob("out.before*"):
            shutil.rmtree(place)
    return found


def sound(folder: Path, text: bytes) -> bool:
    """Return whether a manifest fits its schema."""
    (folder / MANIFEST).write_bytes(text)
    try:
        return bool(ResultsFolder(folder).manifest)
    except StoreError:
        return False


def check(folder: Path, texts: Sequence[bytes]) -> None:
    """Have manifests answered: by one command where the schema refuses them, by all of them where it does not."""
    kept = shutil.copytree(folder, "kept")
    for number, text in enumerate(texts):
        if not sound(folder, text):
            assert answered(folder, text, [READ[number % len(READ)]]) == [True], text[:300]
            continue
        answered(folder, text, READ)
        shutil.rmtree(folder)
        shutil.copytree(kept, folder)


def test_a_mutated_manifest_is_one_line(folder: Path) -> None:
    """Some of the thousands, and all whole files that are none."""
    every = list(mutated(json.loads((folder / MANIFEST).read_text())))
    some = random.Random(0).sample(every, 60)
    fit = [text for text in some if sound(folder, text)]
    assert 5 < len(fit) < 30
    check(folder, [*[text for text in some if text not in fit], fit[0], *RAW])


def test_parts_that_are_no_folder_are_one_line(folder: Path) -> None:
    shutil.rmtree(folder / "parts")
    (folder / "parts").touch()
    assert all(refused(*do(command)) for command in ("status", "report", "run"))


@pytest.mark.parametrize("key", ["grid", "problems", "thresholds", "objectives", "schedules", "study"])
def test_a_manifest_may_lack_a_key(folder: Path, key: str) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    del manifest[key]
    answered(folder, json.dumps(manifest).encode(), [each for each in READ if each not in {"report", "run"}])
    was = answered(folder, json.dumps(manifest).encode(), ["report"] if key in {"grid", "problems"} else [])
    assert all(was)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("share", range(8))
def test_no_manifest_ends_in_a_traceback(folder: Path, share: int) -> None:
    """One in forty of the thousands in each share; random.Random(seed) of another seed tries others."""
    every = list(mutated(json.loads((folder / MANIFEST).read_text())))
    check(folder, random.Random(share).sample(every, len(every) // 40))


def test_a_study_of_several_grids_of_an_older_lrbench_is_one_line(folder: Path) -> None:
    """Whatever folders its manifest names, every command refuses it, and nothing changes there."""
    shutil.copytree(folder, "victim")
    before = whole(Path("victim"))
    for parts in (["../victim"], [str(Path("victim").resolve())], ["inside"]):
        text = json.dumps({"schema_version": 1, "study": "x", "page": "claims", "parts": parts}).encode()
        assert all(answered(folder, text, READ))
        assert whole(Path("victim")) == before
    message = (
        "lrbench: out: holds a study of several grids, of an older lrbench; give one of the results folders in it, "
        "or measure the claims again with `lrbench experiment claims --out DIR`\n"
    )
    assert lrbench("best", "out") == (commands.MISTAKE, "", message)
    assert lrbench("experiment", "claims", "--out", "out") == (commands.MISTAKE, "", message)


# ---- tables ----


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("name", ["curves.parquet", "runs.csv", "sensitivity.parquet"])
def test_a_flipped_bit_of_a_table_is_found(folder: Path, name: str) -> None:
    """No command answers from it, and `report` says so and writes it again."""
    before = (folder / name).read_bytes()
    flip(folder / name)
    said = f"lrbench: out/{name}: is not what lrbench wrote (its BLAKE2 sum is not that in manifest.json); "
    said += "`lrbench report out` writes it again\n"
    for command in ("best", "query", "compare", "export", "plot"):
        assert do(command) == (commands.MISTAKE, said)
    code, _, err = lrbench("report", "out")
    assert (code, err.count(said.removeprefix("lrbench: "))) == (0, 1)
    assert (folder / name).read_bytes() == before
    assert [do(command)[0] for command in ("best", "query", "plot")] == [0, 0, 0]


def test_a_table_is_checked_where_it_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large ones are not before, and no table is twice."""
    hashed: list[int] = []
    of = checksums.of
    monkeypatch.setattr(checksums, "of", lambda file: hashed.append(file.fileno()) or of(file))
    results = lb.load(folder)
    assert len(hashed) == len(results.manifest["tables"]) == 2 * len(TABLES)
    assert len(results.runs) == 8
    assert len(hashed) == 2 * len(TABLES)
    monkeypatch.setattr(checksums, "LARGE", 0)
    flip(folder / "curves.parquet")
    results = lb.load(folder)
    assert len(results.best()) == 2
    for read in (lambda: results.curves, lambda: results.query("SELECT 1")):
        with pytest.raises(StoreError, match=r"curves\.parquet: is not what lrbench wrote"):
            read()


def test_tables_without_sums_are_read(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    del manifest["tables"]
    (folder / MANIFEST).write_text(json.dumps(manifest))
    for path in folder.glob("*.parquet"):
        path.write_bytes(path.read_bytes()[:-9])
    assert all(refused(*do(command)) for command in ("best", "query", "export", "compare", "plot"))
    assert [do(command)[0] for command in ("report", "best", "query")] == [0, 0, 0]
    assert len(json.loads((folder / MANIFEST).read_text())["tables"]) == 2 * len(TABLES)


@pytest.mark.parametrize("name", ["runs", "tuning_budget"])
def test_tables_that_were_cut_short_are_read_and_made_anew(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash between a table and the manifest leaves no folder that is refused."""
    end = ResultsFolder.table

    @contextlib.contextmanager
    def crash(self: ResultsFolder, table: str, **options: Any) -> Iterator[Any]:
        with end(self, table, **options) as sheet:
            yield sheet
        if table == name:
            raise KeyboardInterrupt

    asked = {**STUDY, "seeds": 3}
    with monkeypatch.context() as patch:
        patch.setattr(ResultsFolder, "table", crash)
        with pytest.raises(KeyboardInterrupt):
            execute(asked, folder, report=False)
    assert [do(command)[0] for command in ("best", "query")] == [0, 0]
    assert do("report")[0] == 0
    assert len(lb.load(folder).runs) == 12


def test_a_table_that_is_made_anew_meanwhile_is_read(folder: Path) -> None:
    """What was opened before has the sums of then; the table and the sums of now belong together."""
    opened = lb.load(folder)
    execute({**STUDY, "seeds": 1}, folder, report=False)
    assert len(opened.runs) == 4
    flip(folder / "curves.parquet")
    with pytest.raises(StoreError, match=r"curves\.parquet: is not what lrbench wrote"):
        _ = opened.curves


def test_surfaces_come_from_the_study_alone(tmp_path: Path) -> None:
    """A table that no part holds: report leaves it out, and says what writes it again."""
    asked = {**STUDY, "problem": "rosenbrock", "optimizer": "sgd", "seeds": 1}
    folder = tmp_path / "out"
    execute(asked, folder, report=False)
    before = (folder / "surfaces.parquet").read_bytes()
    flip(folder / "surfaces.parquet")
    with pytest.raises(StoreError, match="`lrbench run` with its study writes it again"):
        lb.load(folder)
    assert rebuild(ResultsFolder(folder), report=False).surfaces.empty
    assert execute(asked, folder, report=False).trained == 0
    assert (folder / "surfaces.parquet").read_bytes() == before
    assert not lb.load(folder).surfaces.empty
