"""What the benchmarks print and save, on made-up measurements; no time is asserted, and no peer needs to be installed."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pandas as pd
import pytest

from benchmarks import (
    gpu,
    mnist1d,
    overhead,
    pictures,
    process,
    race,
    scaling,
    table,
    throughput,
    workloads,
)
from benchmarks.peers import common
from benchmarks.peers.jax_forms import jax_forms
from benchmarks.peers.lrbench_engine import lrbench_engine
from lrbench.engine import flops
from lrbench.engine.engine import Engine
from lrbench.study.grid import of_study
from lrbench.study.spec import read

BESIDE = "other work took 4% of the cores"


def _line(rate: float, models: int = 256, threads: int = 2, **detail: Any) -> throughput.Line:
    """A peer's line whose losses fall with the rate, as those of real peers do."""
    losses = 0.01 / common.learning_rates(models) ** 0.5
    return {
        "model_steps_per_second": rate,
        "seconds": 1.0,
        "threads": threads,
        "initial_loss": 2.3,
        "final_losses": losses.tolist(),
        "finite_fraction": 0.6,
        "detail": detail,
        "others": 0.04,
    }


def _round(ours: float = 70_000.0, eager: float = 2_000.0, wide: float = 90_000.0) -> throughput.Round:
    layout = {"chunk": 8, "devices": 2}
    return {
        "w1": _line(ours, **layout),
        "torch_eager 1": _line(eager, 4, threads=1),
        "torch_eager 2": _line(eager / 10, 4),
        "torch_vmap 1": _line(5_000.0, threads=1),
        "torch_vmap 2": _line(10_000.0),
        "torch_compiled 1": _line(1_500.0, 4, threads=1, adam="fused"),
        "torch_compiled step": _line(3_000.0, 1, threads=1),
        "torch_compiled 2": {"failed": "not done after 300 s"},
        "torch_vmap_compiled 1": {"failed": "no compiler"},
        "torch_vmap_compiled 2": {"failed": "no compiler"},
        "jax_vmap": _line(35_000.0),
        "jax_single": _line(20_000.0, 8),
        "hyperoptax_grid": _line(28_000.0, together=32),
        "products apart": _line(80_000.0, layout="apart", **layout),
        "products wide": _line(wide, layout="wide", **layout),
        "peak": _line(140_000.0, flop_per_second=140_000 * workloads.FLOP["w1"], side=2048),
        "cnn": _line(200.0, 32),
        "torch_cnn": {**_line(80.0, 4, fastest="contiguous/fused"), "final_losses": [0.3, 0.32, 0.33, 0.4]},
        "gru": _line(600.0, 32),
        "torch_gru 1": _line(100.0, 3, threads=1, fastest="nn.GRU/fused"),
        "torch_gru 2": _line(90.0, 3, fastest="nn.GRU/fused"),
        "torch_gru_compiled 1": _line(200.0, 3, threads=1, fastest="points/fused"),
        "jax_gru": _line(300.0, 32),
        "fractal": _line(180_000.0),
        "notebook_fractal": {**_line(24_000.0), "finite_fraction": 0.63},
    }


@pytest.mark.parametrize(
    ("asked", "target", "met", "note"),
    [
        ({"at_least": 3}, "≥ 3 ×", True, ""),
        ({"at_least": 5}, "≥ 5 ×", False, "missed by 20.0 %"),
        ({"at_most": 5, "note": "quiet"}, "≤ 5 ×", True, "quiet"),
        ({"at_most": 3, "note": "quiet"}, "≤ 3 ×", False, "quiet; missed by 33.3 %"),
        ({"at_most": 10, "of": "value"}, "≤ 10 s", True, ""),
        ({}, None, None, ""),
    ],
)
def test_a_target_is_judged(asked: dict[str, Any], target: str | None, met: bool | None, note: str) -> None:
    row = table.compare("P0", "a thing", 8.0, "s", "a peer", 2.0, **asked)
    assert (row.ratio, row.target, row.met, row.note) == (4.0, target, met, note)


