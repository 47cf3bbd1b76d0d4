"""What `lrbench doctor` and `lrbench speed` find and say, and the trace of `lrbench run --profile`."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import lrbench
from lrbench import machine
from lrbench.cli import speed
from lrbench.cli.doctor import Cache, Device, Facts, facts_of_machine, problems, text
from lrbench.engine import matmul, plain_jax
from lrbench.execution import trace
from lrbench.execution.execute import execute
from lrbench.machine import Memory
from lrbench.results.text_table import aligned
from tests.helpers.heard import Heard

GIB = 1024**3
WELL = Facts(
    versions={"python": "3.11.7", "jax": "0.10.2"},
    extras=[("ray", "ray", "2.50.0"), ("slurm", "submitit", "")],
    cores=2,
    memory=Memory(16 * GIB, 8 * GIB),
    devices=[Device("cpu", "cpu")] * 2,
    peaks={"2048 × 2048, one device": 1.5e11},
    caches=[Cache("xla", Path("cache/xla"), 3, 2048)],
)


def _files(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def test_limits_of_a_control_group_of_version_2(tmp_path: Path) -> None:
    """The tightest of the group and all those around it holds; files that were read count as free."""
    _files(
        tmp_path,
        {
            "membership": "0::/batch/job\n",
            "groups/cpu.max": "max 100000\n",
            "groups/batch/cpu.max": "50000 100000\n",
            "groups/batch/job/cpu.max": "800000 100000\n",
            "groups/batch/memory.max": f"{2**30}\n",
            "groups/batch/memory.current": f"{2**29}\n",
            "groups/batch/memory.stat": f"anon 12\ninactive_file {2**28}\n",
            "groups/batch/job/memory.max": "max\n",
            "groups/batch/job/memory.current": "7\n",
        },
    )
    places = tmp_path / "groups", tmp_path / "membership"
    assert machine.cores(*places) == 1
    assert machine.memory(*places) == Memory(2**30, 2**29 + 2**28)


def test_limits_of_a_control_group_of_version_1(tmp_path: Path) -> None:
    """In a container, the group that a process is said to be in lies at the root."""
    _files(
        tmp_path,
        {
            "membership": "4:memory:/docker/1f\n3:cpu,cpuacct:/docker/1f\n1:name=systemd:/docker/1f\n",
            "groups/cpu,cpuacct/cpu.cfs_quota_us": "100000\n",
            "groups/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            "groups/memory/memory.limit_in_bytes": f"{2**30}\n",
            "groups/memory/memory.usage_in_bytes": f"{2**31}\n",
        },
    )
    places = tmp_path / "groups", tmp_path / "membership"
    assert machine.cores(*places) == 1
    assert machine.memory(*places) == Memory(2**30, 0)


def test_without_control_groups_the_machine_is_the_limit(tmp_path: Path) -> None:
    places = tmp_path, tmp_path / "none"
    assert machine.cores(*places) >= machine.cores() >= 1
    total, free = machine.memory(*places)
    assert 0 < free < total
    assert total >= machine.memory().total


def test_a_table_is_aligned() -> None:
    rows = [{"what": "a", "n": "1"}, {"what": "bb", "n": "10"}]
    assert aligned(rows).splitlines() == ["what   n", "a      1", "bb    10"]


@pytest.mark.parametrize("lanes", [1, 4])
def test_products_are_measured_on_every_device(lanes: int) -> None:
    """A tera-FLOP/s of 16 × 16 products would be a loop that XLA removed."""
    assert 1e4 < matmul.flops_per_second(16, jax.devices(), lanes) < 1e12


def test_what_is_well_has_no_problems() -> None:
    assert list(problems(WELL)) == []
    lines = text(WELL).splitlines()
    assert lines[-1] == "no problems"
    assert "  submitit                 not installed: pip install 'lrbench[slurm]'" in lines
    assert "  memory                   8.0 GiB free of 16.0 GiB" in lines
    assert "  2 × cpu                  cpu, using the memory of the machine" in lines
    assert "  2048 × 2048, one device  150 GFLOP/s" in lines
    assert f"  xla                      {Path('cache/xla')}: 3 files, 2.0 KiB" in lines


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"jax_error": "ImportError: no", "devices": []}, "JAX does not start, and nothing can be trained: "),
        ({"jax_error": "AssertionError", "devices": [], "environment": {"JAX_PLATFORMS": "cuda"}}, "unset JAX_PLATFORMS=cuda"),
        ({"outdated": [("jax", "0.4.1", "jax>=0.10")]}, "jax 0.4.1: lrbench requires jax>=0.10: pip install"),
        ({"outdated": [("rich", "", "rich>=13")]}, "rich is not installed: lrbench requires rich>=13"),
        ({"gpu": "1 × H100"}, "1 × H100 is present, but JAX uses the CPU: its CUDA libraries are missing: pip install 'lrb"),
        ({"gpu": "1 × H100", "environment": {"JAX_PLATFORMS": "cpu"}}, "JAX_PLATFORMS=cpu excludes it: unset it"),
        ({"gpu": "1 × H100", "environment": {"CUDA_VISIBLE_DEVICES": ""}}, "CUDA_VISIBLE_DEVICES= hides it"),
        ({"cores": 8}, "JAX has 2 CPU devices for 8 cores: set JAX_NUM_CPU_DEVICES=8"),
        ({"cores": 1, "environment": {"JAX_NUM_CPU_DEVICES": "2"}}, "for 1 core: unset JAX_NUM_CPU_DEVICES"),
        ({"caches": [Cache("data", Path("x"), writable=False)]}, "x: is not writable, so that nothing is cached for data"),
        ({"memory": Memory(GIB, GIB // 2)}, "512.0 MiB of memory are free, and a pack may use 2.0 GiB: close"),
    ],
)  # fmt: skip
def test_a_problem_is_told_with_its_remedy(wrong: dict[str, Any], told: str) -> None:
    (line,) = problems(replace(WELL, **wrong))
    assert told in line
    assert text(replace(WELL, **wrong)).endswith(f"problems\n  {line}")


def test_a_gpu_that_jax_uses_is_no_problem() -> None:
    card = Device("gpu", "NVIDIA H100", 80 * GIB, 60 * GIB)
    facts = replace(WELL, gpu="2 × NVIDIA H100", devices=[card, card], cores=64)
    assert list(problems(facts)) == []
    assert "2 × NVIDIA H100          gpu, 60.0 GiB free of 80.0 GiB each" in text(facts)


@pytest.mark.slow
def test_doctor_asks_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    _files(tmp_path, {"cache/lrbench/data/digits.npz": "x" * 10, "cache/lrbench/capacity/a.json": "{}"})
    facts = facts_of_machine()
    packages = [package for _, package, _ in facts.extras]
    assert len(packages) == len(set(packages))  # ray is of two extras
    found = text(facts)
    assert f"  jax                       {jax.__version__}" in found
    assert "4 × cpu" in found
    assert found.count(" GFLOP/s") == 4
    assert f"{tmp_path / 'cache' / 'lrbench' / 'data'}: 1 file, 10 B" in found
    assert f"{tmp_path / 'cache' / 'lrbench' / 'capacity'}: 1 file, 2 B" in found


def test_doctor_works_where_jax_does_not(tmp_path: Path) -> None:
    """A broken JAX and a cache that is a file: two problems, each one line, and exit code 0."""
    (tmp_path / "jax.py").write_text("raise ImportError('libfoo.so is\\nmissing')")
    (tmp_path / "cache").write_text("a file where a folder should be")
    code = f"import os, sys; os.environ['XDG_CACHE_HOME'] = {str(tmp_path / 'cache')!r}; sys.argv = ['lrbench', 'doctor']\n"
    code += f"sys.path.insert(0, {str(tmp_path)!r})\nfrom lrbench.cli.commands import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    *_, broken, data, xla = done.stdout.splitlines()
    assert broken.startswith(
        "  JAX does not start, and nothing can be trained: ImportError: libfoo.so is missing: pip"
    )
    assert "data: is not writable" in data
    assert "xla: is not writable" in xla


@pytest.mark.slow
def test_plain_jax_trains_what_lrbench_trains() -> None:
    """The same data, minibatches, weights and rates: the losses at the end agree."""
    engine = speed._engine(4, 30)
    (pack,) = engine.grid.packs([4])
    ours = engine.run(pack, 4).curves["train_loss"][:, -1]
    images, labels = engine.problems[0].data.train
    sample = np.linspace(0, len(labels) - 1, 1024).round().astype(int)
    for vmap in (False, True):
        trained: Any = speed.plain_training(engine, 4, vmap=vmap)()
        each = [jax.tree.map(lambda leaf, k=k: leaf[k], trained) for k in range(4)] if vmap else trained
        theirs = [float(plain_jax.loss(weights, images[sample], labels[sample])) for weights in each]
        assert theirs == pytest.approx(ours.tolist(), rel=1e-3)


@pytest.mark.slow
def test_speed_measures_four_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "STEPS", 5)
    monkeypatch.setattr(speed, "TOGETHER", 8)
    monkeypatch.setattr(speed, "MORE", {"cpu": 16})
    monkeypatch.setattr(speed, "LARGE", 64)
    monkeypatch.setattr(speed, "SECONDS", 0.0)
    monkeypatch.setattr(speed, "ROUNDS", range(1, 2))
    head, _, names, *rows, _, peak, sentence = speed.speed_table().splitlines()
    assert head == "digits_mlp (64-64-10, batch 64), adam, 5 steps, on 4 × cpu"
    assert names.split() == ["what", "model-steps/s", "times", "of", "peak"]
    assert [row[:32].strip() for row in rows] == [
        "plain JAX, one run at a time, on",
        "plain JAX, vmap of 8 runs, one d",
        "lrbench, 8 runs",
        "lrbench, 16 runs",
    ]
    assert rows[0].split()[-2] == "1.0"
    assert peak.startswith("peak: ")
    assert sentence.startswith("lrbench trains 16 runs in ")


def _trace(path: Path) -> Counter[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return Counter(event.get("name", "") for event in json.load(file)["traceEvents"])


@pytest.mark.slow
def test_a_trace_holds_the_first_moments_of_training(table: dict[str, Any]) -> None:
    """Its events are those of the training; a study that is there already has nothing to trace."""
    table |= {"problem": ["digits_softmax"], "steps": 20, "evaluate_every": 1}
    done = execute(table, "out", report=False, profile=True)
    assert done.profile is not None
    assert done.profile.is_relative_to(Path("out/profile/plugins/profile"))
    found = _trace(done.profile)
    assert found["train to step 1"] == 1
    assert found["evaluate at step 0"] == 0  # the trace begins after it
    assert any("fusion" in name for name in found)
    heard = Heard()
    again = execute(table, "out", report=False, profile=True, listener=heard)
    assert again.profile is None
    assert heard.lines == ["out: all 8 runs are cached; nothing to train or to profile"]


@pytest.mark.slow
def test_a_trace_ends_while_a_long_segment_goes_on(
    table: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock ends it: the segment of 5,000 steps is not in it, and its events are few."""
    monkeypatch.setattr(trace, "SECONDS", 0.1)
    table |= {"problem": ["digits_softmax"], "steps": 5_000, "evaluate_every": 5_000}
    done = execute(table, "out", report=False, profile=True)
    assert done.profile is not None
    found = _trace(done.profile)
    assert "train to step 5000" not in found
    assert 0 < found.total() < 500_000


@pytest.mark.slow
def test_profile_from_the_command_line(tmp_path: Path) -> None:
    """The path is the last line of what was written; nothing is warned about."""
    words = ["run", "house_prices", "--no-report", "--profile", "--set", "steps=20", "--set", "seeds=1"]
    done = subprocess.run(
        [sys.executable, "-W", "always", "-m", "lrbench", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    path = done.stdout.splitlines()[-1]
    assert path.startswith("results/house_prices/profile/plugins/profile/")
    assert path.endswith("/perfetto_trace.json.gz")
    assert _trace(tmp_path / path)
    assert not {"Warning", "Error", "Traceback"} & set(done.stderr.replace(":", " ").split())
    assert lrbench.load(tmp_path / "results/house_prices").manifest["runs"]["left"] == 0
