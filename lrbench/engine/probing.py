"""What probes see of a lane, what they say, and what they cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from lrbench.engine import cost
from lrbench.probes import View
from lrbench.problems import Batch, Params, Problem

Probes = Mapping[str, Callable[[View], Any]]


def view(
    problem: Problem,
    model: tuple[Params, Any],
    step: tuple[Params, Params],
    rates: Mapping[str, Float[Array, ""]],
    examples: tuple[Batch, Batch],
    noise: tuple[Array, Array],
) -> View:
    """Return what probes see of a run.

    Args:
        problem: of the run.
        model: (parameters, state of the model).
        step: (gradient, update) that come next.
        rates: learning rates of that step; "" is that of all parameters that have none of their own.
        examples: (the next minibatch, the sample of evaluations).
        noise: keys of the loss: (of that step, of evaluations).
    """
    params, state = model

    def loss(key: Array, params: Params, batch: Batch) -> Array:
        return problem.training_loss(params, state, batch, key)[0]

    each: Any = rates[""]
    if len(rates) > 1:
        names = jax.tree.broadcast(problem.rates, params)
        each = jax.tree.map(lambda name: rates.get(name, rates[""]), names)
    of_step, of_sample = (partial(loss, key) for key in noise)
    return View(params, *step, each, of_step, of_sample, *examples)


def measure(probes: Probes, seen: View) -> dict[str, Float[Array, ""]]:
    """Return what probes say: a column each, or `<probe>/<part>` for each part of one that has several."""
    found: dict[str, Array] = {}
    for name, probe in probes.items():
        value = probe(seen)
        parts = {f"{name}/{part}": each for part, each in value.items()} if isinstance(value, dict) else None
        found |= {name: value} if parts is None else parts
    return found


def gradients(
    problem: Problem, probes: Probes, initial: Any, names: tuple[str, ...], examples: tuple[Batch, Batch]
) -> dict[str, float]:
    """Return what each probe costs at an evaluation, in gradients of a minibatch, counted from traces.

    Args:
        problem: of the runs.
        probes: in the order in which they are measured: one that shares work with others before it costs what it adds.
        initial: shapes of the parameters, and of the state of a model that has one.
        names: of the learning rates that the study gives to parts of the parameters.
        examples: (a minibatch, the sample of evaluations).
    """
    model = problem.parted(initial)
    key = jax.random.key(0, impl="threefry2x32")
    rates = dict.fromkeys(("", *names), jnp.ones(()))

    def work(chosen: Probes) -> float:
        def seen(model: Any, gradient: Params, update: Params) -> dict[str, Array]:
            return measure(chosen, view(problem, model, (gradient, update), rates, examples, (key, key)))

        return cost.flops(seen, model, model[0], model[0])

    totals = [work(dict(list(probes.items())[:count])) for count in range(len(probes) + 1)]
    gradient = cost.flops(jax.grad(problem.training_loss, has_aux=True), *model, examples[0], key)
    return {name: (totals[i + 1] - totals[i]) / gradient for i, name in enumerate(probes)}
