"""Programs are lowered for GPUs and TPUs where there are none: what they compute can be said in the operations of those platforms."""

from __future__ import annotations

from typing import Any

import pytest

from lrbench.nets import convolutions
from lrbench.study import catalog
from tests.helpers.lowering import lowered
from tests.lowering import PLATFORMS, PROBLEMS, study_of


@pytest.mark.slow
@pytest.mark.parametrize(
    "study",
    [
        {"problem": "digits_mlp", "optimizer": "adam"},
        {"problem": "digits_softmax", "optimizer": "sgd", "probes": ["gradient_norm", "sharpness"]},
    ],
    ids=lambda study: study["problem"],
)
def test_a_study_is_lowered_with_products_of_its_precision(study: dict[str, Any]) -> None:
    """Float32 means float32: the default of JAX is TF32 on a GPU and bfloat16 on a TPU."""
    found = lowered(study, ["cuda"])
    assert len(found) >= 2
    products = [
        line for each in found for line in each.mlir_module().splitlines() if "stablehlo.dot_general" in line
    ]
    assert products
    assert all("precision = [HIGHEST, HIGHEST]" in line for line in products)


@pytest.mark.slow
@pytest.mark.parametrize("problem", ["digits_mlp", "quadratic"])
@pytest.mark.parametrize("optimizer", catalog.names("optimizer"))
def test_every_optimizer_is_lowered_for_every_platform(optimizer: str, problem: str) -> None:
    found = lowered(study_of(problem, optimizer), PLATFORMS)
    assert all(each.platforms == PLATFORMS for each in found)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adam", "muon"])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_every_problem_is_lowered_for_every_platform(problem: str, optimizer: str) -> None:
    found = lowered(study_of(problem, optimizer), PLATFORMS)
    assert all(each.platforms == PLATFORMS for each in found)


@pytest.mark.slow
@pytest.mark.parametrize("form", list(convolutions.FORMS))
def test_every_form_of_a_convolution_is_lowered_for_every_platform(form: str) -> None:
    found = lowered({"problem": "mnist_cnn", "optimizer": "adam"}, PLATFORMS, form)
    assert all(each.platforms == PLATFORMS for each in found)
