"""Who writes to a results folder: one process at a time, and the next one is told who it is."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from lrbench.errors import StoreError

LOCK, HOLDER = ".lock", ".holder.json"
_ABANDONED = 3600.0


@contextlib.contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Hold a results folder, which is made if it is not there; reading one needs no hold.

    The system lets go of the lock when its process ends, however it ends. Who holds a folder may hold it once more.

    Raises:
        StoreError: if another process holds it, or it cannot be written.

    Source: flock(2), through filelock.
    """
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
        with path.open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        with contextlib.suppress(OSError):
            return time.time() - path.stat().st_mtime > _ABANDONED
    return True


def _sign(folder: Path) -> None:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    text = json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": now})
    (folder / HOLDER).write_text(text + "\n", encoding="utf-8")


def _holder(folder: Path) -> str:
    """Say who holds a folder, as far as is known: between the lock and the signature there is a moment."""
    try:
        found = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        return f"process {found['pid']} on {found['host']} works on it since {found['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process works on it"


def _leave(folder: Path) -> None:
    """Take the signature away; of a folder in which nothing was written, such as after a mistake, the folder too."""
    with contextlib.suppress(OSError):
        (folder / HOLDER).unlink(missing_ok=True)
        if [path.name for path in folder.iterdir()] == [LOCK]:
            (folder / LOCK).unlink()
            folder.rmdir()
