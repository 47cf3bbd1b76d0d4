"""Parameters by the patterns of their paths: with learning rates of their own, and without weight decay."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrbench as lb

STEPS = 5
BOWL = lb.problem(
    name="bowl",
    init=lambda key: {"layer": {"weight": jnp.array(2.0), "bias": jnp.array(3.0)}, "out": jnp.array(1.0)},
    loss=lambda w, batch, key: (w["layer"]["weight"] ** 2 + w["layer"]["bias"] ** 2 + w["out"] ** 2) / 2,
)
"""Gradient descent multiplies each parameter by 1 − η in each step."""
SLOPE = lb.problem(
    name="slope",
    init=lambda key: {"weight": jnp.array(2.0), "bias": jnp.array(3.0)},
    loss=lambda w, batch, key: w["weight"] + w["bias"],
)
"""Every gradient is 1; the loss is the sum of the parameters."""


def _swept(problem: Any, **more: Any) -> Any:
    keys = {"optimizers": "sgd", "learning_rates": [0.1], "seeds": 1, "steps": STEPS, **more}
    return lb.sweep(problem, **keys).runs


def test_a_pattern_gives_the_parameters_that_it_matches_rates_of_their_own() -> None:
    runs = _swept(BOWL, learning_rates={"": [0.1], "*/bias": [0.3, 0.5], "out": [0.7]})
    assert list(runs["learning_rate_*/bias"]) == [0.3, 0.5]
    weight, bias, out = (
        start * (1 - rate) ** STEPS for start, rate in ((2, 0.1), (3, np.array([0.3, 0.5])), (1, 0.7))
    )
    np.testing.assert_allclose(runs["final_train_loss"], (weight**2 + bias**2 + out**2) / 2, rtol=1e-5)


@pytest.mark.slow
def test_a_pattern_of_the_same_rate_changes_nothing_but_the_identity() -> None:
    alike = _swept("digits_mlp", optimizers="adam", learning_rates={"": [0.01], "*/bias": [0.01]})
    plain = _swept("digits_mlp", optimizers="adam", learning_rates=[0.01])
    assert alike["final_valid_loss"].item() == pytest.approx(plain["final_valid_loss"].item(), rel=1e-6)
    assert alike["run_id"].item() != plain["run_id"].item()


@pytest.mark.slow
def test_a_pattern_beside_a_name_that_the_problem_has() -> None:
    runs = _swept("fractal", learning_rates={"": [0.1], "hidden": [0.5], "o*": [2.0]})
    named = _swept("fractal", learning_rates={"": [0.1], "hidden": [0.5], "output": [2.0]})
    assert runs["final_train_loss"].item() == named["final_train_loss"].item()


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        (
            {"*/biass": [1.0]},
            "sweep: learning_rate.*/biass: bowl has no learning rate of that name, and no parameter that it matches; its rates: none; "
            "its parameters: layer/bias, layer/weight, out",
        ),
        (
            {"layer/*": [1.0], "*/bias": [1.0]},
            "sweep: learning_rate.layer/*: bowl: learning_rate.*/bias is also for the parameter layer/bias; make the patterns match "
            "different parameters",
        ),
    ],
)
def test_patterns_that_match_nothing_or_the_same(rates: dict[str, Any], message: str) -> None:
    with pytest.raises(lb.LrbenchError) as caught:
        _swept(BOWL, learning_rates={"": [0.1], **rates})
    assert str(caught.value) == message


def test_a_parameter_without_decay() -> None:
    """Clipping sees the whole gradient, of the norm √2, whatever decays."""
    chosen = lb.Optimizer("sgd", weight_decay=0.5, no_decay=[[], ["bias"], ["*"]], clip=1.0)
    runs = _swept(SLOPE, optimizers=chosen)
    expected = []
    for decays in ((0.5, 0.5), (0.5, 0.0), (0.0, 0.0)):
        w = np.array([2.0, 3.0])
        for _ in range(STEPS):
            w = w - 0.1 * (1 / np.sqrt(2) + np.array(decays) * w)
        expected.append(w.sum())
    np.testing.assert_allclose(runs["final_train_loss"], expected, rtol=1e-5)


def _masked(learning_rate: float) -> optax.GradientTransformation:
    def mask(params: Any) -> Any:
        return [{"weight": True, "bias": False} for _ in params]

    return optax.adamw(learning_rate, weight_decay=0.3, mask=mask)


@pytest.mark.slow
def test_no_decay_is_the_mask_of_optax() -> None:
    chosen = [lb.Optimizer("adamw", weight_decay=0.3, no_decay=["*/bias"]), _masked]
    ours, theirs = _swept("digits_mlp", optimizers=chosen, learning_rates=[0.01])["final_valid_loss"]
    assert ours == pytest.approx(theirs, rel=1e-5)


@pytest.mark.slow
def test_no_decay_that_excludes_nothing_is_the_same_run() -> None:
    ids = [
        _swept(SLOPE, optimizers=lb.Optimizer("adamw", **more))["run_id"].item()
        for more in ({}, {"no_decay": []}, {"no_decay": ["bias"]})
    ]
    assert ids[0] == ids[1] != ids[2]


def test_no_decay_with_rates_of_a_pattern() -> None:
    chosen = lb.Optimizer("sgd", weight_decay=0.5, no_decay=["bias"])
    runs = _swept(SLOPE, optimizers=chosen, learning_rates={"": [0.1], "b*": [0.2]}, steps=1)
    assert runs["final_train_loss"].item() == pytest.approx((2 - 0.1 - 0.1) + (3 - 0.2))


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (
            lb.Optimizer("adamw", no_decay=["bias", "*/scale"]),
            "sweep: optimizer.0.no_decay = ['bias', '*/scale']: '*/scale' matches no parameter of slope; they are: bias, weight",
        ),
        (
            lb.Optimizer("sgd", no_decay=["bias"]),
            "sweep: optimizer.0.no_decay = ['bias']: sgd has no weight decay in this study; set weight_decay, too",
        ),
        (
            lb.Optimizer("sam", weight_decay=0.1, no_decay=["bias"]),
            "sweep: optimizer.0.no_decay = ['bias']: sam requires grad_fn, and so one weight decay for all parameters",
        ),
        (
            lb.Optimizer("adamw", no_decay="bias"),
            "sweep: optimizer.no_decay = 'bias': must be a list of strings",
        ),
    ],
)
def test_no_decay_that_fits_nothing(optimizer: Any, message: str) -> None:
    with pytest.raises(lb.LrbenchError) as caught:
        _swept(SLOPE, optimizers=optimizer)
    assert str(caught.value) == message