def test_a_target_without_a_peer_is_one_of_the_value() -> None:
    row = table.compare("P0", "a thing", 8.0, "s", at_most=10)
    assert (row.ratio, row.target, row.met) == (None, "≤ 10 s", True)
    with pytest.raises(ValueError, match="no peer_value"):
        table.compare("P0", "a thing", 8.0, "s", at_most=10, of="ratio")
    with pytest.raises(ValueError, match="not both"):
        table.compare("P0", "a thing", 8.0, "s", at_most=10, at_least=1)


def test_the_table_is_aligned_and_the_csv_is_exact(tmp_path: Path) -> None:
    rows = [
        table.compare("P1", "a thing", 12_345.678, "runs/s", "a peer", 1000.0, at_least=20),
        table.compare("P10", "another", 0.25, "s", at_most=0.3, note="so, so"),
    ]
    header, rule, first, second = table.text_table(rows).splitlines()
    end = header.index("value") + len("value")
    assert first[:end].endswith("  12,346")
    assert second[:end].endswith("    0.25")
    assert set(rule) == {"-", " "}
    assert first.split()[-4:] == ["missed", "by", "38.3", "%"]
    with table.write_csv("speed", rows, tmp_path).open(encoding="utf-8", newline="") as file:
        saved = list(csv.DictReader(file))
    assert [row["value"] for row in saved] == ["12345.678", "0.25"]
    assert [row["met"] for row in saved] == ["false", "true"]
    assert [row["peer"] for row in saved] == ["a peer", ""]
    assert saved[1]["note"] == "so, so"
    assert {"cpu", "cores", "python", "jax", "date"} <= set(saved[0])
    assert [path.name for path in tmp_path.iterdir()] == ["speed.csv"]


def test_a_number_of_numpy_is_saved_as_a_number(tmp_path: Path) -> None:
    row = table.compare("P1", "a share", np.float64(1) / 3, "of 1", "a peer", np.float64(3))
    with table.write_csv("speed", [row], tmp_path).open(encoding="utf-8", newline="") as file:
        (saved,) = csv.DictReader(file)
    assert (saved["value"], saved["peer_value"]) == ("0.3333333333333333", "3.0")


@pytest.mark.slow
def test_no_published_table_has_the_name_of_a_type_in_a_cell() -> None:
    published = sorted((table.ROOT / "results").rglob("*.csv"))
    assert published
    for path in published:
        with path.open(encoding="utf-8", newline="") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert not [cell for cell in cells if re.search(r"\bnp\.|\b(float|int|bool)\d*_?\(", cell)], path.name


def test_a_peer_has_a_process_and_an_environment_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "fake"
    folder.mkdir()
    (folder / "peer.py").write_text(
        "import json, os, sys; print('chatter'); print(json.dumps([sys.argv[1:], dict(os.environ)]))"
    )
    (folder / "broken.py").write_text("raise SystemExit('it broke')")
    monkeypatch.setenv("XLA_FLAGS", "--nonsense")
    places = {"PYTHONPATH": str(tmp_path)}
    arguments, environment = table.run_peer("fake.peer", "--threads", 2, environment=places)
    assert arguments == ["--threads", "2", "--json"]
    assert environment["JAX_PLATFORMS"] == "cpu"
    assert not {"XLA_FLAGS", "JAX_NUM_CPU_DEVICES"} & set(environment)
    with pytest.raises(RuntimeError, match=r"fake\.broken --json ended with 1:\nit broke"):
        table.run_peer("fake.broken", environment=places)


def test_a_peer_on_a_gpu_chooses_its_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    chosen, forced = table.clean_environment(None, A="b"), table.clean_environment()
    assert "JAX_PLATFORMS" not in chosen
    assert (chosen["CUDA_VISIBLE_DEVICES"], chosen["A"]) == ("0", "b")
    assert forced["JAX_PLATFORMS"] == "cpu"
    assert "CUDA_VISIBLE_DEVICES" not in forced


@pytest.mark.slow
def test_lrbench_as_a_peer_of_itself() -> None:
    """Its line has what the rows need, and its runs learn."""
    study = workloads.w1(models=4, steps=60)
    timing = lrbench_engine(json.dumps(study), repeats=1, devices=2)
    assert timing.model_steps == 240
    assert timing.seconds == timing.all_seconds[0] > 0
    assert timing.detail["devices"] == 2
    line = common.report("w1", timing, "lrbench")
    assert len(line["final_losses"]) == 4
    assert line["final_loss_best"] < 0.5 < 2 < line["initial_loss"]
    assert throughput.disagreement({"w1": line}) == 1


