"""Schedules: equal to PyTorch value by value, of peak 1 for all parameters, and what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lrbench as lb
from lrbench.engine.schedule_table import check, table, tabulate
from lrbench.results.run_lookup import RunLookup
from lrbench.schedules.plateau import Plateau, PlateauState
from lrbench.study import catalog
from lrbench.study.grid import of_study
from lrbench.study.spec import read
from tests.helpers.paths import GOLDEN

TORCH = json.loads((GOLDEN / "torch_schedules.json").read_text())
STEPS = TORCH["steps"]


def shape(name: str, steps: int = STEPS, **params: Any) -> np.ndarray:
    return tabulate(catalog.get("schedule", name).load()(steps, **params), steps)


def ours(name: str, params: dict[str, Any]) -> tuple[str, dict[str, Any], float]:  # noqa: PLR0911 -- a table
    """Return our schedule for one of PyTorch's, its parameters, and the learning rate that goes with it."""
    p = dict(params)
    match name:
        case "StepLR":
            return "step", p, 1.0
        case "MultiStepLR":
            at = tuple(milestone / STEPS for milestone in p["milestones"])
            return (
                "piecewise_constant",
                {"at": at, "values": tuple(p["gamma"] ** k for k in range(len(at) + 1))},
                1,
            )
        case "ExponentialLR":
            return "exponential", {"final": p["gamma"] ** STEPS}, 1.0
        case "CosineAnnealingLR":
            return "cosine", {"final": p["eta_min"], "cycles": STEPS / (2 * p["T_max"])}, 1.0
        case "CosineAnnealingWarmRestarts":
            own = {"first": p["T_0"] / STEPS, "multiply": p["T_mult"], "final": p["eta_min"]}
            return "cosine_restarts", own, 1.0
        case "OneCycleLR":
            form = {"cos": "onecycle_cosine", "linear": "onecycle_linear"}[p["anneal_strategy"]]
            start = 1 / p.get("div_factor", 25.0)
            own = {"warmup": p["pct_start"], "start": start, "three_phase": p["three_phase"]}
            return form, own | {"final": start / p.get("final_div_factor", 1e4)}, 1.0
        case "CyclicLR":
            period = p["step_size_up"] + p["step_size_down"]
            own = {"cycle": period / STEPS, "up": p["step_size_up"] / period, "mode": p["mode"]}
            gamma = p.get("gamma", 1.0)
            peak = p["base_lr"] + (1 - p["base_lr"]) * gamma ** p["step_size_up"]
            return "cyclic", own | {"start": p["base_lr"] / peak, "final": gamma**STEPS}, peak
        case "LinearLR":
            own = {"start": p["start_factor"], "final": p["end_factor"], "span": p["total_iters"] / STEPS}
            return "linear", own, 1.0
    assert name == "PolynomialLR"
    return "polynomial", {"power": p["power"], "span": p["total_iters"] / STEPS}, 1.0


@pytest.mark.parametrize("case", TORCH["schedules"], ids=lambda case: f"{case['name']} {case['params']}")
def test_equals_pytorch(case: dict[str, Any]) -> None:
    name, params, rate = ours(case["name"], case["params"])
    np.testing.assert_allclose(rate * shape(name, **params), case["rates"], rtol=1e-8, atol=1e-12)


def test_reduce_on_plateau_equals_pytorch() -> None:
    """Every parameter set is a lane of one vmap, beside a lane of a schedule that is a table."""
    make = catalog.get("schedule", "reduce_on_plateau").load()
    asked = [{k: v for k, v in case["params"].items() if k != "min_lr"} for case in TORCH["plateaus"]]
    found = [
        make(1, **p, min=case["params"]["min_lr"]) for p, case in zip(asked, TORCH["plateaus"], strict=True)
    ]
    rules = table([np.ones(1)] * (len(found) + 1), [*found, None]).rules
    losses = jnp.array([math.nan if loss is None else loss for loss in TORCH["losses"]])
    update = jax.vmap(Plateau.update, (0, 0, None, None))

    def step(state: Any, seen: Any) -> Any:
        state = update(rules, state, *seen)
        return state, state.scale

    counts = jnp.arange(len(losses))
    first = jax.vmap(PlateauState.initial)(jnp.ones(len(found) + 1))
    # The evaluation before the first step counts for nothing, however good it is.
    first = update(rules, first, jnp.float32(-9.0), counts[0])
    _, scales = jax.lax.scan(step, first, (losses, counts + 1))
    for lane, case in enumerate(TORCH["plateaus"]):
        np.testing.assert_allclose(scales[:, lane], case["rates"], rtol=1e-5)
        assert len(set(case["rates"])) > 2
    assert (scales[:, -1] == 1).all()


