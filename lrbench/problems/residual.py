"""A residual network, with or without normalisation."""

from __future__ import annotations

from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from lrbench.datasets import bundled
from lrbench.datasets.data import split
from lrbench.errors import ProblemError
from lrbench.nets import convolutions
from lrbench.nets.convolutions import Convolution
from lrbench.nets.layers import Params, cross_entropy, dense, positive, weights
from lrbench.nets.normalisation import batch_norm, group_norm, norm_init, running_init
from lrbench.problems._constants import of_labels
from lrbench.problems._models import MANY_LABELS
from lrbench.problems._problem import Batch, Form, Problem

_KERNEL, _LABELS, _SIDE = (3, 3), 10, 8


def digits_resnet(
    *,
    channels: int = 16,
    blocks: int = 2,
    normalisation: Literal["batch", "group", "layer", "none"] = "batch",
    batch_size: int = 64,
) -> Problem:
    """Residual network with normalisation, on 1,797 handwritten digits of 8×8 pixels.

    Formula: h₀ = relu(N(pool(x ∗ K)));  hᵢ = relu(hᵢ₋₁ + N(relu(N(hᵢ₋₁ ∗ Kᵢ)) ∗ K'ᵢ));  p = softmax(mean(h)·W + b);
        loss = mean −log p[y];  N(z) = γ (z − mean z) / √(var z + 1e-5) + β;  ∗ a 3×3 convolution that keeps the size

    Batch normalisation uses the mean and variance of a channel over minibatch and pixels in training, and running averages
    (0.9 old + 0.1 new) in evaluations, as PyTorch does; group normalisation those of four channels of an image, layer
    normalisation those of all channels of an image.

    Args:
        channels: output channels of every convolution.
        blocks: residual blocks of two convolutions each.
        normalisation: N: over a minibatch, over groups of channels, over all channels, or none.
        batch_size: images in a minibatch; 0 means all of them.

    Metrics: accuracy

    Source: He et al., arXiv:1512.03385; Ioffe & Szegedy, arXiv:1502.03167; Wu & He, arXiv:1803.08494; Ba et al.,
        arXiv:1607.06450; images: UCI.
    """
    positive(channels=channels, blocks=blocks)
    if normalisation == "group" and channels % 4:
        raise ProblemError(f"channels = {channels}: must be a multiple of 4 for group normalisation")
    layers = 2 * blocks + 1
    stateful = normalisation == "batch"

    def init(key: Array) -> Any:
        keys = jax.random.split(key, layers + 1)
        shapes = [(channels, 1 if index == 0 else channels, *_KERNEL) for index in range(layers)]
        # A normalisation would cancel a bias before it, and has a bias of its own.
        params = {
            "kernels": [weights(k, shape)["weight"] for k, shape in zip(keys, shapes, strict=False)],
            "norms": [norm_init(channels) for _ in range(layers)],
            "dense": weights(keys[-1], (_LABELS, channels), gain=1.0),
        }
        return (params, [running_init(channels) for _ in range(layers)]) if stateful else params

    forms = {
        name: _form(_Network(convolve, normalisation, blocks), stateful)
        for name, convolve in convolutions.FORMS.items()
    }
    own = next(iter(forms.values()))
    parts = split(*bundled.digits())
    return Problem(
        "digits_resnet",
        init,
        own.loss,
        parts.data,
        own.predict,
        MANY_LABELS,
        batch_size or None,
        forms=forms,
        evaluate=own.evaluate,
        stateful=stateful,
        constant_loss=of_labels(parts),
    )


class _Network:
    """The network with one implementation of convolution and one kind of normalisation."""

    def __init__(self, convolve: Convolution, normalisation: str, blocks: int) -> None:
        self._convolve, self._normalisation, self._blocks = convolve, normalisation, blocks

    def scores(
        self, params: Params, running: Any, images: Float[Array, "example pixel"], training: bool
    ) -> tuple[Float[Array, "label example"], Any]:
        """Return the score of every label, and the running averages after this minibatch."""
        after = []

        def layer(index: int, hidden: Array) -> Array:
            kernel = params["kernels"][index]
            if index == 0:
                hidden = convolutions.first_layer(self._convolve, hidden, kernel, padded=True)
            else:
                hidden = self._convolve(hidden, kernel, True)
            norm = params["norms"][index]
            if self._normalisation == "batch":
                hidden, averages = batch_norm(norm, running[index], hidden, training)
                after.append(averages)
                return hidden
            groups = {"group": hidden.shape[0] // 4, "layer": 1, "none": 0}[self._normalisation]
            return group_norm(norm, hidden, groups)

        hidden = jax.nn.relu(layer(0, images.T.reshape(1, _SIDE, _SIDE, -1)))
        for block in range(self._blocks):
            inner = jax.nn.relu(layer(2 * block + 1, hidden))
            hidden = jax.nn.relu(hidden + layer(2 * block + 2, inner))
        return dense(params["dense"], jnp.mean(hidden, axis=(1, 2))), after


def _form(network: _Network, stateful: bool) -> Form:
    """Return loss, predictions and evaluation of a network."""

    def scores(model: Any, images: Array, training: bool) -> tuple[Array, Any]:
        params, running = model if stateful else (model, ())
        return network.scores(params, running, images, training)

    def loss(model: Any, batch: Batch, key: Array) -> Any:
        del key
        found, after = scores(model, batch[0], training=True)
        entropy = cross_entropy(found, batch[1])
        return (entropy, after) if stateful else entropy

    def evaluate(model: Any, batch: Batch, key: Array) -> Array:
        del key
        return cross_entropy(scores(model, batch[0], training=False)[0], batch[1])

    def predict(model: Any, batch: Batch) -> Array:
        return scores(model, batch[0], training=False)[0].T

    return Form(loss, predict, evaluate)
