"""The schedule that depends on the losses."""

from typing import Literal

from lrbench.schedules._plateau import Plateau
from lrbench.schedules._shape import require, require_share


def reduce_on_plateau(
    steps: int,
    *,
    factor: float = 0.1,
    patience: int = 2,
    threshold: float = 1e-4,
    threshold_mode: Literal["rel", "abs"] = "rel",
    cooldown: int = 0,
    min: float = 0.0,  # noqa: A002 -- the name of the parameter, as in PyTorch's min_lr
) -> Plateau:
    """Multiply the rate by a factor whenever the loss has not become better for a while.

    After each evaluation but that of step 0, a run looks at its validation loss, or at its training loss where the problem
    has no validation data: as one calls PyTorch's scheduler after each validation. How often is `evaluate_every`.

    Formula: f ← max(factor·f, min), f = 1 at first, once more than patience evaluations in a row were bad: no
        loss < best·(1 − threshold), or, with "abs", no loss < best − threshold; then a new count, after cooldown evaluations

    Args:
        factor: what the rate is multiplied by, above 0 and below 1.
        patience: how many evaluations in a row may be bad, 0 or more.
        threshold: by how much a loss has to be better than the best one so far.
        threshold_mode: whether threshold is a share of the best loss ("rel") or a difference ("abs").
        cooldown: how many evaluations are no bad ones after the rate was reduced.
        min: the least factor, from 0 to 1.

    Source: equals torch.optim.lr_scheduler.ReduceLROnPlateau with mode = "min" and eps = 0; PyTorch's patience is 10. It
        reduces when bad > patience; optax.contrib.reduce_on_plateau when bad = patience, one evaluation earlier.
    """
    del steps
    require(0 < factor < 1, "factor", factor, "above 0 and below 1")
    require(patience >= 0, "patience", patience, "0 or more")
    require(threshold >= 0, "threshold", threshold, "0 or more")
    require(cooldown >= 0, "cooldown", cooldown, "0 or more")
    require_share("min", min)
    return Plateau(factor, patience, threshold, threshold_mode == "rel", cooldown, min)