def test_optax_reduces_one_evaluation_earlier() -> None:
    """Its patience p is our p − 1, as the docstring says."""
    transform = optax.contrib.reduce_on_plateau(factor=0.1, patience=3, rtol=1e-4)
    state, theirs = transform.init({}), []
    rule = Plateau(*map(jnp.asarray, (0.1, 2.0, 1e-4, True, 0.0, 0.0)))
    ours, found = PlateauState.initial(jnp.float32(1)), []
    for count, loss in enumerate([2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]):
        _, state = transform.update({}, state, value=jnp.float32(loss))
        ours = rule.update(ours, jnp.float32(loss), jnp.int32(count + 1))
        theirs.append(float(state.scale))
        found.append(float(ours.scale))
    np.testing.assert_allclose(found, theirs, rtol=1e-6)
    np.testing.assert_allclose(found, [1, 1, 1, 1, 0.1, 0.1, 0.1, 0.01], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "params", "theirs"),
    [
        ("warmup_constant", {"start": 0.1}, optax.warmup_constant_schedule(0.1, 1.0, 4)),
        ("warmup_cosine", {"final": 0.1}, optax.warmup_cosine_decay_schedule(0.0, 1.0, 4, STEPS, 0.1)),
        ("warmup_exponential", {}, optax.warmup_exponential_decay_schedule(0, 1, 4, STEPS - 4, 0.01)),
        ("cosine", {"final": 0.1}, optax.cosine_decay_schedule(1.0, STEPS, 0.1)),
        (
            "piecewise_interpolate",
            {"at": (0.0, 0.25, 1.0), "values": (0.5, 1.0, 0.1), "form": "cosine"},
            optax.piecewise_interpolate_schedule("cosine", 0.5, {10: 2.0, 40: 0.1}),
        ),
    ],
)
def test_equals_optax(name: str, params: dict[str, Any], theirs: optax.Schedule) -> None:
    np.testing.assert_allclose(shape(name, **params), tabulate(theirs, STEPS), atol=1e-12)


def test_shapes_by_hand() -> None:
    np.testing.assert_allclose(
        shape("warmup_linear", 10, warmup=0.2), [0, 0.5, *(1 - np.arange(8) / 8)], atol=1e-12
    )
    np.testing.assert_allclose(
        shape("wsd", 10, warmup=0.2, decay=0.4), [0, 0.5, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25]
    )
    root = shape("wsd", 10, warmup=0.0, decay=0.4, form="sqrt", final=0.5)
    np.testing.assert_allclose(root[5:], 1 - 0.5 * np.sqrt([0, 0, 0.25, 0.5, 0.75]))
    noam = shape("inverse_sqrt", 16, warmup=0.25)
    np.testing.assert_allclose(noam[[0, 1, 3, 15]], [0.25, 0.5, 1, 0.5])
    np.testing.assert_allclose(shape("range_test", 4, start=1e-3), [1e-3, 1e-2, 1e-1, 1])
    np.testing.assert_allclose(shape("range_test", 3, start=0.5, form="linear"), [0.5, 0.75, 1])
    np.testing.assert_allclose(shape("piecewise_interpolate", 10)[[0, 1, 3, 6, 8]], [0.1, 0.4, 1, 0.2, 0.1])
    np.testing.assert_allclose(shape("piecewise_constant", 4, at=(0.5,), values=(0.5, 1.0)), [0.5, 0.5, 1, 1])


