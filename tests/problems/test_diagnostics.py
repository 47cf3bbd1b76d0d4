"""Problems that each make one thing hard: what they say of their curvature, their faults and their limits."""

from __future__ import annotations

import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lrbench.errors import ProblemError
from lrbench.problems import Problem, faulty_gradients, landscapes, noisy_gradients

KEY = jax.random.key(0)
SPECTRUM = np.geomspace(0.1, 1, 10)
WHERE = np.linspace(-2, 1.1, 10)


def loss_of(problem: Problem, params: Any, state: Any = (), key: jax.Array = KEY) -> tuple[Any, Any]:
    """Return loss, gradient and next state."""
    graded = jax.value_and_grad(problem.training_loss, has_aux=True)
    (loss, after), gradient = graded(jnp.asarray(params), state, None, key)
    return (float(loss), np.asarray(gradient, float)), after


def hessian(problem: Problem, params: Any) -> np.ndarray:
    found = jax.hessian(lambda at: problem.training_loss(at, (), None, KEY)[0])(
        jnp.asarray(params, jnp.float32)
    )
    return np.asarray(found, float)


def seen(problem: Problem, count: int) -> np.ndarray:
    """Return the gradients that an optimizer sees at `WHERE`, for many keys."""
    slope = jax.grad(lambda at, key: problem.training_loss(at, (), None, key)[0])
    keys = jax.random.split(jax.random.key(1), count)
    return np.asarray(jax.jit(jax.vmap(slope, (None, 0)))(jnp.asarray(WHERE), keys), float)


FAULTY = [
    noisy_gradients.additive_noise,
    noisy_gradients.multiplicative_noise,
    noisy_gradients.heavy_tailed_noise,
    functools.partial(noisy_gradients.flipped_gradients, probability=1.0),
    noisy_gradients.sparse_gradients,
    faulty_gradients.quantised_gradient,
]


@pytest.mark.parametrize("make", FAULTY)
def test_only_the_gradient_is_faulty(make: Any) -> None:
    """The loss, in training and in evaluations, and its curvature are the bowl's."""
    problem = make()
    (loss, gradient), _ = loss_of(problem, WHERE)
    expected = 0.5 * np.sum(SPECTRUM * WHERE**2)
    assert loss == pytest.approx(expected, rel=1e-5)
    assert float(problem.evaluation_loss(jnp.asarray(WHERE), (), None, KEY)) == pytest.approx(
        expected, rel=1e-5
    )
    assert not np.allclose(gradient, SPECTRUM * WHERE, rtol=1e-3)
    np.testing.assert_allclose(hessian(problem, WHERE), np.diag(SPECTRUM), rtol=1e-5, atol=1e-6)


def test_noise_has_the_moments_it_says() -> None:
    true = SPECTRUM * WHERE
    added = seen(noisy_gradients.additive_noise(scale=0.3), 4000) - true
    np.testing.assert_allclose(added.mean(axis=0), 0, atol=0.025)
    np.testing.assert_allclose(added.std(axis=0), 0.3, rtol=0.06)
    factor = seen(noisy_gradients.multiplicative_noise(scale=3.0), 4000) / true
    np.testing.assert_allclose(factor.mean(axis=0), 1, atol=0.25)
    np.testing.assert_allclose(factor.std(axis=0), 3, rtol=0.06)
    # In mean square a coordinate of curvature 1 is stable below the rate 2 / (1 + 3²) = 0.2.
    growth = [np.mean((1 - rate * factor) ** 2) for rate in (0.18, 0.22)]
    assert growth[0] < 1 < growth[1]


def test_heavy_tails_are_those_of_pareto() -> None:
    """The noise is symmetric, and larger than x with probability (1 + x/σ)^−α."""
    noise = (seen(noisy_gradients.heavy_tailed_noise(scale=0.1, tail=1.5), 4000) - SPECTRUM * WHERE).reshape(
        -1
    )
    assert np.mean(noise > 0) == pytest.approx(0.5, abs=0.01)
    for size in (0.1, 0.9, 3.9):
        assert np.mean(np.abs(noise) > size) == pytest.approx((1 + size / 0.1) ** -1.5, rel=0.2)


def test_a_flip_is_of_the_whole_gradient() -> None:
    true = SPECTRUM * WHERE
    found = seen(noisy_gradients.flipped_gradients(probability=0.25), 2000)
    signs = found / true
    np.testing.assert_allclose(np.abs(signs), 1, rtol=1e-4)
    assert (np.ptp(signs, axis=1) < 1e-3).all()
    assert np.mean(signs[:, 0] < 0) == pytest.approx(0.25, abs=0.03)


def test_flat_coordinates_are_seldom_seen() -> None:
    found = seen(noisy_gradients.sparse_gradients(rarest=0.1), 4000)
    np.testing.assert_allclose(np.mean(found != 0, axis=0), np.geomspace(0.1, 1, 10), atol=0.03)
    np.testing.assert_allclose(found[:, -1], WHERE[-1], rtol=1e-5)