def test_workloads_are_studies_of_the_size_they_say() -> None:
    studies = {
        8: workloads.w1(8),
        4: workloads.cnn(4),
        6: workloads.gru(6),
        25: workloads.fractal(5),
        400: workloads.quadratic(400),
        40: workloads.houses(40),
        80: workloads.digits(80),
    }
    assert {runs: len(of_study(read(study))) for runs, study in studies.items()} == {r: r for r in studies}


def test_rows_of_throughput() -> None:
    """A row is the round with the median ratio, against the best variant that its peer had there."""
    rounds = [_round(70_000.0), _round(50_000.0, eager=1_000.0), _round(56_000.0)]
    rows = throughput.rows_of(rounds)
    assert [row.measure for row in rows] == [given.measure for given in throughput.COMPARISONS]
    eager, compiled, stacked, failed, plain, single, grid, products, peak, cnn, *grus, fractal = rows
    assert (eager.value, eager.peer_value, eager.ratio) == (70_000, 2_000, 35)
    assert eager.note == (
        "median of 3 rounds (28 to 50); better with 1 thread; final losses within 1.00 ×; "
        f"{BESIDE}; W1's products alone would be 45 ×"
    )
    assert (compiled.peer_value, compiled.target) == (3_000, None)
    assert "better with 1 thread, a whole step compiled" in compiled.note
    assert (stacked.ratio, stacked.target, stacked.met) == (5.6, "≥ 5.8 ×", False)
    assert stacked.note == (
        f"median of 3 rounds (5 to 7); better with 2 threads; final losses within 1.00 ×; {BESIDE}; "
        "W1's products alone would be 9 ×; missed by 3.4 %"
    )
    assert (failed.peer_value, failed.ratio, failed.note) == (None, None, "no compiler")
    assert plain.met is False
    assert (single.target, single.met) == (None, None)
    assert "fastest with 32 in parallel" in grid.note
    assert products.peer_value == 90_000
    assert f"layout wide, chunks of 8, 2 devices; {BESIDE}; 1 × is the ceiling" in products.note
    assert (peak.measure, peak.target, peak.met) == ("P3b", "≥ 0.68 ×", False)
    assert "products of 2048 × 2048 matrices" in peak.note
    assert (cnn.what, cnn.ratio, cnn.met) == ("mnist_cnn, 32 runs × 20 steps", 2.5, True)
    assert "fastest with contiguous/fused; final losses within 1.03 ×" in cnn.note
    assert [row.ratio for row in grus] == [6, 3, 2]
    assert "better with 1 thread, nn.GRU/fused; final losses within" in grus[0].note
    assert (fractal.what, fractal.ratio, fractal.met) == ("fractal, 4,096 runs × 50 steps", 7.5, False)
    assert "shares that train within 3 points" in fractal.note


def test_rows_have_their_share_of_the_product_peak() -> None:
    """Of the same round as the ratio; P3b is that of W1. A workload whose products nobody counted has none."""
    rows = throughput.rows_of([_round()])
    shares = {row.what.split(",")[0]: row.peak_share for row in rows}
    of_w1 = workloads.FLOP["w1"] / 140_000 / workloads.FLOP["w1"]
    assert shares == {
        "digits_mlp": pytest.approx(70_000 * of_w1),
        "mnist_cnn": pytest.approx(200 / 140_000 * workloads.FLOP["cnn"] / workloads.FLOP["w1"]),
        "mnist1d_gru": pytest.approx(600 / 140_000 * workloads.FLOP["gru"] / workloads.FLOP["w1"]),
        "fractal": None,
    }
    (p3b,) = (row for row in rows if row.measure == "P3b")
    assert p3b.ratio == pytest.approx(p3b.peak_share)


def _curves(ratio: float = 2.0, torch_loss: float = 0.1) -> mnist1d.Round:
    """A round of the models of MNIST-1D; the losses of `_line` are 0.1 at the published rate."""
    alone = {**_line(500.0, 1), "final_losses": [0.1]}
    torch = {**_line(250.0, 1, threads=1, fastest="fused"), "final_losses": [torch_loss]}
    together = {**_line(250.0 * ratio, mnist1d.TOGETHER)}
    return {problem: {"together": together, "alone": alone, "torch": torch} for problem in mnist1d.MODELS}