def test_join() -> None:
    rise = {"name": "linear", "start": 0.0, "final": 1.0}
    found = shape("join", 10, parts=(rise, {"name": "cosine", "final": 0.5}), at=(0.4,))
    np.testing.assert_allclose(found, [0, 0.25, 0.5, 0.75, *shape("cosine", 6, final=0.5)])
    np.testing.assert_allclose(shape("join", 8), [1, 1, 1, 1, 1, 1, 1, 0.5], atol=1e-12)
    three = shape(
        "join", 9, parts=("constant", {"name": "constant", "peak": 0.5}, "linear"), at=(1 / 3, 2 / 3)
    )
    np.testing.assert_allclose(three, [1, 1, 1, 0.5, 0.5, 0.5, 1, 2 / 3, 1 / 3])
    # Parts may be joined themselves, and a run may be shorter than it has parts.
    assert shape("join", 20, parts=({"name": "join", "at": [0.5]}, "linear"), at=(0.5,))[10] == 1
    assert np.isfinite(shape("join", 1, parts=("constant", "cosine", "linear"), at=(0.2, 0.4))).all()


shares = st.floats(0, 1)


@pytest.mark.slow
@settings(max_examples=60)
@given(steps=st.sampled_from([1, 2, 3, 7, 50]), data=st.data())
def test_shapes_have_peak_one_whatever_their_parameters(steps: int, data: st.DataObject) -> None:
    """Finite, from 0 to 1, and 1 somewhere where a step stands at the peak."""
    inner, warm = st.floats(0.01, 0.99), st.floats(0, 0.8)
    asked = {
        "linear": {"final": shares, "span": inner},
        "polynomial": {"power": st.floats(0.1, 5), "final": shares, "span": inner},
        "exponential": {"final": st.floats(1e-300, 1)},
        "cosine": {"final": shares, "cycles": st.floats(0.1, 9)},
        "step": {"step_size": st.integers(1, 70), "gamma": st.floats(0.01, 1)},
        "cosine_restarts": {"first": inner, "multiply": st.integers(1, 4), "final": shares},
        "warmup_constant": {"warmup": warm, "start": shares},
        "warmup_linear": {"warmup": warm, "final": shares},
        "warmup_cosine": {"warmup": warm, "final": shares},
        "warmup_exponential": {"warmup": warm, "final": st.floats(1e-9, 1)},
        "wsd": {"warmup": warm, "decay": st.floats(0, 0.2), "form": st.sampled_from(["linear", "sqrt"])},
        "inverse_sqrt": {"warmup": warm},
        "range_test": {"start": st.floats(1e-9, 1), "form": st.sampled_from(["linear", "exponential"])},
        "cyclic": {"start": shares, "cycle": inner, "up": inner, "mode": st.sampled_from(["triangular", "triangular2"])},
        "onecycle_linear": {"warmup": st.floats(0.1, 0.5), "three_phase": st.booleans()},
        "onecycle_cosine": {"warmup": st.floats(0.1, 0.5), "three_phase": st.booleans()},
    }  # fmt: skip
    name = data.draw(st.sampled_from(sorted(asked)))
    params = {key: data.draw(values, key) for key, values in asked[name].items()}
    with jax.disable_jit():  # compiling every example would take a minute
        found = shape(name, steps, **params)
    assert check(found, own=False).shape == (steps,)
    assert found.max() <= 1 + 1e-9
    # Where the peak is; a run that ends before it, or OneCycleLR's between two steps, has none.
    peak = 0
    if name.startswith("warmup") or name == "wsd":
        peak = round(params["warmup"] * steps)
    elif name == "cyclic":
        period = max(2, round(params["cycle"] * steps))
        peak = min(max(1, round(params["up"] * period)), period - 1)
    if not name.startswith("onecycle") and peak < steps:
        assert found.max() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(
    ("schedule", "told"),
    [
        ({"name": "linear", "start": 0.5}, "linear: start = 0.5: must be 1 where final = 0.0 is below 1"),
        ({"name": "linear", "span": 0}, "linear: span = 0.0: must be a share of the run, above 0 and at most 1"),
        ({"name": "polynomial", "power": -1}, "polynomial: power = -1.0: must be above 0"),
        ({"name": "cosine", "cycles": 0}, "cosine: cycles = 0.0: must be above 0"),
        (
            {"name": "piecewise_constant", "at": [0.5, 0.2]},
            "piecewise_constant: at = [0.5, 0.2]: must be shares in increasing order",
        ),
        (
            {"name": "piecewise_constant", "at": [0.5]},
            "piecewise_constant: values = [1.0, 0.1, 0.01]: must be 2 factors for at = [0.5]",
        ),
        (
            {"name": "piecewise_constant", "values": [2, 1, 0]},
            "piecewise_constant: values = [2.0, 1.0, 0.0]: must be from 0 to 1, and the largest of them 1",
        ),
        (
            {"name": "piecewise_interpolate", "at": [0.5], "values": [1]},
            "piecewise_interpolate: at = [0.5]: must be at least two points",
        ),
        ({"name": "wsd", "warmup": 0.5, "decay": 0.6}, "wsd: decay = 0.6: must be a share of the run, from 0 to 1 - warmup = 0.5"),
        ({"name": "inverse_sqrt", "warmup": 1}, "inverse_sqrt: warmup = 1.0: must be a share of the run, from 0 to below 1"),
        ({"name": "cosine_restarts", "multiply": 0}, "cosine_restarts: multiply = 0: must be 1 or more"),
        ({"name": "cyclic", "up": 1}, "cyclic: up = 1.0: must be a share of the cycle, above 0 and below 1"),
        (
            {"name": "cyclic", "mode": "exp_range", "cycle": 1, "up": 0.9, "final": 0.1},
            "cyclic: final = 0.1: must be from 0.33 to 1 with this cycle, and above 0",
        ),
        ({"name": "range_test", "start": 0}, "range_test: start = 0.0: must be above 0 and at most 1"),
        (
            {"name": "onecycle_linear", "warmup": 0.6, "three_phase": True},
            "onecycle_linear: warmup = 0.6: must be a share of the run, at most 0.5 with three_phase",
        ),
        ({"name": "reduce_on_plateau", "factor": 1}, "reduce_on_plateau: factor = 1.0: must be above 0 and below 1"),
        ({"name": "reduce_on_plateau", "patience": -1}, "reduce_on_plateau: patience = -1: must be 0 or more"),
        ({"name": "reduce_on_plateau", "min": 2}, "reduce_on_plateau: min = 2.0: must be from 0 to 1"),
        ({"name": "join", "parts": ["constant"]}, "join: parts = ['constant']: must be at least two schedules"),
        ({"name": "join", "at": [0.1, 0.2]}, "join: at = [0.1, 0.2]: must be one share of the run for each part after the first"),
        ({"name": "join", "at": [1.0]}, "join: at = [1.0]: must be shares of the run, above 0 and below 1"),
        (
            {"name": "join", "parts": ["constant", {"name": "cosine", "final": 2}]},
            "join: parts.1.final = 2.0: must be from 0 to 1",
        ),
        (
            {"name": "join", "parts": ["constant", {"name": "cosine", "peak": 2}]},
            "join: parts.1.peak = 2: must be above 0 and at most 1",
        ),
        (
            {"name": "join", "parts": [{"name": "constant", "peak": 0.5}, {"name": "cosine", "peak": 0.5}]},
            "join: parts = [{'name': 'constant', 'peak': 0.5}, {'name': 'cosine', 'peak': 0.5}]: must be of peak 1, at least one of them",
        ),
        (
            {"name": "join", "parts": ["constant", {"name": "cosine", "final": [0.1, 0.2]}]},
            "join: parts.1 = {'name': 'cosine', 'final': [0.1, 0.2]}: must be one schedule; an axis is a list of lists of parts",
        ),
        (
            {"name": "join", "parts": ["constant", "reduce_on_plateau"]},
            "join: parts.1 = 'reduce_on_plateau': must be a schedule that does not depend on the losses",
        ),
        (
            {"name": "join", "parts": ["constant", "mine.py:f"]},
            "join: parts.1.name = 'mine.py:f': must be a name of the catalogue",
        ),
        (lambda steps: lambda count: 0.5 + 0 * count, "<lambda>: its largest factor is 0.5, at step 0: must be 1, because the rate of a step is learning_rate × factor; divide it by its peak"),
        (lambda steps: lambda count: 1 - count, "<lambda>: its factor at step 2 is -1: must be 0 or more"),
        (lambda steps: lambda count: 1 / (2 - count), "<lambda>: its factor at step 2 is inf: must be finite"),
        (lambda steps: [1.0] * steps, "<lambda>: returned list; must be a function steps → optax schedule, or an optax schedule"),
        (optax.constant_schedule(0.0), "constant_schedule: its largest rate is 0: must be above 0 and finite"),
    ],
)  # fmt: skip
def test_impossible_parameters_are_one_line(schedule: Any, told: str) -> None:
    with pytest.raises(lb.LrbenchError) as caught:
        lb.sweep("quadratic", optimizers="sgd", schedules=schedule, learning_rates=[0.1], steps=10, seeds=1)
    assert str(caught.value) == f"sweep: schedule.0: {told}"


