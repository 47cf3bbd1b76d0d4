"""Checkpoints of packs that are not finished, in the results folder until their parts are written.

A checkpoint is an NPZ file of NumPy with a BLAKE2 digest of all its arrays, one of which is JSON.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lrbench.engine.snapshot import Snapshot
from lrbench.results import atomic, safe_files
from lrbench.results.folder import CHECKPOINTS

_NAME = re.compile(r"([0-9]{1,12})-([0-9]{1,12})(\.npz)?")
"""Start and evaluations; without an ending it is of an older version."""


class Checkpoints:
    """The checkpoints of one pack: a file `<start>-<evaluations>.npz` for each piece of it, written whole or not at all.

    A checkpoint saves time and nothing else: if one cannot be written or read, a line reports it, and training goes on.
    """

    def __init__(self, folder: Path, pack_id: str, every: float, say: Callable[[str], None]) -> None:
        """Nothing is read or created yet; `say` takes one line."""
        self.every = every
        self._folder, self._place = folder.resolve(), f"{CHECKPOINTS}/{pack_id}"
        self._say = say

    def load(self, start: int, key: Mapping[str, Any]) -> Snapshot | None:
        """Return the last checkpoint of a key; others are named in a line each, and removed."""
        for name in sorted(self._of(start), key=_evaluations, reverse=True):
            file = f"{self._place}/{name}"
            path = safe_files.path(self._folder, file)
            try:
                if path.is_dir():
                    raise IsADirectoryError
                found, snapshot = _decoded(safe_files.open_file(self._folder, file))
                if found == dict(key):
                    return snapshot
                why = "is of other runs, probes or versions"
            except IsADirectoryError:
                why = "is of an older lrbench"
            except Exception as error:  # damaged bytes can mislead any decoder
                why = f"is damaged ({' '.join(str(error).split())[:200]})"
            self._say(f"{path}: {why}; its runs are trained from the beginning")
            safe_files.remove_tree(self._folder, file)
        return None

    def save(self, start: int, key: Mapping[str, Any], snapshot: Snapshot) -> None:
        """Write a checkpoint, then remove those before it."""
        name = f"{start}-{len(snapshot.rows)}.npz"
        try:
            arrays = _arrays(key, snapshot)
            atomic.write(self._folder, f"{self._place}/{name}", lambda path: _write(path, arrays))
        except Exception as error:  # such as a full disk
            path = self._folder / self._place / name
            self._say(f"{path}: no checkpoint was written: {' '.join(str(error).split())[:200]}")
            return
        for other in self._of(start):
            if other != name:
                safe_files.remove_tree(self._folder, f"{self._place}/{other}")

    def remove(self) -> None:
        """Remove the checkpoints of the pack."""
        safe_files.remove_tree(self._folder, self._place)
        with contextlib.suppress(OSError):  # there are some of another pack
            (self._folder / CHECKPOINTS).rmdir()

    def _of(self, start: int) -> list[str]:
        names = safe_files.names(self._folder, self._place)
        return [name for name in names if (found := _NAME.match(name)) and int(found[1]) == start]


def _evaluations(name: str) -> int:
    found = _NAME.match(name)
    return int(found[2]) if found else 0


def _arrays(key: Mapping[str, Any], snapshot: Snapshot) -> dict[str, np.ndarray]:
    """Return key and snapshot as arrays."""
    names = list(snapshot.rows[0])
    arrays = {f"lanes/{name}": np.asarray(values) for name, values in snapshot.lanes.items()}
    arrays |= {f"rows/{n}": np.stack([row[name] for row in snapshot.rows]) for n, name in enumerate(names)}
    about = {"key": dict(key), "runs": snapshot.runs, "seconds": dict(snapshot.seconds), "curves": names}
    # NumPy's format knows its own types alone, and JAX has more of them, such as bfloat16.
    about["types"] = {name: values.dtype.name for name, values in arrays.items()}
    arrays = {name: _plain(values) for name, values in arrays.items()}
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    return arrays


def _write(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    np.savez(path, digest=_digest(arrays), **arrays)  # type: ignore[arg-type]


def _decoded(file: io.BufferedReader) -> tuple[dict[str, Any], Snapshot]:
    """Return key and snapshot of an open file.

    Raises:
        ValueError: if it is not what was written.
    """
    with file, zipfile.ZipFile(file) as members:
        if any(each.compress_type != zipfile.ZIP_STORED for each in members.infolist()):
            raise ValueError("is compressed, as lrbench writes none")
        file.seek(0)
        with np.load(file, allow_pickle=False) as found:
            arrays = dict(found)
    if not np.array_equal(arrays.pop("digest"), _digest(arrays)):
        raise ValueError("its values have changed")
    about = json.loads(arrays.pop("about").tobytes())
    arrays = {name: values.view(np.dtype(about["types"][name])) for name, values in arrays.items()}
    stacked = {name: arrays[f"rows/{n}"] for n, name in enumerate(about["curves"])}
    evaluations = len(next(iter(stacked.values())))
    rows = [{name: values[at] for name, values in stacked.items()} for at in range(evaluations)]
    lanes = {name[6:]: values for name, values in arrays.items() if name.startswith("lanes/")}
    return about["key"], Snapshot(about["runs"], about["seconds"], lanes, rows)


def _plain(values: np.ndarray) -> np.ndarray:
    return values.view(f"u{values.itemsize}") if values.dtype.kind == "V" else values


def _digest(arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return a hash of arrays with their names, types and shapes."""
    digest = hashlib.blake2b(digest_size=16)
    for name, values in sorted(arrays.items()):
        digest.update(f"{name} {values.dtype.str} {values.shape}\n".encode())
        digest.update(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
    return np.frombuffer(digest.digest(), np.uint8)
