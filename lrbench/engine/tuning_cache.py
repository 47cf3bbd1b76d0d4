"""The cache of tunings: what was measured on this machine, one small file a program in the user's cache folder."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import platformdirs


@dataclass(frozen=True)
class Tuning:
    """How a program is compiled for speed, and how fast it is.

    Args:
        lanes_per_chunk: the most lanes that are vmapped together.
        form: which of the problem's forms computes the loss; "" is its own.
        options: the names of the options of XLA that it is compiled with, joined by "+"; "" is none.
        how: `set` by the study, by the `rule`, or `measured`.
        seconds_per_step: of one run's step, with all devices at work; NaN if it was not measured.
        compile_seconds: of the program; NaN if it was not measured.
    """

    lanes_per_chunk: int
    form: str = ""
    options: str = ""
    how: Literal["set", "rule", "measured"] = "rule"
    seconds_per_step: float = math.nan
    compile_seconds: float = math.nan

    @property
    def choice(self) -> tuple[int, str, str]:
        """What it is compiled for, whoever chose it."""
        return self.lanes_per_chunk, self.form, self.options


class TuningCache:
    """Tunings by key: what they are valid for. A cache that cannot be read or written costs time and nothing else."""

    def __init__(self, folder: Path | None = None) -> None:
        """Use a folder, which is created when something is stored; left out, that of the user's cache."""
        self.folder = folder or Path(platformdirs.user_cache_dir("lrbench")) / "capacity"

    def load(self, key: Mapping[str, Any]) -> Tuning | None:
        """Return the tuning of a key; `None` if there is none, or it cannot be read."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            found = json.loads(self._path(key).read_text(encoding="utf-8"))["capacity"]
            return Tuning(**found)
        return None

    def store(self, key: Mapping[str, Any], tuning: Tuning) -> None:
        """Write the tuning of a key."""
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self.folder, suffix=".json")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"capacity": asdict(tuning), "key": dict(key)}, file, indent=1)
            Path(temporary).replace(self._path(key))

    def _path(self, key: Mapping[str, Any]) -> Path:
        text = json.dumps(key, sort_keys=True)
        return self.folder / f"{hashlib.blake2b(text.encode(), digest_size=12).hexdigest()}.json"
