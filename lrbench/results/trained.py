"""What training gave: one record of some runs, from the engine to the part file and from there to the tables.

The engine fills it, so this module imports NumPy and nothing of the other results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class Trained:
    """Runs of one pack: losses, metrics and probes at every evaluation, and how training ended.

    Args:
        pack_id: the pack.
        run_ids: the runs, as bytes.
        step: the evaluated steps, the same for every run.
        curves: name → value of each run at each evaluation, NaN once it is not finite or was stopped.
        diverged_step: first step with a non-finite loss, NaN if there was none.
        stopped_step: the step after which a race stopped the run, NaN if it was not.
        parameters: how many parameters each run's model has.
        seconds: compiling, training and evaluating, each apart.
        saved_lane_steps: steps that runs did not take because they had diverged or were stopped.
        stopped_lane_steps: those of them that races saved.
        first_hits: the step at which each run first met each rung of `study.ladder`, −1 for never; `None` if that was not kept.
    """

    pack_id: str
    run_ids: np.ndarray
    step: Int[np.ndarray, " evaluation"]
    curves: Mapping[str, Float[np.ndarray, "run evaluation"]]
    diverged_step: Float[np.ndarray, " run"]
    stopped_step: Float[np.ndarray, " run"]
    parameters: Int[np.ndarray, " run"]
    seconds: Mapping[str, float]
    saved_lane_steps: int = 0
    stopped_lane_steps: int = 0
    first_hits: Int[np.ndarray, "run rung"] | None = None

    def take(self, rows: Int[np.ndarray, " some"]) -> Trained:
        """Return some of the runs, in that order; seconds and saved steps stay those of all."""
        return replace(
            self,
            run_ids=self.run_ids[rows],
            curves={name: values[rows] for name, values in self.curves.items()},
            diverged_step=self.diverged_step[rows],
            stopped_step=self.stopped_step[rows],
            parameters=self.parameters[rows],
            first_hits=None if self.first_hits is None else self.first_hits[rows],
        )


def joined(pieces: Sequence[Trained]) -> Trained:
    """Return the runs of several records with the same steps and curves as one, under the first one's pack_id.

    Seconds and saved steps are added up.
    """
    first = pieces[0]
    if len(pieces) == 1:
        return first
    return Trained(
        first.pack_id,
        np.concatenate([piece.run_ids for piece in pieces]),
        first.step,
        {name: np.concatenate([piece.curves[name] for piece in pieces]) for name in first.curves},
        np.concatenate([piece.diverged_step for piece in pieces]),
        np.concatenate([piece.stopped_step for piece in pieces]),
        np.concatenate([piece.parameters for piece in pieces]),
        {name: sum(piece.seconds.get(name, 0.0) for piece in pieces) for name in first.seconds},
        sum(piece.saved_lane_steps for piece in pieces),
        sum(piece.stopped_lane_steps for piece in pieces),
        None if first.first_hits is None else np.concatenate([piece.first_hits for piece in pieces]),
    )
