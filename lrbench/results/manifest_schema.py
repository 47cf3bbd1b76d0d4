"""What manifest.json may hold: a schema that it is checked against when it is read, whoever wrote it.

Every key may be missing, as in a folder that was only begun; one that is present has the type that is expected later. Unknown
keys, of a later lrbench with the same schema, are left as they are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence, Sized
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from lrbench.errors import StoreError
from lrbench.study.learning_rates import LARGEST as LARGEST_RATE
from lrbench.study.learning_rates import LONGEST_AXIS, MOST_RUNS, RATE_NAME, SMALLEST
from lrbench.study.sample import MOST_POINTS
from lrbench.study.spec import MOST_EVALUATIONS, MOST_LANES, MOST_STEPS, MOST_VARIANTS

SCHEMA_VERSION = 2
LARGEST = 2**28
"""The most bytes of a manifest: with axes of a million rates and a million seeds it has 50 million."""
DEEPEST = 100
"""The most levels of lists and tables in it."""
_LARGEST_NUMBER = 2**63 - 1


def _one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be one line of printable characters")
    return text


def _distinct(values: list[Any]) -> list[Any]:
    if len(set(values)) < len(values):
        raise ValueError("lists a value twice")
    return values


Text = Annotated[str, Field(max_length=100_000), AfterValidator(_one_line)]
Name = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_one_line)]
StudyName = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,64}$")]
Digits = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=_LARGEST_NUMBER)]
Rate = Annotated[float, Field(ge=SMALLEST, le=LARGEST_RATE, allow_inf_nan=False)]
Rates = Annotated[list[Rate], Field(min_length=1, max_length=LONGEST_AXIS), AfterValidator(_distinct)]
Seed = Annotated[int, Field(ge=0, le=2**31 - 1)]
Points = Annotated[list[Finite], Field(max_length=MOST_POINTS)]
Curve = Annotated[str, Field(pattern=r"^(train_loss|valid_.+)$", max_length=1000), AfterValidator(_one_line)]


class _Schema(BaseModel):
    """Types are those of JSON, and none is converted into another."""

    model_config = ConfigDict(strict=True, extra="allow")


class VariantSchema(_Schema):
    """One problem, optimizer or schedule of a grid, with every parameter."""

    name: Name
    params: dict[Name, Any]
    shown: list[Name] = []
    numeric: list[Name] = []
    source: Text = ""
    choice: Count = 0
    files: dict[Name, Text] = {}
    off: list[Name] = []
    revision: Annotated[int, Field(ge=1, le=10**6)] = 1
    sampled: dict[Name, Points] = {}

    @model_validator(mode="after")
    def _consistent(self) -> VariantSchema:
        if missing := set(self.files) - set(self.params):
            raise ValueError(f"files names {sorted(missing)}, which are no parameters")
        if missing := set(self.sampled) - set(self.numeric):
            raise ValueError(f"sampled names {sorted(missing)}, which are no numbers of it")
        parts = self.params.get("parts", [])
        if isinstance(parts, list) and not all(isinstance(part, str | dict) for part in parts):
            raise ValueError("params.parts must be names and tables")
        return self


Variants = Annotated[list[VariantSchema], Field(min_length=1, max_length=MOST_VARIANTS)]


class StageSchema(_Schema):
    """The runs of one stage: of each line some rates, or the same rates of all lines."""

    name: Literal["grid", "refine", "confirm", "range", "shorter"]
    rates: Annotated[list[list[Rate]], Field(min_length=1, max_length=MOST_RUNS)]
    seeds: Annotated[list[Seed], Field(min_length=1, max_length=LONGEST_AXIS), AfterValidator(_distinct)]


class GridSchema(_Schema):
    """Every run of a study."""

    name: StudyName
    problems: Variants
    optimizers: Variants
    schedules: Variants
    learning_rates: Rates
    seeds: Annotated[list[Seed], Field(min_length=1, max_length=LONGEST_AXIS), AfterValidator(_distinct)]
    steps: Annotated[int, Field(ge=1, le=100_000_000)]
    evaluate_every: Annotated[int, Field(ge=1)]
    precision: Literal["float32", "float64"]
    named_rates: dict[Annotated[str, Field(pattern=f"^{RATE_NAME}$")], Rates] = {}
    race: bool = False
    stages: Annotated[list[StageSchema], Field(max_length=100)] = []
    lengths: list[
        Annotated[list[Annotated[int, Field(ge=1, le=MOST_STEPS)]], Field(min_length=2, max_length=2)]
    ] = []
    points: Annotated[list[Rate], Field(max_length=MOST_POINTS), AfterValidator(_distinct)] = []
    sampled_rates: dict[Name, Points] = {}

    @model_validator(mode="after")
    def _consistent(self) -> GridSchema:
        if self.evaluate_every > self.steps or self.steps > self.evaluate_every * MOST_EVALUATIONS:
            raise ValueError(f"evaluate_every = {self.evaluate_every} does not fit steps = {self.steps}")
        kinds = (self.problems, self.optimizers, self.schedules)
        axes: list[Sized] = [*kinds, self.learning_rates, *self.named_rates.values(), self.seeds]
        if (runs := math.prod(len(axis) for axis in axes)) > MOST_RUNS:
            raise ValueError(f"has {runs:,} runs; at most {MOST_RUNS:,} are allowed")
        for variants in kinds:
            _columns(variants)
        if self.lengths and len(self.lengths) != len(self.problems):
            raise ValueError(
                f"lengths: has {len(self.lengths)} of them, and the grid {len(self.problems)} problems"
            )
        for steps, every in self.lengths:
            if every > steps or steps > every * MOST_EVALUATIONS:
                raise ValueError(f"lengths: evaluations every {every} steps do not fit {steps} steps")
        self._check_stages()
        self._check_sample()
        return self

    @property
    def lines(self) -> int:
        """How many combinations of everything but rate and seed there are."""
        kinds: list[Sized] = [self.problems, self.optimizers, self.schedules, *self.named_rates.values()]
        return math.prod(len(each) for each in kinds)

    def _check_stages(self) -> None:
        """Refuse stages whose lines, rates or seeds are not those of the grid."""
        lines = self.lines
        rates, seeds = set(self.learning_rates), set(self.seeds)
        for stage in self.stages:
            if len(stage.rates) not in {1, lines}:
                raise ValueError(f"stages: has rates of {len(stage.rates)} lines, and the grid {lines}")
            if not seeds.issuperset(stage.seeds) or not all(rates.issuperset(each) for each in stage.rates):
                raise ValueError(f"stages: {stage.name} has rates or seeds that the grid lacks")

    def _check_sample(self) -> None:
        """Refuse points that are not those of the rates, and values that are not one for each point."""
        each = [values for variant in self.optimizers for values in variant.sampled.values()]
        each += self.sampled_rates.values()
        if any(len(values) != len(self.points) for values in each):
            raise ValueError(f"sampled: does not have a value for each of {len(self.points)} points")
        if self.points and not set(self.points).issuperset(self.learning_rates):
            raise ValueError("points: lacks a learning rate of the grid")
        if not self.named_rates.keys() >= self.sampled_rates.keys():
            raise ValueError("sampled_rates: has rates that the grid lacks")


def _columns(variants: Sequence[VariantSchema]) -> None:
    """Refuse variants that are the same, or whose parameters make no column of a table."""
    if len(
        {json.dumps([v.name, v.params, v.source, v.files, v.sampled], sort_keys=True) for v in variants}
    ) < len(variants):
        raise ValueError("a problem, optimizer or schedule is listed twice")
    for name in {name for variant in variants for name in variant.shown}:
        kinds = {_kind(variant.params.get(name)) for variant in variants}
        if len(kinds - {"none"}) > 1:
            raise ValueError(
                f"the parameter {name} has values of different kinds: {', '.join(sorted(kinds))}"
            )


def _kind(value: Any) -> str:
    """Return the kind of cell that shows a parameter; lists and tables are shown as text."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true or false"
    return "number" if isinstance(value, int | float) else "text"


