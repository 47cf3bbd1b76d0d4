"""Shards that `jax.distributed` has connected: JAX lists the devices of all of them, and each trains on its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

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


def _start(folder: Path, program: list[str], *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, *program, "run", "study.toml", "--no-report", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_NUM_CPU_DEVICES": "2"}
    out = subprocess.PIPE
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=out, stderr=subprocess.STDOUT, text=True
    )


def _tables(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.csv")}


@pytest.mark.slow
@pytest.mark.timeout(300)  # a shared machine takes its time
def test_two_connected_processes_make_the_tables_of_one(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(STUDY)
    (tmp_path / "connected.py").write_text(CONNECTED)
    address = f"127.0.0.1:{_free_port()}"
    both = [
        _start(tmp_path, ["connected.py", address, number], "--out", "both", "--shard", "auto")
        for number in "01"
    ]
    try:
        for each in both:
            said, _ = each.communicate(timeout=200)
            assert each.returncode == 0, said
            assert "devices: 2 of 4" in said
    finally:
        for each in both:
            each.kill()
    one = _start(tmp_path, ["-m", "lrbench"], "--out", "one")
    assert one.wait(100) == 0
    assert _tables(tmp_path / "both") == _tables(tmp_path / "one")
