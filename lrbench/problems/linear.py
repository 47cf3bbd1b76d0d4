"""Linear models on real data: a price from an area, a disease from measurements, a digit from pixels."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array

from lrbench.datasets import bundled
from lrbench.datasets.data import split, standardise, standardise_targets
from lrbench.nets.layers import Params
from lrbench.problems._models import classifier, regression
from lrbench.problems._problem import Batch, Problem


def house_prices(*, standardised: bool = True, batch_size: int = 32) -> Problem:
    """Linear regression of a house's price on its floor area, on 321 real sales.

    Formula: ŷ = w·x + b;  loss = mean (ŷ − y)²;  w = b = 0 at the start

    Args:
        standardised: give area and price mean 0 and deviation 1; without, x is in square feet and y in dollars, and
            only rates near 1e-7 survive: scale and rate belong together.
        batch_size: sales of a minibatch; 0 is all of them.

    Source: Kiel & McClain, Journal of Environmental Economics and Management 28 (1995); `hprice3` of
        Wooldridge, Introductory Econometrics.
    """
    area, price = bundled.houses()
    parts = split(area, price)
    if standardised:
        parts = standardise(standardise_targets(parts))

    def init(key: Array) -> Params:
        del key
        return {"w": jnp.zeros(1), "b": jnp.zeros(())}

    def loss(params: Params, batch: Batch, key: Array) -> Array:
        del key
        x, y = batch
        return jnp.mean(jnp.square(x @ params["w"] + params["b"] - y))

    return Problem("house_prices", init, loss, parts.data, batch_size=batch_size or None)


def one_sale(*, area: float = 100.0, price: float = 500.0, linear: bool = False) -> Problem:
    """A line through a single sale: the arithmetic of one step, as introductions to the learning rate do it.

    Formula: ŷ = w·x + b;  loss = (ŷ − y)², whose gradient at the start is (−2xy, −2y);  w = b = 0 at the start;  linear:
        loss = y² − x·w − y·b, whose gradient is (−x, −y) everywhere

    Args:
        area: x, the floor area.
        price: y, what was paid.
        linear: take the gradient (−x, −y), which some introductions give for the squared loss.

    Source: the worked example of many introductions; a minibatch of one of `house_prices`.
    """

    def init(key: Array) -> Params:
        del key
        return jnp.zeros(2)

    def loss(params: Params, batch: Batch, key: Array) -> Array:
        del batch, key
        slope, intercept = params
        if linear:
            return price**2 - area * slope - price * intercept
        return jnp.square(slope * area + intercept - price)

    return Problem("one_sale", init, loss)


def diabetes_linear(*, batch_size: int = 32) -> Problem:
    """Linear regression of a disease's progression on 10 measurements, 442 patients; inputs and targets standardised.

    Formula: ŷ = x·w + b;  loss = mean (ŷ − y)²;  w = b = 0 at the start;  convex

    Args:
        batch_size: patients of a minibatch; 0 is all of them.

    Source: Efron, Hastie, Johnstone & Tibshirani, Annals of Statistics 32 (2004).
    """
    parts = standardise(standardise_targets(split(*bundled.diabetes())))
    return regression("diabetes_linear", parts, (), batch_size or None)


def breast_cancer_logistic(*, batch_size: int = 32) -> Problem:
    """Logistic regression of a tumour's diagnosis on 30 standardised measurements, 569 patients.

    Formula: p = softmax(x·W + b);  loss = mean −log p[y];  convex

    Args:
        batch_size: patients of a minibatch; 0 is all of them.

    Source: Wisconsin diagnostic breast cancer (1995).
    """
    parts = standardise(split(*bundled.breast_cancer()))
    return classifier("breast_cancer_logistic", parts, (), 2, batch_size or None, gain=1.0)


def digits_softmax(*, batch_size: int = 64) -> Problem:
    """Softmax regression of a handwritten digit on its 8×8 pixels, 1,797 images.

    Formula: p = softmax(x·W + b);  loss = mean −log p[y];  convex

    Args:
        batch_size: images of a minibatch; 0 is all of them.

    Source: UCI optical recognition of handwritten digits.
    """
    return classifier("digits_softmax", split(*bundled.digits()), (), 10, batch_size or None, gain=1.0)
