"""What later stages of a study train: chosen once from what is trained, recorded in the results folder, and read from there ever after.

A record, `stages/<name>.json`, has the rates of each line under a key that says what they were chosen from: the runs of the line in all
stages before, and what they were judged by. So the same command chooses nothing twice; where a study was extended by further lines only
these are chosen, and where a line has got more rates or seeds it is chosen anew.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pandas as pd
from jaxtyping import Bool
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lrbench.analysis.groups import line_columns
from lrbench.analysis.line_answers import line_answers
from lrbench.analysis.objective import Objective
from lrbench.analysis.stages import confirm_rates, ranged_rates, refined_rates
from lrbench.analysis.thresholds import Thresholds
from lrbench.errors import StoreError
from lrbench.results import safe_files
from lrbench.results.building.lines import LinesSoFar, lines_so_far
from lrbench.results.folder import ResultsFolder
from lrbench.results.inventory import Inventory
from lrbench.results.places import Place
from lrbench.study.grid import Grid
from lrbench.study.learning_rates import LARGEST, SMALLEST
from lrbench.study.spec import Study
from lrbench.study.stages import CONFIRM, GRID, REFINE, Stage, Step
from lrbench.tables.comparison import undecided

FOLDER = "stages"
ALPHA = 0.0125
"""The level at which a round with `seeds = "enough"` tells lines apart: four rounds make 5 %."""
_LONGEST = 2**28
"""The most bytes of a record."""
Rate = Annotated[float, Field(ge=SMALLEST, le=LARGEST, allow_inf_nan=False)]


class _Record(BaseModel):
    """What a stage chose: the rates of each line, by a hash of what they were chosen from."""

    model_config = ConfigDict(strict=True, extra="forbid")

    lines: dict[Annotated[str, Field(pattern="^[0-9a-f]{32}$")], list[Rate]]


@dataclass(frozen=True)
class Chooser:
    """Chooses the stages of a study in a results folder; who uses it has the folder's lock.

    Args:
        store: the folder.
        study: what is studied.
        objectives: what the runs of each problem are judged by.
        problems: what the manifest says of each problem.
        thresholds: of the rules.
    """

    store: ResultsFolder
    study: Study
    objectives: Mapping[str, Objective]
    problems: Sequence[Mapping[str, Any]]
    thresholds: Thresholds

    def stage(self, step: Step, grid: Grid, parts: Inventory) -> Stage | None:
        """Return the runs of the next stage: what its record has, and for lines that it lacks what is chosen now, and recorded.

        A line whose runs are not all completed gets none; the same command, given again, goes on with it.

        Args:
            step: what is to be chosen.
            grid: the stages so far.
            parts: the parts, as far as they hold runs of the grid.

        Returns:
            `None` if no line has runs in the stage.

        Raises:
            StoreError: if the record cannot be read or written.
        """
        return self._recorded(step, grid, parts, lambda: self._choose(step, grid, parts))

    def shorter(
        self,
        steps: Sequence[tuple[float, Step]],
        grid: Grid,
        parts: Inventory,
        decaying: Sequence[bool],
    ) -> Iterator[tuple[float, Stage]]:
        """Yield the runs that are shorter, factor by factor.

        By the first factor: of each line whose schedule decays, at the best rate and at the rate to use. By all others: of lines that are also
        the best of their problem, at the rate to use.

        Args:
            steps: the factors, and what is to be chosen.
            grid, parts: as of `stage`.
            decaying: whether each schedule of the grid decays.
        """

        @functools.cache
        def answers() -> pd.DataFrame:
            with self._so_far(grid, parts) as so_far:
                return self._lines(so_far)

        for number, (factor, step) in enumerate(steps):

            def choose(first: bool = number == 0) -> dict[int, list[float]]:
                lines = answers()
                if not first:
                    trained = lines[lines["trains"]]
                    lines = trained.loc[trained.groupby("at_problem")["use_loss"].idxmin()]
                lines = lines[np.array(decaying)[lines["at_schedule"]] & lines["trains"]]
                rates = (lines[name].tolist() for name in ("best_learning_rate", "use_learning_rate"))
                found = zip(lines["at_line"].tolist(), *rates, strict=True)
                return {line: sorted({best, use}) if first else [use] for line, best, use in found}

            if stage := self._recorded(step, grid, parts, choose):
                yield factor, stage

    def _recorded(
        self, step: Step, grid: Grid, parts: Inventory, choose: Callable[[], dict[int, list[float]]]
    ) -> Stage | None:
        """Return the stage of a record; what it lacks of the completed lines is chosen now, and recorded."""
        found = _read(self.store, step.record)
        keys = self._keys(step, grid, parts.completed())
        if missing := {line: key for line, key in keys.items() if key not in found}:
            now = choose()
            found |= {key: now.get(line, []) for line, key in missing.items()}
            text = json.dumps({"lines": found}, indent=0)
            self.store.write_text(f"{FOLDER}/{step.record}.json", text + "\n")
        rates = [tuple(found[keys[line]]) if line in keys else () for line in range(grid.lines)]
        return Stage(step.stage, tuple(rates), step.seeds) if any(rates) else None

    def _lines(self, so_far: LinesSoFar) -> pd.DataFrame:
        """Return, for each line: what identifies it, its numbers, its best rate, and the rate to use with the loss there."""
        found = []
        for runs in so_far.frames():
            table = line_answers(runs, self.thresholds, self.objectives)
            rows = table["row"].to_numpy()
            first = runs.index.to_numpy()[rows]
            at = so_far.grid.positions(first)
            names = runs[line_columns(runs)].iloc[rows].reset_index(drop=True)
            numbers = {
                "at_line": so_far.grid.line(first),
                "at_problem": at["problem"],
                "at_schedule": at["schedule"],
            }
            found.append(pd.concat([names, pd.DataFrame(numbers), table], axis=1))
        return pd.concat(found, ignore_index=True)

    def _keys(self, step: Step, grid: Grid, completed: Bool[np.ndarray, " run"]) -> dict[int, str]:
        """Return a hash of what each line's rates are chosen from, by the line; lines with incomplete runs are left out."""
        runs = np.flatnonzero(grid.is_run)
        line = grid.line(runs)
        order = np.argsort(line, kind="stable")
        lines, begins = np.unique(line[order], return_index=True)
        problem = grid.positions(runs)["problem"]
        keys = {}
        for number, mine in zip(lines.tolist(), np.split(order, begins[1:]), strict=True):
            if completed[runs[mine]].all():
                name = grid.problems[problem[mine[0]]].name
                about = [step.stage, step.rates, self.objectives[name].asdict()]
                ids = np.sort(grid.run_ids[runs[mine]]).tobytes()
                keys[number] = hashlib.blake2b(ids + json.dumps(about).encode(), digest_size=16).hexdigest()
        return keys

    def _so_far(self, grid: Grid, parts: Inventory) -> AbstractContextManager[LinesSoFar]:
        """Give the runs of the stages so far."""
        return lines_so_far(self.store, grid, parts.parts(), self.thresholds, self.objectives, self.problems)

    def _choose(self, step: Step, grid: Grid, parts: Inventory) -> dict[int, list[float]]:
        """Return the rates that are chosen now for each line."""
        found: dict[int, list[float]] = {}
        with self._so_far(grid, parts) as so_far:
            if step.depends:
                return self._undecided(so_far)
            for runs in so_far.frames():
                rates = self._rates(step, runs)
                line = grid.line(runs.index.to_numpy()[rates["row"].to_numpy()])
                for number, rate in zip(line.tolist(), rates["learning_rate"].tolist(), strict=True):
                    found.setdefault(number, []).append(rate)
        return found

    def _undecided(self, so_far: LinesSoFar) -> dict[int, list[float]]:
        """Return the confirmed rates of the lines that are not told apart from the winner of their problem, and of that winner."""
        lines = self._lines(so_far)
        left = undecided(lines, so_far.line_runs, self.thresholds, self.objectives, ALPHA)
        confirmed = next(stage.rates for stage in so_far.grid.stages if stage.name == CONFIRM)
        return {number: list(confirmed[number]) for number in lines["at_line"].to_numpy()[left].tolist()}

    def _rates(self, step: Step, runs: pd.DataFrame) -> pd.DataFrame:
        """Return the rates of some lines: `row`, the position of the line's first run, and `learning_rate`."""
        if step.stage == GRID:
            return ranged_rates(runs, self.study.learning_rate.density, self.thresholds, self.objectives)
        if step.stage == REFINE:
            return refined_rates(runs, self.thresholds, self.objectives)
        return confirm_rates(runs, self.thresholds, self.objectives)


def is_chosen(place: Place, record: str) -> bool:
    """Return whether a stage has a record."""
    return place.exists(f"{FOLDER}/{record}.json")


def _read(store: ResultsFolder, name: str) -> dict[str, list[float]]:
    """Return the record of a stage; empty if there is none."""
    path = store.folder / FOLDER / f"{name}.json"
    try:
        text = safe_files.read(store.folder, f"{FOLDER}/{name}.json", _LONGEST)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        return _Record.model_validate_json(text).lines
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "it"
        raise StoreError(
            f"{path}: is damaged ({where}: {first['msg']}); put it back as lrbench wrote it, or remove it, and the stage is "
            "chosen again"
        ) from error
