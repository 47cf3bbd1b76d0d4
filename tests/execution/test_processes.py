"""Shards that `jax.distributed` has connected: JAX lists the devices of all of them, and each trains on its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from lrbench.execution.execute import execute
from tests.helpers.paths import ROOT
from tests.helpers.tables import written

STUDY = """
name = "processes"
steps = 20
seeds = 2
problem = ["quadratic", "rosenbrock"]
optimizer = ["sgd", "adam"]
learning_rate = {values = [0.001, 0.01, 0.1]}
deterministic = true
"""
# What a program of one's own does, on two hosts of a slice or two machines with GPUs.
CONNECTED = """
import sys
import jax

address, number = sys.argv[1], int(sys.argv[2])
jax.distributed.initialize(address, num_processes=2, process_id=number)
from lrbench.cli import commands

sys.argv = ["lrbench", *sys.argv[3:]]
try:
    commands.main()
finally:
    print(f"devices: {jax.local_device_count()} of {jax.device_count()}")
"""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start(folder: Path, address: str, number: str) -> subprocess.Popen[str]:
    words = ["run", "study.toml", "--no-report", "--out", "both", "--shard", "auto"]
    return subprocess.Popen(
        [sys.executable, "connected.py", address, number, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "JAX_NUM_CPU_DEVICES": "2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.timeout(300)  # a shared machine takes its time
def test_two_connected_processes_make_the_tables_of_one(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(STUDY)
    (tmp_path / "connected.py").write_text(CONNECTED)
    address = f"127.0.0.1:{_free_port()}"
    both = [_start(tmp_path, address, number) for number in "01"]
    try:
        for each in both:
            said, _ = each.communicate(timeout=200)
            assert each.returncode == 0, said
            assert "devices: 2 of 4" in said
    finally:
        for each in both:
            each.kill()
    execute(tomllib.loads(STUDY), tmp_path / "one", report=False)
    assert written(tmp_path / "both") == written(tmp_path / "one")
