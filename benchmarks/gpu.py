"""lrbench on a GPU: P11, the two forms of a convolution, and a fractal of a million runs.

    make bench BENCH=gpu
    make bench BENCH=gpu ARGS=--quick            # small sizes; nothing is saved

Where JAX finds no GPU this says so in one line, and is done. P11 is W1 with 4,096 runs against the same program one
lane at a time on the same GPU: the way a training loop uses it. One lane at a time costs the same whatever the
number of runs, so a few stand for all.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import tempfile
from typing import Any

from benchmarks import workloads
from benchmarks.process import say
from benchmarks.table import Row, clean_environment, compare, is_quick, publish, run_peer, show

Line = dict[str, Any]
FIND = "import jax; print([device.device_kind for device in jax.devices() if device.platform == 'gpu'])"


@dataclasses.dataclass(frozen=True)
class Effort:
    """How much is measured."""

    models: int
    models_in_turn: int
    steps: int
    cnn_models: int
    cnn_steps: int
    side: int
    fractal_steps: int


FULL = Effort(4096, models_in_turn=16, steps=200, cnn_models=256, cnn_steps=20, side=1024, fractal_steps=500)
QUICK = Effort(64, models_in_turn=2, steps=50, cnn_models=8, cnn_steps=5, side=32, fractal_steps=50)


@dataclasses.dataclass(frozen=True)
class Found:
    """The JSON lines of everything that was measured."""

    together: Line
    in_turn: Line
    slices: Line
    grouped: Line
    fractal: Line


def has_gpu() -> bool:
    """Whether JAX finds a GPU here, in a process of its own."""
    asked = subprocess.run(
        [sys.executable, "-c", FIND],
        env=clean_environment(None),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return asked.returncode == 0 and asked.stdout.strip() not in ("", "[]")


def measure(effort: Effort, cache: str, platform: str | None = None) -> Found:
    """Every measurement, one process after the other, on the platform that JAX chooses."""

    def peer(module: str, *args: object) -> Line:
        return run_peer(module, *args, platform=platform, environment={"XDG_CACHE_HOME": cache})

    def lrbench(study: workloads.Table, repeats: int) -> Line:
        say(study["name"])
        return peer("lrbench_engine", "--study", json.dumps(study), "--devices", 1, "--repeats", repeats)

    def cnn(form: str) -> Line:
        say(f"mnist_cnn, {form}")
        size = "--models", effort.cnn_models, "--steps", effort.cnn_steps
        return peer("jax_forms", *size, "--form", form)

    return Found(
        together=lrbench(workloads.w1(effort.models, effort.steps), 3),
        in_turn=lrbench(workloads.w1(effort.models_in_turn, effort.steps) | {"lanes_per_chunk": 1}, 2),
        slices=cnn("slices"),
        grouped=cnn("grouped"),
        fractal=lrbench(workloads.fractal(effort.side, effort.fractal_steps), 1),
    )


def rows_of(found: Found, effort: Effort = FULL) -> list[Row]:
    """P11, the better form of a convolution beside the other, and the fractal."""
    device = str(found.together["detail"]["device"])
    forms = sorted((found.slices, found.grouped), key=_rate)
    slower, faster = (line["detail"]["form"] for line in forms)
    pairs = f"fractal, {effort.side**2:,} runs × {effort.fractal_steps} steps"
    whole = found.fractal["detail"]["run_seconds"]
    chunk = found.fractal["detail"]["chunk"]
    return [
        compare(
            "P11",
            f"digits_mlp, {effort.models:,} runs × {effort.steps} steps",
            _rate(found.together),
            "model-steps/s",
            "one lane at a time",
            _rate(found.in_turn),
            at_least=300,
            note=f"{device}; chunks of {found.together['detail']['chunk']:,}",
        ),
        compare(
            "conv",
            f"mnist_cnn, {effort.cnn_models} models in one vmap: {faster}",
            _rate(forms[1]),
            "model-steps/s",
            slower,
            _rate(forms[0]),
            note=device,
        ),
        compare("fractal", pairs, found.fractal["seconds"], "s", note=f"{device}; training alone"),
        compare("fractal", f"{pairs}, evaluated at both ends", whole, "s", note=device),
        compare(
            "fractal", pairs, _rate(found.fractal), "model-steps/s", note=f"{device}; chunks of {chunk:,}"
        ),
    ]


def _rate(line: Line) -> float:
    return float(line["model_steps_per_second"])


def main() -> None:
    """Measure, print the table, and save it unless `--quick`; without a GPU say so."""
    quick = is_quick(__doc__)
    if not has_gpu():
        print("benchmarks.gpu: JAX finds no GPU here; nothing is measured")
        return
    effort = QUICK if quick else FULL
    with tempfile.TemporaryDirectory(prefix="lrbench-cache-") as cache:
        rows = rows_of(measure(effort, cache), effort)
    show(rows) if quick else publish("gpu", rows)


if __name__ == "__main__":
    main()