def test_models_of_mnist1d_are_compared_in_the_same_round() -> None:
    rows = mnist1d.rows_of([_curves(4.0), _curves(20.0), _curves(10.0)])
    assert [row.ratio for row in rows] == [10, 2] * 4
    assert rows[2].what == "residual MLP, 32 runs together"
    assert (
        "median of 3 rounds (4 to 20); better with 1 thread, fused; final losses within 1.00 ×"
        in rows[2].note
    )
    assert rows[2].note.endswith(f"{BESIDE}; printed: 700 steps/s")


@pytest.mark.parametrize("loss", [0.05, 5.0])
def test_models_of_mnist1d_that_did_other_work_are_refused(loss: float) -> None:
    with pytest.raises(RuntimeError, match="somebody did other work"):
        mnist1d.rows_of([_curves(torch_loss=loss)])


def test_a_target_above_the_limit_is_marked() -> None:
    slow = _round(wide=81_000.0)
    slow["torch_vmap 2"] = _line(15_000.0)
    stacked = throughput.rows_of([slow])[2]
    assert "W1's products alone would be 5.4 ×, less than the target; missed by" in stacked.note


@pytest.mark.parametrize("name", ["w1", "cnn", "gru"])
def test_products_of_a_workload_are_counted(name: str) -> None:
    """Less than everything that a step of lrbench computes: that adds elementwise operations, and products that are made twice."""
    study = read(getattr(workloads, name)(4))
    engine = Engine(study, of_study(study), 1)
    problem = engine.instances.problem(engine.grid.programs[0])
    batch = jax.tree.map(lambda leaf: leaf[: common.BATCH_SIZE], problem.data.train)
    params = jax.eval_shape(problem.init, jax.random.key(0))
    everything = flops.count(jax.grad(problem.loss), params, batch, jax.random.key(0))
    assert 0.6 * everything < workloads.FLOP[name] < everything


