"""Checkpoints of packs that are not finished, in the results folder or at its URL until their parts are written.

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
from typing import IO, Any

import numpy as np

from lrbench.engine.snapshot import Snapshot
from lrbench.errors import StoreError
from lrbench.results.folder import CHECKPOINTS
from lrbench.results.places import Place

_NAME = re.compile(r"([0-9]{1,12})-([0-9]{1,12})\.npz")
"""Start and evaluations."""


class Checkpoints:
    """The checkpoints of one pack: a file `<start>-<evaluations>.npz` for each piece of it, written whole or not at all.

    A checkpoint saves time and nothing else: if one cannot be written or read, a line reports it, and training goes on.
    """

    def __init__(self, place: Place, pack_id: str, every: float, say: Callable[[str], None]) -> None:
        """Nothing is read or created yet; `say` takes one line."""
        self.every = every
        self._place, self._folder = place, f"{CHECKPOINTS}/{pack_id}"
        self._say = say

    def load(self, start: int, key: Mapping[str, Any]) -> Snapshot | None:
        """Return the last checkpoint of a key; others are named in a line each, and removed."""
        try:
            names = sorted(self._of(start), key=_evaluations, reverse=True)
        except StoreError as error:
            self._say(f"{error}; training begins without a checkpoint")
            return None
        for name in names:
            try:
                with self._place.open(f"{self._folder}/{name}") as file:
                    found, snapshot = _decoded(file)
                if found == dict(key):
                    return snapshot
                why = "is of other runs, probes or versions"
            except Exception as error:  # damaged bytes can mislead any decoder
                why = f"is damaged ({' '.join(str(error).split())[:200]})"
            self._say(
                f"{self._place.name}/{self._folder}/{name}: {why}; its runs are trained from the beginning"
            )
            self._remove(name)
        return None

    def save(self, start: int, key: Mapping[str, Any], snapshot: Snapshot) -> None:
        """Write a checkpoint, then remove those before it."""
        name = f"{start}-{len(snapshot.rows)}.npz"
        try:
            self._place.write(f"{self._folder}/{name}", _encoded(_arrays(key, snapshot)))
            for other in self._of(start):
                if other != name:
                    self._remove(other)
        except Exception as error:  # such as a full disk, or a network that is down
            self._say(
                f"{self._place.name}/{self._folder}/{name}: no checkpoint was written: {' '.join(str(error).split())[:200]}"
            )

    def remove(self) -> None:
        """Remove the checkpoints of the pack."""
        with contextlib.suppress(
            StoreError
        ):  # of a store that cannot be reached now; the next command removes them
            self._place.remove(self._folder)

    def _remove(self, name: str) -> None:
        self._place.remove(f"{self._folder}/{name}")

    def _of(self, start: int) -> list[str]:
        names = (name.rpartition("/")[2] for name in self._place.stamps(self._folder))
        return [name for name in names if (found := _NAME.fullmatch(name)) and int(found[1]) == start]


def _evaluations(name: str) -> int:
    found = _NAME.fullmatch(name)
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


def _encoded(arrays: Mapping[str, np.ndarray]) -> bytes:
    file = io.BytesIO()
    np.savez(file, digest=_digest(arrays), **arrays)  # type: ignore[arg-type]
    return file.getvalue()


def _decoded(file: IO[bytes]) -> tuple[dict[str, Any], Snapshot]:
    """Return key and snapshot of an open file.

    Raises:
        ValueError: if it is not what was written.
    """
    with zipfile.ZipFile(file) as members:
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
