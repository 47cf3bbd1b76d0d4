"""The metrics against values by hand, SciPy's rank statistics and slow loops."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import lrbench as lb
from lrbench.errors import StudyError
from lrbench.metrics.accuracy import accuracy
from lrbench.metrics.classification import auc, f1
from lrbench.metrics.regression import r2
from lrbench.study import catalog
from lrbench.study.metric import check_objective, declared


def _two(scores: list[float]) -> jax.Array:
    """Scores of two labels whose difference is the given one."""
    return jnp.stack([jnp.zeros(len(scores)), jnp.array(scores)], axis=1)


def _batch(labels: list[int] | np.ndarray) -> tuple[jax.Array, jax.Array]:
    return jnp.zeros((len(labels), 1)), jnp.asarray(labels)


def test_f1_by_hand() -> None:
    # Predicted 1, 1, 0, 1 for 1, 0, 1, 1: two hits, one false alarm, one miss: 2·2 / (2·2 + 1 + 1).
    assert f1(_two([1, 2, -1, 3]), _batch([1, 0, 1, 1])) == pytest.approx(4 / 6)
    assert f1(_two([-1, -2]), _batch([0, 0])) == 0
    assert f1(_two([1, -2]), _batch([1, 0])) == 1


def test_f1_of_many_labels_is_the_mean_over_those_that_occur() -> None:
    # Label 0: one hit, no error: 1. Label 1: one hit, one miss: 2/3. Label 2: one false alarm: 0. Label 3 does not occur.
    predictions = jax.nn.one_hot(jnp.array([0, 1, 2]), 4)
    assert f1(predictions, _batch([0, 1, 1])) == pytest.approx((1 + 2 / 3 + 0) / 3)


def test_auc_by_hand() -> None:
    assert auc(_two([0.1, 0.4, 0.35, 0.8]), _batch([0, 0, 1, 1])) == pytest.approx(0.75)
    assert auc(_two([3, 2, 1, 0]), _batch([0, 0, 1, 1])) == 0
    assert auc(_two([1, 1, 1]), _batch([0, 1, 1])) == 0.5
    assert auc(_two([1, 2, 2]), _batch([0, 1, 0])) == pytest.approx(0.75)
    assert auc(_two([-2, -1, -3, 0.5]), _batch([0, 1, 0, 1])) == 1
    assert auc(jnp.array([[0.0, 0.0], [0.0, -0.0]]), _batch([0, 1])) == 0.5


def test_auc_of_one_label_alone_is_missing() -> None:
    assert np.isnan(auc(_two([1, 2]), _batch([1, 1])))


def test_auc_orders_what_a_probability_cannot_tell_apart() -> None:
    """In float32 the probability is 1 from a difference of 17 on."""
    assert auc(_two([40, 50, 60, 70]), _batch([0, 1, 0, 1])) == pytest.approx(0.75)


@pytest.mark.parametrize("levels", [3, 1000])
def test_auc_is_that_of_mann_and_whitney_ties_included(levels: int) -> None:
    random = np.random.default_rng(levels)
    score, label = random.integers(0, levels, 200).astype(float), random.integers(0, 2, 200)
    found = auc(_two(score.tolist()), _batch(label))
    u = stats.mannwhitneyu(score[label == 1], score[label == 0]).statistic
    assert found == pytest.approx(u / ((label == 1).sum() * (label == 0).sum()), rel=1e-5)


def test_auc_in_double_precision() -> None:
    """Scores that float32 rounds to one are told apart."""
    with jax.enable_x64(True):
        scores = _two([1.0, 1.0 + 1e-12, -1.0 - 1e-12, -1.0])
        assert scores.dtype == jnp.float64
        assert auc(scores, _batch([0, 1, 0, 1])) == 0.75


def test_auc_of_many_labels_is_the_mean_of_each_against_the_rest() -> None:
    random = np.random.default_rng(0)
    scores, label = random.normal(size=(60, 4)), random.integers(0, 3, 60)  # label 3 never occurs
    share = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    areas = []
    for each in range(3):
        pairs = share[label == each, each][:, None] > share[label != each, each][None]
        areas.append(pairs.mean())
    assert auc(jnp.asarray(scores), _batch(label)) == pytest.approx(np.mean(areas), rel=1e-5)


def test_r2_by_hand() -> None:
    batch = jnp.zeros((4, 1)), jnp.array([3.0, -0.5, 2.0, 7.0])
    assert r2(jnp.array([2.5, 0.0, 2.0, 8.0]), batch) == pytest.approx(0.9486081)
    assert r2(jnp.full(4, 2.875), batch) == pytest.approx(0, abs=1e-6)
    assert np.isnan(r2(jnp.zeros(2), (jnp.zeros((2, 1)), jnp.ones(2))))


@pytest.mark.parametrize("metric", [accuracy, f1, auc])
def test_lanes_are_alike(metric: object) -> None:
    random = np.random.default_rng(1)
    predictions = jnp.asarray(random.normal(size=(5, 30, 2)), jnp.float32)
    batch = _batch(random.integers(0, 2, 30))
    assert callable(metric)
    found = jax.jit(jax.vmap(lambda each: metric(each, batch)))(predictions)
    np.testing.assert_allclose(found, [metric(each, batch) for each in predictions], rtol=1e-6)


@pytest.mark.parametrize("name", catalog.names("metric"))
def test_what_the_source_declares_is_what_the_function_has(name: str) -> None:
    entry = catalog.get("metric", name)
    found = declared(name, entry.load())
    assert (entry.larger, entry.bound) == (found.larger, found.bound)


def test_a_plain_function_goes_by_its_name_and_a_metric_by_what_it_declares() -> None:
    def score(predictions: object, batch: object) -> float:
        return 0.5

    assert [declared(name, score).larger for name in ("top5_accuracy", "error", "my_f1")] == [
        True,
        False,
        True,
    ]
    own = lb.Metric(score, larger=True, bound=10.0)
    assert declared("error", own) is own
    assert own(None, None) == 0.5
    assert declared("anything", accuracy).mean


def test_an_objective_that_a_problem_lacks_is_refused_by_name() -> None:
    check_objective("auto", "bowl", ["train_loss"])
    check_objective("train_loss", "bowl", ["train_loss"])
    with pytest.raises(StudyError) as caught:
        check_objective("valid_acuracy", "digits", ["train_loss", "valid_loss", "valid_accuracy"])
    assert str(caught.value) == (
        "objective: unknown loss or metric of digits 'valid_acuracy'; allowed: train_loss, valid_loss, valid_accuracy; "
        "did you mean 'valid_accuracy'?"
    )