class MetricSchema(_Schema):
    """What a metric declares."""

    larger: bool
    bound: Finite | None = None


class TuningSchema(_Schema):
    """How a program is compiled on a kind of machine."""

    program: Digits
    problem: Name
    optimizer: Name
    machine: dict[Name, Text]
    lanes_per_chunk: Annotated[int, Field(ge=1, le=MOST_LANES)]
    form: Text
    options: Text
    chosen: Literal["rule", "measured"]


class ProblemSchema(_Schema):
    """A problem as the engine described it."""

    name: Name
    validated: bool
    optimum: Finite | None = None
    constant_loss: Finite | None = None
    headline: Name | None = None
    metrics: dict[Name, MetricSchema] = {}


class ObjectiveSchema(_Schema):
    """What the runs of a problem are judged by: the fields of `analysis.objective.Objective`."""

    model_config = ConfigDict(strict=True, extra="forbid")

    column: Curve
    larger: bool = False
    bound: Finite | None = None
    at: Literal["end", "best"] = "end"


class ScheduleSchema(_Schema):
    """The shape of a schedule."""

    name: Name
    params: dict[Name, Any] = {}
    label: Text
    depends_on_losses: bool = False
    step: Annotated[list[Count], Field(min_length=1)]
    shape: list[Finite]

    @model_validator(mode="after")
    def _consistent(self) -> ScheduleSchema:
        if len(self.step) != len(self.shape):
            raise ValueError("step and shape must be of one length")
        return self


