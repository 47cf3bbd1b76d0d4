"""A process that removes what a Ray cluster leaves once the process that started it has ended: `python _ray_watch.py SESSION PID ...`.

Ray ends a cluster with the process that started it, also if that is killed, but the agents of its node wait a minute for its server
before they end; and the files of its session stay. This one outlives all of them. It imports the standard library alone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path

PATIENCE = 10
"""Seconds in which files are removed again that others write on their way out."""


def main(session: str, *children: str) -> None:
    """Wait for the end of the standard input, which is that of the process that started this one; then remove what is left.

    Args:
        session: the folder of the session of Ray.
        children: of the process of its node, the numbers.
    """
    processes = []
    for number in children:
        with contextlib.suppress(OSError):  # a worker may have ended since
            processes.append(os.pidfd_open(int(number)))  # which no later process of that number has
    sys.stdin.read()
    for process in processes:
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(process, signal.SIGKILL)
    _remove(Path(session))


def _remove(session: Path) -> None:
    """Remove a session, and the link to it, which Ray would not replace once it leads nowhere."""
    latest = session.parent / "session_latest"
    if latest.resolve() == session.resolve():
        latest.unlink(missing_ok=True)
    until = time.monotonic() + PATIENCE
    while session.exists() and time.monotonic() < until:
        shutil.rmtree(session, ignore_errors=True)
        time.sleep(0.05)


if __name__ == "__main__":
    main(*sys.argv[1:])
