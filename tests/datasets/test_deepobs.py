"""The data of DeepOBS's quadratic, and the order of its published runs, against known answers and an own implementation."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from lrbench.datasets import deepobs
from lrbench.errors import ProblemError
from lrbench.problems.objectives import quadratic_deep


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ((0,) * 4, (0,) * 2, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_philox_gives_the_known_answers_of_random123(
    counter: tuple[int, int, int, int], key: tuple[int, int], answer: str
) -> None:
    assert " ".join(f"{word:08x}" for word in deepobs.philox(counter, key)) == answer


def test_words_go_on_with_the_next_block_and_put_the_second_seed_into_the_counter() -> None:
    found = list(itertools.islice(deepobs.words(7 + (5 << 32), 9), 6))
    assert found[:4] == list(deepobs.philox((0, 0, 9, 0), (7, 5)))
    assert found[4:] == list(deepobs.philox((1, 0, 9, 0), (7, 5)))[:2]


def test_the_order_is_a_permutation_that_depends_on_both_seeds() -> None:
    order = deepobs.shuffled(1000, 42, 2)
    assert sorted(order) == list(range(1000))
    assert order[:6].tolist() == [750, 160, 872, 996, 772, 94]
    for other in ((43, 2), (42, 3)):
        assert (deepobs.shuffled(1000, *other) != order).any()


def test_the_curvature_has_the_spectrum_that_was_drawn() -> None:
    curvature = deepobs.curvature()
    random = np.random.RandomState(42)
    drawn = np.append(random.uniform(0, 1, 90), random.uniform(30, 60, 10))
    np.testing.assert_allclose(np.linalg.eigvalsh(curvature), np.sort(drawn), atol=1e-12)
    assert np.linalg.eigvalsh(curvature)[-1] == pytest.approx(53.129015)
    # Householder's reflections, one coordinate after the other, as full matrices.
    angle = 2 * np.pi * random.uniform()
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    for size in range(3, 101):
        direction = random.normal(size=(size, 1))
        axis = np.eye(size)[:, :1] - direction / np.linalg.norm(direction)
        reflection = np.eye(size) - 2 * axis @ axis.T / (axis.T @ axis)
        rotation = reflection @ np.block(
            [[np.ones((1, 1)), np.zeros((1, size - 1))], [np.zeros((size - 1, 1)), rotation]]
        )
    np.testing.assert_allclose(rotation.T @ np.diag(drawn) @ rotation, curvature, atol=1e-11)


@pytest.mark.slow
def test_the_problem_starts_at_the_loss_that_was_published() -> None:
    problem = quadratic_deep(draw="deepobs")
    start = problem.init(jax.random.key(0))
    train, valid = problem.data.train, problem.data.valid
    assert (train.shape, valid.shape, train.dtype) == ((1000, 100), (896, 100), np.float32)
    loss = problem.loss(start, jnp.asarray(valid), jax.random.key(0))
    published = pd.read_csv(deepobs.PUBLISHED)
    assert set(published["initial_test_loss"]) == {353.4468}
    assert float(loss) == pytest.approx(353.4468, abs=5e-5)
    apart = 1 - valid.astype(np.float64)
    alone = np.mean([0.5 * each @ deepobs.curvature() @ each for each in apart])
    assert alone == pytest.approx(353.4468, abs=5e-5)
    lowest = train.astype(np.float64).mean(axis=0)[:, None]
    at_optimum = problem.loss(jnp.asarray(lowest), jnp.asarray(train), jax.random.key(0))
    assert float(at_optimum) == pytest.approx(problem.optimum, rel=1e-5)


def test_the_published_draw_has_one_size() -> None:
    with pytest.raises(ProblemError) as caught:
        quadratic_deep(dimension=10, draw="deepobs")
    assert str(caught.value) == 'dimension = 10, noise = 0.6: must be 100 and 0.6 with draw = "deepobs"'
