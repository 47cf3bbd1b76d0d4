"""From a table to a rate and to weights, and models of one's own, as typed by somebody who has installed the wheel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

ROOT = Path(__file__).parents[1]
ROWS = 5000
MODEL = """
import jax, jax.numpy as jnp, numpy as np, lrbench as lb

x = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
y = (x[:, 0] > 0).astype(np.int32)


def init(key):
    return {"weight": 0.1 * jax.random.normal(key, (3, 2)), "bias": jnp.zeros(2)}


def apply(params, inputs):
    return inputs @ params["weight"] + params["bias"]


problem = lb.from_apply(init, apply, (x[:150], y[:150]), (x[150:], y[150:]), loss="cross_entropy", name="line")
results = lb.sweep(
    problem,
    optimizers=["adam", lb.Optimizer("sgd", momentum=[0.0, 0.9], no_decay=["*bias"], weight_decay=1e-3)],
    learning_rates={"": [0.01, 0.1, 1.0], "*bias": [0.1]},
    seeds=2,
    steps=50,
)
print(results)
assert "<table" in results._repr_html_()
trained = results.train_best()
assert trained.difference == 0, trained.difference
assert (trained.predict(x[150:]).argmax(1) == y[150:]).mean() > 0.9
chosen = lb.sweep(lb.Problem("digits_softmax", batch_size=[16, 64]), learning_rates=[0.1], seeds=1, steps=5)
assert sorted(chosen.runs["problem_batch_size"]) == [16, 64]
sampled = lb.run({
    "name": "space", "problem": "quadratic", "steps": 20, "seeds": 1, "sample": 16,
    "learning_rate": {"min": 1e-3, "max": 1.0}, "optimizer": {"name": "sgd", "momentum": {"min": 0.0, "max": 0.9}},
}, "space", report=False)
assert sampled.runs["sampled_optimizer_momentum"].nunique() == 16
"""


@pytest.fixture
def typed(tmp_path: Path) -> Callable[..., str]:
    """Type a command in a new environment that has the wheel and what it needs, with an empty home."""
    python = tmp_path / "env" / "bin" / "python"
    quiet = ["-m", "pip", "--disable-pip-version-check", "-qq"]
    build = [sys.executable, *quiet, "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path, ROOT]
    subprocess.run(build, check=True)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    (wheel,) = tmp_path.glob("lrbench-*.whl")
    subprocess.run([python, *quiet, "install", f"{wheel}[surface]"], check=True)
    (tmp_path / "home").mkdir()
    (tmp_path / "work").mkdir()
    environment = {
        "HOME": str(tmp_path / "home"),
        "PATH": f"{python.parent}{os.pathsep}/usr/bin{os.pathsep}/bin",
        "JAX_PLATFORMS": "cpu",
        "BROWSER": "true",
    }

    def run(*words: str | Path) -> str:
        done = subprocess.run(
            [python.parent / words[0], *words[1:]],
            cwd=tmp_path / "work",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_table_becomes_a_rate_and_weights_in_a_fresh_environment(
    typed: Callable[..., str], tmp_path: Path
) -> None:
    random, work = np.random.default_rng(0), tmp_path / "work"
    table = pd.DataFrame({f"x{n}": random.normal(size=ROWS) for n in range(11)})
    table["city"] = random.choice(["Bonn", "Kiel", "Ulm"], ROWS)
    table["price"] = np.exp(table["x0"]) + table["x1"] * table["x2"] + 3 * (table["city"] == "Ulm")
    table.to_csv(work / "my.csv", index=False)
    answer = typed(
        "lrbench", "run", "tabular", "--set", "problem.data=my.csv", "--set", "problem.target=price"
    )
    assert "tabular_mlp(hidden=[64, 64]): " in answer
    assert typed("lrbench", "best", "results/tabular").strip() in answer
    said = typed("lrbench", "train", "results/tabular", "--out", "best.safetensors")
    assert "its curve is that of the table, bit for bit" in said
    assert {each.shape[0] for each in load_file(work / "best.safetensors").values()} == {64, 1}

    (work / "model.py").write_text(MODEL)
    assert "line: " in typed("python", "model.py")
    assert typed("lrbench", "train", "space").splitlines()[-1].endswith(".safetensors")

    for command in (["plan", "digits_mlp"], ["best", "space"], ["status", "space"], ["doctor"], ["list"]):
        assert json.loads(typed("lrbench", *command, "--json"))
    figure = typed(
        "lrbench",
        "plot",
        "results/tabular",
        "heatmap",
        "--problem",
        "tabular_mlp(hidden=[64, 64])",
        "--out",
        "heat.pdf",
    )
    assert figure.splitlines()[-1] == "heat.pdf"
    assert (work / "heat.pdf").read_bytes().startswith(b"%PDF")
    assert typed("lrbench", "open", "results/tabular").splitlines()[-1] == "results/tabular/report.html"
    assert "tables" in typed("lrbench", "export", "results/tabular", "--to", "csv")
