"""Grids: identities that never change, partitions that hold every run once."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrbench.study import catalog, grid
from lrbench.study.choice import Choice
from lrbench.study.learning_rates import LearningRates
from lrbench.study.sample import points_of
from lrbench.study.spec import read
from lrbench.study.variant import variants_of


def _grid(**changes: Any) -> grid.Grid:
    table = {
        "name": "g",
        "steps": 10,
        "seeds": 2,
        "problem": ["quadratic", {"name": "digits_mlp", "hidden": [[64], [32, 32]]}],
        "optimizer": [
            {"name": "sgd", "momentum": [0.0, 0.9]},
            {"name": "sgd", "nesterov": True, "momentum": 0.5},
        ],
        "schedule": ["constant", {"name": "warmup_cosine", "warmup": [0.1, 0.2]}],
        "learning_rate": {"values": [0.1, 0.2, 0.3]},
    }
    return grid.of_study(read({**table, **changes}))


def test_run_ids_are_what_they_were() -> None:
    """Written down once: a change here makes every published result of the past untraceable."""
    ids = _grid().run_ids
    assert len(set(ids)) == len(ids) == 3 * 3 * 3 * 3 * 2
    assert list(ids[:2]) == FIRST
    assert ids[-1] == LAST


def test_run_ids_do_not_hang_on_the_rest_of_the_study() -> None:
    whole = _grid()
    part = _grid(problem=["quadratic"], schedule=["constant"], learning_rate={"values": [0.2]}, name="other")
    assert set(part.run_ids) < set(whole.run_ids)
    for change in ({"steps": 11}, {"evaluate_every": 5}, {"precision": "float64"}):
        assert not set(_grid(**change).run_ids) & set(whole.run_ids)


def test_run_ids_are_the_same_in_another_process() -> None:
    code = "from lrbench.study import grid, spec;print(grid.of_study(spec.read('quickstart')).run_ids[7])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == str(grid.of_study(read("quickstart")).run_ids[7])


def test_an_order_of_named_rates_is_no_identity() -> None:
    def ids(**named: Any) -> Any:
        return _grid(learning_rate={"values": [0.1], **named}, seeds=1).run_ids

    one, two = {"values": [0.3]}, {"values": [0.5]}
    assert list(ids(a=one, b=two)) == list(ids(b=two, a=one))
    assert not set(ids(a=one, b=two)) & set(ids(a=two, b=one))
    assert not set(ids(a=one)) & (set(ids()) | set(ids(b=one)))


@pytest.mark.slow
def test_a_million_runs_have_a_million_run_ids() -> None:
    from lrbench.study.run_id import pack_id, run_ids

    rates = {"": [0.1, 0.2], "output": np.geomspace(1e-3, 1, 1000).tolist()}
    ids = run_ids([["p"], ["a", "b"], ["s"]], rates, range(250), "")
    assert ids.dtype == "S20"
    assert len(np.unique(ids)) == len(ids) == 1_000_000
    # Each of the 80 bits is as often 0 as 1: within five standard deviations.
    bits = np.unpackbits(
        np.frombuffer(bytes.fromhex(ids.tobytes().decode()), np.uint8).reshape(-1, 10), axis=1
    )
    np.testing.assert_allclose(bits.mean(axis=0), 0.5, atol=5 * 0.5 / 1000)
    assert pack_id(ids[:9]) == pack_id(ids[8::-1]) != pack_id(ids[:8])


def test_rates_of_runs() -> None:
    whole = _grid(
        learning_rate={"values": [1.0, 2.0], "output": {"values": [3.0, 4.0, 5.0]}}, problem="quadratic"
    )
    assert list(whole.sizes.values()) == [1, 3, 3, 2, 3, 2]
    rates = whole.rates(np.arange(12))
    assert rates[""].tolist() == [1.0] * 6 + [2.0] * 6
    assert rates["output"].tolist() == [3.0, 3.0, 4.0, 4.0, 5.0, 5.0] * 2
    columns = whole.columns(np.arange(12))
    assert list(columns)[5:8] == ["learning_rate", "learning_rate_output", "seed"]
    assert columns["seed"].tolist() == [0, 1] * 6
    assert list(_grid().rates(np.array([0]))) == [""]
    seeds = [whole.positions(program.runs)["seed"] for program in whole.programs]
    assert all((np.diff(of_run) >= 0).all() for of_run in seeds)


@pytest.mark.parametrize("named", [{}, {"b": {"values": [0.5, 1.0]}, "a": {"min": 0.1, "max": 1, "num": 3}}])
def test_a_grid_survives_the_manifest(named: Any) -> None:
    whole = _grid(learning_rate={"values": [0.1, 0.2], **named})
    again = grid.Grid.from_dict(json.loads(json.dumps(whole.asdict())))
    np.testing.assert_array_equal(again.run_ids, whole.run_ids)
    for name, column in whole.columns(np.arange(len(whole))).items():
        np.testing.assert_array_equal(again.columns(np.arange(len(whole)))[name], column)


def test_numbers_share_a_program_and_structure_does_not() -> None:
    whole = _grid()
    assert [(p.problem, p.optimizers) for p in whole.programs] == [
        (problem, members) for problem in range(3) for members in ((0, 1), (2,))
    ]


def test_columns() -> None:
    columns = _grid().columns(np.array([0, 161]))
    assert list(columns) == [
        "run_id",
        "study",
        "problem",
        "optimizer",
        "schedule",
        "learning_rate",
        "seed",
        "steps",
        "stage",
        "problem_hidden",
        "optimizer_momentum",
        "optimizer_nesterov",
        "schedule_warmup",
    ]
    assert list(columns["problem_hidden"]) == [None, "[32, 32]"]
    assert list(columns["schedule_warmup"])[1] == 0.2
    assert np.isnan(columns["schedule_warmup"][0])


@settings(max_examples=60)
@given(
    rates=st.integers(1, 9),
    seeds=st.integers(1, 5),
    capacity=st.integers(1, 50),
    share=st.floats(0, 1),
    data=st.randoms(use_true_random=False),
)
def test_packs_hold_every_run_that_is_left_once(
    rates: int, seeds: int, capacity: int, share: float, data: Any
) -> None:
    whole = _grid(learning_rate={"values": [0.1 * (i + 1) for i in range(rates)]}, seeds=seeds)
    left = np.array([data.random() < share for _ in range(len(whole))])
    capacities = [capacity] * len(whole.programs)
    packs = list(whole.packs(capacities, left))
    runs = np.concatenate([pack.runs for pack in packs]) if packs else np.array([], int)
    assert sorted(runs) == list(np.flatnonzero(left))
    assert all(len(pack.runs) <= capacity for pack in packs)
    everything = {pack.pack_id: set(pack.runs) for pack in whole.packs(capacities)}
    assert all(any(set(pack.runs) <= runs for runs in everything.values()) for pack in packs)


FIRST = [b"fdcd002a1ac9245b22a5", b"74804b05306c395d12e5"]
LAST = b"7f4b724130f0a710aac7"  # of the second revision of digits_mlp


def test_a_revision_and_a_parameter_that_came_later_in_the_identity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first revision and a later parameter at its default leave the identity as it was; anything else changes it."""
    (tmp_path / "optimizers").mkdir()
    file = tmp_path / "optimizers" / "mine.py"
    monkeypatch.setattr(catalog, "PACKAGE", tmp_path)

    def identity(declared: str, parameters: str, chosen: dict[str, Any]) -> str:
        file.write_text(f'{declared}\ndef mine(learning_rate, *, {parameters}):\n    """Step."""\n')
        (entry,) = catalog._entries_of("optimizer", file)
        (variant,) = variants_of("optimizer", [Choice(entry, chosen)], points_of(None, LearningRates()))
        return variant.identity

    first = identity("", "beta: float = 0.5", {})
    later = "beta: float = 0.5, order: str = 'a'"
    assert first == '["mine",{"beta":0.5},""]'
    assert identity("@history(revision=1)", "beta: float = 0.5", {}) == first
    assert identity("@catalog.history(revision=2)", "beta: float = 0.5", {}) == '["mine",{"beta":0.5},"",2]'
    assert identity("@history(added=('order',))", later, {}) == first
    assert identity("@history(added=('order',))", later, {"order": ("a",)}) == first
    assert identity("@history(added=('order',))", later, {"order": ("b",)}) != first
    assert identity("", later, {}) != first
