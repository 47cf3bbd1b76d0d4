"""Further processes that share the work of this one: each is this Python with the same modules, and does what it is asked.

A helper is sent functions with their arguments, and answers with what each returns. It ends with whoever started it, however that ends: nothing
comes from its standard input any more. What a helper could not do, this process does itself, so that an error is the same without helpers.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from importlib import import_module
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any, BinaryIO

import numpy as np

_PROGRAM = "import sys; sys.path[:] = {path!r}; from lrbench.results.helpers import serve; serve({prepare!r})"
_PATIENCE = 30.0
"""Seconds in which a helper is to end by itself: on a busy machine, one that has just been started takes many."""
SECONDS = 0.1
"""How often this process looks whether it is to stop while it waits for others."""
_AHEAD = 4
"""So many more tasks are given out than there are helpers: what they return waits in memory until all before it has come."""

_NOTHING = pickle.dumps(None)
Asked = tuple[Callable[..., Any], tuple[Any, ...], bytes]
"""The arguments of `Helper.call`."""


class Failed(Exception):
    """A helper has not done what it was asked: it raised, or it has ended."""


class Helper:
    """One further process.

    Args:
        prepare: `module:function` that it calls first.

    Raises:
        OSError: if it cannot be started.
    """

    def __init__(self, prepare: str) -> None:
        """Start it."""
        program = _PROGRAM.format(path=sys.path, prepare=prepare)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            process_group=0,  # Ctrl-C is for this process, which then ends them
        )
        self.ended = False
        self._common: bytes | None = None

    def call(self, function: Callable[..., Any], arguments: tuple[Any, ...], common: bytes = _NOTHING) -> Any:
        """Return what a function of lrbench returns there, given what is pickled in `common`, and further arguments.

        Raises:
            Failed: if it raised there, or the process has ended.
        """
        news = None if common is self._common else common
        self._common = common
        try:
            _send(self.process.stdin, [_pickled((function, news, arguments))])
            answer = _receive(self.process.stdout)
        except (OSError, ValueError, EOFError) as error:  # it has ended, or its pipes are closed
            self.ended = True
            raise Failed from error
        if not answer:
            raise Failed
        return pickle.loads(answer[0], buffers=answer[1:])

    def end(self) -> None:
        """Let it end, by itself if it can."""
        with (
            self.process as process,
            contextlib.suppress(OSError),
        ):  # of what was not sent to one that has ended
            if process.stdin:
                process.stdin.close()
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


class HelperPool(contextlib.ExitStack):
    """Helpers that end with the context.

    Args:
        most: how many; 0 for none.
        prepare: `module:function` that each calls first, such as one that imports what it needs.
    """

    def __init__(self, most: int, prepare: str) -> None:
        """Start nothing yet."""
        super().__init__()
        self.most, self._prepare = most if sys.executable else 0, prepare
        self.running: list[Helper] = []
        self._asked: SimpleQueue[tuple[Future[Any], Asked] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Start them, unless they are; one that cannot be started is done without."""
        while len(self.running) < self.most:
            try:
                helper = Helper(self._prepare)
            except OSError:
                self.most = len(self.running)
                return
            self.running.append(helper)
            self.callback(helper.end)

    def each(
        self,
        function: Callable[..., Any],
        common: Any,
        tasks: Iterable[tuple[Any, ...]],
        check: Callable[[], None] = lambda: None,
    ) -> Iterator[Any]:
        """Yield `function(common, *task)` for every task, in their order; without helpers this process does all of it.

        Args:
            function: of a module of lrbench.
            common: is sent to every helper once.
            tasks: are taken as they are given out, not long before what they return is yielded.
            check: called again and again; what it raises ends the work.
        """
        if not self.running:
            for task in tasks:
                check()
                yield function(common, *task)
            return
        self._start_threads()
        pickled = _pickled(common)
        left = iter(tasks)
        waiting: deque[tuple[Future[Any], tuple[Any, ...]]] = deque()
        while True:
            for task in islice(left, _AHEAD + len(self.running) - len(waiting)):
                waiting.append((Future(), task))
                self._asked.put((waiting[-1][0], (function, task, pickled)))
            if not waiting:
                return
            future, task = waiting.popleft()
            try:
                found = self._wait(future, check)
            except Failed:
                found = function(common, *task)
            yield found

    def _start_threads(self) -> None:
        """Let a thread speak with each helper, unless one does."""
        if not self._threads:
            self.callback(self._dismiss)
        for helper in self.running[len(self._threads) :]:
            self._threads.append(threading.Thread(target=_ask, args=(helper, self._asked), daemon=True))
            self._threads[-1].start()

    def _dismiss(self) -> None:
        """Give out nothing further, and let the threads end."""
        with contextlib.suppress(Empty):
            while True:
                self._asked.get_nowait()
        for _ in self._threads:
            self._asked.put(None)

    def _wait(self, future: Future[Any], check: Callable[[], None]) -> Any:
        """Return what a helper answers; raise `Failed` if none of them does."""
        while True:
            check()
            alive = any(thread.is_alive() for thread in self._threads)
            with contextlib.suppress(TimeoutError):
                return future.result(SECONDS if alive else 0)
            if not alive:
                raise Failed


