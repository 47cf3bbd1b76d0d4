"""Who writes to a results folder: one process at a time, and the next one is told who it is."""

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

from filelock import FileLock, Timeout

from lrbench.errors import StoreError
from lrbench.results import safe_files

LOCK, HOLDER = ".lock", ".holder.json"
_ABANDONED = 3600.0
_LONGEST = 10_000


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a results folder, which is made if it is not there; reading one needs no hold.

    The system lets go of the lock when its process ends, however it ends. Who holds a folder may hold it once more.

    Raises:
        StoreError: if another process holds it, or it cannot be written.

    Source: flock(2), through filelock.
    """
    _check(folder)
    lock = FileLock(folder.resolve() / LOCK, timeout=0, is_singleton=True)
    again = lock.is_locked
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        if not again:
            _sign(folder)
    except Timeout as error:
        raise StoreError(
            f"{folder}: {_holder(folder)}; wait for it, end it, or choose another --out"
        ) from error
    except (OSError, NotImplementedError) as error:
        lock.release()
        said = getattr(error, "strerror", None) or error
        raise StoreError(f"{folder}: cannot be written: {said}; choose another --out") from error
    try:
        yield
    finally:
        if not again:
            _leave(folder)
        lock.release()


def mark(handle: int) -> None:
    """Mark an open file as being written, until it is closed or the process ends, however it ends."""
    with contextlib.suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def abandoned(path: Path) -> bool:
    """Return whether nobody writes a file any more, on this machine or on one that shares the disk.

    Where a disk cannot tell, a file is abandoned after an hour without a change.
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


def _check(folder: Path) -> None:
    """Refuse a lock that is no file of its own: taking it empties it."""
    for name in (LOCK, HOLDER):
        path = safe_files.path(folder, name)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            found = path.lstat()
            if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
                raise StoreError(f"{path}: is not a file of this folder alone; remove it")


def _sign(folder: Path) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    text = json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": now})
    safe_files.remove(folder, HOLDER)
    handle = os.open(folder / HOLDER, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text + "\n")


def _holder(folder: Path) -> str:
    """Say who holds a folder, as far as is known: between the lock and the signature there is a moment."""
    try:
        found = json.loads(safe_files.read(folder, HOLDER, _LONGEST))
        return f"process {found['pid']} on {found['host']} works on it since {found['since']}"
    except (OSError, StoreError, ValueError, KeyError, TypeError, RecursionError):
        return "another process works on it"


def _leave(folder: Path) -> None:
    """Take the signature away; of a folder in which nothing was written, such as after a mistake, the folder too."""
    with contextlib.suppress(OSError):
        (folder / HOLDER).unlink(missing_ok=True)
        if [path.name for path in folder.iterdir()] == [LOCK]:
            (folder / LOCK).unlink()
            folder.rmdir()
