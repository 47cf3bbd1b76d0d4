"""Shards: each process trains its share of a study, whoever starts, ends or is killed when, and the tables are those of one process."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrbench.errors import LaunchError
from lrbench.execution import costs, shard_variables
from lrbench.execution.shards import Shard, digest, divide, shard_of
from lrbench.study.grid import Grid, of_study
from lrbench.study.spec import read

NAMES = [*(name for pair in shard_variables.PAIRS for name in pair), *shard_variables.NUMBERS]
ALLOWED = "must be I/N, with I from 0 to N - 1, such as 0/4, or auto, or auto/N"


# ---- which shard ----


@pytest.fixture(autouse=True)
def _no_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests may themselves run under one."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def _resolved(monkeypatch: pytest.MonkeyPatch, option: str, **variables: str) -> tuple[int, int]:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return shard_variables.resolved(option)


@pytest.mark.parametrize(
    ("option", "variables", "found"),
    [
        ("0/1", {}, (0, 1)),
        ("3/4", {"RANK": "0", "WORLD_SIZE": "9"}, (3, 4)),
        ("auto", {"SLURM_PROCID": "1", "SLURM_NTASKS": "3"}, (1, 3)),
        ("auto", {"SKYPILOT_NODE_RANK": "2", "SKYPILOT_NUM_NODES": "3"}, (2, 3)),
        ("auto", {"RANK": "4", "WORLD_SIZE": "5"}, (4, 5)),
        # The first pair that is complete.
        (
            "auto",
            {"RANK": "4", "WORLD_SIZE": "5", "SLURM_PROCID": "1", "SLURM_NTASKS": "3"},
            (1, 3),
        ),
        ("auto", {"RANK": "4", "WORLD_SIZE": "5", "SLURM_PROCID": "1"}, (4, 5)),
        ("auto", {"RANK": "4", "WORLD_SIZE": "5", "JOB_COMPLETION_INDEX": "1"}, (4, 5)),
        ("auto/5", {"RANK": "4", "WORLD_SIZE": "5", "JOB_COMPLETION_INDEX": "1"}, (4, 5)),
        ("auto/8", {"JOB_COMPLETION_INDEX": "7"}, (7, 8)),
        ("auto/8", {"TPU_WORKER_ID": "7", "RANK": "1"}, (7, 8)),
        ("auto/2", {"TPU_WORKER_ID": "0", "JOB_COMPLETION_INDEX": "1"}, (1, 2)),
        ("auto/2", {"TPU_WORKER_ID": "0", "JOB_COMPLETION_INDEX": ""}, (0, 2)),
    ],
)
def test_which_shard(
    option: str, variables: dict[str, str], found: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _resolved(monkeypatch, option, **variables) == found


@pytest.mark.parametrize(
    ("option", "variables", "said"),
    [
        *(
            (each, {}, ALLOWED)
            for each in ("4/4", "1", "-1/4", "0/0", "x", "", "1/4/5", "auto/", "0/9999999")
        ),
        (
            "auto",
            {},
            f"no variable says which process this is ({', '.join(NAMES)}); give --shard I/N, such as 0/4",
        ),
        (
            "auto",
            {"RANK": "3"},
            "found RANK = 3 alone, which is half of what is needed; give --shard I/N, such as 0/4",
        ),
        (
            "auto/4",
            {"RANK": "3"},
            "found RANK = 3 alone, which is half of what is needed; give --shard I/N, such as 0/4",
        ),
        (
            "auto",
            {"JOB_COMPLETION_INDEX": "3"},
            "found JOB_COMPLETION_INDEX = 3, which does not say how many processes there are; give --shard auto/N",
        ),
        ("auto/3", {"TPU_WORKER_ID": "3"}, f"TPU_WORKER_ID gives 3/3; {ALLOWED}"),
        ("auto", {"RANK": "3", "WORLD_SIZE": "3"}, f"RANK/WORLD_SIZE gives 3/3; {ALLOWED}"),
        (
            "auto/8",
            {"RANK": "3", "WORLD_SIZE": "4"},
            "RANK/WORLD_SIZE says that there are 4; give --shard auto, or I/N, such as 0/4",
        ),
        (
            "auto",
            {"RANK": "x", "WORLD_SIZE": "4"},
            "RANK = 'x': is no number of a process; give --shard I/N, such as 0/4",
        ),
    ],
)
def test_no_shard(option: str, variables: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LaunchError) as error:
        _resolved(monkeypatch, option, **variables)
    assert str(error.value) == f"--shard {option}: {said}"


@pytest.mark.parametrize("on_tpus", [False, True])
def test_jax_comes_first_where_it_knows_of_others(on_tpus: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a slice of TPUs it does once it has started; elsewhere once `jax.distributed.initialize` has connected them."""
    variables = {"SLURM_PROCID": "5", "SLURM_NTASKS": "9"}
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    assert _resolved(monkeypatch, "auto", **variables) == (5, 9)
    if on_tpus:
        monkeypatch.setattr(shard_variables, "find_spec", {"libtpu": "installed"}.get)
    else:
        monkeypatch.setattr(jax.distributed, "is_initialized", lambda: True)
    assert _resolved(monkeypatch, "auto", **variables) == (1, 2)
    monkeypatch.setattr(jax, "process_index", lambda: 0)
    monkeypatch.setattr(jax, "process_count", lambda: 1)
    assert _resolved(monkeypatch, "auto", **variables) == ((5, 9) if on_tpus else (0, 1))


