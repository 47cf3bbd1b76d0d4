"""A server of `lrbench` processes for tests/execution/test_faults.py: each is forked from one that has imported all, and started none.

Every line of standard input is the arguments of a command; the process that runs it is told as `pid`, and how it ended
as its wait status. What is flushed to disk takes a while, as on a slow disk, so that a kill often hits a file half
written.
"""

from __future__ import annotations

import json
import os
import sys
import time

import jax  # noqa: F401
import scipy.stats  # noqa: F401

import lrbench.analysis
import lrbench.engine.engine
import lrbench.execution.checkpoints
import lrbench.execution.execute
import lrbench.results.building.build  # noqa: F401
from lrbench.cli import commands

_SYNC = os.fsync


def _slow(handle: int) -> None:
    time.sleep(0.03)
    _SYNC(handle)


def _command(words: list[str]) -> None:
    os.fsync = _slow
    sys.argv = ["lrbench", *words]
    sys.stdout = sys.stderr  # standard output is for the server
    commands.main()


def main() -> None:
    print("ready", flush=True)
    for line in sys.stdin:
        words = json.loads(line)
        child = os.fork()
        if not child:
            code = 1
            try:
                _command(words)
            except SystemExit as done:
                code = int(done.code or 0)
            finally:
                sys.stderr.flush()
                os._exit(code)
        print(child, flush=True)
        print(os.waitpid(child, 0)[1], flush=True)


if __name__ == "__main__":
    main()