@pytest.mark.parametrize("delay", [0, 1, 4])
def test_delayed_gradients_are_stable_up_to_the_limit(delay: int) -> None:
    """As a list of earlier parameters has it, and below 2 sin(π / (4d + 2)) alone."""
    problem = faulty_gradients.delayed_gradient(delay=delay)
    limit = 2 * np.sin(np.pi / (4 * delay + 2))

    def after(rate: float, steps: int) -> np.ndarray:
        def step(model: Any, _: None) -> tuple[Any, None]:
            params, state = model
            gradient, state = jax.grad(problem.training_loss, has_aux=True)(params, state, None, KEY)
            return (params - rate * gradient, state), None

        return np.asarray(jax.lax.scan(step, problem.init(KEY), None, steps)[0][0], float)

    earlier = [np.asarray(problem.init(KEY)[0], float)]
    for _ in range(9):
        late = earlier[max(0, len(earlier) - 1 - delay)]
        earlier.append(earlier[-1] - 0.1 * SPECTRUM * late)
    np.testing.assert_allclose(after(0.1, 9), earlier[-1], rtol=1e-4)
    assert abs(after(0.95 * limit, 600)[-1]) < 1e-2 * abs(earlier[0][-1])
    assert abs(after(1.05 * limit, 600)[-1]) > 10 * abs(earlier[0][-1])


def test_coarse_gradients_vanish_below_half_of_their_spacing() -> None:
    problem = faulty_gradients.quantised_gradient(spacing=0.5)
    (_, gradient), _ = loss_of(problem, WHERE)
    np.testing.assert_allclose(gradient, 0.5 * np.round(SPECTRUM * WHERE / 0.5), atol=1e-6)
    (_, gradient), _ = loss_of(problem, 0.24 / SPECTRUM)
    np.testing.assert_array_equal(gradient, 0)


def test_quantised_weights_have_their_minimum_at_the_nearest_multiples() -> None:
    problem = faulty_gradients.quantised_weights(spacing=0.2)
    (least, gradient), _ = loss_of(problem, np.full(10, 0.05))
    assert least == pytest.approx(0, abs=1e-7)
    np.testing.assert_allclose(gradient, SPECTRUM * (0 - 0.06), rtol=1e-4)
    for weights in (np.full(10, 0.15), np.full(10, -0.15), np.eye(10)[0] * 0.2):
        assert loss_of(problem, weights)[0][0] > 1e-4


def test_the_minimum_drifts_in_a_circle() -> None:
    problem = faulty_gradients.drifting_optimum(period=8)
    (loss, gradient), after = loss_of(problem, [0.0, 1.0], jnp.float32(2))
    assert loss == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(gradient, 0, atol=1e-6)
    assert float(after) == 3
    (loss, gradient), _ = loss_of(problem, [0.0, 1.0], jnp.float32(4))
    assert loss == pytest.approx(1)
    np.testing.assert_allclose(gradient, [1, 1], rtol=1e-5)


def test_rare_gradients_average_to_the_slope_and_mostly_point_uphill() -> None:
    problem = faulty_gradients.rare_gradients(period=5, size=20.0)
    state, found = jnp.float32(3), []
    for _ in range(5):
        (loss, gradient), state = loss_of(problem, [0.5], state)
        assert loss == pytest.approx(0.05 * 1.5)
        found.append(float(gradient[0]))
    assert state == 3
    assert np.mean(found) == pytest.approx(0.05, rel=1e-4)
    assert sum(value < 0 for value in found) == 4
    assert max(found) / -min(found) == pytest.approx(20, rel=1e-4)
    ends = [float(problem.evaluation_loss(jnp.array([x]), state, None, KEY)) for x in (-1.5, -1.0, 1.0, 1.5)]
    assert ends == pytest.approx([0.05, 0, 0.1, 0.15], abs=1e-6)


def test_a_rotated_gradient_contracts_below_twice_the_cosine() -> None:
    problem = faulty_gradients.rotated_gradient(degrees=85)
    where = np.array([1.2, -0.7])
    (loss, gradient), _ = loss_of(problem, where)
    size = np.linalg.norm(where)
    assert loss == pytest.approx(size**2 / 2)
    assert np.linalg.norm(gradient) == pytest.approx(size, rel=1e-5)
    assert where @ gradient / size**2 == pytest.approx(np.cos(np.radians(85)), rel=1e-4)
    limit = 2 * np.cos(np.radians(85))
    nearer, further = (np.linalg.norm(where - rate * gradient) for rate in (0.99 * limit, 1.01 * limit))
    assert nearer < size < further


def test_saddles_have_the_curvature_they_say() -> None:
    np.testing.assert_allclose(hessian(landscapes.saddle(), [0, 0]), np.diag([1, -1]), atol=1e-6)
    monkey = landscapes.monkey_saddle()
    np.testing.assert_allclose(hessian(monkey, [0, 0]), 0, atol=1e-6)
    for angle in np.radians([60, 180, 300]):
        (loss, gradient), _ = loss_of(monkey, 0.75 * np.array([np.cos(angle), np.sin(angle)]))
        assert loss == pytest.approx(0, abs=1e-6)
        np.testing.assert_allclose(gradient, 0, atol=1e-5)
    for make in (landscapes.saddle, landscapes.monkey_saddle):
        assert float(make(offset=0.0).init(KEY)[1]) == 0


