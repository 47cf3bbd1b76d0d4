"""The copy on this machine of a results folder at a URL: what has changed on either side since they last met is brought to the other."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import platformdirs

from lrbench.errors import StoreError
from lrbench.results import atomic, safe_files
from lrbench.results.folder import CHECKPOINTS, MANIFEST
from lrbench.results.inventory import PARTS
from lrbench.results.places import FolderPlace, Stamp, UrlPlace

AT_ONCE = 16
"""So many files travel at the same time: a small one takes little but a round trip."""
_TRIES, _PAUSE = 4, 1.0
"""How often a file is sent before that is an error, and the seconds before the second time; each further pause is twice as long."""
_RECORD, _LONGEST = "met.json", 2**30
"""What both sides had in common when they last met, and the most bytes of it."""


class _Met(NamedTuple):
    """A file as it was on both sides when they last met."""

    there: Stamp
    here: Stamp


class LocalCopy:
    """A folder in the cache of this user, beside a record of what it and the URL have in common.

    Args:
        url: as of `UrlPlace`.
        use: what the copy is for; each use has one of its own.
    """

    def __init__(self, url: str, use: str) -> None:
        """Nothing is read yet."""
        self.place = UrlPlace(url)
        name = hashlib.blake2b(url.encode(), digest_size=8).hexdigest()
        self._above = _cache() / "urls" / name
        self.folder = self._above / use
        self._record = f"{use}.{_RECORD}"
        self._met: dict[str, _Met] = {}
        self._threads: ThreadPoolExecutor | None = None
        self._sending: dict[str, Future[None]] = {}
        self._locks: dict[str, threading.Lock] = {}

    def pull(self, *, parts: bool) -> None:
        """Fetch what is new or has changed at the URL, and remove what is there no more; checkpoints stay there.

        Args:
            parts: whether parts are fetched, too.

        Raises:
            StoreError: if the URL cannot be read, or the copy cannot be written.
        """
        self._wait()
        self._met = self._read_record()
        left_out = (f"{CHECKPOINTS}/",) if parts else (f"{CHECKPOINTS}/", f"{PARTS}/")
        manifest = None
        # Tables are sent after the manifest that drops their sums, and before the one that has them again.
        while manifest != (manifest := self._pull(left_out)):
            pass

    def _pull(self, left_out: tuple[str, ...]) -> Stamp | None:
        """Fetch all files but some, and return the stamp of the manifest as it was at first."""
        there = {name: at for name, at in self.place.stamps("").items() if not name.startswith(left_out)}
        here = FolderPlace(self.folder).stamps("")
        known = {name: met.there for name, met in self._met.items() if name in here}
        self._each(self._fetch, [name for name, stamp in there.items() if known.get(name) != stamp])
        for name in [name for name in self._met if name not in there and not name.startswith(left_out)]:
            safe_files.remove(self.folder, name)
            del self._met[name]
        self._write_record()
        return there.get(MANIFEST)

    def pull_file(self, name: str) -> None:
        """Fetch one file, if it is there and has changed."""
        with contextlib.suppress(FileNotFoundError):
            met = self._met.get(name)
            if met is None or met.there != self.place.stamp(name):
                self._fetch(name)

    def push(self) -> None:
        """Send what is new or has changed here, the manifest last, and remove from the URL what is here no more.

        Raises:
            StoreError: if the URL cannot be written; the copy is whole, and the same command goes on from it.
        """
        self._wait()
        here = FolderPlace(self.folder).stamps("")
        new = [name for name, stamp in here.items() if name not in self._met or self._met[name].here != stamp]
        try:
            self._each(self._send, [name for name in new if name != MANIFEST])
            for name in [name for name in self._met if name not in here]:
                self.place.remove(name)
                del self._met[name]
            self._each(self._send, [name for name in new if name == MANIFEST])
        except StoreError as error:
            raise StoreError(
                f"{error}; everything is in {self.folder}, and the same command sends it"
            ) from error
        finally:
            self._write_record()

    def discard(self) -> None:
        """Remove the copy; at the URL everything stays as it is."""
        shutil.rmtree(self.folder, ignore_errors=True)
        (self._above / self._record).unlink(missing_ok=True)
        self._met = {}

    def send(self, name: str) -> None:
        """Send a file while this process goes on; `push` says what went wrong."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="lrbench-send")
        self._sending[name] = self._threads.submit(self._send, name)

    def _wait(self) -> None:
        """Wait for what is being sent; what could not be sent is still known to differ."""
        for each in self._sending.values():
            with contextlib.suppress(StoreError, OSError):
                each.result()
        self._sending.clear()

    def _each(self, do: Callable[[str], None], names: Iterable[str]) -> None:
        with ThreadPoolExecutor(AT_ONCE) as threads:
            for _ in threads.map(do, names):
                pass

    def _fetch(self, name: str) -> None:
        """Fetch a file, unless it is not there, or goes meanwhile."""
        try:
            there = self.place.stamp(name)
        except FileNotFoundError:
            return
        with atomic.scratch(self.folder, name) as temporary:
            try:
                self.place.fetch(name, temporary)
            except FileNotFoundError:
                return
            path = atomic.rename(temporary, self.folder, name)
            self._met[name] = _Met(there, _stamp(path))

    def _send(self, name: str) -> None:
        """Send a file as it is now; a later call for the same file waits for an earlier one."""
        with self._locks.setdefault(name, threading.Lock()):
            path = safe_files.path(self.folder, name)
            with contextlib.suppress(FileNotFoundError):  # it was removed meanwhile
                here = _stamp(path)
                _with_patience(lambda: self.place.send(path, name))
                self._met[name] = _Met(self.place.stamp(name), here)

    def _read_record(self) -> dict[str, _Met]:
        """Return what both sides had in common; nothing if that is not known."""
        try:
            found = json.loads(safe_files.read(self._above, self._record, _LONGEST))
            return {name: _Met(tuple(there), tuple(here)) for name, (there, here) in found.items()}
        except (FileNotFoundError, ValueError, TypeError, AttributeError):
            return {}

    def _write_record(self) -> None:
        text = json.dumps(dict(sorted(self._met.items())))
        atomic.write(self._above, self._record, lambda path: path.write_text(text, encoding="utf-8"))


def _cache() -> Path:
    return Path(platformdirs.user_cache_dir("lrbench"))


def _stamp(path: Path) -> Stamp:
    found = path.lstat()
    return found.st_size, found.st_mtime_ns


def _with_patience(do: Callable[[], Any]) -> None:
    """Call a function that may fail for a moment, such as while a network is down."""
    for turn in range(_TRIES):
        try:
            do()
            return
        except StoreError:
            if turn == _TRIES - 1:
                raise
            time.sleep(_PAUSE * 2**turn)
