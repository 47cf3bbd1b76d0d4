"""Adjusted p values against flips counted one by one, scipy, and how often something is wrongly told apart."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lrbench.analysis.groups import Floats, Ints
from lrbench.analysis.multiple_comparisons import holm, holm_from, signs, step_down, step_down_from

NAN = float("nan")


def _t(difference: Floats) -> Floats:
    """|t| [pair] of differences [pair, seed]."""
    return np.abs(stats.ttest_1samp(difference, 0, axis=1).statistic)


def _every_flip(seeds: int) -> list[Floats]:
    return [np.array(flip) for flip in itertools.product((1.0, -1.0), repeat=seeds)]


def test_all_flips_up_to_twelve_seeds_then_as_many_random_ones() -> None:
    for seeds in (1, 2, 5, 12):
        found = {tuple(row) for row in signs(seeds)}
        assert len(found) == len(signs(seeds)) == 2 ** (seeds - 1)
        assert {row[0] for row in found} == {1.0}
    drawn = signs(20)
    assert drawn.shape == (2048, 20)
    assert (drawn[0] == 1).all()
    assert np.array_equal(drawn, signs(20))
    assert abs(drawn[1:].mean()) < 0.02


def test_one_pair_has_the_p_of_scipys_permutation_test() -> None:
    difference = np.random.default_rng(0).normal(0.6, size=(5, 8))
    for each in difference:
        wanted = stats.permutation_test(
            (each,), lambda x, axis: np.abs(x.mean(axis=axis)), permutation_type="samples",
            alternative="greater", vectorized=True, n_resamples=np.inf,
        )  # fmt: skip
        assert step_down(each[None])[0] == pytest.approx(wanted.pvalue)


def test_the_step_down_by_counting() -> None:
    difference = np.random.default_rng(1).normal([[1.2], [0.5], [0.1], [0.7]], size=(4, 7))
    seen = _t(difference)
    order = np.argsort(-seen)
    flipped = np.array([_t(difference * flip) for flip in _every_flip(7)])
    least, wanted = 0.0, np.empty(4)
    for step, pair in enumerate(order):
        share = (flipped[:, order[step:]].max(axis=1) >= seen[pair] * (1 - 1e-9)).mean()
        wanted[pair] = least = max(least, share)
    assert step_down(difference) == pytest.approx(wanted)


def test_the_step_down_of_a_winner_by_counting() -> None:
    losses = np.random.default_rng(2).normal([[0.0], [0.2], [1.5], [0.8]], size=(4, 8))
    winner = int(losses.mean(axis=1).argmin())
    others = np.array([line for line in range(4) if line != winner])
    found = step_down_from(winner, others, lambda first, other: losses[first] - losses[other])
    seen = _t(losses[winner] - losses[others])
    left, least = list(others[np.argsort(-seen)]), 0.0
    while left:
        standing = [winner, *left]
        pairs = list(itertools.combinations(standing, 2))
        difference = np.array([losses[a] - losses[b] for a, b in pairs])
        observed = _t((losses[winner] - losses[left[0]])[None])[0]
        most = [_t(difference * flip).max() >= observed * (1 - 1e-9) for flip in _every_flip(8)]
        least = max(least, np.mean(most))
        assert found[others == left.pop(0)] == pytest.approx(least)


def test_pairs_of_unequal_seeds_are_on_one_scale() -> None:
    """A pair with few seeds needs a larger t: it is compared by its p."""
    rng = np.random.default_rng(3)
    difference = rng.normal(size=(3, 10))
    difference[0, 8:] = NAN
    difference[2, :9] = NAN  # one seed: no p
    found = step_down(difference)
    assert np.isnan(found[2])
    p = np.array([stats.ttest_1samp(row[np.isfinite(row)], 0).pvalue for row in difference[:2]])
    flips = _every_flip(10)
    flipped = np.array(
        [
            [stats.ttest_1samp(row[np.isfinite(row)], 0).pvalue for row in difference[:2] * f]
            for f in flips[:512]
        ]
    )
    larger, smaller = np.argsort(p)[::-1]
    alone = (flipped[:, larger] <= p[larger] * (1 + 1e-9)).mean()
    both = (flipped.min(axis=1) <= p[smaller] * (1 + 1e-9)).mean()
    assert found[smaller] == pytest.approx(both)
    assert found[larger] == pytest.approx(max(alone, both))


def test_two_seeds_are_enough_for_a_p() -> None:
    # Of the two flips, both give |1 + 1| or |1 − 1|: the one seen is the larger, of two equally likely ones.
    assert step_down(np.array([[1.0, 1.0], [1.0, NAN]])).tolist() == pytest.approx([0.5, NAN], nan_ok=True)
    two = np.array([[0.0, 0.0, NAN], [1.0, 1.0, NAN], [2.0, NAN, NAN]])
    found = step_down_from(0, np.array([1, 2]), lambda first, other: two[first] - two[other])
    assert found.tolist() == pytest.approx([0.5, NAN], nan_ok=True)


def test_tied_pairs_have_one_p() -> None:
    """Forty pairs of one |t|: each is as significant as all of them together, whichever is taken first."""
    signed = np.where(np.arange(40) % 2, 1.0, -1.0)[:, None] * np.array([1.0, 2.0, 3.0, 4.0])
    assert step_down(signed).tolist() == [1 / 8] * 40


def test_no_difference_has_p_one() -> None:
    zeros = np.zeros((2, 9))
    assert step_down(zeros).tolist() == [1, 1]
    assert step_down_from(0, np.array([1]), lambda first, other: zeros[first] - zeros[other]).tolist() == [1]
    assert np.isnan(step_down(np.full((2, 3), NAN))).all()
    nothing = np.full((2, 3), NAN)
    assert np.isnan(step_down_from(0, np.array([1]), lambda first, other: nothing[first])).all()


@given(st.lists(st.one_of(st.floats(0, 1), st.just(NAN)), max_size=8))
def test_holm_by_its_definition(values: list[float]) -> None:
    p = np.array(values, dtype=np.float64)
    found, known = holm(p), np.isfinite(p)
    assert np.array_equal(np.isfinite(found), known)
    m = known.sum()
    ranks = stats.rankdata(p[known], method="ordinal")
    for value, rank in zip(found[known], ranks, strict=True):
        below = [(m - r + 1) * q for q, r in zip(p[known], ranks, strict=True) if r <= rank]
        assert value == pytest.approx(min(1.0, max(below)))


def test_holm_of_a_winner_counts_the_pairs_of_the_lines_left() -> None:
    # 4 lines have 6 pairs, 3 have 3, 2 have 1.
    assert holm_from(np.array([0.02, NAN, 0.001, 0.04])).tolist() == pytest.approx(
        [0.06, NAN, 0.006, 0.06], nan_ok=True
    )
    assert holm_from(np.array([NAN])).tolist() == pytest.approx([NAN], nan_ok=True)


@pytest.mark.parametrize("seeds", [5, 8])
def test_the_best_of_equal_lines_is_rarely_called_better(seeds: int) -> None:
    """Compared with each other without regard to its being the best, it is more often than promised."""
    rng = np.random.default_rng(4)
    wrong, naive = [], []
    for _ in range(400):
        losses = rng.normal(size=(8, seeds)) + rng.normal(size=seeds)
        order = np.argsort(losses.mean(axis=1))
        winner, others = int(order[0]), order[1:]

        def apart(first: Ints, other: Ints, losses: Floats = losses) -> Floats:
            return losses[first] - losses[other]

        each = losses[winner] - losses[others]
        if seeds < 8:
            p = stats.ttest_1samp(each, 0, axis=1).pvalue
            wrong.append(holm_from(p).min() <= 0.05)
            naive.append(holm(p).min() <= 0.05)
        else:
            wrong.append(step_down_from(winner, others, apart).min() <= 0.05)
            naive.append(step_down(each).min() <= 0.05)
    assert np.mean(wrong) <= 0.06
    assert np.mean(naive) > np.mean(wrong) + 0.02
