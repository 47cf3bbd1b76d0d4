"""What tests run in: four fake CPU devices, quick compilation, and caches of their own."""

from __future__ import annotations

import os

from tests.helpers import xla_flags
from tests.helpers.paths import ROOT


def set_up() -> None:
    """Set the environment of this process and of those that it starts, before JAX is imported, which reads it then."""
    # Shared by all tests and kept between runs, so that data sets and compiled programs are made once.
    os.environ["XDG_CACHE_HOME"] = str(ROOT / ".pytest_cache" / "xdg")
    os.environ["JAX_NUM_CPU_DEVICES"] = "4"
    # Processes that tests start, in folders of their own, find these tests before a package that installs one called `tests`.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    # Programs of tests are compiled far longer than they run: XLA's older and quicker way of making code for fused operations
    # halves that. JAX_DISABLE_MOST_OPTIMIZATIONS=0 XLA_FLAGS= tests programs as users run them.
    os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    if "XLA_FLAGS" not in os.environ:
        # jaxlib 0.12 has the newer way alone.
        os.environ["XLA_FLAGS"] = xla_flags.known(
            "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
        )