def test_an_optional_peer_that_cannot_run_leaves_a_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It says which error ended it, not what was printed after it; any other peer ends the benchmark."""

    def run_peer(peer: str, *args: object, **options: Any) -> throughput.Line:
        raise RuntimeError(
            "Traceback\n  at\ntorch.InductorError: no compiler\nSet TORCH_LOGS for more, please: x"
        )

    monkeypatch.setattr(throughput, "run_peer", run_peer)
    turns = throughput.Turns(throughput.QUICK, tmp_path)
    turns.measure("torch_single", name="torch_compiled", variant=1)
    assert turns.found["torch_compiled 1"]["failed"] == "torch.InductorError: no compiler"
    with pytest.raises(RuntimeError, match="no compiler"):
        turns.measure("torch_single", name="torch_eager", variant=1)


def test_of_two_rounds_the_lower_ratio_counts() -> None:
    rows = throughput.rows_of([_round(70_000.0), _round(60_000.0)])
    assert [row.value for row in rows[:5]] == [60_000, 60_000, 60_000, 70_000, 60_000]
    assert throughput.rows_of([_round()])[4].note == (
        f"1 round; final losses within 1.00 ×; {BESIDE}; W1's products alone would be 2.57 ×; missed by 4.8 %"
    )


def test_peers_that_did_other_work_are_refused() -> None:
    found = _round()
    assert throughput.disagreement(found) == pytest.approx(1)
    half = [loss / 2 for loss in found["jax_single"]["final_losses"]]
    found["jax_single"] = {**found["jax_single"], "final_losses": half}
    assert throughput.disagreement(found) == pytest.approx(2)
    with pytest.raises(RuntimeError, match=r"differ by a factor of 2\.00"):
        throughput.rows_of([_round(), found])
    found["jax_single"]["final_losses"] = [None] * 8
    assert throughput.disagreement(found) == math.inf
    found["jax_single"]["final_losses"] = [2.3] * 8
    assert throughput.disagreement(found) == math.inf
    nets = _round()
    nets["torch_cnn"]["final_losses"] = [2.3] * 4
    with pytest.raises(RuntimeError, match=r"of the nets differ by a factor of 7\.\d\d"):
        throughput.rows_of([nets])
    pairs = _round()
    pairs["notebook_fractal"]["finite_fraction"] = 0.9
    with pytest.raises(RuntimeError, match="30% more train in one"):
        throughput.rows_of([pairs])


def test_what_make_bench_runs_is_what_the_page_explains() -> None:
    """Every script that can be started is run by `make bench`, and stands in docs/speed.md."""
    makefile, page = ((table.ROOT / name).read_text() for name in ("Makefile", "docs/speed.md"))
    scripts = {
        path.stem for path in (table.ROOT / "benchmarks").glob("*.py") if "def main()" in path.read_text()
    }
    assert set(re.findall(r"^BENCH +\?= (.+)$", makefile, re.MULTILINE)[0].split()) == scripts
    assert scripts <= set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    columns = {*(field.name for field in dataclasses.fields(table.Row)), *table.machine()}
    assert columns <= set(re.findall(r"`(\w+)`", page.split("## How to read a table")[1]))


def test_rows_of_studies_and_launchers() -> None:
    warm, cold = overhead.study_rows(10_000, 9.0, [7.0, 6.0, 8.0], [2.05, 2.0], 0.04)
    assert (warm.value, warm.target, warm.met, cold.target) == (7.0, "≤ 4 s", False, None)
    each = "0.70 ms a run, 0.50 ms for a further one"
    assert warm.note == f"median of 3 (6.0 to 8.0 s); {each}; {BESIDE}; missed by 75.0 %"
    line = {"trials_per_second": 50.0, "trials": 200, "start_seconds": 1.5}
    found = [
        overhead.Launcher("Optuna, SQLite", line),
        overhead.Launcher(
            "Ray Tune, this machine", None, "Ray Tune cannot be imported: No module named 'ray'"
        ),
    ]
    optuna, ray = overhead.launcher_rows(10_000, [7.0], [2.025], found)
    assert (optuna.value, optuna.peer_value, optuna.unit) == (pytest.approx(10_000 / 7), 50.0, "runs/s")
    assert optuna.note == (
        "0.7 ms a run (0.503 for a further one) against 20 ms a trial, and 1.5 s before the first of 200"
    )
    assert (ray.peer, ray.peer_value, ray.ratio) == ("Ray Tune, this machine", None, None)
    assert ray.note == "Ray Tune cannot be imported: No module named 'ray'"


def test_a_launcher_that_fails_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says why in its last line; an environment without it must not cost the other rows."""
    found = overhead._launcher("nothing", "optuna_trials", "--storage", "nowhere")
    assert found.line is None
    assert found.why == "ValueError: storage is 'nowhere'; it must be 'memory' or 'sqlite'"


def test_rows_of_commands() -> None:
    cold, warm = overhead.job_rows(41.0, [12.0, 25.0, 13.0])
    assert (cold.target, cold.met, cold.note) == (
        "≤ 40 s",
        False,
        "programs, data and fonts; missed by 2.5 %",
    )
    assert (warm.value, warm.met, warm.note) == (13.0, True, "median of 3 (12.0 to 25.0 s)")
    assert overhead.job_rows(30.0, [12.0], 0.04)[0].note == "programs, data and fonts; " + BESIDE
    row = overhead.help_row([0.3, 0.9, 0.28], [0.02, 0.03, 0.02])
    assert row.value == pytest.approx(0.28)
    assert (row.target, row.met) == ("≤ 0.12 s", False)
    assert row.note == "medians of 3 alternating runs: 0.300 and 0.020 s; missed by 133.3 %"
    row = overhead.breadth_row([(10.0, 20.0), (9.0, 10.0), (30.0, 20.0)])
    assert (row.value, row.peer_value, row.met) == (9.0, 10.0, True)
    assert row.note == "median of 3 (0.50 to 1.50 ×)"


