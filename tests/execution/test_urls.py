"""Results at a URL: the same tables as in a folder, nothing trained twice, and nothing stale or lost whatever happens in between."""

from __future__ import annotations

import pickle
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tomli_w

import lrbench as lb
from lrbench.errors import StoreError
from lrbench.execution.execute import execute
from lrbench.execution.listener import Listener
from lrbench.results import local_copy
from lrbench.results.folder import ResultsFolder, read_manifest
from lrbench.results.places import UrlPlace
from lrbench.results.remote_folder import RemoteFolder
from tests.helpers.command import lrbench, refused
from tests.helpers.s3 import Store, s3

TABLES = ["runs.csv", "curves.csv", "sensitivity.csv", "summary.csv"]


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    """A bucket."""
    with s3() as found:
        yield found


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own for each test, which is what another machine has."""
    monkeypatch.setattr(local_copy, "_cache", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def test_a_study_at_a_url(store: Store, table: dict[str, Any], tmp_path: Path, home: Path) -> None:
    url = store.url("first")
    there, here = execute(table, url, report=False), execute(table, tmp_path / "here", report=False)
    assert (there.trained, there.name) == (8, "s3://bucket/first")
    for name in TABLES:
        assert (there.results.folder / name).read_bytes() == (here.results.folder / name).read_bytes()
    keys = {key for key in store.names() if "/." not in key}
    files = (path.relative_to(tmp_path / "here") for path in (tmp_path / "here").rglob("*") if path.is_file())
    assert keys == {f"first/{path.as_posix()}" for path in files if not path.name.startswith(".")}
    # On another machine all of it is there, nothing is trained again, and a rate more trains that alone.
    shutil.rmtree(home)
    assert execute(table, url, report=False).trained == 0
    pd.testing.assert_frame_equal(lb.load(url).best(), here.results.best())
    assert execute(table | {"learning_rate": {"values": [0.01, 0.2]}}, url, report=False).trained == 2


@pytest.mark.slow
def test_commands_read_a_url(store: Store, table: dict[str, Any], tmp_path: Path) -> None:
    url = store.url("commands")
    (tmp_path / "small.toml").write_text(tomli_w.dumps(table))
    code, said = lrbench(["run", "small.toml", "--out", url, "--quiet", "--no-report"])
    assert code == 0, said
    code, again = lrbench(["best", url])
    assert (code, again) == (0, said)
    code, said = lrbench(["query", url, "SELECT count(*) AS runs FROM runs"])
    assert code == 0
    assert re.search(r"\b8\b", said)
    code, said = lrbench(["status", url])
    assert (code, said) == (0, "s3://bucket/commands: small: 8 of 8 runs completed, 0 missing\n")
    code, said = lrbench(["report", url])
    assert code == 0, said
    assert said.splitlines()[-1] == "s3://bucket/commands/report.html"
    assert "commands/report.html" in store.names()
    code, said = lrbench(["train", url, "--out", "weights.safetensors", "--quiet"])
    assert (code, said) == (0, "weights.safetensors\n")
    for words in (["train", url], ["plot", url, "loss_vs_learning_rate"], ["export", url, "--to", "csv"]):
        assert refused(*words).endswith("is a URL, of which a copy is read; say with --out where to write")


@pytest.mark.slow
def test_a_checkpoint_is_at_the_url(
    store: Store, table: dict[str, Any], tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that is taken away in the middle of a pack leaves it to the next one, which has nothing else."""
    url, long = store.url("half"), table | {"steps": 40, "checkpoint_every": 1e-9}

    class Stops(Listener):
        def stopping(self) -> bool:
            return any(key.startswith("half/checkpoints/") and key.endswith(".npz") for key in store.names())

    with pytest.raises(KeyboardInterrupt):
        execute(long, url, listener=Stops(), report=False)
    (kept,) = (key for key in store.names() if key.startswith("half/checkpoints/"))
    shutil.rmtree(home)
    steps: list[int] = []
    listener = Listener()
    monkeypatch.setattr(listener, "advance", lambda runs, more: steps.append(more))
    done = execute(long, url, listener=listener, report=False)
    assert done.trained == 8
    assert 0 < sum(steps) < 8 * 40
    here = execute(long, tmp_path / "here", report=False).results
    pd.testing.assert_frame_equal(done.results.curves, here.curves)
    assert kept not in store.names()


@pytest.mark.slow
def test_what_another_machine_removed_is_not_shown(store: Store, table: dict[str, Any]) -> None:
    url = store.url("removed")
    execute(table, url, report=False)
    lb.load(url)
    UrlPlace(url).remove("")
    with pytest.raises(StoreError, match=r"it has no manifest\.json"):
        lb.load(url)
    assert execute(table, url, report=False).trained == 8


@pytest.mark.slow
def test_a_copy_that_lost_files_takes_none_from_the_url(
    store: Store, table: dict[str, Any], home: Path
) -> None:
    url = store.url("lost")
    execute(table, url, report=False)
    before = set(store.names())
    for path in home.rglob("*.parquet"):
        path.unlink()
    assert execute(table, url, report=False).trained == 0
    assert set(store.names()) == before


@pytest.mark.slow
def test_fresh_sets_aside_what_is_there(store: Store, table: dict[str, Any]) -> None:
    url = store.url("fresh")
    execute(table, url, report=False)
    assert execute(table, url, fresh=True, report=False).trained == 8
    aside = {key.split("/")[0] for key in store.names() if key.startswith("fresh.before-")}
    assert len(aside) == 1
    assert f"{aside.pop()}/manifest.json" in store.names()


def test_a_url_of_other_files_or_that_cannot_be_written(store: Store, table: dict[str, Any]) -> None:
    UrlPlace(store.url("other")).write("notes.txt", b"mine")
    with pytest.raises(StoreError, match=r"^s3://bucket/other: is not a results folder, but has other files"):
        execute(table, store.url("other"))
    with pytest.raises(StoreError, match=r"^s3://none/x: .*check the address, the keys and the network$"):
        execute(table, store.url("x").replace("//bucket", "//none"))
    with pytest.raises(StoreError, match=r"^s3://bucket/nothing: is not a results folder"):
        lb.load(store.url("nothing"))


@pytest.mark.slow
def test_a_store_that_fails_for_a_moment_loses_nothing(
    store: Store, table: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not sent is in the copy, and the same command sends it."""
    url = store.url("moment")
    monkeypatch.setattr(local_copy, "_PAUSE", 0.01)
    send = UrlPlace.send
    fails = ["a network that is down"]

    def failing(place: UrlPlace, path: Path, name: str) -> None:
        if name.startswith("parts/") and fails:
            raise StoreError(fails[0])
        send(place, path, name)

    monkeypatch.setattr(UrlPlace, "send", failing)
    with pytest.raises(
        StoreError, match=r"a network that is down; everything is in .*, and the same command sends it"
    ):
        execute(table, url, report=False)
    assert not any(key.startswith("moment/parts/") for key in store.names())
    fails.clear()
    assert execute(table, url, report=False).trained == 0
    assert any(key.startswith("moment/parts/") for key in store.names())
    assert np.isfinite(lb.load(url).runs["final_train_loss"]).any()
    assert read_manifest(UrlPlace(url))["runs"]["done"] == 8


def test_what_helps_with_tables_reads_the_copy(store: Store, home: Path) -> None:
    there = pickle.loads(pickle.dumps(RemoteFolder(store.url("copied"))))
    assert type(there) is ResultsFolder
    assert home in there.folder.parents
