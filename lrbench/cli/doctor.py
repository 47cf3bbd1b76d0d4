"""What `lrbench doctor` prints: this machine, this installation, and what is missing."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import platformdirs
from packaging.requirements import Requirement

from lrbench import machine
from lrbench.errors import counted
from lrbench.machine import Memory

LARGE, SMALL, LANES = 2048, 64, 256
"""Rows of the matrices whose products are the peak, rows of those of small models, and how many of these are multiplied together."""
LITTLE_MEMORY = 2 * 1024**3
"""The memory that a pack may use between steps."""
_VARIABLES = (
    *("JAX_PLATFORMS", "JAX_NUM_CPU_DEVICES", "XLA_FLAGS", "JAX_COMPILATION_CACHE_DIR"),
    *("XLA_PYTHON_CLIENT_MEM_FRACTION", "XLA_PYTHON_CLIENT_PREALLOCATE", "CUDA_VISIBLE_DEVICES"),
)


@dataclass(frozen=True)
class Device:
    """A device as JAX sees it; its memory is that of an accelerator, 0 where it has none of its own."""

    platform: str
    kind: str
    memory: int = 0
    free: int = 0


@dataclass(frozen=True)
class Cache:
    """A folder that caches what is slow to compute or to download."""

    name: str
    folder: Path
    files: int = 0
    size: int = 0
    writable: bool = True


@dataclass(frozen=True)
class Facts:
    """All that is known about the machine and the installation.

    Args:
        versions: of Python, of lrbench and of its dependencies.
        extras: an extra, a package that it installs, and its version, empty if it is not installed.
        outdated: packages in versions that lrbench does not support, as (name, version, requirement).
        cores: the number that this process may use.
        memory: of the machine, or of the container.
        devices: the devices that JAX uses.
        jax_error: why JAX does not start, empty if it does.
        peaks: what was multiplied → floating-point operations per second.
        caches: the folders.
        gpu: what the NVIDIA driver shows, empty for none.
        environment: the environment variables of JAX and CUDA that are set.
    """

    versions: Mapping[str, str]
    extras: Sequence[tuple[str, str, str]]
    cores: int
    memory: Memory
    outdated: Sequence[tuple[str, str, str]] = ()
    devices: Sequence[Device] = ()
    jax_error: str = ""
    peaks: Mapping[str, float] = field(default_factory=dict)
    caches: Sequence[Cache] = ()
    gpu: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


def problems(facts: Facts) -> Iterator[str]:
    """Yield what is wrong, each with what to do about it."""
    if facts.jax_error:
        platforms = facts.environment.get("JAX_PLATFORMS", "")
        remedy = (
            f"unset JAX_PLATFORMS={platforms}"
            if platforms not in {"", "cpu"}
            else "pip install --upgrade jax jaxlib"
        )
        yield f"JAX does not start, and nothing can be trained: {facts.jax_error}: {remedy}"
    for name, version, requirement in facts.outdated:
        yield f"{name} {version or 'is not installed'}: lrbench requires {requirement}: pip install '{requirement}'"
    on_cpu = [device for device in facts.devices if device.platform == "cpu"]
    if facts.gpu and on_cpu:
        yield f"{facts.gpu} is present, but JAX uses the CPU: {_no_gpu(facts)}"
    if on_cpu and len(on_cpu) != facts.cores:
        counts = f"JAX has {counted(len(on_cpu), 'CPU device')} for {counted(facts.cores, 'core')}"
        variables = [name for name in ("JAX_NUM_CPU_DEVICES", "XLA_FLAGS") if name in facts.environment]
        yield f"{counts}: {f'unset {variables[0]}' if variables else f'set JAX_NUM_CPU_DEVICES={facts.cores}'}"
    for cache in facts.caches:
        if not cache.writable:
            yield (
                f"{cache.folder}: is not writable, so that nothing is cached for {cache.name}: "
                "make it writable, or set XDG_CACHE_HOME (JAX_COMPILATION_CACHE_DIR for xla alone) to one that is"
            )
    if facts.memory.free < LITTLE_MEMORY:
        yield f"{_size(facts.memory.free)} of memory are free, and a pack may use {_size(LITTLE_MEMORY)}: close other programs"


def text(facts: Facts) -> str:
    """Return facts as aligned text, problems last."""
    alike = Counter(facts.devices)
    sections = {
        "versions": list(facts.versions.items()),
        "extras": [
            (name, found or f"not installed: pip install 'lrbench[{extra}]'")
            for extra, name, found in facts.extras
        ],
        "machine": [
            ("cores", f"{facts.cores}"),
            ("memory", f"{_size(facts.memory.free)} free of {_size(facts.memory.total)}"),
            ("NVIDIA GPU", facts.gpu or "none"),
            *facts.environment.items(),
        ],
        "devices": [(f"{count} × {device.kind}", _device(device)) for device, count in alike.items()],
        "matrix products": [(what, f"{pace / 1e9:,.0f} GFLOP/s") for what, pace in facts.peaks.items()],
        "caches": [
            (cache.name, f"{cache.folder}: {counted(cache.files, 'file')}, {_size(cache.size)}")
            for cache in facts.caches
        ],
    }
    width = max(len(name) for rows in sections.values() for name, _ in rows)
    blocks = [
        "\n".join([title, *(f"  {name:{width}}  {value}" for name, value in rows)])
        for title, rows in sections.items()
        if rows
    ]
    found = list(problems(facts))
    blocks.append("\n".join(["problems", *(f"  {each}" for each in found)]) if found else "no problems")
    return "\n\n".join(blocks)


def facts_of_machine() -> Facts:
    """Collect the facts of this machine: versions, devices, memory, the speed of matrix products, and the caches."""
    try:
        devices, peaks = _devices()
        error = ""
    except Exception as broken:  # whatever JAX fails on is what a person wants to know here
        devices, peaks, error = [], {}, " ".join(f"{type(broken).__name__}: {broken}".strip(": ").split())
    return Facts(
        machine.versions(),
        list(_extras()),
        machine.cores(),
        machine.memory(),
        list(_outdated()),
        devices,
        error,
        peaks,
        list(_caches()),
        machine.nvidia(),
        {name: os.environ[name] for name in _VARIABLES if name in os.environ},
    )


def _devices() -> tuple[list[Device], dict[str, float]]:
    """Start JAX; return its devices, and how fast they multiply."""
    from lrbench.engine import devices, matmul

    found = devices.start()
    peaks = {f"{LARGE} × {LARGE}, one device": matmul.flops_per_second(LARGE, found[:1])}
    if len(found) > 1:
        peaks[f"{LARGE} × {LARGE}, all devices"] = matmul.flops_per_second(LARGE, found)
    peaks[f"{SMALL} × {SMALL}, all devices"] = matmul.flops_per_second(SMALL, found)
    peaks[f"{SMALL} × {SMALL}, {LANES} at a time"] = matmul.flops_per_second(SMALL, found, LANES)
    return [_seen(device) for device in found], peaks


def _seen(device: Any) -> Device:
    stats = device.memory_stats() or {}  # a CPU device has none: its memory is the machine's
    limit = stats.get("bytes_limit", 0)
    return Device(device.platform, device.device_kind, limit, limit - stats.get("bytes_in_use", 0))


def _requirements() -> list[Requirement]:
    """Return the requirements of lrbench's package, none where it runs without being installed."""
    try:
        return [Requirement(text) for text in metadata.requires("lrbench") or ()]
    except metadata.PackageNotFoundError:
        return []


