"""Results folders that others wrote: no link in them is followed, and a table that has changed is not answered from."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import lrbench as lb
from lrbench.cli import commands
from lrbench.errors import StoreError
from lrbench.execution.execute import execute
from lrbench.execution.rebuild import rebuild
from lrbench.results import checksums
from lrbench.results.folder import MANIFEST, ResultsFolder
from tests.helpers.foreign import COMMANDS, PACK, STUDY, TABLES, do, lrbench, refused, whole

# ---- links ----


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


# The launcher asks Slurm after its jobs for seconds.
@pytest.mark.parametrize(
    "command", [pytest.param(each, marks=[pytest.mark.slow] if each == "slurm" else []) for each in FOLLOWED]
)
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


@pytest.mark.slow
def test_a_results_folder_may_be_a_link_itself(folder: Path) -> None:
    folder.rename("elsewhere")
    folder.symlink_to("elsewhere")
    assert [do(command)[0] for command in ("best", "status", "report", "run", "export")] == [0] * 5


@pytest.mark.slow
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


# ---- tables ----


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.slow
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


@pytest.mark.slow
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
