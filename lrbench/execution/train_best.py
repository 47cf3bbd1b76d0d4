"""One run of some results, trained again for its weights."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from lrbench import machine
from lrbench.errors import DataError, StoreError, StudyError, path_of
from lrbench.execution.listener import Listener
from lrbench.results import atomic
from lrbench.results.choose_run import choose_run
from lrbench.results.folder import ResultsFolder
from lrbench.results.results import Results
from lrbench.results.trained import Trained
from lrbench.study import spec, study_file
from lrbench.study.choice import Choice, choose
from lrbench.study.grid import Grid, of_study
from lrbench.study.sample import Range
from lrbench.study.spec import Study

if TYPE_CHECKING:
    from lrbench.engine.pack import TrainedModel
    from lrbench.problems import Problem

_LIBRARIES = ("lrbench", "jax", "optax", "numpy")
_KINDS = ("problem", "optimizer", "schedule")


@dataclass(frozen=True)
class TrainedRun:
    """A run that was trained again, with its weights.

    Args:
        run_id: the run.
        params: its parameters, the pytree of NumPy arrays that the last evaluation is of.
        state: the state of a model that has one, such as running averages; `()` for all others.
        curve: its evaluations, a row each, as in the table of curves.
        learning_rate: its learning rate.
        difference: the largest difference between its curve and that of the table, 0 where they are the same bit for bit; infinite
            where one of them ended early; `None` with another number of steps, of which there is no table.
        about: what is written into the file of the weights: text by name.
        problem: the problem.
    """

    run_id: str
    params: Any
    state: Any
    curve: pd.DataFrame
    learning_rate: float
    difference: float | None
    about: Mapping[str, str]
    problem: Problem = field(repr=False)

    def predict(self, inputs: Any) -> np.ndarray:
        """Return what the trained model predicts.

        Args:
            inputs: an array of inputs, where the problem's data are (inputs, targets); of any other data, a batch of their form.

        Raises:
            DataError: if the problem makes no predictions.
        """
        import jax

        if self.problem.predict is None:
            raise DataError(
                f"{self.problem.name} makes no predictions: it has no `predict`, a function (parameters, batch) -> predictions; "
                "use .params"
            )
        pair = isinstance(self.problem.data.train, tuple) and len(self.problem.data.train) == 2
        batch = (inputs, None) if pair and not isinstance(inputs, tuple) else inputs
        with jax.enable_x64(self.about["precision"] == "float64"):
            return np.asarray(self.problem.predict(self.problem.join(self.params, self.state), batch))

    def summary(self) -> str:
        """Return which run it is, what it reached, and whether its curve is that of the table, as lines."""
        named = {name: self.about[name] for name in ("problem", "optimizer", "schedule", "seed", "steps")}
        which = ", ".join(f"{name} {value}" for name, value in named.items())
        final = (
            (name.removeprefix("final_"), value) for name, value in self.about.items() if name[:6] == "final_"
        )
        reached = ", ".join(f"{name} {float(value):.4g}" for name, value in final)
        lines = [f"run {self.run_id}: {which}", f"learning rate {self.learning_rate:g}: {reached}"]
        return "\n".join([*lines, *([_compared(self.difference)] if self.difference is not None else [])])

    def tensors(self) -> dict[str, np.ndarray]:
        """Return the parameters by the names that they have in the file: their path in the pytree, such as `layers/0/weight`.

        A pytree that is one array is `params`. The state of a model is under `state/`.

        Raises:
            StoreError: if two arrays have the same name.
        """
        named = [*_named(self.params, "params"), *_named(self.state, "state", "state/")]
        found: dict[str, np.ndarray] = {}
        for name, array in named:
            if name in found:
                raise StoreError(f"two arrays of the model are called {name!r}; rename one of them")
            found[name] = np.array(array, order="C")
        return found

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the weights as a safetensors file, whole or not at all, and return its path.

        It has the parameters and a model's state, not the optimizer's, and as metadata what `about` has.

        Raises:
            StoreError: if it cannot be written.
        """
        from safetensors.numpy import save_file

        tensors = self.tensors()
        return _save(path, lambda temporary: save_file(tensors, temporary, dict(self.about)))

    def save_curve(self, path: str | os.PathLike[str]) -> Path:
        """Write the curve as a CSV file, whole or not at all, and return its path.

        Raises:
            StoreError: if it cannot be written.
        """
        return _save(path, lambda temporary: self.curve.to_csv(temporary, index=False))


def _save(path: str | os.PathLike[str], fill: Callable[[Path], object]) -> Path:
    """Write a file whole or not at all, and return its path."""
    target = path_of(path)
    check_target(target)
    return atomic.write(target.parent, target.name, fill)


