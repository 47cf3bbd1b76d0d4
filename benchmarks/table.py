"""What every benchmark prints and saves: one row a measure, beside its peer, its ratio and its target.

    rows = [compare("P1", "digits_mlp", 68_000.0, "model-steps/s", "PyTorch eager", 2_270.0, at_least=30)]
    publish("mlp", rows)          # prints the table and writes results/speed/mlp.csv

`run_peer` starts a module of `benchmarks.peers` in a process of its own. Nothing here imports torch or jax.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import datetime
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from benchmarks.peers.common import cores, versions
from lrbench.machine import memory, processor

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "results" / "speed"
KEPT_ENVIRONMENT = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "USER",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "SYSTEMROOT",
)
"""All that a peer inherits: no thread counts, XLA flags or JAX settings of the benchmark that starts it."""
MEASURED_PACKAGES = ("jax", "torch")


@dataclasses.dataclass(frozen=True)
class Row:
    """One measure. `ratio` is value / peer_value, `peak_share` value / what the machine's product peak allows;
    an empty field is None.
    """

    measure: str
    """The target's name in performance.md (P1 .. P11), or any other."""
    what: str
    value: float
    unit: str
    peer: str | None = None
    peer_value: float | None = None
    ratio: float | None = None
    peak_share: float | None = None
    target: str | None = None
    met: bool | None = None
    note: str = ""


def compare(
    measure: str,
    what: str,
    value: float,
    unit: str,
    peer: str | None = None,
    peer_value: float | None = None,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
    of: Literal["ratio", "value"] | None = None,
    peak_share: float | None = None,
    note: str = "",
) -> Row:
    """A row with its ratio worked out and its target judged.

    The target, `at_least` or `at_most`, is one of the ratio where there is a peer and of the value where
    there is none, unless `of` says which. For times, where less is better, give the times in the order that
    makes the ratio wanted. The note of a target that is missed ends with by how much.
    """
    if at_least is not None and at_most is not None:
        raise ValueError("give at_least or at_most, not both")
    ratio = value / peer_value if peer_value else None
    judged = ratio if (of or ("value" if peer is None else "ratio")) == "ratio" else value
    limit = at_least if at_least is not None else at_most
    row = Row(measure, what, value, unit, peer, peer_value, ratio, peak_share, note=note)
    if limit is None:
        return row
    if judged is None:
        raise ValueError(f"{measure} has a target for its ratio but no peer_value to take it from")
    met = judged >= limit if at_least is not None else judged <= limit
    sign = "≥" if at_least is not None else "≤"
    target = f"{sign} {limit:g} {'×' if judged is ratio else unit}"
    if not met:
        note = "; ".join(filter(None, [note, f"missed by {100 * abs(judged - limit) / limit:.1f} %"]))
    return dataclasses.replace(row, target=target, met=met, note=note)


def machine() -> dict[str, str]:
    """Columns that say where and with what a row was measured; read without importing the packages."""
    found = versions(*MEASURED_PACKAGES)
    return {
        "cpu": processor(),
        "cores": str(cores()),
        "memory_gib": f"{memory().total / 2**30:.1f}",
        **{package: found.get(package, "") for package in ("python", *MEASURED_PACKAGES)},
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }


def text_table(rows: Sequence[Row]) -> str:
    """The rows as aligned plain text, numbers to the right."""
    header = [field.name for field in dataclasses.fields(Row)]
    cells = [[_shown(value) for value in dataclasses.astuple(row)] for row in rows]
    widths = [max(len(line[column]) for line in [header, *cells]) for column in range(len(header))]
    numbers = {"value", "peer_value", "ratio", "peak_share"}

    def line(texts: Sequence[str]) -> str:
        padded = [
            text.rjust(width) if name in numbers else text.ljust(width)
            for name, text, width in zip(header, texts, widths, strict=True)
        ]
        return "  ".join(padded).rstrip()

    return "\n".join([line(header), line(["-" * width for width in widths]), *map(line, cells)])


def write_csv(name: str, rows: Iterable[Row], folder: Path = FOLDER) -> Path:
    """Write results/speed/<name>.csv: full precision, empty for None, the machine in every row."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.csv"
    where = machine()
    columns = [*(field.name for field in dataclasses.fields(Row)), *where]
    partial = path.with_suffix(".csv.tmp")
    with partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([*(_saved(value) for value in dataclasses.astuple(row)), *where.values()])
    partial.replace(path)
    return path


def publish(name: str, rows: Sequence[Row]) -> Path:
    """Print the table with the machine below it, save the CSV, and print its path last."""
    show(rows)
    path = write_csv(name, rows)
    print(path)
    return path


def show(rows: Sequence[Row]) -> None:
    """Print the table with the machine below it; all that `--quick` does."""
    print(text_table(rows))
    print(", ".join(f"{key} {value}" for key, value in machine().items() if value))


def is_quick(about: str | None) -> bool:
    """Whether a benchmark was started with `--quick`, its only option; `about` is its module's docstring."""
    parser = argparse.ArgumentParser(description=(about or "").splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="as little as shows that it works; saves nothing"
    )
    return bool(parser.parse_args().quick)


def clean_environment(platform: str | None = "cpu", **more: str) -> dict[str, str]:
    """What a measured process inherits of this one's environment, the platform of its JAX, and `more`.

    Without a platform JAX takes the best there is, among the GPUs that this process may see.
    """
    names = KEPT_ENVIRONMENT if platform else (*KEPT_ENVIRONMENT, "CUDA_VISIBLE_DEVICES")
    kept = {key: os.environ[key] for key in names if key in os.environ}
    return {**kept, **({"JAX_PLATFORMS": platform} if platform else {}), **more}


def run_peer(
    module: str,
    *args: object,
    platform: str | None = "cpu",
    environment: dict[str, str] | None = None,
    timeout: float = 900,
) -> dict[str, Any]:
    """Run `python -m benchmarks.peers.<module> <args> --json` and return its JSON line.

        run_peer("torch_single", "--threads", 2)["model_steps_per_second"]

    The process is a child of this one with a clean environment plus `environment`, JAX on the CPU unless another
    `platform` is given (None: JAX chooses). Raises RuntimeError with the last lines of its stderr where it fails,
    and subprocess.TimeoutExpired where it takes too long.
    """
    name = module if "." in module else f"benchmarks.peers.{module}"
    command = [sys.executable, "-m", name, *map(str, args), "--json"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=clean_environment(platform, PYTHONPATH=str(ROOT)) | (environment or {}),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=timeout,
        check=False,
    )
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        last = "\n".join(done.stderr.strip().splitlines()[-15:])
        raise RuntimeError(f"{' '.join(command[1:])} ended with {done.returncode}:\n{last}")
    result: dict[str, Any] = json.loads(lines[-1])
    return result


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float | int):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return str(value)


def _saved(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    # A NumPy number is a float too, but its own repr names its type.
    return repr(float(value)) if isinstance(value, float) else str(value)