class FailureSchema(_Schema):
    """A pack that failed: a row of `failures.csv`."""

    pack_id: Name
    problem: Text
    optimizer: Text
    schedule: Text
    learning_rate_low: Finite
    learning_rate_high: Finite
    seeds: str
    runs: Count
    error: str


class ThresholdsSchema(_Schema):
    """The thresholds of the verdicts."""

    good: Annotated[float, Field(gt=0, le=1e6)] = 0.05
    oscillating: Annotated[float, Field(ge=0, le=1e6)] = 0.25
    slow: Annotated[float, Field(ge=0, le=1e6)] = 0.5
    useful: Annotated[float, Field(ge=0, le=1e6)] = 0.5
    close: Annotated[float, Field(ge=0, le=1e6)] = 0.01
    trains: Annotated[float, Field(ge=0, le=1e6)] = 0.05
    faster: Annotated[float, Field(ge=1, le=1e6)] = 1.2
    stable: Annotated[float, Field(ge=0, le=1)] = 0.5
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    profile_ratio: Annotated[float, Field(gt=1, le=1e6)] = 4.0
    resamples: Annotated[int, Field(ge=1, le=10**7)] = 1000


class ShorterSchema(_Schema):
    """Runs of fewer steps."""

    factor: Annotated[float, Field(ge=1, le=1e6)]
    stage: StageSchema


class StepSchema(_Schema):
    """A stage that the study chooses, and the name of the record of it."""

    stage: Name
    record: Name


class ShardsSchema(_Schema):
    """How the runs were divided among processes."""

    count: Annotated[int, Field(ge=1, le=10**6)]
    division: Digits


class RunsSchema(_Schema):
    """How many runs the study has."""

    total: Count
    done: Count
    left: Count


class PackSchema(_Schema):
    """The runs of one part."""

    pack_id: Name
    runs: Count
    seconds: dict[str, Seconds]


class TableSchema(_Schema):
    """Size and checksum of the file of a table."""

    size: Count
    blake2b: Digits