def check_target(path: Path) -> None:
    """Raise `StoreError` if a file of that name cannot be written, before anything is trained for it."""
    path = path_of(path)
    if path.is_dir():
        raise StoreError(f"{path}: is a folder; give the name of a file, such as {path / 'best.safetensors'}")
    with atomic.scratch(path.parent, path.name):
        pass


def train_best(
    results: Results,
    study: Study | None = None,
    problem: Any = None,
    optimizer: Any = None,
    schedule: Any = None,
    *,
    seed: int | None = None,
    steps: int | None = None,
    run: str | None = None,
    trust: bool = False,
    listener: Listener | None = None,
) -> TrainedRun:
    """Train a run of some results again and return its weights; `TrainableResults.train_best` explains the arguments.

    Args:
        results: the results.
        study: what was trained; left out, it is read from the folder.
        problem, optimizer, schedule, seed, steps, run, trust: as there.
        listener: receives the progress, and may stop it.

    Raises:
        StudyError: as there.
        KeyboardInterrupt: if training was stopped.
    """
    from lrbench.engine.engine import Engine  # the first import of JAX

    listener = listener or Listener()
    given = {"problem": problem, "optimizer": optimizer, "schedule": schedule}
    own = {kind: thing for kind, thing in given.items() if thing is not None and not isinstance(thing, str)}
    study = study or _study_of(results.folder, own, trust)
    names = {
        kind: _own_name(kind, thing) if kind in own else thing
        for kind, thing in given.items()
        if thing is not None
    }
    row = choose_run(results, **names, seed=seed, run=run)
    work = _same_run(results, study, row)
    if steps is not None and steps != work.grid.steps_of(work.at("problem")):
        study, work = _other_steps(study, work, steps)
    engine = Engine(study, work.grid, _devices(results), listener.warn, tunings=work.tunings, measures=False)
    listener.begin(1, work.grid.steps_of(work.at("problem")), "")
    listener.compiling(engine.name(engine.program_of(work.number)))
    try:
        found = engine.train_one(work.number, work.lanes_per_pack, listener.advance, listener.stopping)
    finally:
        listener.end()
        engine.close()
    return _trained_run(work, found, engine.problems[work.at("problem")])


class _Work(NamedTuple):
    """What is trained: one run of a grid, with the program of its pack.

    Args:
        grid: the runs.
        number: the run's number among them.
        lanes_per_pack: the most runs of a pack of its program.
        tunings: how programs were compiled.
        before: what its training found before; `None` if it was not trained.
    """

    grid: Grid
    number: int
    lanes_per_pack: int
    tunings: Sequence[Mapping[str, Any]]
    before: Trained | None

    def at(self, axis: str) -> int:
        """Return the run's position on an axis of the grid."""
        return int(self.grid.positions(np.array([self.number]))[axis][0])


def _study_of(folder: Path, own: Mapping[str, Any], trust: bool) -> Study:
    """Return the study of a results folder, with the objects that are passed again from Python."""
    table, place = study_file.load(folder / "study.toml")
    table.pop("launcher", None)
    for kind, thing in own.items():
        name = f"python:{_own_name(kind, thing)}"
        items = [item for item in table[kind] if item["name"] == name]
        if not items:
            raise StudyError(
                f"{kind}: these results have none that was passed from Python as {name.partition(':')[2]}"
            )
        items[0]["name"] = thing["name"] if isinstance(thing, Mapping) else thing
    for kind in _KINDS:
        for item in table[kind]:
            name = item["name"]
            if isinstance(name, str) and name.startswith("python:"):
                raise StudyError(
                    f"{kind} {name.partition(':')[2]} was passed from Python, and its object is not in the folder; pass it again: "
                    f"results.train_best({kind}=...)"
                )
    return spec.check(table, str(folder / "study.toml"), trust=trust, folder=place)


def _own_name(kind: str, thing: Any) -> str:
    """Return the name in tables of an object that was passed from Python."""
    return choose(kind, thing, kind, {"trust": True, "folder": Path()}).entry.name


def _same_run(results: Results, study: Study, row: pd.Series) -> _Work:
    """Return the work of training a run exactly as it was trained."""
    manifest, store = results.manifest, ResultsFolder(results.folder)
    grid = replace(of_study(study), **Grid.from_dict(manifest["grid"]).chosen._asdict())
    numbers = np.flatnonzero(grid.run_ids == str(row["run_id"]).encode())
    if not len(numbers):
        raise StudyError(
            f"{results.folder}: the code or the data of {row['problem']}, {row['optimizer']} or {row['schedule']} have changed since "
            "the run was trained; put them back, or train the study again into another folder"
        )
    number = int(numbers[0])
    parts = store.inventory(grid.run_ids, stopped=True).parts()
    part = next((each for each in parts if number in each.numbers), None)
    if part is None:
        raise StoreError(
            f"{results.folder}: the part of run {row['run_id']} is missing; `lrbench run` with its study trains it again"
        )
    before = store.read_part(part).take(np.flatnonzero(part.numbers == number))
    program = next(each.number for each in grid.programs if number in each.runs)
    return _Work(grid, number, manifest["lanes_per_pack"][program], manifest.get("tunings", ()), before)


