"""What goes wrong around a study: processes that end, disks that are full, files that rot, functions that raise.

docs/faults.md names these tests; whatever happens, the same command goes on, and its tables are those of a study that
nothing disturbed, byte for byte.
"""

from __future__ import annotations

import collections
import errno
import io
import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
import pyarrow.parquet as pq
import pytest

import lrbench as lb
from lrbench.cli import commands
from lrbench.engine.engine import Engine
from lrbench.errors import LrbenchError, StoreError, StudyError
from lrbench.execution.execute import Finished, execute
from lrbench.execution.listener import Listener
from lrbench.execution.plan import plan_text
from lrbench.execution.rebuild import rebuild
from lrbench.results import atomic, lock
from lrbench.results.folder import ResultsFolder
from lrbench.results.part_file import DamagedPart
from lrbench.study.grid import Grid
from lrbench.study.spec import read
from tests.helpers.heard import Heard
from tests.helpers.paths import ROOT

# ---- killed ----

KILLS = 20
KILLED = """
name = "killed"
steps = 600
evaluate_every = 150
seeds = 2
problem = "quadratic"
optimizer = ["sgd", "adam", "lion"]
probes = []
lanes_per_chunk = 4
checkpoint_every = 0.01
learning_rate = {min = 0.01, max = 10.0, num = 5}
"""


