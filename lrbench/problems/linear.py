"""Linear models on real data: house prices, diseases and handwritten digits."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array

from lrbench.datasets import bundled
from lrbench.datasets.data import split, standardise, standardise_targets
from lrbench.metrics.regression import r2
from lrbench.nets.layers import Params
from lrbench.problems._constants import of_numbers
from lrbench.problems._models import TWO_LABELS, classifier, regression
from lrbench.problems._problem import Batch, Problem


def house_prices(*, standardised: bool = True, batch_size: int = 32) -> Problem:
    """Linear regression of a house's price on its floor area, on 321 real sales.

    Formula: ŷ = w·x + b;  loss = mean (ŷ − y)²;  w = b = 0 initially

    Args:
        standardised: scale area and price to mean 0 and standard deviation 1; if false, x is in square feet and y in dollars,
            and only rates near 1e-7 converge, because the best rate depends on the scale.
        batch_size: sales in a minibatch; 0 means all of them.

    Metrics: r2

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

    def predict(params: Params, batch: Batch) -> Array:
        found: Array = batch[0] @ params["w"] + params["b"]
        return found

    def loss(params: Params, batch: Batch, key: Array) -> Array:
        del key
        return jnp.mean(jnp.square(predict(params, batch) - batch[1]))

    return Problem(
        "house_prices",
        init,
        loss,
        parts.data,
        predict,
        {"r2": r2},
        batch_size or None,
        constant_loss=of_numbers(parts),
    )


def one_sale(*, area: float = 100.0, price: float = 500.0, linear: bool = False) -> Problem:
    """A line through a single sale: the arithmetic of one step, as in introductions to the learning rate.

    Formula: ŷ = w·x + b;  loss = (ŷ − y)², whose initial gradient is (−2xy, −2y);  w = b = 0 initially;  linear:
        loss = y² − x·w − y·b, whose gradient is (−x, −y) everywhere

    Args:
        area: x, the floor area.
        price: y, the price paid.
        linear: use the gradient (−x, −y), which some introductions state for the squared loss.

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
    """Linear regression of the progression of diabetes on 10 measurements of 442 patients; inputs and targets standardised.

    Formula: ŷ = x·w + b;  loss = mean (ŷ − y)²;  w = b = 0 initially;  convex

    Args:
        batch_size: patients in a minibatch; 0 means all of them.

    Metrics: r2

    Source: Efron, Hastie, Johnstone & Tibshirani, Annals of Statistics 32 (2004).
    """
    parts = standardise(standardise_targets(split(*bundled.diabetes())))
    return regression("diabetes_linear", parts, (), batch_size or None)


def breast_cancer_logistic(*, batch_size: int = 32) -> Problem:
    """Logistic regression of a tumour's diagnosis on 30 standardised measurements of 569 patients.

    Formula: p = softmax(x·W + b);  loss = mean −log p[y];  convex

    Args:
        batch_size: patients in a minibatch; 0 means all of them.

    Metrics: accuracy, f1, auc

    Source: Wisconsin diagnostic breast cancer (1995).
    """
    parts = standardise(split(*bundled.breast_cancer()))
    size = batch_size or None
    return classifier("breast_cancer_logistic", parts, (), 2, size, gain=1.0, metrics=TWO_LABELS)


def digits_softmax(*, batch_size: int = 64) -> Problem:
    """Softmax regression of 1,797 handwritten digits on their 8×8 pixels.

    Formula: p = softmax(x·W + b);  loss = mean −log p[y];  convex

    Args:
        batch_size: images in a minibatch; 0 means all of them.

    Metrics: accuracy

    Source: UCI optical recognition of handwritten digits.
    """
    return classifier("digits_softmax", split(*bundled.digits()), (), 10, batch_size or None, gain=1.0)
