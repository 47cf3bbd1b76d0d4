"""A study: the requested grid, read from TOML, a dict or Python objects, and checked key by key."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from datetime import date, time
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from lrbench.errors import LrbenchError, StudyError
from lrbench.study import catalog, sample, study_file
from lrbench.study.choice import Choice, choose, ranges_of
from lrbench.study.learning_rates import LARGEST, LONGEST_AXIS, MOST_RUNS, SMALLEST, LearningRates, Whole
from lrbench.study.overrides import assign, launchers, remove, shorten
from lrbench.study.safe_toml import DEEPEST
from lrbench.study.sample import MOST_POINTS
from lrbench.study.signature import whole
from lrbench.study.stages import FRESH, ROUNDS, Step, shorter, steps

MOST_EVALUATIONS = 1_000_000
"""The most evaluations of one run; each adds a value to every curve."""
MOST_STEPS = 100_000_000
"""The most steps of a run."""
MOST_LANES = 65_536
"""The most lanes of a chunk."""
MOST_SEEDS = 40
"""The most fresh seeds with `seeds = "enough"`, unless the study says how many."""
ENOUGH = 3
"""The seeds of the grid with `seeds = "enough"`."""
MOST_VARIANTS = 100_000
"""The most variants of problems, of optimizers or of schedules, not counting rates and seeds."""

LOSSES = ("auto", "valid_loss", "train_loss")
"""The objectives that are losses; `auto` is the validation loss of a problem that has one, and the training loss of any other."""
_LEAST, _LARGEST = -(2**63), 2**63 - 1
_NOT_TEXT = re.compile("[\0\ud800-\udfff]")
_LISTED = "docs/study-file.md explains"
_KEYWORD = re.compile("[a-z]*")
"""What a launcher accepts in place of an address: `auto`, `local`, `returned`, ..."""


def _choices(value: Any, info: ValidationInfo) -> tuple[Choice, ...]:
    """Read one choice or a list of them; a choice is a name, a table with a name, or a Python object."""
    is_list = type(value) in (list, tuple)  # a transformation of optax is a named tuple
    items = value if is_list else [value]
    if not items:
        raise ValueError(f"is empty; give at least one [[{info.field_name}]]")
    context = info.context or {}
    found = []
    for index, item in enumerate(items):
        where = f"{info.field_name}.{index}" if is_list else str(info.field_name)
        found.append(choose(str(info.field_name), item, where, context))
    return tuple(found)


Choices = Annotated[tuple[Choice, ...], BeforeValidator(_choices)]


def _seeds(value: Any) -> Any:
    value = whole(value)
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise ValueError(f"= {value}: a count of seeds must be 1 or more; or give a list of seeds")
        return tuple(range(_checked_count(value)))
    if isinstance(value, list | tuple):
        _checked_count(len(value))
    return value


def _launchers(value: Any, info: ValidationInfo) -> Any:
    """Check the tables of launchers, such as `[launcher.ray]`, against the launchers' parameters.

    lrbench would connect to an address or URL in a study file, so it requires trust, or the same on the command line.
    """
    if not isinstance(value, Mapping) or not all(isinstance(table, Mapping) for table in value.values()):
        raise ValueError(f"= {value!r}: must be tables of launchers, such as [launcher.ray]")
    context = info.context or {}
    commanded = context.get("commanded")
    found = {}
    for name, table in value.items():
        entry = catalog.get("launcher", name)
        found[name] = entry.check(table, f"launcher.{name}.")
        if commanded is None or context.get("trust"):
            continue
        for key, given in found[name].items():
            address = entry.parameters[key].annotation == "Address" and not _KEYWORD.fullmatch(given)
            if address and given != commanded.get(name, {}).get(key):
                raise StudyError(
                    f"launcher.{name}.{key} = {given!r}: is an address to connect to; allow it with --trust if you trust it, "
                    f"or give it by --set launcher.{name}.{key}=..."
                )
    return found


def _checked_count(seeds: int) -> int:
    if seeds > LONGEST_AXIS:
        raise ValueError(f"= {seeds:,}: at most {LONGEST_AXIS:,} seeds are allowed")
    return seeds


def _objective(value: str) -> str:
    if value in LOSSES or (value.startswith("valid_") and value.isprintable() and len(value) <= 100):
        return value
    raise ValueError(
        f"= {value!r}: must be {', '.join(LOSSES)}, or the metric of a problem as its column is called, such as valid_accuracy"
    )


class Study(BaseModel):
    """Everything a study requests; the descriptions of the fields explain the keys of a study file."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    name: str = Field(
        pattern=r"^[a-z0-9_-]{1,64}$", description="letters, digits, _ and -; also the results folder"
    )
    steps: Whole = Field(ge=1, le=MOST_STEPS, strict=True, description="optimizer steps of every run")
    evaluate_every: Whole = Field(0, ge=0, strict=True, description="steps between two evaluations")
    seeds: Annotated[
        Literal["enough"] | tuple[Annotated[int, Field(ge=0, lt=FRESH, strict=True)], ...],
        BeforeValidator(_seeds),
    ] = Field((0, 1, 2), validate_default=True, description="a count, a list, or enough")
    most_seeds: Whole = Field(
        MOST_SEEDS,
        ge=ROUNDS[0],
        le=LONGEST_AXIS,
        strict=True,
        description='the most fresh seeds with seeds = "enough"',
    )
    confirm: Whole = Field(
        0,
        ge=0,
        le=LONGEST_AXIS,
        strict=True,
        description="fresh seeds on which the best rates of each line are confirmed",
    )
    shorter: bool = Field(
        True,
        strict=True,
        description="whether confirm trains decaying schedules in fewer steps, too, for the band by pace",
    )
    refine: Whole = Field(
        0,
        ge=0,
        le=20,
        strict=True,
        description="how often the steps of the grid are halved near the best rate and the collapse",
    )
    sample: int | None = Field(None, ge=2, le=MOST_POINTS, strict=True, description="points of a sample")
    budget: Literal["steps", "epochs"] = Field(
        "steps", description="what runs of different batch sizes have in common"
    )
    problem: Choices
    optimizer: Choices
    schedule: Choices = Field(default="constant", validate_default=True)
    learning_rate: LearningRates = Field(default="auto", validate_default=True)
    precision: Literal["float32", "float64"] = "float32"
    objective: Annotated[str, AfterValidator(_objective)] = Field(
        "auto",
        description="the loss or metric that runs are judged by; auto is the validation loss where there is one",
    )
    at: Literal["end", "best"] = Field(
        "end", description="whether runs are judged at their end or at their best evaluation"
    )
    target: float | None = Field(
        None, allow_inf_nan=False, description="the loss at which steps_to_target stops counting"
    )
    probes: tuple[str, ...] = Field(("gradient_norm", "update_norm", "parameter_norm"))
    first_hits: bool = Field(
        False, strict=True, description="keep the step at which each run first meets each of 200 losses"
    )
    race: bool = Field(False, strict=True, description="stop runs early that cannot become good any more")
    deterministic: bool = Field(
        False, strict=True, description="the same tables on any number of devices, and from every launcher"
    )
    checkpoint_every: float = Field(
        300, ge=0, allow_inf_nan=False, strict=True, description="seconds of training between two checkpoints"
    )
    lanes_per_chunk: Whole | None = Field(
        None, ge=1, le=MOST_LANES, strict=True, description="overrides the measured choice"
    )
    launcher: Annotated[dict[str, dict[str, Any]], BeforeValidator(_launchers)] = Field(
        default_factory=dict, description="parameters of launchers; not part of a run's identity"
    )

    _where: str = PrivateAttr("")

    @model_validator(mode="before")
    @classmethod
    def _evaluations(cls, values: Any) -> Any:
        if isinstance(values, dict) and "evaluate_every" not in values:
            steps = whole(values.get("steps"))
            if isinstance(steps, int):
                return values | {"evaluate_every": max(1, steps // 20)}
        return values

    @model_validator(mode="after")
    def _consistent(self) -> Study:
        if not 1 <= self.evaluate_every <= self.steps:
            raise ValueError(
                f"evaluate_every = {self.evaluate_every}: must be from 1 to steps = {self.steps}"
            )
        if self.steps > self.evaluate_every * MOST_EVALUATIONS:
            raise ValueError(
                f"evaluate_every = {self.evaluate_every}: must be {-(-self.steps // MOST_EVALUATIONS)} or more, because a run "
                f"of {self.steps:,} steps has at most {MOST_EVALUATIONS:,} evaluations"
            )
        if self.race and self.objective not in LOSSES:
            raise ValueError(
                f"race = true: stops runs by their loss, and objective = {self.objective!r} is none; set race = false"
            )
        if not self.grid_seeds:
            raise ValueError("seeds = []: give a count, or a list of at least one seed")
        if len(set(self.grid_seeds)) < len(self.grid_seeds):
            raise ValueError(f"seeds = {list(self.grid_seeds)}: a seed is listed twice")
        for probe in self.probes:
            if probe not in catalog.names("probe"):
                raise ValueError(f"probes: {catalog.unknown('probe', probe, catalog.names('probe'))}")
            if self.probes.count(probe) > 1:
                raise ValueError(f"probes: {probe} is listed twice")
        sample.check(self.sample, self.learning_rate, ranges_of(self.optimizer), self.refine)
        for kind in ("problem", "optimizer", "schedule"):
            if (variants := sum(choice.size for choice in getattr(self, kind))) > MOST_VARIANTS:
                raise ValueError(f"{kind}: has {variants:,} variants; at most {MOST_VARIANTS:,} are allowed")
        if self.runs > MOST_RUNS:
            has = "study has up to" if self.stages() else "grid has"
            raise ValueError(f"the {has} {self.runs:,} runs; at most {MOST_RUNS:,} are allowed in one study")
        return self

    @property
    def grid_seeds(self) -> tuple[int, ...]:
        """The seeds of the grid."""
        return tuple(range(ENOUGH)) if self.seeds == "enough" else self.seeds

    def stages(self) -> list[Step]:
        """Return what the study chooses from what is trained, in that order."""
        enough = self.seeds == "enough"
        return list(
            steps(
                seeds=self.grid_seeds,
                refine=self.refine,
                confirm=self._fresh,
                most_seeds=self.most_seeds if enough else None,
                per_decade=self.learning_rate.density if self.learning_rate.auto else None,
            )
        )

    def shorter_steps(self) -> list[tuple[float, Step]]:
        """Return by how much runs are shorter that are trained at last, of lines whose schedule decays, and the choice of them."""
        return shorter(self._fresh) if self.shorter else []

    @property
    def _fresh(self) -> int:
        """The fresh seeds of every line that trains."""
        return max(self.confirm, ROUNDS[0]) if self.seeds == "enough" else self.confirm

    @property
    def where(self) -> str:
        """The origin that messages begin with: its file, the name of a built-in study, or its own name."""
        return self._where or self.name

    @property
    def lines(self) -> int:
        """The number of combinations of everything but rate and seed."""
        parts = (self.problem, self.optimizer, self.schedule)
        variants = math.prod(sum(choice.size for choice in choices) for choices in parts)
        return variants * math.prod(axis.count for axis in self.learning_rate.named.values())

    @property
    def runs(self) -> int:
        """The most runs of all stages."""
        seeds = 1 if self.learning_rate.auto else len(self.grid_seeds)
        chosen = sum(step.rates * len(step.seeds) for step in self.stages())
        return self.lines * (self.rates * seeds + chosen)

    @property
    def rates(self) -> int:
        """How many rates each line begins with."""
        return self.sample or self.learning_rate.count

    def table(self, folder: Path) -> dict[str, Any]:
        """Return the study as plain data, as a study file in that folder would write it."""
        omitted = {"problem", "optimizer", "schedule"} | (set() if self.launcher else {"launcher"})
        plain = self.model_dump(exclude=omitted, exclude_none=True)
        for kind in ("problem", "optimizer", "schedule"):
            plain[kind] = [choice.table(folder) for choice in getattr(self, kind)]
        plain["learning_rate"] = plain["learning_rate"] or "auto"
        return plain


def read(
    study: str | os.PathLike[str] | Mapping[str, Any],
    overrides: Sequence[str] = (),
    *,
    unset: Sequence[str] = (),
    trust: bool = False,
) -> Study:
    """Read and check a study: a file, the name of a built-in one or of a problem, or a dict.

    Args:
        study: path, name, or the same as a mapping (values may be Python objects).
        overrides: strings `key=value` that set a key, such as `learning_rate.num=32`.
        unset: keys that are taken away before others are set, such as `learning_rate.num`.
        trust: whether code that the study names (`file.py:function`) may be run.

    Raises:
        StudyError: with one line that names file, key, value and what is allowed.
    """
    if isinstance(study, Mapping):
        return check(dict(study), "study", trust=trust)
    table, folder = study_file.load(study)
    remove(table, unset)
    for text in overrides:
        assign(table, text)
    shorten(table, overrides)
    checked = check(table, str(study), trust=trust, folder=folder, commanded=launchers(overrides))
    checked._where = str(study)
    return checked


def check(
    table: dict[str, Any],
    where: str,
    *,
    trust: bool,
    folder: Path | None = None,
    commanded: Mapping[str, Any] | None = None,
) -> Study:
    """Return the study that a table describes, or raise `StudyError` with one line.

    Args:
        table: the study as plain data.
        where: what messages begin with.
        trust: whether code that it names may run, and addresses in it may be connected to.
        folder: the folder that its paths are relative to; by default the working folder.
        commanded: the tables of launchers from the command line; by default, as in a call from Python, every table is trusted.
    """
    try:
        _check_plain(table)
        return Study.model_validate(
            table, context={"trust": trust, "folder": folder or Path(), "commanded": commanded}
        )
    except ValidationError as error:
        raise StudyError(f"{where}: {_sentence(error)}") from error
    except LrbenchError as error:
        raise StudyError(f"{where}: {error}") from error


def _check_plain(table: Mapping[str, Any]) -> None:
    """Refuse nesting, numbers and strings that a study file cannot express."""
    pending: list[tuple[str, Any, int]] = [("", table, 0)]
    while pending:
        where, value, depth = pending.pop()
        if depth > DEEPEST:
            raise StudyError(f"{where}: tables and lists are nested more than {DEEPEST} deep")
        if isinstance(value, Mapping):
            pending += [(f"{where}.{key}".lstrip("."), [item], depth) for key, item in value.items()]
            pending.append((where, [str(key) for key in value], depth))
            continue
        for item in value:
            if isinstance(item, int):
                if not _LEAST <= item <= _LARGEST:
                    raise StudyError(
                        f"{where}: a whole number has {item.bit_length()} bits; at most 64 are allowed"
                    )
            elif isinstance(item, str):
                if _NOT_TEXT.search(item):
                    raise StudyError(f"{where} {item!r}: contains a character that is not text")
            elif isinstance(item, Mapping | list | tuple):
                pending.append((where, item, depth + 1))
            elif isinstance(item, date | time) or (item is None and depth):
                raise StudyError(
                    f"{where} = {item!r}: must be a number, a string, true or false, a list or a table"
                )


def _sentence(error: ValidationError) -> str:
    """Return the first error of pydantic as one line: key, value, what is allowed, nearest name."""
    first = error.errors()[0]
    # Of what is a text or a list, pydantic names which it was taken for, too.
    place = first["loc"][:1] if first["loc"][:1] == ("seeds",) else first["loc"]
    key = ".".join(str(part) for part in place)
    given = first.get("input")
    if first["type"] == "extra_forbidden":
        model: type[BaseModel] = LearningRates if first["loc"][0] == "learning_rate" else Study
        unknown = catalog.unknown("key", str(first["loc"][-1]), list(model.model_fields), _LISTED)
        return f"{key} = {given!r}: {unknown}"
    if first["type"] == "model_type" and first["loc"][0] == "learning_rate" and len(first["loc"]) == 2:
        unknown = catalog.unknown("key", str(first["loc"][1]), list(LearningRates.model_fields))
        return f"{key} = {given!r}: {unknown}; or a table, which is a rate of that name"
    if first["type"] == "missing":
        return f"{key}: missing; a study requires it"
    if first["type"] == "value_error":
        said = first["msg"].removeprefix("Value error, ")
        return f"{key} {said}" if said.startswith("=") else f"{key}: {said}" if key else said
    if first["loc"][0] == "learning_rate" and {"min", "max", "values"} & set(first["loc"]):
        return f"{key} = {given!r}: must be a number from {SMALLEST:g} to {LARGEST:g}"
    wanted = {
        "seeds": 'must be a count, a list of whole numbers below 2**30, or "enough"',
        "sample": f"must be a whole number from 2 to {MOST_POINTS:,}",
        "name": "must be 1 to 64 of a-z, 0-9, _ and -",
        "learning_rate": "must be auto, or a table with min, max and num, or with values",
    }.get(key)
    message = wanted or first["msg"].replace("Input should be", "must be").replace("valid tuple", "list")
    return f"{key} = {given!r}: {message}"
