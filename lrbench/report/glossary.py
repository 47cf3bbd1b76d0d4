"""The words of the page, and what they mean with the thresholds of a study."""

from __future__ import annotations

from lrbench.analysis.thresholds import Thresholds


def glossary(limits: Thresholds) -> list[tuple[str, str]]:
    """Return each word with its meaning."""
    shares = (limits.good, limits.oscillating, limits.slow, limits.stable, limits.confidence)
    percent, waves, late, most, sure = (f"{100 * share:g} %" for share in shares)
    return [
        (
            "ℓ₀, ℓ*",
            "the loss at the start of a run; the best final loss of its problem over the whole grid, median over seeds",
        ),
        ("diverged", "a loss became infinite or undefined, or the training loss ended above its start"),
        ("good", f"the run ended within {percent} of (ℓ₀ − ℓ*) of ℓ*"),
        ("oscillating", f"not good, and its upward moves over the second half exceed {waves} of (ℓ₀ − ℓ*)"),
        (
            "slow",
            f"neither, and over its last quarter the loss still falls at {late} or more of its mean pace",
        ),
        ("stuck", "none of these"),
        ("too small, good, too large", "the zone of a rate, by the verdicts of most of its seeds"),
        (
            "last stable rate",
            f"the largest rate at which at least {most} of the seeds train",
        ),
        ("tolerance", "how many decades of learning rates are good"),
        ("cliff", "how many decades lie between the best rate and the last stable one"),
        (
            "sensitivity",
            "mean over the rates of min(ℓ, ℓ₀) − ℓ*; a diverged run counts as ℓ₀ (arXiv:2309.14322)",
        ),
        ("line", "one problem, optimizer and schedule, with all their parameters"),
        ("interval", f"{sure} bootstrap over seeds, the same seeds at every rate"),
    ]
