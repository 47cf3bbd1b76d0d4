"""The training of the missing runs of one stage: packs are cut, a launcher executes them, and their parts reach the results folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from lrbench.execution.listener import Listener
from lrbench.execution.work import PackWork, Trainer
from lrbench.launchers import Outcome, this_process
from lrbench.results.folder import ResultsFolder
from lrbench.study import catalog
from lrbench.study.grid import Pack

if TYPE_CHECKING:
    from lrbench.engine.engine import Engine


def train(
    engine: Engine,
    store: ResultsFolder,
    launcher: str,
    lanes_per_pack: Sequence[int],
    missing: np.ndarray,
    stage: str,
    listener: Listener,
) -> list[Outcome]:
    """Execute every pack that has missing runs; return the outcome of each.

    Args:
        engine: whose grid has the runs.
        store: the results folder, to which their parts come.
        launcher: where packs are executed.
        lanes_per_pack: the most runs of a pack, of each program; 0 for one that could not be compiled.
        missing: which runs are trained.
        stage: the name of their stage; empty in a study of a single one.
        listener: receives the progress.
    """
    grid = engine.grid
    steps = np.array([grid.steps_of(number) for number in range(len(grid.problems))])
    launch: Callable[..., Generator[Outcome, None, None]] = catalog.get("launcher", launcher).load()
    # A program that could not be compiled has 0 lanes: it is one pack, which fails.
    lanes_per_pack = [
        lanes or len(program.runs) for lanes, program in zip(lanes_per_pack, grid.programs, strict=True)
    ]
    problem = grid.positions(np.flatnonzero(missing))["problem"]
    listener.begin(len(problem), int(steps[problem].sum()), stage)
    trainer = Trainer(engine, store, lanes_per_pack, listener)
    work = PackWork(
        engine.study,
        store.folder.resolve(),
        tuple(lanes_per_pack),
        engine.count,
        chosen=grid.chosen if grid.stages else None,
        tunings=tuple(engine.describe_tunings()),
        url=store.url,
        trainer=trainer,
    )
    packs: list[Pack] = list(grid.packs(lanes_per_pack, missing))
    outcomes = []
    arriving = launch(packs, work, **engine.study.launcher.get(launcher, {}))
    try:
        for outcome in arriving:
            if outcome.part:
                store.write_part_file(outcome.pack.pack_id, outcome.part)
            elif outcome.url and not outcome.error:
                store.fetch_part(outcome.pack.pack_id, outcome.url)
            # What is trained in this process has reported its progress, segment by segment.
            if outcome.process != this_process() and not outcome.error:
                program = grid.programs[outcome.pack.program]
                listener.advance(len(outcome.pack.runs), int(steps[program.problem]))
            outcomes.append(dataclasses.replace(outcome, part=b""))
            listener.check()
    finally:
        arriving.close()  # a cluster that it started ends with it
        listener.end()
    return outcomes
