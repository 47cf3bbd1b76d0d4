"""What the benchmarks print and save, on made-up measurements; no time is asserted, and no peer needs to be installed."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks import table, throughput
from benchmarks.peers import common
from benchmarks.peers.lrbench_w1 import lrbench_w1

BESIDE = "other work took 4% of the cores"


def _line(rate: float, models: int = 256, threads: int = 2, **detail: Any) -> throughput.Line:
    """A peer's line whose losses fall with the rate, as those of real peers do."""
    losses = 0.01 / common.learning_rates(models) ** 0.5
    return {
        "model_steps_per_second": rate,
        "threads": threads,
        "initial_loss": 2.3,
        "final_losses": losses.tolist(),
        "detail": detail,
        "others": 0.04,
    }


def _round(ours: float = 70_000.0, eager: float = 2_000.0, wide: float = 90_000.0) -> throughput.Round:
    layout = {"chunk": 8, "devices": 2}
    return {
        "lrbench_w1": _line(ours, **layout),
        "torch_eager 1": _line(eager, 4, threads=1),
        "torch_eager 2": _line(eager / 10, 4),
        "torch_vmap 1": _line(5_000.0, threads=1),
        "torch_vmap 2": _line(10_000.0),
        "jax_vmap": _line(35_000.0),
        "jax_single": _line(20_000.0, 8),
        "products apart": _line(80_000.0, layout="apart", **layout),
        "products wide": _line(wide, layout="wide", **layout),
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


def test_lrbench_as_a_peer_of_itself() -> None:
    """Its line has what the rows need, and its runs learn."""
    timing = lrbench_w1(models=4, steps=60, repeats=1, devices=2)
    assert timing.model_steps == 240
    assert timing.seconds == timing.all_seconds[0] > 0
    assert timing.detail["devices"] == 2
    line = common.report("lrbench_w1", timing, "lrbench")
    assert len(line["final_losses"]) == 4
    assert line["final_loss_best"] < 0.5 < 2 < line["initial_loss"]
    assert throughput.disagreement({"lrbench_w1": line}) == 1


def test_rows_of_w1() -> None:
    """A row is the round with the median ratio, against the best variant that its peer had there."""
    rounds = [_round(70_000.0), _round(50_000.0, eager=1_000.0), _round(56_000.0)]
    eager, stacked, plain, single, products = throughput.w1_rows(rounds)
    assert [row.measure for row in (eager, stacked, plain, single, products)] == [
        "P1",
        "P2",
        "P2",
        "P2",
        "P3",
    ]
    assert (eager.value, eager.peer_value, eager.ratio) == (70_000, 2_000, 35)
    assert (
        eager.note
        == "median of 3 rounds (28 to 50); better with 1 thread; final losses within 1.00 ×; " + BESIDE
    )
    assert (stacked.ratio, stacked.target, stacked.met) == (5.6, "≥ 7 ×", False)
    assert stacked.note == f"median of 3 rounds (5 to 7); better with 2 threads; {BESIDE}; missed by 20.0 %"
    assert plain.met is False
    assert (single.target, single.met) == (None, None)
    assert products.peer_value == 90_000
    assert (
        f"layout wide, chunks of 8, 2 devices; {BESIDE}; a target of the next round of work" in products.note
    )


def test_of_two_rounds_the_lower_ratio_counts() -> None:
    rows = throughput.w1_rows([_round(70_000.0), _round(60_000.0)])
    assert [row.value for row in rows] == [60_000] * 5
    assert throughput.w1_rows([_round()])[2].note == f"1 round; {BESIDE}; missed by 13.0 %"


def test_peers_that_did_other_work_are_refused() -> None:
    found = _round()
    assert throughput.disagreement(found) == pytest.approx(1)
    half = [loss / 2 for loss in found["jax_single"]["final_losses"]]
    found["jax_single"] = {**found["jax_single"], "final_losses": half}
    assert throughput.disagreement(found) == pytest.approx(2)
    with pytest.raises(RuntimeError, match=r"differ by a factor of 2\.00"):
        throughput.w1_rows([_round(), found])
    found["jax_single"]["final_losses"] = [None] * 8
    assert throughput.disagreement(found) == math.inf
    found["jax_single"]["final_losses"] = [2.3] * 8
    assert throughput.disagreement(found) == math.inf


def test_rows_of_commands() -> None:
    cold, warm = throughput.job_rows(41.0, [12.0, 25.0, 13.0])
    assert (cold.target, cold.met, cold.note) == (
        "≤ 40 s",
        False,
        "programs, data and fonts; missed by 2.5 %",
    )
    assert (warm.value, warm.met, warm.note) == (13.0, True, "median of 3 (12.0 to 25.0 s)")
    assert throughput.job_rows(30.0, [12.0], 0.04)[0].note == "programs, data and fonts; " + BESIDE
    row = throughput.help_row([0.3, 0.9, 0.28], [0.02, 0.03, 0.02])
    assert row.value == pytest.approx(0.28)
    assert (row.target, row.met) == ("≤ 0.3 s", True)
    assert row.note == "medians of 3 alternating runs: 0.300 and 0.020 s"


def test_other_work_is_seen() -> None:
    """This process and its children are not other work."""
    with throughput.Watch() as watch:
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