def _ask(helper: Helper, asked: SimpleQueue[tuple[Future[Any], Asked] | None]) -> None:
    """Let a helper do one task after another until it ends, or there are no more."""
    while not helper.ended and (given := asked.get()):
        future, call = given
        try:
            future.set_result(helper.call(*call))
        except Exception as error:
            future.set_exception(error if isinstance(error, Failed) else Failed(str(error)))


def _pickled(value: Any) -> bytes:
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def _send(pipe: Any, pieces: Sequence[Any]) -> None:
    """Send some buffers, and before them how many bytes each has."""
    sizes = [memoryview(piece).nbytes for piece in pieces]
    heads = [each.to_bytes(8, "little") for each in (len(sizes), *sizes)]
    for piece in (b"".join(heads), *pieces):
        left = memoryview(piece).cast("B")
        while left:
            left = left[pipe.write(left) :]


def _receive(pipe: Any) -> list[memoryview]:
    """Return the buffers that were sent; raise `EOFError` if nothing more comes."""
    (count,) = np.frombuffer(_read(pipe, 8), "<u8")
    sizes = np.frombuffer(_read(pipe, 8 * int(count)), "<u8").tolist()
    return [memoryview(_read(pipe, size)) for size in sizes]


def _read(pipe: Any, size: int) -> bytearray:
    data = bytearray(size)
    left = memoryview(data)
    while left:
        count = pipe.readinto(left)
        if not count:
            raise EOFError
        left = left[count:]
    return data


def serve(prepare: str) -> None:
    """Do what is asked for, until the process that asks has ended.

    Args:
        prepare: as of `Helper`.
    """
    answers = os.fdopen(os.dup(1), "wb", 0)
    os.dup2(2, 1)  # what a library prints is no answer
    asked: SimpleQueue[memoryview] = SimpleQueue()
    prepared = threading.Event()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, asked, prepared), daemon=True).start()
    module, _, name = prepare.partition(":")
    try:
        getattr(import_module(module), name)()
    finally:
        prepared.set()
    common = None
    while True:
        buffers: list[pickle.PickleBuffer] = []
        try:
            function, news, arguments = pickle.loads(asked.get())
            if news is not None:
                common = pickle.loads(news)
            found = function(common, *arguments)
            answer = pickle.dumps(found, pickle.HIGHEST_PROTOCOL, buffer_callback=buffers.append)
            _send(answers, [answer, *(each.raw() for each in buffers)])
        except Exception:
            _send(answers, [])  # who asks will try, and see why
        del buffers


def _listen(source: BinaryIO, asked: SimpleQueue[memoryview], prepared: threading.Event) -> None:
    """Receive what is asked; end the process when no more can come: at once, but never while it prepares."""
    with contextlib.suppress(EOFError):
        while True:
            asked.put(_receive(source)[0])
    prepared.wait()
    os._exit(0)


ALONE = HelperPool(0, "")
"""No helpers."""
