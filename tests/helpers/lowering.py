"""The programs of a study, lowered for platforms that are not here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from unittest.mock import patch

import jax
from jax import export

from lrbench.engine import decompositions, device_memory, xla_program
from lrbench.engine.engine import Engine
from lrbench.study.grid import of_study
from lrbench.study.spec import read

STUDY = {"name": "lower", "steps": 2, "seeds": 1, "learning_rate": {"values": [0.01]}}


def lowered(study: Mapping[str, Any], platforms: Sequence[str], form: str = "") -> list[export.Exported]:
    """Return the training, the evaluation and the probes of a study's programs as the engine would compile them.

    Args:
        study: a table, without what `STUDY` has.
        platforms: such as `cuda`.
        form: of the problem; "" is its own.
    """
    asked = read({**STUDY, **study})
    engine = Engine(asked, of_study(asked), 1)
    found: list[export.Exported] = []

    def exported(function: Any, *arguments: Any, **_: Any) -> Any:
        found.append(export.export(jax.jit(function), platforms=platforms)(*arguments))
        return None, ()

    lanes = [engine.lanes_per_pack(program) for program in engine.grid.programs]
    with (
        patch.object(decompositions, "compile_program", exported),
        patch.object(device_memory, "needed_bytes", lambda _: 0),
    ):
        for program in engine.grid.programs:
            build = engine.programs._build(program, engine.tuner.tuning(program), lanes[program.number])
            inputs = engine.programs._inputs(program, build._replace(form=form))
            with engine.instances.precision():
                xla_program.compile_training(inputs)
                xla_program.compile_evaluation(inputs)
                xla_program.compile_probe(inputs)
    engine.close()
    return found
