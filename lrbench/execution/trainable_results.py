"""Results whose runs can be trained again, to keep the weights; what opens a folder for a person, or comes from a study, is such."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lrbench.results import results
from lrbench.results.places import local_path
from lrbench.results.remote_folder import read_copy
from lrbench.results.results import Results
from lrbench.study.spec import Study

if TYPE_CHECKING:
    from lrbench.execution.train_best import TrainedRun


@dataclass(frozen=True, repr=False)
class TrainableResults(Results):
    """A results folder, its tables, and `train_best`, which trains a run again and gives back its weights.

    Args:
        folder: the results folder.
        study: what was trained, where this process has trained it, with the objects that were passed from Python.
        url: of what the folder is a copy of, without its parts; empty if it is none.
    """

    study: Study | None = field(default=None, compare=False, repr=False)
    url: str = field(default="", compare=False, repr=False)

    def train_best(
        self,
        problem: Any = None,
        optimizer: Any = None,
        schedule: Any = None,
        *,
        seed: int | None = None,
        steps: int | None = None,
        run: str | None = None,
        trust: bool = False,
    ) -> TrainedRun:
        """Train the recommended run again, and return its weights.

        The run is one at the rate to use of the best line that fits what is named. It is trained by the program that trained it among others,
        so that its curve is that of the table, bit for bit, on a machine of the same kind; `difference` of what is returned
        says whether it is.

        Args:
            problem, optimizer, schedule: names or labels, as `best()` has them. Of results that were loaded from a folder, what was passed
                from Python as an object is passed again.
            seed: of the run; left out, the one with the median loss at the rate to use.
            steps: another number of steps; the schedule keeps its shape over them.
            run: the run_id of any run, in place of all of these.
            trust: whether code that the study names (`file.py:function`) may run.

        Raises:
            StudyError: if no run fits, the run has no weights, or its code, its data or lrbench have changed since.

        >>> import lrbench as lb
        >>> results = lb.sweep("quadratic", optimizers="sgd", learning_rates=[0.1, 1.0], seeds=1, steps=20)
        >>> trained = results.train_best()
        >>> trained.learning_rate, trained.difference
        (1.0, 0.0)
        """
        from lrbench.execution.train_best import train_best

        if self.url:
            read_copy(self.url, parts=True)
        named = {"problem": problem, "optimizer": optimizer, "schedule": schedule}
        return train_best(self, self.study, **named, seed=seed, steps=steps, run=run, trust=trust)


def load(folder: str | os.PathLike[str]) -> TrainableResults:
    """Open a results folder, or a copy of one that is at a URL, as it is now.

    Every table of up to 1 GiB is compared with the sum that the manifest has of it; larger ones are when they are read.

    Raises:
        StoreError: if it is none, or one of a newer lrbench, or a table is not what was written.
    """
    url = "" if local_path(folder) is not None else os.fspath(folder)
    return results.checked(TrainableResults(read_copy(folder), url=url))
