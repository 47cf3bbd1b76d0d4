"""The machine as this process may use it: cores, memory, GPUs, and installed versions."""

from __future__ import annotations

import contextlib
import math
import os
import platform
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

CONTROL_GROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_VERSIONS = ("lrbench", "jax", "jaxlib", "optax", "numpy", "pandas", "pyarrow")


class Memory(NamedTuple):
    """Bytes of main memory: in total, and free for this process."""

    total: int
    free: int


def cores(groups: Path = CONTROL_GROUPS, membership: Path = MEMBERSHIP) -> int:
    """Return the number of cores that this process may keep busy, by its CPU affinity and its control group.

    Args:
        groups: the folder of the control groups of Linux; other systems have none.
        membership: the file that lists the control groups of this process.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [_quota(folder) for folder in _groups(groups, membership, "cpu")]
    return max(1, min([allowed, *(math.ceil(quota) for quota in quotas if quota)]))


def memory(groups: Path = CONTROL_GROUPS, membership: Path = MEMBERSHIP) -> Memory:
    """Return the memory of the machine, or of the control group of this process if that has less.

    Args:
        groups: the folder of the control groups of Linux; other systems have none.
        membership: the file that lists the control groups of this process.
    """
    import psutil

    machine = psutil.virtual_memory()
    total, free = machine.total, machine.available
    for folder in _groups(groups, membership, "memory"):
        limit = _first(folder / "memory.max", folder / "memory.limit_in_bytes")
        used = _first(folder / "memory.current", folder / "memory.usage_in_bytes")
        if limit is not None and used is not None:
            # The page cache counts as used, but is reclaimed on demand.
            total, free = min(total, limit), min(free, max(0, limit - used + _reclaimable(folder)))
    return Memory(total, free)


def level_2_bytes(caches: Path = CACHES) -> int:
    """Return a core's share of the second level of cache; 0 where Linux does not say.

    Args:
        caches: the folder of the caches of a core.
    """
    for folder in sorted(caches.glob("index*")):
        with contextlib.suppress(OSError, ValueError):
            level, kind, size, sharing = (
                (folder / name).read_text(encoding="utf-8").strip()
                for name in ("level", "type", "size", "shared_cpu_list")
            )
            if level == "2" and kind != "Instruction":
                return int(size.removesuffix("K")) * 1024 // _count(sharing)
    return 0


def _count(numbers: str) -> int:
    """Return how many numbers a list such as `0-3,8` has."""
    ends = [[int(end) for end in each.split("-")] for each in numbers.split(",")]
    return sum(each[-1] - each[0] + 1 for each in ends)


@contextlib.contextmanager
def bounded() -> Iterator[None]:
    """Let the system refuse this process more memory than is free now, if it can; for a process that does nothing else.

    A library may allocate memory that it does not count: the limit of DuckDB does not include the strings that a function creates.
    """
    import resource  # not on every system

    import psutil

    before = resource.getrlimit(resource.RLIMIT_AS)
    most = psutil.Process().memory_info().vms + memory().free
    with contextlib.suppress(OSError, ValueError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_AS, before)


def processor() -> str:
    """Return the model of the processor, as its vendor names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.machine()


def versions() -> dict[str, str]:
    """Return the versions of Python, lrbench and the libraries that matter, without importing them."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    return found | {name: version(name) or "not installed" for name in _VERSIONS}


def measured_with() -> str:
    """Return the versions and the machine that a published number is measured with, as one line."""
    found = versions()
    gpus = nvidia()
    return (
        f"lrbench {found['lrbench']}, JAX {found['jax']}, optax {found['optax']} and Python {found['python']} on "
        f"{cores()} cores of {processor()}{f' with {gpus}' if gpus else ''}"
    )


def version(name: str) -> str:
    """Return the version of a package, empty if it is not installed.

    Example:
        >>> version("no-such-package")
        ''
    """
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def nvidia() -> str:
    """Return the names of the GPUs that the NVIDIA driver shows, without JAX; empty for none."""
    if command := shutil.which("nvidia-smi"):
        query = [command, "--query-gpu=name", "--format=csv,noheader"]
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            done = subprocess.run(query, capture_output=True, text=True, timeout=10, check=False)
            if done.returncode == 0 and done.stdout.strip():
                return _grouped(done.stdout.split("\n"))
    cards = Path("/proc/driver/nvidia/gpus").glob("*/information")
    with contextlib.suppress(OSError):
        return _grouped(re.findall(r"Model:\s*(.+)", "\n".join(card.read_text() for card in cards)))
    return ""


def _grouped(names: Iterable[str]) -> str:
    counts = Counter(name.strip() for name in names if name.strip())
    return ", ".join(f"{count} × {name}" for name, count in counts.items())


def _groups(groups: Path, membership: Path, controller: str) -> Iterator[Path]:
    """Yield the folders of the control groups of this process and of all groups that contain them."""
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        # Version 2 has one tree (no controllers named); version 1 has one per controller.
        root = groups / controllers if controllers else groups
        own = root / path.lstrip("/")
        yield from (folder for folder in (own, *own.parents) if folder.is_relative_to(root))


def _quota(folder: Path) -> float | None:
    """Return the cores that a control group may use, None for no limit."""
    try:  # version 2: "200000 100000" or "max 100000"
        quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
        return None if quota == "max" else float(quota) / float(period)
    except (OSError, ValueError, ZeroDivisionError):
        given, period_ = _first(folder / "cpu.cfs_quota_us"), _first(folder / "cpu.cfs_period_us")
    return given / period_ if given and period_ and given > 0 else None


def _first(*files: Path) -> int | None:
    """Return the number in the first of the files that contains one."""
    for file in files:
        try:
            return int(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
    return None


def _reclaimable(folder: Path) -> int:
    try:
        lines = (folder / "memory.stat").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    found = dict(line.split(maxsplit=1) for line in lines if " " in line)
    return int(found.get("total_inactive_file", found.get("inactive_file", 0)))
