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
            "ℓ₀ is the loss at the start of a run, or that of the best constant prediction if it is lower; ℓ* is the least loss of "
            "the problem, as a mean over seeds",
        ),
        (
            "use",
            "the rate to use: good, and forgiving if you miss it. It minimises a weighted mean of the log losses at the rate itself and "
            "at rates a third of a decade smaller and larger; the larger rate counts more than the smaller one",
        ),
        (
            "confirmed, fresh seeds",
            "the rates around the best one were trained again on seeds that had no part in choosing them",
        ),
        (
            "band",
            f"the unbroken stretch of rates around the rate of least loss that cost at most {more_steps(limits)} more steps; where that is not "
            f"known, rates whose loss ends within {percent} of (ℓ₀ − ℓ*) of the line's own best",
        ),
        (
            "collapse",
            f"two rates above the best, between which training stops working: the last useful one and the first useless one. A rate is useful if "
            f"its loss is within {half} of the way from the line's best to ℓ₀. Runs may stay finite far above the collapse",
        ),
        ("trains", f"a line trains if it makes more than {least} of the way from ℓ₀ to ℓ*"),
        (
            "behind",
            "how many times the winner's steps a line needs for the loss at which it ends. Worse: its loss is higher, and the steps are "
            "not known. Not told apart: the difference may be due to the seeds alone",
        ),
        ("diverged", "a loss became infinite or undefined, or the training loss ended above its start"),
        ("good", f"the run ended within {percent} of (ℓ₀ − ℓ*) of ℓ*"),
        ("collapsed", "neither diverged nor good, at a useless rate above the best one"),
        (
            "oscillating",
            f"none of the above, and its upward moves over the second half exceed {waves} of (ℓ₀ − ℓ*)",
        ),
        (
            "slow",
            f"none of the above, and over its last quarter the loss still falls at {late} or more of its mean pace",
        ),
        ("stuck", "none of the above"),
        ("too small, good, too large", "the zone of a rate, decided by the verdicts of its seeds"),
        (
            "last stable rate",
            f"the largest rate at which at least {most} of the seeds stay finite and end below their start",
        ),
        ("tolerance", "the width of all good rates, in decades"),
        ("cliff", "the distance from the best rate to the last stable one, in decades"),
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