class ManifestSchema(_Schema):
    """The whole manifest."""

    schema_version: Annotated[int, Field(ge=1, le=SCHEMA_VERSION)]
    study: StudyName | None = None
    started: Text | None = None
    finished: Text | None = None
    versions: dict[str, Any] = {}
    devices: list[Any] = []
    matmul_precision: Text | None = None
    commit: Text | None = None
    grid: GridSchema | None = None
    stages: list[StepSchema] = []
    shorter: Annotated[list[ShorterSchema], Field(max_length=100)] = []
    all_chosen: Digits | None = None
    shards: ShardsSchema | None = None
    lanes_per_pack: list[Annotated[int, Field(ge=0, le=2**31)]] = []
    problems: list[ProblemSchema] | None = None
    programs: list[Any] = []
    tunings: list[TuningSchema] = []
    schedules: list[ScheduleSchema] = []
    objective: Literal["auto"] | Curve = "auto"
    at: Literal["end", "best"] = "end"
    target: Finite | None = None
    objectives: dict[Name, Literal["train_loss", "valid_loss"] | ObjectiveSchema] = {}
    thresholds: ThresholdsSchema | None = None
    runs: RunsSchema | None = None
    packs: list[PackSchema] = []
    failures: list[FailureSchema] = []
    seconds: dict[str, Seconds] = {}
    lane_steps: dict[str, Count] = {}
    model_steps_per_second: float | None = None
    tables: dict[Annotated[str, Field(pattern=r"^[a-z_]+\.(csv|parquet)$")], TableSchema] = {}

    @model_validator(mode="before")
    @classmethod
    def _no_null(cls, found: Any) -> Any:
        for name, value in found.items():
            if value is None and name not in {"commit", "target", "model_steps_per_second"}:
                raise ValueError(f"{name}: must not be null")
        return found

    @model_validator(mode="after")
    def _consistent(self) -> ManifestSchema:
        described = len(self.problems or ())
        if self.grid is not None and self.problems is not None and described != len(self.grid.problems):
            raise ValueError(f"problems: has {described} of them, and the grid {len(self.grid.problems)}")
        shown = {name for variant in (self.grid.schedules if self.grid else ()) for name in variant.shown}
        for shorter in self.shorter if self.grid else ():
            if self.grid and len(shorter.stage.rates) not in {1, self.grid.lines}:
                raise ValueError(
                    f"shorter: has rates of {len(shorter.stage.rates)} lines, and the grid {self.grid.lines}"
                )
        for schedule in self.schedules if self.grid else ():
            if strange := set(schedule.params) - shown:
                raise ValueError(f"schedules: {sorted(strange)} are no parameters that the grid shows")
        return self


def read(text: bytes, path: Path) -> dict[str, Any]:
    """Return the manifest that a file holds.

    Args:
        text: what is in the file.
        path: of the file, for messages.

    Raises:
        StoreError: if it is not a manifest, or one of a newer lrbench.
    """
    try:
        found = json.loads(text.decode("utf-8"))
        json.dumps(found, ensure_ascii=False).encode()  # halves of characters, which no file of text can hold
    except (ValueError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else error
        raise StoreError(f"{path}: cannot be read ({why}); start again with --fresh") from error
    version = found.get("schema_version") if isinstance(found, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise StoreError(
            f"{path}: schema_version = {version!r}: must be a whole number from 1 to {SCHEMA_VERSION}, which says how to "
            "read the folder; put the file back as lrbench wrote it, or start again with --fresh"
        )
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"{path}: was written by a newer lrbench (schema {version}, this one reads up to {SCHEMA_VERSION}); "
            "upgrade lrbench"
        )
    if "parts" in found:
        raise StoreError(
            f"{path.parent}: holds a study of several grids, of an older lrbench; give one of the results folders in it, "
            "or measure the claims again with `lrbench experiment claims --out DIR`"
        )
    try:
        _plain(found, DEEPEST)
        ManifestSchema.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        why = first["msg"].removeprefix("Value error, ")
        raise _refused(path, ".".join(map(str, first["loc"])), why) from error
    except ValueError as error:
        raise _refused(path, "", str(error)) from error
    return found


def _refused(path: Path, where: str, why: str) -> StoreError:
    what = f"{where}: {why}" if where else why
    return StoreError(f"{path}: {what}; put the file back as lrbench wrote it, or start again with --fresh")


def _plain(value: Any, levels: int) -> None:
    """Refuse what is nested too deeply, and whole numbers that no table can hold."""
    if levels == 0:
        raise ValueError(f"is nested more than {DEEPEST} levels deep")
    if isinstance(value, Mapping):
        for each in value.values():
            _plain(each, levels - 1)
    elif isinstance(value, list):
        for each in value:
            if isinstance(each, list | dict):
                _plain(each, levels - 1)
            elif type(each) is int and not -_LARGEST_NUMBER <= each <= _LARGEST_NUMBER:
                raise ValueError(f"{each}: is no number that a table can hold")
    elif type(value) is int and not -_LARGEST_NUMBER <= value <= _LARGEST_NUMBER:
        raise ValueError(f"{value}: is no number that a table can hold")
