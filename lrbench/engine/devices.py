"""The devices that runs are spread over."""

from __future__ import annotations

import contextlib
import os
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
import platformdirs
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from lrbench import machine
from lrbench.errors import LaunchError, counted

AXIS = "device"


def start(count: int | None = None, least: int = 1) -> list[jax.Device]:
    """Start JAX with one CPU device per core that this process may use, and return the devices to use: `count` of them, or all.

    There are at least `least` CPU devices, more than the cores if necessary.

    If JAX was started in this process before, its devices stay as they are, with a warning; so does a number of devices
    that the user has set (JAX_NUM_CPU_DEVICES).

    Raises:
        LaunchError: if there are fewer devices than requested.
    """
    chosen = jax.config.values["jax_num_cpu_devices"] > 0
    if not chosen and "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        try:
            jax.config.update("jax_num_cpu_devices", max(least, machine.cores()))
        except RuntimeError:
            _warn_once(len(jax.local_devices()), machine.cores())
    devices = jax.local_devices()
    if count is not None and count > len(devices):
        raise LaunchError(
            f"--devices {count}: this process has {counted(len(devices), f'{devices[0].platform} device')}"
        )
    _cache_compilations()
    if count is not None and devices[0].platform == "cpu":
        count = max(count, least)
    return devices[:count]


def process() -> tuple[int, int]:
    """Start JAX, and return the number of this process, from 0, among those that JAX knows of, and how many there are.

    On a slice of TPUs this returns once JAX has started on all of its hosts.
    """
    start()  # first, since the next line would start as many CPU devices as JAX likes
    return jax.process_index(), jax.process_count()


def mesh(devices: list[jax.Device]) -> Mesh:
    """Return the devices as a mesh of one axis."""
    return Mesh(np.array(devices), (AXIS,))


def sharded(over: Mesh) -> NamedSharding:
    """Return the sharding of arrays whose leading axis is split over the devices."""
    return NamedSharding(over, PartitionSpec(AXIS))


def replicated(over: Mesh) -> NamedSharding:
    """Return the sharding of arrays that every device has a full copy of."""
    return NamedSharding(over, PartitionSpec())


def cast(tree: Any) -> Any:
    """Return arrays as NumPy arrays, with floats of the study's precision and integers of 32 bits."""
    kind = np.float64 if jax.config.jax_enable_x64 else np.float32  # type: ignore[attr-defined]

    def convert(leaf: Any) -> np.ndarray:
        array = np.asarray(leaf)
        if np.issubdtype(array.dtype, np.floating):
            return array.astype(kind, copy=False)
        return array.astype(np.int32, copy=False) if np.issubdtype(array.dtype, np.signedinteger) else array

    return jax.tree.map(convert, tree)


def _cache_compilations() -> None:
    """Cache compiled programs in the user's cache folder, unless the user has set a folder or turned the cache off."""
    chosen = jax.config.values
    if chosen["jax_compilation_cache_dir"] is None and chosen["jax_enable_compilation_cache"]:
        folder = Path(platformdirs.user_cache_dir("lrbench")) / "xla"
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            jax.config.update("jax_compilation_cache_dir", str(folder))
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.01)


@cache
def _warn_once(devices: int, wanted: int) -> None:
    if devices < wanted and jax.default_backend() == "cpu":
        warnings.warn(
            f"JAX already runs in this process with {counted(devices, 'CPU device')}; lrbench uses those. For one per core "
            f"({wanted}), start lrbench first, or set JAX_NUM_CPU_DEVICES={wanted} before Python starts.",
            stacklevel=4,
        )
