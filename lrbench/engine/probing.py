"""What probes see of a run, how their values become columns, and what they cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from lrbench.engine import flops
from lrbench.probes import View
from lrbench.problems import Batch, Params, Problem

Probes = Mapping[str, Callable[[View], Any]]


class Examples(NamedTuple):
    """Examples, and the random key of the loss on them."""

    batch: Batch
    key: Array


def view(
    problem: Problem,
    model: tuple[Params, Any],
    step: tuple[Params, Params, Callable[[], Params]],
    rates: Mapping[str, Float[Array, ""]],
    minibatch: Examples,
    sample: Examples,
) -> View:
    """Return what probes see of a run.

    Args:
        problem: of the run.
        model: (parameters, state of the model).
        step: (gradient, update, () → step sizes) of the step that would follow.
        rates: learning rates of that step; "" is that of all parameters that have none of their own.
        minibatch: of that step.
        sample: the training examples of evaluations.
    """
    params, state = model

    def loss(key: Array, params: Params, batch: Batch) -> Array:
        return problem.training_loss(params, state, batch, key)[0]

    each: Any = rates[""]
    if len(rates) > 1:
        names = jax.tree.broadcast(problem.rates, params)
        each = jax.tree.map(lambda name: rates.get(name, rates[""]), names)
    on_batch, on_sample = partial(loss, minibatch.key), partial(loss, sample.key)
    gradient, update, sizes = step
    return View(params, gradient, update, each, on_batch, on_sample, minibatch.batch, sample.batch, sizes)


def measure(probes: Probes, run: View) -> dict[str, Float[Array, ""]]:
    """Return the values of probes: a column each, or `<probe>/<part>` for each part of a probe that returns a mapping."""
    found: dict[str, Array] = {}
    for name, probe in probes.items():
        value = probe(run)
        parts = {f"{name}/{part}": each for part, each in value.items()} if isinstance(value, dict) else None
        found |= {name: value} if parts is None else parts
    return found


def split(
    problem: Problem, probes: Probes, initial: Any, names: tuple[str, ...], examples: tuple[Batch, Batch]
) -> tuple[Probes, Probes] | None:
    """Return the probes that do not depend on the step that would follow, and those that do, but on no loss; `None` if one needs both.

    Found from their traces, of which an equation is taken to depend on all that it is given.

    Args:
        problem: of the runs.
        probes: in the order in which they are measured.
        initial: shapes of the parameters, and of the state of a model that has one.
        names: of the learning rates that the study sets for parts of the parameters.
        examples: (a minibatch, the sample of evaluations).
    """
    model = problem.split(initial)
    point: dict[str, Any] = {}
    step: dict[str, Any] = {}
    for name, probe in probes.items():
        of_step, of_loss = _needs(problem, {name: probe}, model, names, examples)
        if of_step and of_loss:
            return None
        (step if of_step else point)[name] = probe
    return point, step


def _needs(
    problem: Problem, probe: Probes, model: Any, names: tuple[str, ...], examples: tuple[Batch, Batch]
) -> tuple[bool, bool]:
    """Return whether a probe depends on the step that would follow, and whether it computes a loss or reads examples."""
    key = jax.random.key(0, impl="threefry2x32")
    losses: list[Any] = []

    def watched(loss: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            losses.append(loss)
            return loss(*given)

        return call

    def seen(step: Any, batches: Any, model: Any, gradient: Params) -> dict[str, Array]:
        update, rates, sizes = step
        seen = gradient, update, lambda: sizes
        run = view(problem, model, seen, rates, *(Examples(each, key) for each in batches))
        run = replace(run, loss=watched(run.loss), sample_loss=watched(run.sample_loss))
        return measure(probe, run)

    step = model[0], dict.fromkeys(("", *names), jnp.ones(())), model[0]
    trace = jax.make_jaxpr(seen)(step, examples, model, model[0]).jaxpr
    used = _used(trace)
    of_step, of_batch = (len(jax.tree.leaves(each)) for each in (step, examples))
    return any(used[:of_step]), bool(losses) or any(used[of_step : of_step + of_batch])


def _used(trace: Any) -> list[bool]:
    """Return which inputs of a trace its outputs depend on."""
    needed = {id(each) for each in trace.outvars}
    for equation in reversed(trace.eqns):
        if any(id(each) in needed for each in equation.outvars):
            needed |= {id(each) for each in equation.invars}
    return [id(each) in needed for each in trace.invars]


def in_order(probes: Probes, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return values with those of probes last, in the order of the probes."""
    order = {name: number for number, name in enumerate(probes, 1)}
    return dict(sorted(found.items(), key=lambda item: order.get(item[0].partition("/")[0], 0)))


def gradients(
    problem: Problem, probes: Probes, initial: Any, names: tuple[str, ...], examples: tuple[Batch, Batch]
) -> dict[str, float]:
    """Return the cost of each probe at an evaluation, in gradients of a minibatch, counted from traces.

    Args:
        problem: of the runs.
        probes: in the order in which they are measured; one that shares work with an earlier one costs what it adds.
        initial: shapes of the parameters, and of the state of a model that has one.
        names: of the learning rates that the study sets for parts of the parameters.
        examples: (a minibatch, the sample of evaluations).
    """
    model = problem.split(initial)
    key = jax.random.key(0, impl="threefry2x32")
    rates = dict.fromkeys(("", *names), jnp.ones(()))

    def work(chosen: Probes) -> float:
        def seen(model: Any, gradient: Params, update: Params) -> dict[str, Array]:
            step = gradient, update, lambda: update
            run = view(problem, model, step, rates, *(Examples(each, key) for each in examples))
            return measure(chosen, run)

        return flops.count(seen, model, model[0], model[0])

    totals = [work(dict(list(probes.items())[:count])) for count in range(len(probes) + 1)]
    gradient = flops.count(jax.grad(problem.training_loss, has_aux=True), *model, examples[0], key)
    return {name: (totals[i + 1] - totals[i]) / gradient for i, name in enumerate(probes)}
