"""The boundary of a picture, and its dimension by counting boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

_TILES = 4
"""A picture is cut into so many tiles along each side, which are drawn again and again for intervals."""
_DRAWS = 1000


def boundary(scores: Float[np.ndarray, "row column"]) -> Bool[np.ndarray, "row_ column_"]:
    """Return where four neighbouring runs do not all agree on whether they converge.

    >>> boundary(np.array([[-1.0, -2.0, 1.0], [-1.0, -3.0, -4.0]]))
    array([[False,  True]])
    """
    positive = scores > 0
    corners = positive[1:, 1:], positive[1:, :-1], positive[:-1, 1:], positive[:-1, :-1]
    return np.logical_or.reduce(corners) & ~np.logical_and.reduce(corners)


def counts(marked: Bool[np.ndarray, "row column"]) -> Int[np.ndarray, "size tile"]:
    """Return how many boxes of 1, 2, 4 … pixels have a marked one, in each of 4 × 4 tiles; the largest box is a tile, or less."""
    side = max(marked.shape)
    largest = 1
    while 2 * largest * _TILES <= side + 1:
        largest *= 2
    # The boundary has a row and a column less than the picture; tiles are whole boxes of the largest size.
    tile = -(-side // (_TILES * largest)) * largest
    padded = np.zeros((_TILES * tile, _TILES * tile), dtype=bool)
    padded[: marked.shape[0], : marked.shape[1]] = marked
    rows = []
    size = 1
    while size <= largest:
        boxes = padded.reshape(len(padded) // size, size, -1, size).any(axis=(1, 3))
        per_tile = boxes.reshape(_TILES, tile // size, _TILES, tile // size).sum(axis=(1, 3))
        rows.append(per_tile.reshape(-1))
        size *= 2
    return np.array(rows)


def slopes(count: Float[np.ndarray, "... size"]) -> Float[np.ndarray, "... slope"]:
    """Return −d log₂ N / d log₂ s between each two sizes of boxes.

    >>> slopes(np.array([64.0, 16.0, 8.0]))
    array([2., 1.])
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return -np.diff(np.log2(count), axis=-1)


class Fit(NamedTuple):
    """The straight line through log₂ N against log₂ s.

    Args:
        dimension: minus its slope.
        r2: the share of the variance that it explains.
    """

    dimension: float
    r2: float


def fit(count: Int[np.ndarray, " size"]) -> Fit:
    """Fit a straight line to the counts of one picture.

    >>> fit(np.array([81, 27, 9]))
    Fit(dimension=1.58..., r2=1.0)
    """
    if len(count) < 2 or not count.all():
        return Fit(float("nan"), float("nan"))
    at, log = np.arange(len(count)), np.log2(count)
    slope, start = np.polyfit(at, log, 1)
    spread = ((log - log.mean()) ** 2).sum()
    left = ((log - start - slope * at) ** 2).sum()
    return Fit(float(-slope), float(1 - left / spread) if spread else float("nan"))


def dimension(pictures: Sequence[Int[np.ndarray, "size tile"]], seed: int = 0) -> tuple[float, float, float]:
    """Return the median of the slopes of all pictures, as the paper has it, and its 95 % interval.

    The interval is that of a bootstrap which draws the tiles of each picture.
    """
    generator = np.random.default_rng(seed)
    found, drawn = [], []
    for each in pictures:
        tiles = each.shape[1]
        weights = generator.multinomial(tiles, np.full(tiles, 1 / tiles), size=_DRAWS)
        found.append(slopes(each.sum(axis=1)))
        drawn.append(slopes(weights @ each.T))
    middle = _median(np.concatenate(found)[None])
    medians = _median(np.concatenate(drawn, axis=1))
    if not (len(middle) and len(medians)):
        return float("nan"), float("nan"), float("nan")
    low, high = np.quantile(medians, [0.025, 0.975])
    return float(middle[0]), float(low), float(high)


def _median(values: Float[np.ndarray, "draw slope"]) -> Float[np.ndarray, " draw_"]:
    """Return the median of each row without the slopes of empty pictures; rows that have no others are left out."""
    finite = np.isfinite(values)
    rows = finite.any(axis=1)
    return np.nanmedian(np.where(finite, values, np.nan)[rows], axis=1)