def _extras() -> Iterator[tuple[str, str, str]]:
    """Yield extra, package and version of what the extras install, each package once; those for lrbench's own development only if installed."""
    named = [
        (found[1], requirement.name)
        for requirement in _requirements()
        if (found := re.search(r"extra == ['\"](\w+)['\"]", str(requirement.marker)))
        and found[1] not in {"dev", "gpu"}
    ]
    users = {package for extra, package in named if extra != "bench"}
    for extra, package in named:
        version = machine.version(package)
        if extra != "bench" or (version and package not in users):
            yield extra, package, version


def _outdated() -> Iterator[tuple[str, str, str]]:
    """Yield name, version and requirement of dependencies that are missing or of an unsupported version."""
    for requirement in _requirements():
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        found = machine.version(requirement.name)
        if not found or not requirement.specifier.contains(found, prereleases=True):
            yield requirement.name, found, f"{requirement.name}{requirement.specifier}"


def _caches() -> Iterator[Cache]:
    """Yield every cache of lrbench: that of JAX, which may be elsewhere, and the folders beside it."""
    home = Path(platformdirs.user_cache_dir("lrbench"))
    beside = {path.name for path in home.iterdir() if path.is_dir()} if home.is_dir() else set()
    for name in sorted({"data", "xla"} | beside):
        folder = home / name
        if name == "xla" and (jax := sys.modules.get("jax")) and jax.config.jax_compilation_cache_dir:
            folder = Path(jax.config.jax_compilation_cache_dir)
        sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
        yield Cache(name, folder, len(sizes), sum(sizes), _writable(folder))


def _writable(folder: Path) -> bool:
    """Return whether files can be created in a folder, or the folder itself where it does not exist yet."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:  # permissions do not reveal a full or read-only disk; this file leaves nothing behind
        with tempfile.TemporaryFile(dir=existing):
            return True
    except OSError:
        return False


def _no_gpu(facts: Facts) -> str:
    """Return why JAX does not use a GPU that is present, and what to do."""
    if facts.environment.get("JAX_PLATFORMS", "") not in {"", "cuda", "gpu"}:
        return f"JAX_PLATFORMS={facts.environment['JAX_PLATFORMS']} excludes it: unset it"
    if facts.environment.get("CUDA_VISIBLE_DEVICES", "0") in {"", "-1"}:
        return f"CUDA_VISIBLE_DEVICES={facts.environment['CUDA_VISIBLE_DEVICES']} hides it: unset it"
    return "its CUDA libraries are missing: pip install 'lrbench[gpu]'"


def _device(device: Device) -> str:
    if not device.memory:
        return f"{device.platform}, using the memory of the machine"
    return f"{device.platform}, {_size(device.free)} free of {_size(device.memory)} each"


def _size(count: float) -> str:
    """Return a number of bytes with a unit.

    >>> _size(2048)
    '2.0 KiB'
    """
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
