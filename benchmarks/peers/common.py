"""What every peer needs: data, weights, rates, timing, and the JSON line.

Importing this imports neither torch nor jax.
"""

from __future__ import annotations

import argparse
import gc
import importlib.metadata
import inspect
import json
import math
import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int32]
Result = TypeVar("Result")

BATCH_SIZE = 64
IMAGE_PIXELS = 64
HIDDEN_UNITS = 64
CLASSES = 10
TRAINING_EXAMPLES = 1437
"""Four fifths of the 1,797 digits; the rest would be the validation set, which no peer looks at."""
LOSS_EXAMPLES = 1024
"""The training loss is taken on a fixed sample of at most this many examples, as lrbench takes it."""
MNIST_PIXELS = 28
GRU_WIDTH = 32


class Timing(NamedTuple):
    """What a peer returns: the median time of one call, and what the call computed."""

    seconds: float
    """Median seconds of a call, after warm-up and compiling, with the device waited for."""
    final_losses: tuple[float, ...]
    """Loss of each model after the last step (a checksum for `products`, which has no loss)."""
    initial_loss: float
    """Loss before the first step: a peer that trained has final losses below it."""
    model_steps: int
    """Models times steps of one timed call."""
    threads: int
    """Threads (PyTorch), or the cores that XLA's pool may use (JAX)."""
    all_seconds: tuple[float, ...]
    """Every timed call, to see the noise."""
    detail: dict[str, Any]
    """What was chosen or measured beside: fastest variant, GFLOP/s, devices."""

    @property
    def model_steps_per_second(self) -> float:
        """The unit that every peer is compared in."""
        return self.model_steps / self.seconds

    def line(self) -> dict[str, Any]:
        """What the JSON line says; above 256 models only a summary of the final losses."""
        losses = np.asarray(self.final_losses)
        finite = losses[np.isfinite(losses)]
        line: dict[str, Any] = {
            "seconds": self.seconds,
            "model_steps": self.model_steps,
            "model_steps_per_second": self.model_steps_per_second,
            "threads": self.threads,
            "initial_loss": self.initial_loss if math.isfinite(self.initial_loss) else None,
            "final_loss_best": float(finite.min()) if finite.size else None,
            "final_loss_median": float(np.median(finite)) if finite.size else None,
            "finite_fraction": finite.size / losses.size,
            "all_seconds": self.all_seconds,
        }
        if losses.size <= 256:
            line["final_losses"] = [float(loss) if math.isfinite(loss) else None for loss in losses]
        return line


class Trials(NamedTuple):
    """What a launcher returns: the time of its trials of an objective that does nothing."""

    trials: int
    seconds: float
    start_seconds: float
    """What comes once, before the first trial: imports, a cluster, a database."""
    detail: dict[str, Any]

    def line(self) -> dict[str, Any]:
        """What the JSON line says."""
        return {
            "trials": self.trials,
            "seconds": self.seconds,
            "trials_per_second": self.trials / self.seconds,
            "start_seconds": self.start_seconds,
        }


class Digits(NamedTuple):
    """The training part of a data set of ten classes."""

    images: Floats
    """[example, input]"""
    labels: Integers
    """[example], 0 to 9."""


def digits() -> Digits:
    """1,437 of the 8 by 8 digits that lrbench ships, [example, 64] with pixels / 16, in a fixed random order."""
    images, labels = _arrays("digits")
    order = np.random.default_rng(0).permutation(len(labels))[:TRAINING_EXAMPLES]
    return Digits((images[order] / 16).astype(np.float32), labels[order].astype(np.int32))


def mnist() -> Digits:
    """The 5,000 MNIST images that lrbench ships, [example, 784] with pixels / 255, in a fixed random order."""
    images, labels = _arrays("mnist")
    order = np.random.default_rng(0).permutation(len(labels))
    return Digits((images[order] / 255).astype(np.float32), labels[order].astype(np.int32))


def mnist1d() -> Digits:
    """The 4,000 training curves of MNIST-1D, [example, 40], in the published order.

    Generating them imports JAX, whose threads start only with its backend.
    """
    from lrbench.datasets import mnist1d

    curves, labels = mnist1d.generate(5000).train
    return Digits(curves.astype(np.float32), labels)