def test_the_plain_is_flat_and_the_wall_is_steep() -> None:
    (loss, gradient), _ = loss_of(landscapes.plateau(), [4.0, 4.0])
    assert loss == pytest.approx(1)
    np.testing.assert_allclose(gradient, 4 * np.exp(-16), rtol=1e-3)
    (_, gradient), _ = loss_of(landscapes.cliff(height=10.0), [0.0, 0.0])
    assert gradient[0] == pytest.approx(500.2, rel=1e-3)
    assert abs(loss_of(landscapes.cliff(), [1.5, 0.0])[0][1][0]) < 0.4
    np.testing.assert_allclose(
        hessian(landscapes.narrow_well(width=0.05), [0, 0]), 400.1 * np.eye(2), rtol=1e-4
    )
    chain = np.linalg.eigvalsh(hessian(landscapes.deep_chain(depth=7), np.ones(7)))
    assert chain[-1] == pytest.approx(14, rel=1e-4)


@pytest.mark.parametrize("rotated", [False, True])
def test_every_direction_counts_alike_at_the_start_of_a_badly_conditioned_bowl(rotated: bool) -> None:
    problem = landscapes.ill_conditioned(condition=1e4, dimension=5, rotated=rotated)
    curvature = hessian(problem, np.zeros(5))
    values, vectors = np.linalg.eigh(curvature)
    np.testing.assert_allclose(values, np.geomspace(0.01, 100, 5), rtol=1e-2)
    off = np.abs(curvature - np.diag(np.diag(curvature))).max()
    assert (off > 1) == rotated
    if not rotated:
        vectors = np.eye(5)
    parts = 0.5 * np.geomspace(0.01, 100, 5) * (vectors.T @ np.asarray(problem.init(KEY), float)) ** 2
    assert (parts > 0.5 * 0.45**2).all()
    assert (parts < 0.5 * 1.55**2).all()


def test_the_long_valley_has_a_local_minimum() -> None:
    """From (−1, 1, …, 1) Newton's method finds it: positive curvature, a loss of about 4."""
    problem = landscapes.rosenbrock_chain(dimension=5)
    assert loss_of(problem, np.ones(5))[0][0] == 0
    at = np.array([-1.0, 1, 1, 1, 1])
    for _ in range(8):
        at = at - np.linalg.solve(hessian(problem, at), loss_of(problem, at)[0][1])
    (loss, gradient), _ = loss_of(problem, at)
    assert loss == pytest.approx(3.93, abs=0.01)
    assert np.abs(gradient).max() < 1e-2
    assert np.linalg.eigvalsh(hessian(problem, at))[0] > 0


@pytest.mark.parametrize(
    ("make", "given", "message"),
    [
        (landscapes.saddle, {"offset": 2.0}, "offset = 2.0: must be from 0 to 1"),
        (landscapes.monkey_saddle, {"offset": -1.0}, "offset = -1.0: must be from 0 to 1"),
        (landscapes.plateau, {"distance": 0.0}, "distance = 0.0: must be positive"),
        (landscapes.cliff, {"height": -1.0}, "height = -1.0: must be 0 or more"),
        (landscapes.ill_conditioned, {"condition": 0.5}, "condition = 0.5: must be 1 or more"),
        (landscapes.rosenbrock_chain, {"dimension": 1}, "dimension = 1: must be 2 or more"),
        (landscapes.narrow_well, {"width": 0.0}, "width = 0.0: must be positive"),
        (noisy_gradients.additive_noise, {"scale": -1.0}, "scale = -1.0: must be 0 or more"),
        (noisy_gradients.heavy_tailed_noise, {"tail": 1.0}, "tail = 1.0: must be above 1"),
        (noisy_gradients.flipped_gradients, {"probability": 2.0}, "probability = 2.0: must be from 0 to 1"),
        (
            noisy_gradients.sparse_gradients,
            {"rarest": 0.0},
            "rarest = 0: must be above 0, or the coordinate is never seen",
        ),
        (faulty_gradients.delayed_gradient, {"delay": -1}, "delay = -1: must be 0 or more"),
        (faulty_gradients.quantised_gradient, {"spacing": 0.0}, "spacing = 0.0: must be positive"),
        (
            faulty_gradients.rare_gradients,
            {"period": 5, "size": 4.0},
            "size = 4.0: must be above period − 1 = 4, or the minimum is at 1",
        ),
        (faulty_gradients.rotated_gradient, {"degrees": 91.0}, "degrees = 91.0: must be from 0 to 90"),
    ],
)
def test_what_makes_no_problem_is_refused(make: Any, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ProblemError, match=f"^{re.escape(message)}$"):
        make(**given)