def test_part_of_an_unknown_name_is_one_line() -> None:
    with pytest.raises(lb.LrbenchError, match=r"parts.1.name: unknown schedule 'cosin'; .*nearest: cosine"):
        lb.sweep(
            "quadratic",
            optimizers="sgd",
            schedules=lb.Schedule("join", parts=["constant", "cosin"]),
            learning_rates=[0.1],
            steps=10,
        )


def test_plateau_is_a_constant_schedule_while_nothing_is_reduced() -> None:
    made = catalog.get("schedule", "reduce_on_plateau").load()(7)
    assert made == Plateau(0.1, 2, 1e-4, True, 0, 0.0)
    assert made(3) == 1


PLATEAU: dict[str, Any] = {
    "name": "plateau",
    "steps": 40,
    "evaluate_every": 2,
    "seeds": 2,
    "problem": "house_prices",
    "optimizer": "sgd",
    "schedule": [
        "constant",
        {"name": "reduce_on_plateau", "patience": [0, 2], "factor": 0.3},
        {"name": "reduce_on_plateau", "patience": 1, "threshold": 0.01, "cooldown": 2, "min": 0.05},
    ],
    # Too small, right, jumps about, and is not finite after some steps.
    "learning_rate": {"values": [1e-4, 0.3, 0.9, 1e6]},
    "precision": "float64",
}


