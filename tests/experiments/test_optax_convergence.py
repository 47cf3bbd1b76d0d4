"""The experiment `optax_convergence`: its pairs are those of optax's tests, its optimizers optax's, and its rules right by hand."""

from __future__ import annotations

import importlib
import math
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
import pytest

from lrbench.errors import StudyError
from lrbench.experiments._optax_convergence import answers, drawing, judging
from lrbench.experiments._optax_convergence.pairs import CONTRIB, CORE, PAIRS, PROBLEMS, WARMED_UP, Pair
from lrbench.experiments.bench import perform
from lrbench.study import catalog, requires
from tests.helpers import examples

NAN = float("nan")
STEPS = 4
_RATES = "learning_rate", "max_learning_rate"

of_0_2_8 = pytest.mark.skipif(optax.__version__ != "0.2.8", reason="the pairs are those of optax 0.2.8")


def of_optax() -> list[tuple[str, str, dict[str, Any]]]:
    """The pairs as optax's own test modules have them, without the wrappers."""
    core = importlib.import_module("optax._src.alias_test")._OPTIMIZERS_UNDER_TEST
    contrib = importlib.import_module("optax.contrib._common_test")._MAIN_OPTIMIZERS_UNDER_TEST
    alone = [each for each in contrib if each["wrapper_name"] is None]
    return [
        (suite, each["opt_name"], each["opt_kwargs"])
        for suite, tests in ((CORE, core), (CONTRIB, alone))
        for each in tests
    ]


@of_0_2_8
def test_the_pairs_are_those_of_optax() -> None:
    stated = of_optax()
    assert [(pair.suite, pair.optimizer) for pair in PAIRS] == [each[:2] for each in stated]
    assert [sum(pair.suite == suite for pair in PAIRS) for suite in (CORE, CONTRIB)] == [33, 18]
    default = {"cocob": 1.0, "adafactor": 1.0}
    for pair, (_, name, given) in zip(PAIRS, stated, strict=True):
        rate = next((given[key] for key in _RATES if key in given), default.get(name, NAN))
        assert pair.rate == rate or (math.isnan(pair.rate) and math.isnan(rate))
    assert sum(not pair.exempt.get(problem) for pair in PAIRS for problem in PROBLEMS) == 96


def rosenbrock(w: jax.Array) -> jax.Array:
    return (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2


def stepped(make: Callable[[], Any], extra: Callable[[jax.Array], dict[str, Any]]) -> np.ndarray:
    """The weights after each step on Rosenbrock's valley from where its curvature differs by direction."""
    transformation = optax.with_extra_args_support(make())
    w = jnp.array([0.3, -0.2])
    state, out = transformation.init(w), []
    for _ in range(STEPS):
        update, state = transformation.update(jax.grad(rosenbrock)(w), state, w, **extra(w))
        w = optax.apply_updates(w, update)
        out.append(w)
    return np.array(out)


RANDOM = "noisy_sgd", "sophia"
COUNTED = tuple(
    number
    for number, pair in enumerate(PAIRS)
    if pair.optimizer not in (*RANDOM, *WARMED_UP) and pair.rate > 0
)


@of_0_2_8
@pytest.mark.parametrize("number", COUNTED, ids=lambda number: f"{number}-{PAIRS[number].label}")
def test_at_its_rate_an_optimizer_is_optaxs(number: int) -> None:
    """Stepped by hand, with the hyper-parameters of lrbench and with those of optax's test and optax's defaults."""
    pair, (_, name, given) = PAIRS[number], of_optax()[number]
    entry = catalog.get("optimizer", pair.optimizer).load()
    theirs = getattr(optax.contrib, name, None) or getattr(optax, name)
    values = lambda w: {"value": rosenbrock(w)}  # noqa: E731

    def asked(w: jax.Array) -> dict[str, Any]:
        return {key: each for key, each in values(w).items() if key in requires.asked(entry)}

    def ours() -> Any:
        return entry(pair.rate, **pair.parameters)

    # optax announces that it will rename optimistic_adam.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        expected = stepped(lambda: theirs(**given), values if name != "galore" else lambda w: {})
        found = stepped(ours, asked if name != "galore" else lambda w: {})
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-7)
    assert np.abs(found[-1] - found[0]).max() > 0


def test_adadelta_without_a_rate_climbs() -> None:
    found = stepped(optax.adadelta, lambda w: {})
    assert float(rosenbrock(jnp.array(found[-1]))) > float(rosenbrock(jnp.array([0.3, -0.2])))