class _Server:
    """Forks real `lrbench` processes, to be killed: importing Python's libraries for each would take most of the time."""

    def __init__(self) -> None:
        script = str(ROOT / "tests" / "helpers" / "killed.py")
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "2", "PYTHONPATH": path}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            [sys.executable, script], stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment
        )
        assert self._read() == "ready"

    def run(self, *words: str, kill_after: float = math.inf) -> int | None:
        """Run a command; return its exit code, or `None` if it was killed before it ended."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        pid = int(self._read())
        ended = threading.Event()
        killer = threading.Timer(kill_after, lambda: ended.is_set() or os.kill(pid, signal.SIGKILL))
        if kill_after < math.inf:
            killer.start()
        status = int(self._read())
        ended.set()
        killer.cancel()
        return None if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)

    def close(self) -> str:
        return self._process.communicate()[1]

    def _read(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()


def _tables(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for kind in ("csv", "parquet") for path in folder.glob(f"*.{kind}")}


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("parts/*/[!.]*.parquet"))


def _where(folder: Path) -> str:
    """Say what a killed process was at."""
    if any(folder.glob("parts/*/.new-*")):
        return "writing a part"
    if any(folder.glob(".new-*")):
        return "writing tables"
    if len(_parts(folder)) == 3:
        return "making tables"
    if any(folder.glob("checkpoints/*/.new-*")):
        return "writing a checkpoint"
    return "training" if (folder / "manifest.json").exists() else "starting"


@pytest.mark.slow
@pytest.mark.timeout(400)  # a shared machine takes its time
def test_killed_at_any_moment_it_goes_on(tmp_path: Path) -> None:
    study, seed = tmp_path / "killed.toml", int(np.random.SeedSequence().generate_state(1)[0])
    study.write_text(KILLED)
    print(f"seed {seed}")
    chance, server = random.Random(seed), _Server()
    command = ["run", str(study), "--no-report", "--quiet", "--out"]
    assert server.run(*command, str(tmp_path / "warm")) == 0
    began = time.monotonic()
    assert server.run(*command, str(tmp_path / "undisturbed")) == 0
    lasts = time.monotonic() - began
    expected = _tables(tmp_path / "undisturbed")
    hits: collections.Counter[str] = collections.Counter()
    rounds = 0
    while hits.total() < KILLS:
        folder, rounds = tmp_path / f"killed{rounds}", rounds + 1
        code = None
        while code is None:
            after = chance.uniform(0, lasts) if hits.total() < KILLS else math.inf
            code = server.run(*command, str(folder), kill_after=after)
            hits.update([_where(folder)] if code is None else [])
        assert code == 0
        assert _tables(folder) == expected
        assert not (folder / "checkpoints").exists()
        assert not list(folder.rglob(".new-*"))
    server.close()
    print(f"{rounds} studies of {lasts:.1f} s; killed {dict(hits)}")


# ---- ended, held, read-only, full ----

SMALL = {"name": "small", "steps": 8, "seeds": 1, "problem": ["quadratic"], "optimizer": ["sgd", "adam"]}
SMALL |= {"learning_rate": {"values": [0.1, 1.0]}, "probes": [], "lanes_per_chunk": 2}


def _run(folder: Path, ear: Listener | None = None, **changes: Any) -> Finished:
    return execute({**SMALL, **changes}, folder, report=False, listener=ear, trust=True)


@pytest.fixture(scope="module")
def _undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed") / "out"
    _run(folder)
    return folder


@pytest.fixture
def folder(_undisturbed: Path, tmp_path: Path) -> Path:
    """A finished study, to be damaged."""
    shutil.copytree(_undisturbed, tmp_path / "out")
    return tmp_path / "out"


@pytest.fixture
def expected(_undisturbed: Path) -> dict[str, bytes]:
    return _tables(_undisturbed)


HOLD = """
import sys, time
from pathlib import Path
from lrbench.results import lock
with lock.locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(100)
"""


def test_a_second_process_is_told_who_holds_the_folder(folder: Path) -> None:
    command, here = [sys.executable, "-c", HOLD, str(folder)], ROOT
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=here) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        who = rf"out: process {holder.pid} on \S+ has been working on it since 20\d\d-\S+; wait for it, end it, or choose"
        with pytest.raises(StoreError, match=who):
            _run(folder)
        with pytest.raises(StoreError, match=who):
            rebuild(ResultsFolder(folder), report=False)
        (folder / lock.LOCK).write_text("{")
        with pytest.raises(StoreError, match="out: another process works on it; "):
            _run(folder)
        assert len(lb.load(folder).best()) == 2  # reading needs no lock
        holder.kill()
    assert _run(folder).trained == 0
    assert (folder / lock.LOCK).read_bytes() == b""


def test_a_mistake_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(LrbenchError, match="hidden"):
        _run(tmp_path / "out", problem=[{"name": "digits_mlp", "hidden": [-1]}])
    assert not (tmp_path / "out").exists()


def test_a_read_only_folder_can_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    opened = os.open

    def refuse(path: Any, flags: int, *more: Any, **named: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return opened(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", refuse)
    for command in (_run, lambda folder: rebuild(ResultsFolder(folder))):
        with pytest.raises(
            StoreError, match=r"out: cannot be written: Read-only file system; choose another"
        ):
            command(folder)
    for words in (["best", "out"], ["query", "out", "SELECT count(*) FROM runs"], ["compare", "out", "out"]):
        monkeypatch.setattr(sys, "argv", ["lrbench", *words])
        with pytest.raises(SystemExit) as done:
            commands.main()
        assert done.value.code == commands.DONE, capsys.readouterr()


@pytest.mark.slow
@pytest.mark.parametrize("file", ["part", "table", "plot"])
def test_a_full_disk_costs_what_is_not_written(
    file: str, tmp_path: Path, expected: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pack whose part has no room fails; of a table or plot, one line says so. Nothing else is lost."""
    folder, flush = tmp_path / "out", atomic._flush
    full = {"part": "parts/*/*.parquet", "table": "*.parquet", "plot": "plots/*.png"}[file]
    depth = full.count("/") + 1

    def no_room(path: Path) -> None:
        place = path.relative_to(folder) if path.is_relative_to(folder) else Path()
        if len(place.parts) == depth and place.match(full) and not (folder / "room").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(path)

    monkeypatch.setattr(atomic, "_flush", no_room)
    said = "cannot be written: No space left on device; make room, and give the same command again"
    if file == "part":
        done = _run(folder)
        assert [said in failed.error for failed in done.failures] == [True, True]
        assert (folder / "failures.csv").exists()
        assert not _parts(folder)
    else:
        with pytest.raises(StoreError, match=said):
            execute(SMALL, folder, report=file == "plot")
        assert len(_parts(folder)) == 2
    assert not list(folder.rglob(".new-*"))
    (folder / "room").touch()
    assert not _run(folder).failures
    assert _tables(folder) == expected


