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
    """The rule by which a run reduces its rate; as an optax schedule, the constant 1.

    Args:
        factor: the factor of each reduction.
        patience: how many consecutive evaluations may be bad.
        threshold: by how much a loss must improve on the best one so far.
        relative: whether the threshold is a share of the best loss.
        cooldown: for how many evaluations after a reduction none counts as bad.
        least: the smallest factor.

    In a table of schedules, each is an array [row].
    """

    factor: float | Float[Array, "*row"]
    patience: float | Float[Array, "*row"]
    threshold: float | Float[Array, "*row"]
    relative: bool | Bool[Array, "*row"]
    cooldown: float | Float[Array, "*row"]
    least: float | Float[Array, "*row"]

    def __call__(self, count: Any) -> Any:
        """Return the factor of a step without any reduction: 1."""
        return jnp.ones_like(count, float)

    def update(self, before: PlateauState, loss: Float[Array, ""], count: Int[Array, ""]) -> PlateauState:
        """Return the state after an evaluation at `count` steps, as torch.optim.lr_scheduler.ReduceLROnPlateau; step 0 is ignored.

        The rate is reduced after more than `patience` consecutive bad evaluations, as PyTorch does (bad > patience).
        """
        below = jnp.where(self.relative, before.best * (1 - self.threshold), before.best - self.threshold)
        better = loss < below
        cooling = before.cooldown > 0
        bad = jnp.where(better | cooling, 0, before.bad + 1)
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
    """Multiply the rate by a factor whenever the loss has stopped improving.

    After each evaluation except that at step 0, the rule takes the validation loss of the run, or the training loss where
    the problem has no validation data, as PyTorch's scheduler is called after each validation. `evaluate_every` sets how often.

    Formula: f ← max(factor·f, min), initially 1, after more than patience consecutive evaluations without
        loss < best·(1 − threshold), or, with "abs", loss < best − threshold; counting starts again after cooldown evaluations

    Args:
        factor: the factor of each reduction, above 0 and below 1.
        patience: how many consecutive evaluations may be bad, 0 or more.
        threshold: by how much a loss must improve on the best one so far.
        threshold_mode: whether threshold is a share of the best loss ("rel") or a difference ("abs").
        cooldown: for how many evaluations after a reduction none counts as bad.
        min: the smallest factor, from 0 to 1.

    Source: equals torch.optim.lr_scheduler.ReduceLROnPlateau with mode = "min" and eps = 0; PyTorch's patience is 10. This rule,
        like PyTorch's, reduces when bad > patience; optax.contrib.reduce_on_plateau when bad = patience, one evaluation earlier.
    """
    del steps
    require(0 < factor < 1, "factor", factor, "above 0 and below 1")
    require(patience >= 0, "patience", patience, "0 or more")
    require(threshold >= 0, "threshold", threshold, "0 or more")
    require(cooldown >= 0, "cooldown", cooldown, "0 or more")
    require_share("min", min)
    return Plateau(factor, patience, threshold, threshold_mode == "rel", cooldown, min)
