"""Programs are lowered for GPUs where there is none: what they compute can be said in the operations of that platform."""

from __future__ import annotations

from typing import Any

import jax
import pytest
from jax import export

from lrbench.engine import decompositions
from lrbench.engine.engine import Engine
from lrbench.study.grid import of_study
from lrbench.study.spec import read


@pytest.mark.parametrize(
    "study",
    [
        {"problem": "digits_mlp", "optimizer": "adam"},
        {"problem": "digits_cnn", "optimizer": "muon", "schedule": "reduce_on_plateau"},
        {"problem": "digits_softmax", "optimizer": "sgd", "probes": ["gradient_norm", "sharpness"]},
    ],
    ids=lambda study: study["problem"],
)
def test_every_program_of_a_study_can_be_lowered_for_cuda(
    study: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Training, evaluation and the probes of the step, as the engine asks for them."""
    compile_program = decompositions.compile_program
    lowered: list[export.Exported] = []

    def noted(function: Any, *arguments: Any, **options: Any) -> Any:
        lowered.append(export.export(jax.jit(function), platforms=["cuda"])(*arguments))
        return compile_program(function, *arguments, **options)

    monkeypatch.setattr(decompositions, "compile_program", noted)
    asked = read({"name": "lower", "steps": 2, "seeds": 1, "learning_rate": {"values": [0.01]}, **study})
    grid = of_study(asked)
    engine = Engine(asked, grid)
    packs = grid.packs([engine.lanes_per_pack(program) for program in grid.programs])
    engine.run(next(iter(packs)), engine.lanes_per_pack(grid.programs[0]))
    assert len(lowered) >= 2
    assert all(each.platforms == ("cuda",) for each in lowered)