def test_what_another_job_is_writing_stays(tmp_path: Path) -> None:
    other, mine = ResultsFolder(tmp_path), ResultsFolder(tmp_path)

    def fill(half: Path) -> None:
        half.write_bytes(b"half")
        mine.repair(mine.inventory(np.array([], "S1"), stopped=True))
        half.write_bytes(b"whole")

    other.write("parts/ab/abc.parquet", fill)
    assert (tmp_path / "parts/ab/abc.parquet").read_bytes() == b"whole"
    (tmp_path / "parts/ab/.new-x.parquet").write_bytes(b"half")
    mine.repair(mine.inventory(np.array([], "S1"), stopped=True))
    assert [path.name for path in (tmp_path / "parts/ab").iterdir()] == ["abc.damaged"]


# ---- files that rot ----


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _flip(data: bytes) -> bytes:
    """Flip a bit among the losses, which nothing but the tables reads."""
    about = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0)
    columns = [about.column(number) for number in range(about.num_columns)]
    (column,) = (each for each in columns if each.path_in_schema.startswith("train_loss"))
    place = column.data_page_offset + column.total_compressed_size - 3
    return data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :]


@pytest.mark.parametrize("damage", [None, lambda data: b"", _cut, _flip])
def test_a_damaged_part_is_trained_again(
    damage: Callable[[bytes], bytes] | None, folder: Path, expected: dict[str, bytes]
) -> None:
    path, ear = _parts(folder)[0], Heard()
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    (path.parent / ".new-abc.parquet").write_bytes(b"half")
    done = _run(folder, ear)
    assert done.trained == 2
    assert _tables(folder) == expected
    told = [line for line in ear.lines if "was damaged" in line]
    assert len(told) == (damage is not None)
    others = {each for each in folder.glob("parts/*/*") if each.suffix != ".parquet"}
    assert others == {path.with_suffix(".damaged") for _ in told}


