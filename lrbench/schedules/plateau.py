"""The schedule that depends on the losses: its rule, the state of the rule in a run, and the entry of the catalogue."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from lrbench.schedules._checks import require, require_share


class PlateauState(NamedTuple):
    """The state of the rule in a run.

    Args:
        best: the best loss so far.
        bad: bad evaluations in a row.
        cooldown: evaluations left before a bad one counts again.
        scale: the factor to which the rate was reduced so far.
    """

    best: Float[Array, ""]
    bad: Int[Array, ""]
    cooldown: Float[Array, ""]
    scale: Float[Array, ""]

    @classmethod
    def initial(cls, one: Float[Array, ""]) -> PlateauState:
        """Return the state before the first step; `one` is 1 in the precision of the run's rates."""
        return cls(one * jnp.inf, jnp.int32(0), jnp.zeros_like(one), one)


class Plateau(NamedTuple):
    """When a run reduces its rate, and by how much; as an optax schedule, its factor while nothing is reduced.

    Args:
        factor: what the rate is multiplied by.
        patience: how many evaluations in a row may be bad.
        threshold: by how much a loss has to be better than the best one so far.
        relative: whether the threshold is a share of the best loss.
        cooldown: how many evaluations are no bad ones after the rate was reduced.
        least: the least factor.

    In a table of schedules each is an array [row].
    """

    factor: float | Float[Array, "*row"]
    patience: float | Float[Array, "*row"]
    threshold: float | Float[Array, "*row"]
    relative: bool | Bool[Array, "*row"]
    cooldown: float | Float[Array, "*row"]
    least: float | Float[Array, "*row"]

    def __call__(self, count: Any) -> Any:
        """Return the factor of a step while nothing is reduced: 1."""
        return jnp.ones_like(count, float)

    def update(self, before: PlateauState, loss: Float[Array, ""], count: Int[Array, ""]) -> PlateauState:
        """Return the state after an evaluation at `count` steps, as torch.optim.lr_scheduler.ReduceLROnPlateau; step 0 is ignored.

        The rate is reduced when more than `patience` evaluations in a row were bad, PyTorch's bad > patience.
        """
        below = jnp.where(self.relative, before.best * (1 - self.threshold), before.best - self.threshold)
        better = loss < below
        resting = before.cooldown > 0
        bad = jnp.where(better | resting, 0, before.bad + 1)
        reduces = bad > self.patience
        after = PlateauState(
            best=jnp.where(better, loss, before.best),
            bad=jnp.where(reduces, 0, bad),
            cooldown=jnp.where(reduces, self.cooldown, jnp.maximum(before.cooldown - 1, 0)),
            scale=jnp.where(reduces, jnp.maximum(before.scale * self.factor, self.least), before.scale),
        )
        return jax.tree.map(lambda new, old: jnp.where(count > 0, new, old).astype(old.dtype), after, before)


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
