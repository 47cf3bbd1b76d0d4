"""The words of the page, and what they mean with the thresholds of a study."""

from __future__ import annotations

from lrbench.analysis.answer_words import more_steps
from lrbench.analysis.thresholds import Thresholds


def glossary(limits: Thresholds) -> list[tuple[str, str]]:
    """Return each word with its meaning."""
    shares = (
        limits.good,
        limits.oscillating,
        limits.slow,
        limits.useful,
        limits.trains,
        limits.stable,
        limits.confidence,
    )
    percent, waves, late, half, least, most, sure = (f"{100 * share:g} %" for share in shares)
    return [
        (
            "ℓ₀, ℓ*",
            "the loss at the start of a run, or that of the best constant prediction if it is lower; the least loss of its problem, "
            "mean over seeds",
        ),
        (
            "use",
            "the rate to use: good, and forgiving. It has the least mean of the logarithms of its own loss and of those at rates a third "
            "of a decade smaller and larger, the larger ones counting more",
        ),
        (
            "confirmed, fresh seeds",
            "the rates around the best were trained again on seeds that had no part in choosing them",
        ),
        (
            "band",
            f"the unbroken stretch around the rate of least loss that costs at most {more_steps(limits)} more steps or, where that is not known, "
            f"ends within {percent} of (ℓ₀ − ℓ*) of the line's own best",
        ),
        (
            "collapse",
            f"above the best rate, the last useful one and the first that is not; useful is a rate whose loss is within {half} of "
            "the way from the line's best to ℓ₀. Runs may stay finite far above it",
        ),
        ("trains", f"a line trains if it makes more than {least} of the way from ℓ₀ to ℓ*"),
        (
            "behind",
            "how many times the winner's steps a line needs for the loss at which it ends; worse: its loss is higher, and the steps are "
            "not known; not told apart: seeds alone may make the difference",
        ),
        ("diverged", "a loss became infinite or undefined, or the training loss ended above its start"),
        ("good", f"the run ended within {percent} of (ℓ₀ − ℓ*) of ℓ*"),
        ("collapsed", "neither, at a rate above the best one that is not useful"),
        (
            "oscillating",
            f"none of these, and its upward moves over the second half exceed {waves} of (ℓ₀ − ℓ*)",
        ),
        (
            "slow",
            f"none of these, and over its last quarter the loss still falls at {late} or more of its mean pace",
        ),
        ("stuck", "none of these"),
        ("too small, good, too large", "the zone of a rate, by the verdicts of most of its seeds"),
        (
            "last stable rate",
            f"the largest rate at which at least {most} of the seeds stay finite and end below their start",
        ),
        ("tolerance", "how many decades of learning rates are good"),
        ("cliff", "how many decades lie between the best rate and the last stable one"),
        (
            "sensitivity",
            "mean over the rates of min(ℓ, ℓ₀) − ℓ*; a diverged run counts as ℓ₀ (arXiv:2309.14322)",
        ),
        ("line", "one problem, optimizer and schedule, with all their parameters"),
        (
            "interval",
            f"{sure} over seeds: Student's t for losses and metrics; for rates and steps, only from six seeds on",
        ),
    ]
