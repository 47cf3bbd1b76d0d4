"""Schedules that depend on the losses: when a run has reduced its rate, and by how much."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from lrbench.schedules._plateau import Plateau

SCALE = "plateau_scale"
"""Under this name an evaluation says what each run has reduced its rate to."""


class Rule(NamedTuple):
    """When a run reduces its rate; the arguments are those of `Plateau`. Of a table, each is an array [row]."""

    factor: Float[Array, "*row"]
    patience: Float[Array, "*row"]
    threshold: Float[Array, "*row"]
    relative: Bool[Array, "*row"]
    cooldown: Float[Array, "*row"]
    least: Float[Array, "*row"]


class Watch(NamedTuple):
    """What a run remembers: its best loss, bad evaluations in a row, evaluations of rest left, and its rate's scale."""

    best: Float[Array, ""]
    bad: Int[Array, ""]
    rest: Float[Array, ""]
    scale: Float[Array, ""]


class Table(NamedTuple):
    """The schedules of a study: their factors at each step, and the rules, if any of them depends on the losses."""

    shapes: Float[Array | np.ndarray, "row step"]
    rules: Rule | None = None


def table(shapes: Sequence[Float[np.ndarray, " step"]], found: Sequence[Plateau | None]) -> Table:
    """Return the table of a study's schedules; one without a rule has a patience that never ends."""
    if not any(found):
        return Table(np.stack(shapes))
    never = Plateau(1.0, np.inf, 0.0, True, 0.0, 0.0)
    rows = [plateau or never for plateau in found]
    columns = {name: np.array([getattr(row, name) for row in rows]) for name in Rule._fields}
    return Table(np.stack(shapes), Rule(**columns))  # type: ignore[arg-type]


def start(one: Float[Array, ""]) -> Watch:
    """Return what a run remembers before its first step; `one` is 1 in the precision of its rates."""
    return Watch(one * jnp.inf, jnp.int32(0), jnp.zeros_like(one), one)


def watch(rule: Rule, before: Watch, loss: Float[Array, ""], count: Int[Array, ""]) -> Watch:
    """Look at the loss after `count` steps, as torch.optim.lr_scheduler.ReduceLROnPlateau does; not before the first.

    The rate is reduced when more than `patience` evaluations in a row were bad, PyTorch's bad > patience.
    """
    below = jnp.where(rule.relative, before.best * (1 - rule.threshold), before.best - rule.threshold)
    better = loss < below
    resting = before.rest > 0
    bad = jnp.where(better | resting, 0, before.bad + 1)
    reduces = bad > rule.patience
    after = Watch(
        best=jnp.where(better, loss, before.best),
        bad=jnp.where(reduces, 0, bad),
        rest=jnp.where(reduces, rule.cooldown, jnp.maximum(before.rest - 1, 0)),
        scale=jnp.where(reduces, jnp.maximum(before.scale * rule.factor, rule.least), before.scale),
    )
    return jax.tree.map(lambda new, old: jnp.where(count > 0, new, old).astype(old.dtype), after, before)