def reduced(losses: np.ndarray, params: dict[str, Any]) -> np.ndarray:
    """Return the factor after each loss, as PyTorch's code has it, for evaluations from step 0 on."""
    best, bad, rest, scale = math.inf, 0, 0, 1.0
    found = [1.0]
    for loss in losses[1:]:
        best, bad = (loss, 0) if loss < best * (1 - params["threshold"]) else (best, bad + 1)
        if rest:
            rest, bad = rest - 1, 0
        if bad > params["patience"]:
            scale, rest, bad = max(scale * params["factor"], params["min"]), params["cooldown"], 0
        found.append(scale)
    return np.array(found)


def test_every_run_reduces_its_rate_by_its_own_losses(train: Callable[..., Any]) -> None:
    """Beside table schedules, in one program; and a table of the same rates trains to the same losses."""
    engine, [curves] = train(PLATEAU)
    assert len(engine.grid.programs) == 1
    runs = RunLookup(engine.grid.run_ids).numbers(curves.run_ids)
    rates, rows = engine.grid.rates(runs)[""], engine.grid.positions(runs)["schedule"]
    shapes = np.ones((len(rates), 21))
    for run in np.flatnonzero((rows > 0) & np.isnan(curves.diverged_step)):
        params = engine.grid.schedules[rows[run]].params
        shapes[run] = reduced(curves.curves["valid_loss"][run], dict(params))
    alive = np.isnan(curves.diverged_step)
    shown = np.column_stack([shapes[:, :-1], shapes[:, -2]])  # at the end, the rate of the last step
    np.testing.assert_allclose(curves.curves["learning_rate"][alive], (rates[:, None] * shown)[alive])
    assert len({tuple(shape) for shape in shapes}) >= 4
    assert np.isfinite(curves.curves["learning_rate"]).all()
    # The probes see the step that comes next, at its reduced rate.
    ratio = curves.curves["update_norm"] / curves.curves["gradient_norm"]
    np.testing.assert_allclose(ratio[alive], (rates[:, None] * shapes)[alive])

    run = int(np.flatnonzero((shapes.min(axis=1) < 1) & alive)[0])
    table = jnp.repeat(jnp.asarray(shapes[run, :-1]), 2)
    seed = engine.grid.columns(runs)["seed"][run]
    again = {"schedule": [lambda steps: lambda count: table[count]], "seeds": [int(seed)]}
    _, [same] = train({**PLATEAU, **again, "learning_rate": {"values": [float(rates[run])]}})
    np.testing.assert_allclose(same.curves["train_loss"][0], curves.curves["train_loss"][run], rtol=1e-9)