@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_distance_is_that_of_the_coordinates(problem: str) -> None:
    """Against optax's own rule, for points around the optimum; what the loss alone allows is never less."""
    optimum = np.array([1.0, -1.0, 1.0] if problem == "parabola" else [1.0, 1.0])
    points = optimum + np.random.default_rng(0).uniform(-0.15, 0.15, (2000, len(optimum)))
    parabola = np.square(points - optimum).sum(axis=1)
    valley = (1 - points[:, 0]) ** 2 + 100 * (points[:, 1] - points[:, 0] ** 2) ** 2
    loss = parabola if problem == "parabola" else valley
    found = judging.distance(problem, loss, points[:, 0], points[:, 1])
    close = (np.abs(points - optimum) <= 0.03 + 0.03 * np.abs(optimum)).all(axis=1)
    assert 0 < close.sum() < len(points)
    np.testing.assert_array_equal(found <= 1, close)
    bound = judging.distance(problem, loss, points[:, 0], points[:, 1], averaged=True)
    assert (bound >= found * (1 - 1e-9)).all()


def judged(**steps: list[float]) -> pd.DataFrame:
    """Runs of optimizers at rates 0.01 to 100 that settle after so many steps on both problems."""
    return pd.DataFrame(
        [
            {"optimizer": name, "problem": problem, "learning_rate": rate, "distance": 0.5, "steps": each}
            for name, values in steps.items()
            for problem in PROBLEMS
            for rate, each in zip((0.01, 0.1, 1.0, 10.0, 100.0), values, strict=True)
        ]
    )


def test_a_band_is_unbroken_and_holds_the_rate_of_its_pair() -> None:
    table = judged(adam=[NAN, 40.0, 20.0, NAN, 10.0], sgd=[60.0, 50.0, NAN, NAN, NAN], yogi=[NAN] * 5)
    pairs = [
        Pair(CORE, "adam", 1.0),
        Pair(CORE, "sgd", 0.01, exempt={"rosenbrock": "no"}),
        Pair(CORE, "yogi", 0.1),
        Pair(CORE, "adam", NAN, exempt=dict.fromkeys(PROBLEMS, "no rate")),
    ]
    found = answers.of_pairs(table, pairs)
    assert len(found) == 8
    rows = found[found["problem"] == "parabola"].reset_index(drop=True)
    assert rows["converges"].tolist()[:3] == [True, True, False]
    assert pd.isna(rows["converges"][3])
    np.testing.assert_array_equal(rows["band_low"], [0.1, 0.01, NAN, NAN])
    np.testing.assert_array_equal(rows["band_high"], [1.0, 0.1, NAN, NAN])
    np.testing.assert_array_equal(rows["fastest_learning_rate"], [100.0, 0.1, NAN, 100.0])
    lines = {each.what: each for each in answers.findings(found, table, 30)}
    required = lines["runs that optax's tests require to end within 3 % of the optimum, and that do"]
    assert (required.value, required.unit, required.met) == (3, "of 5", False)
    soon = next(each for what, each in lines.items() if "from step 30 on" in what)
    assert (soon.value, soon.unit) == (2, "of 5")
    ten = lines["parabola: pairs that also converge at ten times optax's rate"]
    assert (ten.value, ten.unit) == (1, "of 2")
    figure = drawing.picture(table, found)
    assert figure.axes[0].get_title(loc="left") == "parabola"
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["adam", "sgd", "yogi"]


@pytest.mark.slow
def test_the_experiment_from_end_to_end() -> None:
    answer = perform("optax_convergence", "here", overrides=examples.EXPERIMENTS["optax_convergence"])
    assert answer.lines[0].startswith("runs that optax's tests require to end within 3 % of the optimum")
    pairs = pd.read_csv("here/pairs.csv")
    assert pairs["optimizer"].tolist() == ["adam", "schedule_free_sgd"] * 2
    assert pairs["learning_rate"].tolist() == [0.1, 0.01] * 2
    rates = pd.read_csv("here/rates.csv")
    assert sorted(rates["learning_rate"].unique()) == [0.01, 0.02, 0.05, 0.1]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["lowest=1.0", "highest=0.1"],
            "lowest = 1, highest = 0.1: must be positive, and lowest at most highest",
        ),
        (["optimizers=['adan', 'adem']"], "optimizers: unknown optimizer 'adem'"),
    ],
)
def test_what_it_refuses(overrides: list[str], message: str) -> None:
    with pytest.raises(StudyError) as caught:
        perform("optax_convergence", "here", overrides=overrides)
    assert str(caught.value).startswith(f"optax_convergence: {message}")
