"""Plans for devices that are not here: the rules of this machine, with another memory, and no times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optax
import pytest

from lrbench.engine import device_memory, known_devices, matmul
from lrbench.engine.known_devices import DEVICES, GIB
from lrbench.execution.plan import plan, plan_text
from lrbench.execution.plan_schema import Plan
from lrbench.study.spec import read
from tests.helpers.command import STUDY, lrbench, refused

LARGE = {"name": "quadratic", "dimension": 200_000}


@pytest.fixture
def wide(table: dict[str, Any]) -> dict[str, Any]:
    """A study of 2,048 rates and a model of 0.8 MB."""
    return table | {
        "problem": LARGE,
        "seeds": 1,
        "optimizer": [{"name": "sgd", "momentum": 0.9}],
        "learning_rate": {"min": 0.01, "max": 1.0, "num": 2048},
    }


@pytest.mark.parametrize(("name", "usable"), [("l4", 18), ("H100", 60), ("tpu-v5e", 16)])
def test_a_device_that_is_not_here_has_the_rules_of_one_that_is(
    wide: dict[str, Any], name: str, usable: int
) -> None:
    """By hand: parameters, momentum and gradient; a quarter of what JAX takes, three quarters of a GPU; chunks of 1,024."""
    found = plan(read(wide), device=name)
    (program,) = found.programs
    (here,) = plan(read(wide)).programs
    assert (found.devices, found.device_kinds, found.device_bytes) == (1, (name.lower(),), usable * GIB)
    assert program.bytes_per_lane == here.bytes_per_lane
    assert program.bytes_per_lane == pytest.approx(3 * 4 * LARGE["dimension"], rel=1e-3)
    assert program.lanes_per_pack == usable * GIB // 4 // int(program.bytes_per_lane)
    assert program.bytes_per_pack == program.lanes_per_pack * program.bytes_per_lane
    assert program.packs == -(-2048 // program.lanes_per_pack)
    assert (program.lanes_per_chunk, program.chunk_chosen) == (1024, "rule")


def test_small_models_fill_a_pack_before_the_memory(table: dict[str, Any]) -> None:
    (program,) = plan(read(table), device="h100").programs
    assert program.lanes_per_pack == device_memory.LANES_PER_PACK_ELSEWHERE


def test_a_chunk_has_no_more_lanes_than_the_study_sets(wide: dict[str, Any]) -> None:
    (program,) = plan(read(wide | {"lanes_per_chunk": 96}), device="h100").programs
    assert (program.lanes_per_chunk, program.chunk_chosen) == (96, "set")


def test_times_of_this_machine_are_not_shown_as_those_of_another(
    table: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matmul, "flops_per_second", lambda *given: pytest.fail("this machine was timed"))
    found = plan(read(table), device="mi300x")
    assert (found.compile_seconds, found.train_seconds) == (None, None)
    assert [(each.compile_seconds, each.train_seconds, each.measured) for each in found.programs] == [
        (None, None, False)
    ]
    said = plan_text(read(table), devices=8, device="mi300x").splitlines()
    assert said[1] == "devices: 8 × mi300x, of whose memory JAX takes 144.0 GiB"
    assert said[3].split()[-2:] == ["lanes/pack", "MiB/pack"]
    assert " s" not in said[3]
    assert said[-1] == (
        "estimate: the times there are unknown; the same command without --for estimates them on such a machine"
    )


@pytest.mark.parametrize("there", [{"device": "h100"}, {}, {"launcher": "slurm", "nodes": 2}], ids=str)
def test_an_optimizer_that_raises_is_planned(table: dict[str, Any], there: dict[str, Any]) -> None:
    """Its packs fail with the error, and the others are trained."""

    def broken(learning_rate: float) -> optax.GradientTransformation:
        def init(params: Any) -> Any:
            raise ValueError("broken")

        return optax.GradientTransformation(init, lambda *given: given)

    found = plan(read(table | {"optimizer": ["sgd", broken]}, trust=True), **there)
    assert [(each.packs, bool(each.lanes_per_pack)) for each in found.programs] == [(1, True), (1, False)]


def test_a_plan_for_another_device_as_json() -> None:
    Path("x.toml").write_text(STUDY)
    code, said = lrbench(["plan", "x.toml", "--for", "b200", "--json"])
    assert code == 0, said
    found = Plan.model_validate_json(said)
    assert (found.device_kinds, found.device_bytes) == (("b200",), 135 * GIB)
    assert found.train_seconds is None
    code, said = lrbench(["plan", "x.toml", "--json"])
    assert Plan.model_validate_json(said).device_bytes is None


def test_a_device_that_is_not_known_is_refused() -> None:
    Path("x.toml").write_text(STUDY)
    assert refused("plan", "x.toml", "--for", "h1000") == (
        "--for: unknown device 'h1000'; nearest: h100, h200, a100-40gb; `lrbench plan --help` lists all"
    )
    assert refused("plan", "x.toml", "--for", "") == (
        "--for: unknown device ''; `lrbench plan --help` lists all"
    )
    assert refused("plan", "x.toml", "--for", "h100", "--launcher", "slurm") == (
        "--for h100: times there are unknown, by which --launcher slurm distributes packs; give one of the two"
    )


def test_every_known_device_is_found_by_its_name() -> None:
    for name, device in DEVICES.items():
        assert known_devices.get(name.upper()) is device
        assert device.platform in {"gpu", "tpu"}
        assert 0 < device_memory.free_bytes(device) <= device.gib * GIB
