"""Devices that a study can be planned for where there are none: their memory, as their vendors state it.

A device more is a line more. The memory is that of what JAX shows as one device.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from lrbench.errors import LaunchError
from lrbench.study import catalog

GIB = 1024**3
TAKEN = {"gpu": 0.75}
"""The share of a device's memory that JAX takes for itself, by platform; elsewhere all of it.

https://docs.jax.dev/en/latest/gpu_memory_allocation.html
"""


class KnownDevice(NamedTuple):
    """A device as a `jax.Device` describes itself, so that the same rules count its lanes.

    Args:
        platform: as JAX names it, such as `gpu`, also for those of AMD.
        device_kind: its name here.
        gib: its memory.
    """

    platform: str
    device_kind: str
    gib: int

    @property
    def bytes_limit(self) -> int:
        """The memory that JAX takes."""
        return int(TAKEN.get(self.platform, 1.0) * self.gib * GIB)

    def memory_stats(self) -> dict[str, int]:
        """Return its memory, none of it in use."""
        return {"bytes_limit": self.bytes_limit, "bytes_in_use": 0}


DEVICES: Mapping[str, KnownDevice] = {
    name: KnownDevice(platform, name, gib)
    for platform, name, gib in (
        # https://www.nvidia.com/en-us/data-center/: the page of each product; of V100, T4 and RTX its data sheet
        ("gpu", "v100-16gb", 16),
        ("gpu", "v100-32gb", 32),
        ("gpu", "t4", 16),
        ("gpu", "rtx3090", 24),
        ("gpu", "rtx4090", 24),
        ("gpu", "rtx5090", 32),
        ("gpu", "a10", 24),
        ("gpu", "a100-40gb", 40),
        ("gpu", "a100-80gb", 80),
        ("gpu", "l4", 24),
        ("gpu", "l40s", 48),
        ("gpu", "h100", 80),
        ("gpu", "h200", 141),
        ("gpu", "b200", 180),
        # https://rocm.docs.amd.com/en/latest/reference/gpu-specs.html; an MI250X is two devices
        ("gpu", "mi250x", 64),
        ("gpu", "mi300x", 192),
        ("gpu", "mi325x", 256),
        # https://cloud.google.com/tpu/docs/system-architecture-tpu-vm: a chip, which is one device from v4 on
        ("tpu", "tpu-v4", 32),
        ("tpu", "tpu-v5e", 16),
        ("tpu", "tpu-v5p", 95),
        ("tpu", "tpu-v6e", 32),
    )
}
"""Name → device."""


def get(name: str) -> KnownDevice:
    """Return the device of a name, in capitals or not.

    Raises:
        LaunchError: if it is not known, with the nearest names.

    >>> get("H100").bytes_limit / GIB
    60.0
    """
    found = DEVICES.get(name.lower())
    if found is None:
        raise LaunchError(
            f"--for: {catalog.unknown('device', name, list(DEVICES), '`lrbench plan --help` lists')}"
        )
    return found