def _arrays(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Read a data set without lrbench, which would import JAX into every peer."""
    with np.load(Path(__file__).parents[2] / "lrbench" / "datasets" / "arrays" / f"{name}.npz") as stored:
        return stored["inputs"], stored["targets"]


def minibatches(examples: int, steps: int, seed: int = 0, size: int = BATCH_SIZE) -> Integers:
    """Indices [step, size] of the examples that each step sees: a fresh permutation every epoch."""
    generator = np.random.default_rng(seed)
    per_epoch = examples // size
    epochs = [
        generator.permutation(examples)[: per_epoch * size] for _ in range(math.ceil(steps / per_epoch))
    ]
    return np.concatenate(epochs)[: steps * size].reshape(steps, size).astype(np.int32)


def learning_rates(models: int) -> Floats:
    """`models` log-spaced rates from 1e-4 to 1e-1: nearly all of them train, so no model is idle on NaN."""
    return np.geomspace(1e-4, 1e-1, models).astype(np.float32)


def mlp_weights(seed: int = 0) -> dict[str, Floats]:
    """Initial weights of the digits MLP, PyTorch's default: uniform in ±1/√fan_in; matrices are [in, out]."""
    generator = np.random.default_rng(seed)

    def uniform(fan_in: int, *shape: int) -> Floats:
        return generator.uniform(-(fan_in**-0.5), fan_in**-0.5, shape).astype(np.float32)

    return {
        "w1": uniform(IMAGE_PIXELS, IMAGE_PIXELS, HIDDEN_UNITS),
        "b1": uniform(IMAGE_PIXELS, HIDDEN_UNITS),
        "w2": uniform(HIDDEN_UNITS, HIDDEN_UNITS, CLASSES),
        "b2": uniform(HIDDEN_UNITS, CLASSES),
    }


def gru_weights(seed: int = 0) -> dict[str, Floats]:
    """Initial weights of the GRU that reads in one direction, PyTorch's and lrbench's: uniform; matrices are [in, out].

    `w` and `b` are of the inputs, `u` and `c` of the hidden state (r, z and n side by side), `v` and `d` of the classes.
    """
    generator = np.random.default_rng(seed)

    gates = 3 * GRU_WIDTH

    def uniform(*shape: int) -> Floats:
        # ±1 / √fan-in for the classes, whose inputs are the state, and PyTorch's bound for all weights of a GRU.
        return generator.uniform(-(GRU_WIDTH**-0.5), GRU_WIDTH**-0.5, shape).astype(np.float32)

    return {
        "w": uniform(1, gates),
        "b": uniform(gates),
        "u": uniform(GRU_WIDTH, gates),
        "c": uniform(gates),
        "v": uniform(GRU_WIDTH, CLASSES),
        "d": uniform(CLASSES),
    }


def measure(call: Callable[[], Result], repeats: int) -> tuple[tuple[float, ...], Result]:
    """Call once to warm up and compile, then `repeats` times; `call` must itself wait for the device."""
    result = call()
    seconds = []
    for _ in range(repeats):
        gc.collect()
        started = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - started)
    return tuple(seconds), result


def median(values: Sequence[float]) -> float:
    """The median as a plain float."""
    return float(np.median(np.asarray(values)))


def fastest(calls: dict[str, Callable[[], Any]], rounds: int = 5) -> str:
    """The name of the quickest call, each judged by its best of `rounds`: a peer gets its best variant.

    The calls take turns, so that a noisy moment of the machine does not fall on one of them alone.
    """
    best = dict.fromkeys(calls, math.inf)
    for _ in range(rounds + 1):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            best[name] = min(best[name], time.perf_counter() - started)
    return min(best, key=lambda name: best[name])


def start_jax_on_cpu(devices: int = 1) -> None:
    """Give JAX this many CPU devices; must come before anything starts JAX's backend."""
    import jax

    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", devices)
    found = len(jax.devices())
    if found != devices:
        raise RuntimeError(
            f"JAX already started with {found} devices, {devices} were asked for: use a new process"
        )


def cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions(*packages: str) -> dict[str, str]:
    """Versions of Python and of the named packages that are installed, without importing them."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def report(name: str, result: Timing | Trials, *packages: str) -> dict[str, Any]:
    """The JSON line of a peer."""
    return {
        "peer": name,
        **result.line(),
        "versions": versions(*packages),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "detail": result.detail,
    }


def main(peer: Callable[..., Timing | Trials], *packages: str) -> None:
    """Command line of a peer: an option for each parameter of the function; `--json` prints one JSON line."""
    parser = argparse.ArgumentParser(description=(peer.__doc__ or "").splitlines()[0])
    for parameter in inspect.signature(peer).parameters.values():
        parser.add_argument(
            "--" + parameter.name.replace("_", "-"), type=type(parameter.default), default=parameter.default
        )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON line, for benchmarks.table.run_peer"
    )
    options = vars(parser.parse_args())
    as_json = options.pop("json")
    line = report(peer.__name__, peer(**options), *packages)
    if as_json:
        print(json.dumps(line), flush=True)
        return
    if "trials" in line:
        print(
            f"{line['peer']}: {line['trials_per_second']:,.3g} trials/s after {line['start_seconds']:.1f} s"
        )
        return
    print(f"{line['peer']}: {line['model_steps_per_second']:,.0f} model-steps/s on {line['threads']} threads")
    print(f"loss {line['initial_loss']} -> best {line['final_loss_best']}; {line['detail']}")
