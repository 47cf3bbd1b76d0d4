"""Who writes to a results folder: one process at a time, which the next one can name; and which files are being written.

All of it is flock(2), which the system releases when a process ends, however it ends. The file `.lock` holds, as JSON,
the process that has the lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from lrbench.errors import StoreError
from lrbench.results import safe_files

LOCK = ".lock"
_ABANDONED = 3600.0
_LONGEST = 10_000


class Taken(StoreError):
    """Another process has locked a results folder."""


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a results folder for writing, creating it if there is none; reading one requires no lock.

    Raises:
        Taken: if another process has locked it.
        StoreError: if it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = _acquire(folder)
    except BlockingIOError as error:
        raise Taken(f"{folder}: {_owner(folder)}; wait for it, end it, or choose another --out") from error
    except OSError as error:
        raise StoreError(
            f"{folder}: cannot be written: {error.strerror or error}; choose another --out"
        ) from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.ftruncate(handle, 0)
            _remove_if_empty(folder)
        fcntl.flock(handle, fcntl.LOCK_UN)  # a child process may have the same file open
        os.close(handle)


def mark(handle: int) -> None:
    """Mark an open file as being written, until it is closed or the process ends, however it ends."""
    with contextlib.suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def abandoned(path: Path) -> bool:
    """Return whether nobody writes a file any more, on this machine or on one that shares the disk.

    Where the file system has no locks, a file is abandoned after an hour without a change.
    """
    try:
        with os.fdopen(os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK), "rb+", 0) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        with contextlib.suppress(OSError):
            return time.time() - path.lstat().st_mtime > _ABANDONED
    return True


def _acquire(folder: Path) -> int:
    """Return an open `.lock` that this process has locked and signed.

    Raises:
        BlockingIOError: if another process has locked it.
        StoreError: if it is not a file of this folder alone, which would be written to elsewhere.
    """
    path = safe_files.path(folder, LOCK)
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
        except IsADirectoryError as error:
            raise _not_own(path) from error
        try:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
                raise _not_own(path)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_there(path, found):
                os.ftruncate(handle, 0)
                now = datetime.now(UTC).isoformat(timespec="seconds")
                owner = {"host": socket.gethostname(), "pid": os.getpid(), "since": now}
                os.pwrite(handle, json.dumps(owner).encode(), 0)
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # who had it before removed it meanwhile


def _not_own(path: Path) -> StoreError:
    return StoreError(f"{path}: is not a file of this folder alone; remove it")


def _is_there(path: Path, found: os.stat_result) -> bool:
    """Return whether a path still leads to an open file."""
    try:
        return os.path.samestat(path.lstat(), found)
    except FileNotFoundError:
        return False


def _owner(folder: Path) -> str:
    """Say who has the lock, as far as is known: between locking and signing there is a moment."""
    try:
        found = json.loads(safe_files.read(folder, LOCK, _LONGEST))
        return f"process {found['pid']} on {found['host']} has been working on it since {found['since']}"
    except (OSError, StoreError, ValueError, KeyError, TypeError, RecursionError):
        return "another process works on it"


def _remove_if_empty(folder: Path) -> None:
    """Remove a folder in which nothing was written, such as after a mistake."""
    if [path.name for path in folder.iterdir()] == [LOCK]:
        (folder / LOCK).unlink()
        folder.rmdir()
