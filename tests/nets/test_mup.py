"""muP against its table, written out by hand: how each layer learns, and what ε does beside its gradient."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lrbench.engine import lane
from lrbench.probes.norms import gradient_norm
from lrbench.problems.perceptrons import digits_mlp

RATE, EPS = 0.01, 1e-3
"""An ε as large as many gradients, so that what it is added to shows."""


def _losses(weights: list[Any], batch: Any) -> jax.Array:
    """The loss of a network whose layers are W and b themselves."""
    hidden = batch[0].T
    for layer in weights[:-1]:
        hidden = jax.nn.relu(layer["weight"] @ hidden + layer["bias"])
    scores = weights[-1]["weight"] @ hidden + weights[-1]["bias"]
    return -jnp.mean(jax.nn.log_softmax(scores, axis=0)[batch[1], jnp.arange(len(batch[1]))])


@pytest.mark.slow
@pytest.mark.parametrize("hidden", [(64, 64), (256, 256), (128, 32)])
def test_adam_takes_the_steps_of_a_mup_adam_written_by_hand(hidden: tuple[int, ...]) -> None:
    """W learns at rate · 64/fan-in, the input and biases at the rate; ε of a layer is that of width 64 over its width's ratio."""
    problem = digits_mlp(hidden=hidden, parametrisation="mup_adam")
    recipe = lane.Recipe(problem, lambda rate, numeric: optax.adam(rate, eps=EPS), {})
    hyper = lane.Hyper({"": jnp.float32(RATE)}, jnp.int32(0), {})
    state = lane.init(recipe, hyper, problem.init(jax.random.key(0)))
    batch = jax.tree.map(lambda leaf: jnp.asarray(leaf[:64]), problem.data.train)
    into = [1.0, *(width / 64 for width in hidden)]
    out = [*(width / 64 for width in hidden), 1.0]
    weights = [
        {"weight": layer["weight"] / ratio, "bias": layer["bias"]}
        for layer, ratio in zip(state.params, into, strict=True)
    ]
    first = second = jax.tree.map(jnp.zeros_like, weights)
    advance = jax.jit(
        lambda state, count: lane.step(
            recipe, hyper, state, lane.StepContext(1.0, count, batch, jax.random.key(1))
        )
    )
    for count in range(4):
        gradient = jax.grad(_losses)(weights, batch)
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g**2, second, gradient)
        for number, layer in enumerate(weights):
            for name, ratio in (("weight", into[number]), ("bias", 1.0)):
                mean = first[number][name] / (1 - 0.9 ** (count + 1))
                size = jnp.sqrt(second[number][name] / (1 - 0.999 ** (count + 1)))
                layer[name] = layer[name] - RATE / ratio * mean / (size + EPS / out[number])
        state = advance(state, jnp.int32(count))
        for number, layer in enumerate(state.params):
            for name, ratio in (("weight", into[number]), ("bias", 1.0)):
                np.testing.assert_allclose(layer[name] / ratio, weights[number][name], rtol=2e-4, atol=2e-6)


def test_the_optimizer_alone_sees_the_factors() -> None:
    """Probes and losses see the gradient itself, and only mup_adam has factors."""
    assert digits_mlp(hidden=(256,)).gradient_factors is None
    assert digits_mlp(hidden=(256,), parametrisation="mup_sgd").gradient_factors is None
    problem = digits_mlp(hidden=(256,), parametrisation="mup_adam")
    assert problem.gradient_factors == [{"weight": 4.0, "bias": 4.0}, {"weight": 4.0, "bias": 1.0}]
    recipe = lane.Recipe(problem, lambda rate, numeric: optax.sgd(rate), {"norm": gradient_norm})
    hyper = lane.Hyper({"": jnp.float32(1.0)}, jnp.int32(0), {})
    state = lane.init(recipe, hyper, problem.init(jax.random.key(0)))
    batch = jax.tree.map(lambda leaf: jnp.asarray(leaf[:64]), problem.data.train)

    @jax.jit
    def found(state: Any) -> Any:
        context = lane.StepContext(jnp.float32(1), jnp.int32(0), batch, jax.random.key(1))
        evaluated = lane.evaluate(recipe, hyper, state, context, jax.random.key(1))[1]
        gradient = jax.grad(problem.loss)(state.params, batch, jax.random.key(1))
        return evaluated["norm"], gradient, lane.step(recipe, hyper, state, context).params

    norm, gradient, moved = found(state)
    np.testing.assert_allclose(norm, optax.tree.norm(gradient), rtol=1e-5)
    for number, factors in enumerate(problem.gradient_factors):
        for name, factor in factors.items():
            step = state.params[number][name] - moved[number][name]
            np.testing.assert_allclose(step, factor * gradient[number][name], rtol=1e-4, atol=1e-6)