def test_a_process_is_measured(tmp_path: Path) -> None:
    """Its memory is its own, not this process's; where it fails, the end of its stderr is told."""
    hold = "import sys; block = bytearray(64 * 2**20); print(len(block)); sys.exit(int(sys.argv[1]))"
    small = process.run_command([sys.executable, "-c", "pass"], tmp_path)
    large = process.run_command([sys.executable, "-c", hold, "0"], tmp_path)
    assert min(small[0], large[0]) > 0
    assert large[1] > 64
    with pytest.raises(RuntimeError, match=r"ended with 3:\n$"):
        process.run_command([sys.executable, "-c", hold, "3"], tmp_path)


def test_a_process_lasts_until_those_that_it_started_have_ended(tmp_path: Path) -> None:
    child = "import time; time.sleep(0.5); open('done', 'w')"
    parent = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}])"
    seconds, _ = process.run_command([sys.executable, "-c", parent], tmp_path)
    assert seconds > 0.5
    assert (tmp_path / "done").exists()


def test_a_process_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "TIMEOUT", 0.3)
    with pytest.raises(RuntimeError, match="ended with -9"):
        process.run_command([sys.executable, "-c", "import time; time.sleep(30)"], tmp_path)


@pytest.mark.slow
def test_a_study_is_run_as_a_user_would(tmp_path: Path) -> None:
    """Its point counts what the manifest says of training, evaluating, writing and tables."""
    job = process.run_study(workloads.quadratic(8, 10), tmp_path, tmp_path / "cache", "--no-report")
    assert job.manifest["runs"]["done"] == 8
    found = scaling.point(job)
    assert found.runs == 8
    assert 0 < found.training < found.judged < found.whole
    assert found.peak_mib > 50
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "quadratic.toml", "results"]


POINTS = [
    process.Point(256, 0.12, 0.5, 6.0, 380.0),
    process.Point(1_000, 0.5, 1.0, 6.5, 400.0),
    process.Point(4_096, 2.048, 2.2384, 8.0, 420.0),
    process.Point(100_000, 58.0, 60.0, 66.0, 500.0),
]


def test_rows_of_scaling() -> None:
    training, cost, further, *whole, memory = scaling.rows_of(POINTS[:3], POINTS[1:])
    assert training.peer == "cheapest size (256 runs)"
    assert training.ratio == pytest.approx((2.048 / 4_096) / (0.12 / 256))
    assert (training.target, training.met) == ("≤ 1.25 ×", True)
    assert cost.value == pytest.approx(1e6 * 0.5 / 256)
    assert cost.peer == "cheapest size (4,096 runs)"
    assert (cost.target, cost.met) == ("≤ 1.25 ×", False)
    assert further.value == pytest.approx(1e6 * 1.2384 / 3_096)
    assert further.peer_value == pytest.approx(1e6 * 0.5 / 744)
    assert whole[0].note == "6.0 s, of which 5.5 s start and compile"
    assert len(whole) == 3
    assert (memory.ratio, memory.target, memory.met) == (1.25, "≤ 1.3 ×", True)


def test_pictures(tmp_path: Path) -> None:
    """A bar for lrbench and each peer, red text where a target is missed; lines over the number of runs."""
    figure = pictures.throughput(throughput.rows_of([_round()]))
    assert [len(axes.patches) for axes in figure.axes] == [10, 2, 4, 2]
    texts = {text.get_text().strip(): text.get_color() for axes in figure.axes for text in axes.texts}
    assert texts["24,000: lrbench 7.5 ×, target ≥ 14 ×"] == pictures.LIMIT
    assert "could not run" in texts
    pictures.save(figure, tmp_path / "throughput.png")
    names = [name for axes in figure.axes for name in axes.get_yticklabels()]
    assert "torch.compile over torch.func.vmap, 256 models" in [name.get_text() for name in names]
    assert min(name.get_window_extent().x0 for name in names) > 0  # within the picture
    assert texts["80: lrbench 2.5 ×, target ≥ 1.4 ×"] == pictures.base.INK
    cost, memory = pictures.scaling(POINTS[:3], POINTS[1:]).axes
    assert [list(line.get_xdata()) for line in memory.lines] == [[1_000, 4_096, 100_000]]
    assert cost.lines[1].get_ydata()[0] == pytest.approx(1e3 * 0.5 / 256)
    path = pictures.save(figure, tmp_path / "speed" / "throughput.png")
    assert path.stat().st_size < 200_000