def test_rates_of_a_plateau_do_not_hang_on_chunks(train: Callable[..., Any]) -> None:
    """Those of runs that are dropped because they diverged neither."""
    _, [one] = train({**PLATEAU, "lanes_per_chunk": 1})
    _, [many] = train({**PLATEAU, "lanes_per_chunk": 16}, devices=1)
    assert one.saved_lane_steps > 0
    np.testing.assert_allclose(one.curves["learning_rate"], many.curves["learning_rate"])


def test_without_a_plateau_nothing_of_it_is_compiled(train: Callable[..., Any]) -> None:
    asked = {**PLATEAU, "steps": 4, "precision": "float32", "learning_rate": {"values": [0.1]}}
    without, _ = train({**asked, "schedule": ["constant", "cosine"]})
    beside, _ = train({**asked, "schedule": ["constant", "reduce_on_plateau"]})
    states = []
    for engine in (without, beside):
        (future,) = engine.programs.compiled.values()
        states.append(future.result().state)
    assert states[0].plateau is None
    assert len(jax.tree.leaves(states[1])) == len(jax.tree.leaves(states[0])) + 4


def test_an_optax_schedule_is_taken_as_it_is() -> None:
    """Its shape counts, not its rates; a function of steps and one of the step count are told apart by what they return."""
    mine = optax.warmup_cosine_decay_schedule(0.0, 3e-4, 5, 20)
    found = lb.sweep(
        "quadratic",
        optimizers="sgd",
        schedules=[mine, mine_of, "warmup_cosine"],
        learning_rates=[0.1],
        seeds=1,
        steps=20,
        evaluate_every=1,
    )
    assert list(found.runs["schedule"]) == ["join_schedules", "mine_of", "warmup_cosine"]
    rates = found.curves["learning_rate"].to_numpy().reshape(3, 21)
    np.testing.assert_allclose(rates[0, :20], 0.1 * tabulate(mine, 20) / 3e-4, rtol=1e-6)
    np.testing.assert_allclose(rates[0], rates[1], rtol=1e-6)


def mine_of(steps: int) -> optax.Schedule:
    return optax.warmup_cosine_decay_schedule(0.0, 1.0, steps // 4, steps)


def test_a_schedule_may_be_plain_python() -> None:
    def plain(count: Any) -> float:
        return 1.0 if count < 2 else math.cos(count)

    np.testing.assert_allclose(tabulate(plain, 4), [1, 1, math.cos(2), math.cos(3)], rtol=1e-15)


def test_two_of_one_name_are_refused() -> None:
    """The tables could not tell them apart."""
    with pytest.raises(lb.LrbenchError) as caught:
        lb.sweep(
            "quadratic",
            optimizers="sgd",
            schedules=[optax.cosine_decay_schedule(1.0, 20), optax.cosine_decay_schedule(1.0, 10)],
            learning_rates=[0.1],
            steps=20,
        )
    told = "schedule.1: another schedule is also called cosine_decay_schedule; rename your function"
    assert told in str(caught.value)


def test_a_join_is_readable_in_tables() -> None:
    parts = [
        [{"name": "linear", "start": 0.0, "final": 1.0}, "cosine"],
        ["constant", {"name": "step", "gamma": 0.5}],
    ]
    asked = {**PLATEAU, "schedule": {"name": "join", "parts": parts, "at": [0.25]}}
    whole = of_study(read(asked))
    assert [each.label for each in whole.schedules] == [
        "join(parts=linear(start=0, final=1) then cosine, at=[0.25])",
        "join(parts=constant then step(gamma=0.5), at=[0.25])",
    ]
    columns = whole.columns(np.array([0]))
    assert columns["schedule_parts"][0] == "linear(start=0, final=1) then cosine"
    assert columns["schedule_at"][0] == "[0.25]"


def test_the_study_of_schedules_has_them_all() -> None:
    assert sorted(choice.entry.name for choice in read("schedules").schedule) == catalog.names("schedule")
