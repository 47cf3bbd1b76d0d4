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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w

import lrbench as lb
from lrbench import catalog, cli, pipeline, sums
from lrbench.errors import StoreError
from lrbench.results import Results
from lrbench.store import MANIFEST, Store

STUDY = {"name": "foreign", "steps": 4, "seeds": 2, "problem": ["quadratic"], "optimizer": ["sgd", "adam"]}
STUDY |= {"learning_rate": {"values": [0.1, 1.0]}, "probes": [], "lanes_per_chunk": 2}
TABLES = ("runs", "curves", "summary", "sensitivity", "comparison", "ranking", "tuning_budget")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study."""
    folder = tmp_path_factory.mktemp("foreign") / "made"
    pipeline.execute(STUDY, folder, report=False)
    return folder


def _slurm() -> Iterator[Any]:
    """Submit the study to a Slurm that is not there, up to where the jobs would be handed over."""
    from lrbench.launchers import slurm

    work: Any = type("Work", (), {"folder": Path("out"), "costs": lambda self, packs: [1.0], "say": print})()
    work.study = type("Study", (), {"name": "foreign"})()
    pack: Any = type("Pack", (), {"pack_id": "0" * 16})()
    yield from slurm.slurm([pack], work, detach=True)


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
            cli.main()
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
        return cli.MISTAKE, f"lrbench: {error}\n"
    return 0, ""


def refused(code: int, said: str) -> bool:
    """Return whether a command was refused, which is one line."""
    assert code in {cli.DONE, cli.MISTAKE}, said
    assert "Traceback" not in said
    if code == cli.MISTAKE:
        assert said.count("\n") == 1, said
        assert said.startswith("lrbench: "), said
    return code == cli.MISTAKE


# ---- links ----

PACK = "0123456789abcdef"


def names_in(folder: Path) -> list[str]:
    """Return every name that any command reads, writes or removes, by a finished folder."""
    parts = [str(path.relative_to(folder)) for path in sorted(folder.glob("parts/*/*.parquet"))]
    room = str(Path(parts[0]).parent)
    files = ["manifest.json", "study.toml", "report.html", "plots/schedules.png", ".lock", ".holder.json", ".new-x"]
    files += [f"{name}.{kind}" for name in TABLES for kind in ("csv", "parquet")]
    files += ["failures.csv", "failures.parquet", "finders.csv", "surfaces.parquet", "runs.arrow"]
    files += [parts[0], f"{room}/.index", f"{room}/.new-x", "parts/mine.parquet", "parts/.index"]
    files += ["jobs/submitted.json", "jobs/1_0_log.out", "jobs/.new-x", "profile/plugins/profile/1/x.pb"]
    own = Path(parts[0]).stem
    rooms = ["parts", room, "plots", "checkpoints", f"checkpoints/{own}", f"checkpoints/{own}/0-2", "jobs"]
    rooms += ["profile", "profile/plugins", "csv", "checkpoints/loose"]
    return files + rooms


def whole(place: Path) -> dict[str, tuple[Any, ...]]:
    """Return all that can be seen of a folder: names, kinds, contents, times of change, and when files were last read."""
    found = {}
    for path in sorted([place, *place.rglob("*")]):
        stat = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
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


def _links_of_each(folder: Path, commands: list[str]) -> Iterator[tuple[str, str, int]]:
    for name in names_in(folder):
        for command in commands:
            kept = Path(shutil.copytree(folder, "kept"))
            target = victim(folder, name)
            linked(folder, name, target)
            before = whole(Path("victim"))
            code, said = do(command)
            assert whole(Path("victim")) == before, (name, command)
            yield name, command, refused(code, f"{said}")
            for place in [*Path().glob("out*"), Path("victim"), Path("saved")]:
                shutil.rmtree(place, ignore_errors=True)
            kept.rename(folder)


@pytest.mark.slow
@pytest.mark.parametrize("command", [each for each in COMMANDS])
def test_no_command_follows_any_link(command: str, folder: Path) -> None:
    """Every name, every command."""
    found = {name: was for name, _, was in _links_of_each(folder, [command])}
    assert any(found.values())
    assert not all(found.values())
