"""Runs of equal epochs: of different batch sizes, all see as many examples."""

from __future__ import annotations

from collections.abc import Sequence

from lrbench.errors import StudyError
from lrbench.study.spec import MOST_STEPS, Study
from lrbench.study.variant import Variant


def lengths(study: Study, problems: Sequence[Variant]) -> tuple[tuple[int, int], ...]:
    """Return steps and evaluate_every of each problem, so that all see as many examples as the first batch size of its `[[problem]]`."""
    first: dict[int, int] = {}
    evaluations = -(-study.steps // study.evaluate_every)
    found = []
    for variant in problems:
        size = variant.params.get("batch_size")
        if not isinstance(size, int) or size < 1:
            has = (
                "has no batch_size"
                if size is None
                else f"has batch_size = {size}, which is no number of examples"
            )
            raise StudyError(
                f'{study.where}: budget = "epochs": problem.{variant.choice}: {variant.name} {has}; leave budget out, or '
                'set it to "steps"'
            )
        steps = -(-study.steps * first.setdefault(variant.choice, size) // size)
        if steps > MOST_STEPS:
            raise StudyError(
                f'{study.where}: budget = "epochs": problem.{variant.choice}: {variant.name} with batch_size = {size} '
                f"has {steps:,} steps; at most {MOST_STEPS:,} are allowed"
            )
        found.append((steps, -(-steps // evaluations)))
    return tuple(found)
