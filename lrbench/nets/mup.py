"""Parametrisations of fully connected networks: how initial weights, outputs and steps depend on the width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import jax
from jaxtyping import Array, Float

from lrbench.nets.layers import Params

Parametrisation: TypeAlias = Literal["standard", "mup_sgd", "mup_adam"]

BASE = 64
"""The width at which all parametrisations are the same."""


def scaled(
    stack: tuple[Any, Any], sizes: Sequence[int], parametrisation: Parametrisation
) -> tuple[Any, Any, Any]:
    """Return (init, apply, gradient factors) of a dense stack whose best learning rate does not depend on its widths.

    A weight is W = m·w, where w is trained: with gradient descent, W then learns at m² times the rate; with Adam, and others
    whose step does not scale with the gradient, at m times. muP prescribes different rates for the two, hence two
    parametrisations. With r = width / 64 of a layer:

    | | initial W, relative to standard | rate of W: mup_sgd | mup_adam |
    |---|---|---|---|
    | input weights, hidden biases | 1 | r | 1 |
    | hidden weights | 1 | 1 | 1/r |
    | output weights | 1/√r | 1/r | 1/r |

    The gradient of W scales as 1/r in all layers except the output, and that of w is m times as large. Adam divides by the
    magnitude of the gradient plus ε, which would thus matter more in wider networks. So with mup_adam the optimizer sees
    the gradient of w times r/m, or 1/m at the output: relative to it, ε has the same effect as at width 64, as if it were
    ε/r for W.

    Args:
        stack: (init, apply), as returned by `dense_stack`.
        sizes: inputs, hidden widths, outputs.
        parametrisation: `standard` returns the stack as it is.

    Source: Yang et al., Tensor Programs V, arXiv:2203.03466, table 3; for ε: Everett et al., arXiv:2407.05872.
    """
    if parametrisation == "standard":
        return *stack, None
    init, apply = stack
    power = 0.5 if parametrisation == "mup_sgd" else 1.0
    last = len(sizes) - 2
    factors, starts, seen = [], [], []
    for layer in range(last + 1):
        into = sizes[layer] / BASE if layer else 1.0
        out = sizes[layer + 1] / BASE if layer < last else 1.0
        weight, start, bias = _rates(parametrisation, layer, last, into, out)
        factors.append({"weight": weight**power, "bias": bias**power})
        starts.append({"weight": start, "bias": 1.0})
        seen.append({name: out / factor for name, factor in factors[-1].items()})

    def begin(key: Array) -> Params:
        return jax.tree.map(lambda leaf, start, factor: leaf * (start / factor), init(key), starts, factors)

    def applied(params: Params, inputs: Float[Array, "example feature"]) -> Float[Array, "output example"]:
        return apply(jax.tree.map(lambda leaf, factor: leaf * factor, params, factors), inputs)

    return begin, applied, seen if parametrisation == "mup_adam" else None


def _rates(
    parametrisation: Parametrisation, layer: int, last: int, into: float, out: float
) -> tuple[float, float, float]:
    """Return, relative to the standard, the rate of a layer's weights, their initial scale, and the rate of its biases.

    Args:
        parametrisation: `mup_sgd` or `mup_adam`.
        layer: index of the layer.
        last: index of the output layer.
        into: width of its inputs over the base; 1 for the network's inputs.
        out: width of its outputs over the base; 1 for the network's outputs.
    """
    start = into**-0.5 if layer == last else 1.0
    if parametrisation == "mup_sgd":
        return out / into, start, out
    return 1 / into, start, 1.0
