"""The machine's measured product peak, as steps of W1: how many its FLOP would be if all ran like one large product.

The products are those of `lrbench speed`, [2048, 2048] on all devices, one for each core.
"""

from __future__ import annotations

import jax

from benchmarks import workloads
from benchmarks.peers import common
from lrbench.engine import matmul


def peak(side: int = 2048, repeats: int = 3) -> common.Timing:
    """Multiply [side, side] matrices on every device; the best of a few calls each time."""
    common.start_jax_on_cpu(common.cores())
    devices = jax.devices()
    paces = [matmul.flops_per_second(side, devices) for _ in range(repeats)]
    seconds = tuple(workloads.FLOP["w1"] / pace for pace in paces)
    return common.Timing(
        seconds=min(seconds),
        final_losses=(float("nan"),),
        initial_loss=float("nan"),
        model_steps=1,
        threads=common.cores(),
        all_seconds=seconds,
        detail={"flop_per_second": max(paces), "side": side, "devices": len(devices)},
    )


if __name__ == "__main__":
    common.main(peak, "jax", "jaxlib", "numpy")
