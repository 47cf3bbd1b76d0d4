"""Packs half done, kept in the results folder until their parts are written."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lrbench.engine.checkpoint import Snapshot
from lrbench.results import safe_files
from lrbench.results.folder import CHECKPOINTS

_NAME = re.compile("[0-9]{1,12}-[0-9]{1,12}")


class Folder:
    """The checkpoints of one pack: a folder `<start>-<evaluations>` for each piece of it, made whole or not at all.

    A checkpoint saves time and nothing else: one that cannot be written or read is told of, and training goes on.
    """

    def __init__(self, folder: Path, pack_id: str, every: float, say: Callable[[str], None]) -> None:
        """Nothing is read or made yet; `say` takes one line."""
        self.every = every
        self._folder, self._place = folder.resolve(), f"{CHECKPOINTS}/{pack_id}"
        self._say = say

    def load(self, start: int, key: Mapping[str, Any]) -> Snapshot | None:
        """Return the last sound checkpoint of a key; others are told of, and removed."""
        for name in sorted(self._of(start), key=_evaluations, reverse=True):
            path = safe_files.path(self._folder, f"{self._place}/{name}")
            try:
                safe_files.refuse_links(self._folder, f"{self._place}/{name}")
                found, snapshot = _read(path)
                if found == dict(key):
                    return snapshot
                why = "is of other runs, probes or versions"
            except Exception as error:  # damaged bytes can mislead any decoder
                why = f"is damaged ({' '.join(str(error).split())[:200]})"
            self._say(f"{path}: {why}; its runs begin anew")
            safe_files.remove_tree(self._folder, f"{self._place}/{name}")
        return None

    def save(self, start: int, key: Mapping[str, Any], snapshot: Snapshot) -> None:
        """Write a checkpoint, then remove those before it."""
        name = f"{start}-{len(snapshot.rows)}"
        path = self._folder / self._place / name
        try:
            safe_files.path(self._folder, f"{self._place}/{name}")
            _write(path, dict(key), snapshot)
        except Exception as error:  # such as a full disk
            self._say(f"{path}: no checkpoint was written: {' '.join(str(error).split())[:200]}")
            return
        for other in safe_files.names(
            self._folder, self._place
        ):  # those that were begun and not finished, too
            if other.startswith(f"{start}-") and other != name:
                safe_files.remove_tree(self._folder, f"{self._place}/{other}")

    def forget(self) -> None:
        """Remove what is kept."""
        safe_files.remove_tree(self._folder, self._place)
        with contextlib.suppress(OSError):  # that of another pack is there
            (self._folder / CHECKPOINTS).rmdir()

    def _of(self, start: int) -> list[str]:
        return [
            name
            for name in safe_files.names(self._folder, self._place)
            if _NAME.fullmatch(name) and name.startswith(f"{start}-")
        ]


def _evaluations(name: str) -> int:
    return int(name.partition("-")[2])


def _write(path: Path, key: dict[str, Any], snapshot: Snapshot) -> None:
    import orbax.checkpoint as ocp

    names = list(snapshot.rows[0])
    arrays = {f"lanes/{name}": np.asarray(values) for name, values in snapshot.lanes.items()}
    arrays |= {f"rows/{n}": np.stack([row[name] for row in snapshot.rows]) for n, name in enumerate(names)}
    about = {"key": key, "runs": snapshot.runs, "seconds": dict(snapshot.seconds), "curves": names}
    about["arrays"] = {name: [str(values.dtype), values.shape] for name, values in arrays.items()}
    text = np.frombuffer(json.dumps(about).encode(), np.uint8)
    # An array without values has no place in Orbax's format.
    filled = {name.replace("/", "_"): values for name, values in arrays.items() if values.size}
    tree = {"about": text, "digest": _digest(text, arrays), "arrays": filled}
    with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
        checkpointer.save(path, args=ocp.args.StandardSave(tree), force=True)


def _read(path: Path) -> tuple[dict[str, Any], Snapshot]:
    import orbax.checkpoint as ocp

    with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
        tree = checkpointer.restore(path)
    about = json.loads(tree["about"].tobytes())
    arrays = {
        name: tree["arrays"][name.replace("/", "_")] if np.prod(shape) else np.zeros(shape, kind)
        for name, (kind, shape) in about["arrays"].items()
    }
    if not np.array_equal(tree["digest"], _digest(tree["about"], arrays)):
        raise ValueError("its values have changed")
    stacked = {name: arrays[f"rows/{n}"] for n, name in enumerate(about["curves"])}
    evaluations = len(next(iter(stacked.values())))
    rows = [{name: values[at] for name, values in stacked.items()} for at in range(evaluations)]
    lanes = {name[6:]: values for name, values in arrays.items() if name.startswith("lanes/")}
    return about["key"], Snapshot(about["runs"], about["seconds"], lanes, rows)


def _digest(about: np.ndarray, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return a hash of all that a checkpoint holds, which its format does not check to the last bit."""
    digest = hashlib.blake2b(about.tobytes(), digest_size=16)
    for values in arrays.values():
        digest.update(np.ascontiguousarray(values).tobytes())
    return np.frombuffer(digest.digest(), np.uint8)
