"""One process at a time writes to a results folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lrbench.errors import StoreError
from lrbench.results import lock
from lrbench.results.lock import LOCK


def test_a_lock_names_who_has_it_and_is_released(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with lock.locked(tmp_path):
        said = rf"process {os.getpid()} on \S+ has been working on it since 20\d\d-\S+; wait for it, end it, or choose another --out"
        with pytest.raises(StoreError, match=said), lock.locked(tmp_path):
            pass
        assert (tmp_path / LOCK).read_bytes()
    assert (tmp_path / LOCK).read_bytes() == b""
    with lock.locked(tmp_path):
        pass


def test_a_folder_in_which_nothing_was_written_is_removed(tmp_path: Path) -> None:
    with lock.locked(tmp_path / "new" / "out"):
        pass
    assert not (tmp_path / "new" / "out").exists()
    with lock.locked(tmp_path / "out"):
        (tmp_path / "out" / "file").touch()
    assert {path.name for path in (tmp_path / "out").iterdir()} == {LOCK, "file"}


def test_a_lock_that_is_removed_meanwhile_is_taken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who had the folder before may remove it between the opening and the locking of the file."""
    flock, calls = lock.fcntl.flock, list[int]()

    def late(handle: int, operation: int) -> None:
        calls.append(handle)
        if len(calls) == 1:
            (tmp_path / LOCK).unlink()
        flock(handle, operation)

    monkeypatch.setattr(lock.fcntl, "flock", late)
    with lock.locked(tmp_path):
        assert len(calls) == 2
        assert b"pid" in (tmp_path / LOCK).read_bytes()


@pytest.mark.parametrize("kind", ["folder", "pipe", "second name"])
def test_a_lock_that_is_no_file_of_the_folder_alone_is_refused(kind: str, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    make = {
        "folder": os.mkdir,
        "pipe": os.mkfifo,
        "second name": lambda path: os.link(tmp_path / "precious", path),
    }
    make[kind](tmp_path / LOCK)
    said = f"{LOCK}: is not a file of this folder alone; remove it"
    with pytest.raises(StoreError, match=said), lock.locked(tmp_path):
        pass
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_link_in_place_of_a_lock_is_refused(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / LOCK).symlink_to("precious")
    with pytest.raises(StoreError, match="is a symbolic link"), lock.locked(tmp_path):
        pass
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_file_is_abandoned_once_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with path.open("wb") as file:
        lock.mark(file.fileno())
        assert not lock.abandoned(path)
    assert lock.abandoned(path)
