"""Eight devices, and lane counts that no power of two divides."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.helpers.paths import ROOT

# 3 runs leave five devices idle; 21 in chunks of 2 lanes for each of three seeds are 12 chunks, four of them half empty;
# the high rates diverge, so that gaps close and devices have unequal work.
CODE = """
import jax, numpy as np
from lrbench.engine.engine import Engine
from lrbench.study.grid import of_study
from lrbench.study.spec import read

assert jax.local_device_count() == 8
for rates, seeds, deterministic in [(3, 1, False), (7, 3, False), (7, 3, True)]:
    study = read({
        "name": "uneven", "steps": 40, "evaluate_every": 5, "seeds": seeds, "problem": "quadratic",
        "optimizer": "sgd", "learning_rate": {"min": 0.01, "max": 1e9, "num": rates},
        "lanes_per_chunk": 2, "deterministic": deterministic,
    })
    grid = of_study(study)
    (pack,) = grid.packs([64])
    spread, alone = (Engine(study, grid, devices).run(pack, 64) for devices in (8, 1))
    assert np.isfinite(spread.diverged_step).any() and np.isnan(spread.diverged_step).any()
    for name, values in alone.curves.items():
        np.testing.assert_allclose(spread.curves[name], values, rtol=0 if deterministic else 1e-4, err_msg=name)
    np.testing.assert_array_equal(spread.diverged_step, alone.diverged_step)
    np.testing.assert_array_equal(spread.run_ids, grid.run_ids[pack.runs])
"""


@pytest.mark.slow
def test_eight_devices_share_uneven_lanes() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CODE],
        env=os.environ | {"JAX_NUM_CPU_DEVICES": "8", "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