def test_every_flipped_bit_of_a_part_is_noticed_or_harmless(folder: Path) -> None:
    path = _parts(folder)[0]
    ids = Grid.from_dict(json.loads((folder / "manifest.json").read_text())["grid"]).run_ids
    data, chance, noticed = path.read_bytes(), random.Random(0), 0
    kept = ResultsFolder(folder)

    def read() -> Any:
        found = [
            kept.read_part(holding)
            for holding in kept.inventory(ids, stopped=False).parts()
            if holding.path == path
        ]
        return [
            (part.run_ids.tolist(), sorted(part.curves), *(each.tobytes() for each in part.curves.values()))
            for part in found
        ]

    sound = read()
    for _ in range(300):
        bit = chance.randrange(8 * len(data))
        broken = bytearray(data)
        broken[bit // 8] ^= 1 << bit % 8
        path.write_bytes(broken)
        try:
            found = read()
        except DamagedPart:
            found = []
        assert found in ([], sound), bit
        noticed += found == []
    assert noticed > 150


def test_report_tells_of_a_damaged_part(folder: Path) -> None:
    path, ear = _parts(folder)[0], Heard()
    path.write_bytes(_flip(path.read_bytes()))
    results = rebuild(ResultsFolder(folder), report=False, listener=ear)
    assert len(ear.lines) == 1
    assert results.manifest["runs"] == {"total": 4, "done": 2, "left": 2}


# ---- functions that raise ----


def _raises(*given: Any) -> Any:
    raise RuntimeError("not\ntoday")


def _own(size: int = 2) -> Any:
    if size > 2:
        raise RuntimeError("too large")
    return lb.problem(name="own", init=lambda key: jnp.ones(size), loss=lambda w, b, k: jnp.sum(w**2))


def _no_transformation(learning_rate: Any) -> Any:
    return 3


@pytest.mark.slow
def test_a_failure_stays_in_its_packs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever raises where: what it leaves is trained, a table names the rest, and is gone once nothing fails."""
    bowl = {"init": lambda key: jnp.ones(2), "loss": lambda w, b, k: jnp.sum(w**2)}
    broken = [
        {"name": _own, "size": [2, 3]},
        lb.problem(name="no_init", **{**bowl, "init": _raises}),
        lb.problem(name="no_trace", **{**bowl, "loss": _raises}, box=((0.0, 1.0), (0.0, 1.0))),
    ]
    changes = {"problem": ["quadratic", *broken], "optimizer": ["sgd", _no_transformation], "seeds": 2}
    with pytest.raises(
        LrbenchError, match=r"^[^\n]*_no_transformation returned int; it must return an optax"
    ):
        plan_text(read({**SMALL, **changes}, trust=True))
    done = _run(tmp_path / "out", **changes)
    assert set(done.results.runs["problem"]) == {"quadratic", "_own"}
    assert done.trained == 2 * 2 * 2
    failed = pd.read_csv(tmp_path / "out" / "failures.csv")
    assert len(failed) == len(done.failures) == 8
    assert failed.to_dict("records") == done.results.manifest["failures"]
    row = failed[failed["problem"] == "no_trace"].iloc[0].to_dict()
    assert row.pop("pack_id") == done.failures[-2].pack.pack_id
    assert row == {
        "problem": "no_trace",
        "optimizer": "sgd",
        "schedule": "constant",
        "learning_rate_low": 0.1,
        "learning_rate_high": 1.0,
        "seeds": "0 1",
        "runs": 4,
        "error": "ProblemError: no_trace: could not be compiled: RuntimeError: not today",
    }
    said = dict(zip(failed["problem"] + " " + failed["optimizer"], failed["error"], strict=True))
    assert said["_own(size=3) sgd"] == "StudyError: problem.1: _own: RuntimeError: too large"
    assert "must return an optax GradientTransformation" in said["quadratic _no_transformation"]
    kept = rebuild(ResultsFolder(tmp_path / "out"), report=False)
    assert kept.manifest["failures"] == done.results.manifest["failures"]
    assert (tmp_path / "out" / "failures.csv").exists()
    tried: list[str] = []
    monkeypatch.setattr(Engine, "run", lambda self, pack, *more: tried.append(pack.pack_id) or _raises())
    again = _run(tmp_path / "out", **changes)
    assert sorted(tried) == sorted(failed["pack_id"])
    assert len(again.failures) == 8
    # Without what failed, nothing does; and what is mended is no other code that runs were trained with.
    _run(tmp_path / "out", **{**changes, "problem": changes["problem"][:1], "optimizer": ["sgd"]})
    assert not list((tmp_path / "out").glob("failures.*"))


def test_mended_code_is_trained_where_it_only_ever_failed(tmp_path: Path) -> None:
    def mine(learning_rate: Any) -> Any:
        raise ValueError("not yet")

    assert len(_run(tmp_path / "out", optimizer=["sgd", mine]).failures) == 1

    def mine(learning_rate: Any) -> Any:  # type: ignore[no-redef]
        return optax.sgd(learning_rate)

    assert _run(tmp_path / "out", optimizer=["sgd", mine]).trained == 2


def test_a_study_of_which_nothing_can_be_made_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"small: problem\.0: _raises: RuntimeError: not"):
        _run(tmp_path / "out", problem=[_raises])
    with pytest.raises(StudyError, match="returned int; it must return an optax GradientTransformation"):
        _run(tmp_path / "out", optimizer=[_no_transformation])


# ---- the table of the docs ----


def test_every_test_that_the_docs_name_is_there() -> None:
    page = (ROOT / "docs" / "faults.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| fault")]
    named = [re.findall(r"`(test_\w+)`", row) for row in rows]
    assert len(rows) > 15
    assert all(named), [row for row, names in zip(rows, named, strict=True) if not names]
    source = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert {name for names in named for name in names} <= set(
        re.findall(r"^def (test_\w+)", source, re.MULTILINE)
    )