def test_options_that_do_not_go_together() -> None:
    assert shard_of(None, None) is None
    assert shard_of("1/4", 5.0) == Shard(1, 4, 5.0)
    for options, said in [
        ((None, 5.0), "--wait 5: works only with --shard"),
        (("1/4", -1.0), "--wait -1: must be a number of seconds, 0 or more"),
        (("1/4", float("nan")), "--wait nan: must be a number of seconds, 0 or more"),
        (("1/4", None, "ray"), "--shard 1/4: works only with --launcher local, not with --launcher ray"),
    ]:
        with pytest.raises(LaunchError) as error:
            shard_of(*options)  # type: ignore[arg-type]
        assert str(error.value) == said
    assert shard_of("0/4", None, profile=True) == Shard(0, 4)
    with pytest.raises(LaunchError, match=r"^--shard 1/4: not with --profile, which is for shard 0$"):
        shard_of("1/4", None, profile=True)
    with pytest.raises(LaunchError, match=r"^--shard 1/4: not with --fresh, since others may have begun"):
        shard_of("1/4", None, fresh=True)


# ---- the division ----


@pytest.fixture(scope="module")
def grid() -> Grid:
    """Programs of several sizes."""
    return of_study(
        read(
            {
                "name": "x",
                "steps": 10,
                "seeds": 3,
                "problem": ["quadratic", "rosenbrock"],
                "optimizer": ["sgd", {"name": "adam", "b1": [0.8, 0.9]}, "lion"],
                "learning_rate": {"values": [0.01, 0.1, 1.0]},
            }
        )
    )


@given(
    each=st.lists(st.floats(1.0, 1e9), min_size=6, max_size=6),
    count=st.integers(1, 40),
    seed=st.integers(0, 99),
    share=st.floats(0.0, 1.0),
)
def test_every_run_is_in_one_share_and_shares_cost_the_same(
    grid: Grid, each: list[float], count: int, seed: int, share: float
) -> None:
    wanted = np.random.default_rng(seed).random(len(grid)) < share
    shares = divide(grid, wanted, each, count)
    assert len(shares) == count
    order = np.concatenate([program.runs[wanted[program.runs]] for program in grid.programs])
    assert np.concatenate(shares).tolist() == order.tolist()
    cost = np.zeros(len(grid))
    for program, of_run in zip(grid.programs, each, strict=True):
        cost[program.runs] = of_run
    mean, most = cost[wanted].sum() / count, cost[wanted].max(initial=0.0)
    assert all(abs(cost[runs].sum() - mean) <= most + 1e-6 * mean for runs in shares)


def test_packs_of_any_size_make_up_the_same_runs(grid: Grid) -> None:
    shares = divide(grid, grid.is_run, [1.0] * 6, 4)
    found = []
    for runs, lanes in zip(shares, [1, 3, 7, 1000], strict=True):
        missing = np.isin(np.arange(len(grid)), runs)
        packs = grid.packs([lanes] * 6, missing)
        found += list(itertools.chain.from_iterable(pack.runs.tolist() for pack in packs))
    assert sorted(found) == list(range(len(grid)))


def test_costs_are_counted_alike_everywhere() -> None:
    from lrbench.engine.engine import Engine

    table: dict[str, Any] = {
        "name": "x",
        "steps": 10,
        "seeds": 1,
        "problem": ["digits_mlp", "quadratic"],
        "optimizer": ["sgd", "adam"],
        "learning_rate": {"values": [0.1]},
        "probes": [],
    }
    found = []
    for changes in ({}, {"probes": ["sharpness"]}, {"steps": 20}):
        study = read(table | changes)
        grid = of_study(study)
        found.append(costs.of_runs(Engine(study, grid, 1), grid))
    plain, probed, longer = found
    digits, _, quadratic, _ = plain
    assert digits > 50 * quadratic > 0
    assert plain[0] == plain[1]
    assert probed[0] > 1.5 * digits
    assert longer == pytest.approx([2 * each for each in plain], rel=1e-5)
    grid = of_study(read(table))
    assert digest(grid, plain) == digest(grid, list(plain)) != digest(grid, longer)