def _other_steps(study: Study, work: _Work, steps: int) -> tuple[Study, _Work]:
    """Return the study of the same run with another number of steps, and the work of training it."""
    rates = work.grid.rates(np.array([work.number]))
    table = {
        **{
            name: getattr(study, name) for name in ("name", *_KINDS, "precision", "objective", "at", "probes")
        },
        "optimizer": _at_its_point(study, work),
        "deterministic": study.deterministic,
        "lanes_per_chunk": study.lanes_per_chunk,
        "steps": steps,
        "evaluate_every": max(1, min(work.grid.every_of(work.at("problem")), steps)),
        "seeds": [int(work.grid.seeds[work.at("seed")])],
        "learning_rate": {"values": [float(rates.pop("")[0])]}
        | {name: {"values": [float(rate[0])]} for name, rate in rates.items()},
    }
    other = spec.check(table, f"steps = {steps}", trust=True)
    grid = of_study(other)
    number = sum(work.at(kind) * grid.stride(kind) for kind in _KINDS)
    return other, _Work(grid, number, work.lanes_per_pack, work.tunings, None)


def _at_its_point(study: Study, work: _Work) -> list[Choice]:
    """Return the optimizers of a study, with the values of the run in place of what they sample; those that it does not have take one of theirs."""
    own = work.grid.optimizers[work.at("optimizer")].choice

    def value(name: str, sampled: Range, is_own: bool) -> float:
        number = work.grid.numbers(name, np.array([work.number]))[0]
        return float(number) if is_own else sampled.at(np.zeros(1))[0]

    return [
        replace(
            choice,
            axes={**choice.axes, **{n: (value(n, each, i == own),) for n, each in choice.ranges.items()}},
        )
        for i, choice in enumerate(study.optimizer)
    ]


def _devices(results: Results) -> int | None:
    """Return how many devices the study was trained on, where this machine has so many cores; `None` is all there are."""
    found = results.manifest.get("devices", [])
    cpus = bool(found) and all(each["platform"] == "cpu" for each in found)
    return len(found) if cpus and len(found) <= machine.cores() else None


def _trained_run(work: _Work, found: TrainedModel, problem: Problem) -> TrainedRun:
    """Return what was trained, as a person takes it home."""
    trained, grid = found.trained, work.grid
    identity = {name: values[0] for name, values in grid.columns(np.array([work.number])).items()}
    rate = float(identity["learning_rate"])
    values = {name: each[0].astype(np.float64) for name, each in trained.curves.items()}
    curve = pd.DataFrame({"run_id": identity["run_id"], "step": trained.step, **values})
    scores = {f"final_{name}": curve[name].iloc[-1] for name in problem.curves}
    about = {
        "run_id": str(identity["run_id"]),
        "study": grid.name,
        **{kind: grid.variants[kind][work.at(kind)].label for kind in _KINDS},
        **{name: repr(float(value)) for name, value in identity.items() if name.startswith("learning_rate")},
        "seed": str(identity["seed"]),
        "steps": str(identity["steps"]),
        "precision": grid.precision,
        **{name: repr(float(value)) for name, value in scores.items()},
        **{f"{name}_version": str(machine.version(name)) for name in _LIBRARIES},
    }
    difference = None if work.before is None else _difference(trained, work.before)
    return TrainedRun(
        str(identity["run_id"]), found.params, found.state, curve, rate, difference, about, problem
    )


def _difference(now: Trained, before: Trained) -> float:
    """Return the largest difference between the curves of a run, infinite where one is finite and the other is not."""
    largest = 0.0
    for name, values in before.curves.items():
        own = now.curves[name].astype(np.float64)
        if not np.array_equal(own, values, equal_nan=True):
            apart = np.abs(own - values)
            apart = np.where(np.isnan(own) & np.isnan(values), 0.0, apart)
            largest = max(largest, float(np.where(np.isnan(apart), np.inf, apart).max()))
    return largest


def _compared(difference: float) -> str:
    if not difference:
        return "its curve is that of the table, bit for bit"
    if np.isinf(difference):
        return "its curve is not that of the table: one of them ended early"
    return f"its curve differs from that of the table by up to {difference:.2g}"


def _named(tree: Any, alone: str, above: str = "") -> list[tuple[str, Any]]:
    """Return the arrays of a pytree with their names; `alone` is that of a pytree that is one array."""
    import jax

    found = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [
        (above + jax.tree_util.keystr(path, simple=True, separator="/") if path else alone, leaf)
        for path, leaf in found
    ]