def _gpu(rate: float, **detail: Any) -> gpu.Line:
    return _line(rate, 4, device="H", chunk=1_024, run_seconds=70.0, **detail) | {"seconds": 60.0}


def test_rows_of_a_gpu() -> None:
    found = gpu.Found(
        _gpu(3e6), _gpu(6e3), _gpu(1_800.0, form="slices"), _gpu(900.0, form="grouped"), _gpu(8e6)
    )
    lanes, conv, *fractal = gpu.rows_of(found)
    assert (lanes.ratio, lanes.target, lanes.met) == (500, "≥ 300 ×", True)
    assert (conv.what, conv.peer, conv.ratio) == (
        "mnist_cnn, 256 models in one vmap: slices",
        "grouped",
        2,
    )
    assert [row.value for row in fractal] == [60.0, 70.0, 8e6]
    assert fractal[0].what == "fractal, 1,048,576 runs × 500 steps"


def test_without_a_gpu_nothing_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu"])
    monkeypatch.setattr(gpu, "has_gpu", lambda: False)
    gpu.main()
    assert capsys.readouterr().out == "benchmarks.gpu: JAX finds no GPU here; nothing is measured\n"


@pytest.mark.slow
def test_a_form_of_a_convolution_learns() -> None:
    timing = jax_forms(models=1, steps=1, repeats=1)
    assert timing.final_losses[0] < timing.initial_loss
    with pytest.raises(ValueError, match="form is 'wide'; it must be one of slices, grouped"):
        jax_forms(form="wide")


def _raced(verdicts: list[str], best: list[float], saved: int, statuses: list[str]) -> race.Outcome:
    point = {"problem": "p", "optimizer": ["sgd", "sgd"], "schedule": "s", "optimizer_momentum": [0.0, 0.9]}
    runs = pd.DataFrame({**point, "learning_rate": 0.1, "seed": 0, "verdict": verdicts, "status": statuses})
    lines = pd.DataFrame({**point, "best_learning_rate": best, "good_low": [0.1, math.nan], "good_high": 1.0})
    manifest = {"lane_steps": {"total": 1000, "saved": saved}, "seconds": {"train": 2.0 - saved / 1000}}
    return race.Outcome(manifest, runs, lines)


def test_rows_of_a_race() -> None:
    whole = _raced(["good", "slow"], [0.1, 0.2], 0, ["ok", "ok"])
    raced = _raced(["good", "good"], [0.1, 0.3], 400, ["ok", "stopped"])
    steps, seconds, best, band, good = race.rows_of("digits", whole, raced, 0.04)
    assert (steps.value, steps.peer_value, steps.ratio) == (600, 1000, 0.6)
    assert steps.note == "1 of 2 runs were stopped"
    assert (seconds.ratio, seconds.note) == (0.8, BESIDE)
    assert (best.value, band.value, good.value) == (0.5, 1.0, 0.5)
    fewer = race.Outcome(raced.manifest, raced.runs.iloc[:1], raced.sensitivity)
    with pytest.raises(RuntimeError, match="only 1 of 2 rows"):
        race.rows_of("digits", whole, fewer)


def test_other_work_is_seen() -> None:
    """This process and its children are not other work."""
    with process.Watch() as watch:
        sum(range(10_000))
    assert watch.seconds > 0
    assert watch.others is None or watch.others >= 0


def test_rounds_stop_before_time_is_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """After the first round, the fastest layout of the products is measured alone."""
    asked = []
    clock = iter(np.arange(0.0, 1000.0, 10.0))

    def measure_round(effort: throughput.Effort, layouts: list[str], cache: Path) -> throughput.Round:
        asked.append(list(layouts))
        return _round()

    monkeypatch.setattr(throughput, "measure_round", measure_round)
    # The module's own name alone: pytest needs the real clock.
    monkeypatch.setattr("benchmarks.throughput.time", SimpleNamespace(perf_counter=lambda: next(clock)))
    assert len(throughput.measure_rounds(throughput.FULL, tmp_path, until=35.0)) == 2
    assert asked == [["apart", "lane", "wide"], ["wide"]]
    clock = iter(np.arange(0.0, 1000.0, 10.0))
    assert len(throughput.measure_rounds(throughput.FULL, tmp_path, until=-1.0)) == 1
