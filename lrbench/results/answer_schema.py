"""What `lrbench best --json` prints: a schema that says of every key what it is; docs/answer.md lists them."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from lrbench.analysis.answer_words import Row, headline, moves, rows_of
from lrbench.analysis.groups import line_columns
from lrbench.analysis.thresholds import Thresholds
from lrbench.study import sample

SCHEMA_VERSION = 1
Number = Annotated[float, Field(allow_inf_nan=False)] | None
Count = Annotated[int, Field(ge=0, json_schema_extra={"unit": "count"})]
Text = str | None
Rate = Annotated[Number, Field(json_schema_extra={"unit": "learning rate"})]
Score = Annotated[Number, Field(json_schema_extra={"unit": "that of the objective"})]
Loss = Annotated[Number, Field(json_schema_extra={"unit": "that of the loss"})]
Value = Annotated[Number, Field(json_schema_extra={"unit": "that of the metric"})]
Share = Annotated[Number, Field(json_schema_extra={"unit": "share, 0 to 1"})]
Times = Annotated[Number, Field(json_schema_extra={"unit": "times"})]
Seeds = Annotated[Number, Field(json_schema_extra={"unit": "seeds"})]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class LineAnswer(_Strict):
    """One line of a problem."""

    optimizer: str = Field(
        description="its label: the name, and the parameters in which it differs from others"
    )
    schedule: str = Field(description="its label")
    identity: dict[str, Any] = Field(
        description="the columns of the tables that identify the line: names, and parameters that the study sets"
    )
    winner: bool = Field(description="whether it has the lowest loss of its problem")
    trains: bool = Field(description="whether any rate trains; if not, its rates and losses are null")
    use: Rate = Field(description="the learning rate to use")
    use_low: Rate = Field(description="the lower end of the interval of `best_learning_rate`")
    use_high: Rate = Field(description="the upper end of it")
    best_learning_rate: Rate = Field(
        description="the rate with the least loss, which may be close to a collapse"
    )
    band: Literal["pace", "own", "good"] | None = Field(
        description="the kind of band: by pace, by the line's own best, or by the problem's best"
    )
    band_low: Rate = Field(description="the smallest rate of that band")
    band_high: Rate = Field(description="the largest rate of it")
    good_low: Rate = Field(description="the smallest rate of the good band of the problem")
    good_high: Rate = Field(description="the largest rate of it")
    collapse_low: Rate = Field(description="training collapses above this rate")
    collapse_high: Rate = Field(description="and has collapsed at this one")
    degrades_from: Rate = Field(description="the rate from which on it degrades, if it degrades gradually")
    no_collapse: bool = Field(description="whether there is no collapse up to `rate_high`")
    score: Score = Field(description="the objective at `use`, mean over seeds, in its own units")
    score_low: Score = Field(description="the lower end of its interval")
    score_high: Score = Field(description="the upper end of it")
    loss: Loss = Field(description="the objective as a number for which smaller is better")
    loss_low: Loss = Field(description="the lower end of its interval")
    loss_high: Loss = Field(description="the upper end of it")
    value: Value = Field(description="the metric at `use`, mean over seeds")
    value_low: Value = Field(description="the lower end of its interval")
    value_high: Value = Field(description="the upper end of it")
    sampled: bool = Field(
        description="whether other parameters are sampled together with its rates: then it has no band and no collapse"
    )
    told_apart: bool | None = Field(
        description="whether its loss can be told apart from the winner's; null if unknown"
    )
    behind: Loss = Field(description="how much higher its loss ends than the winner's, paired by seed")
    behind_low: Loss = Field(description="the lower end of its interval")
    behind_high: Loss = Field(description="the upper end of it")
    more_seeds: Seeds = Field(description="how many more seeds would tell them apart")
    steps_factor: Times = Field(description="how many times the winner's steps it needs for the same loss")
    steps_factor_low: Times = Field(description="the lower end of its interval")
    steps_factor_high: Times = Field(description="the upper end of it")
    seeds: Count = Field(description="seeds of the grid")
    confirmed_seeds: Count = Field(description="fresh seeds that confirm `use`; 0 if it is not confirmed")
    rates: Count = Field(description="rates that were tried")
    rate_low: Rate = Field(description="the smallest of them")
    rate_high: Rate = Field(description="the largest of them")
    diverged_fraction: Share = Field(description="the share of its runs that diverged")
    answer: str = Field(description="all of it in a sentence")


class ProblemAnswer(_Strict):
    """One problem, and its lines, the winner first."""

    problem: str = Field(description="its label")
    objective: str = Field(description="the curve by which its runs are judged, such as `valid_loss`")
    at: Literal["end", "best"] = Field(description="whether the end of a run counts, or its best evaluation")
    metric: Text = Field(description="the metric that is shown beside the loss")
    answer: str = Field(description="the winner and its closest rival, in a sentence")
    lines: list[LineAnswer] = Field(description="its lines, by their loss; at most N with `--top N`")


class WholeAnswer(_Strict):
    """The whole answer."""

    schema_version: int = Field(description="the version of this format; adding keys does not raise it")
    study: str = Field(description="its name")
    problems: list[ProblemAnswer] = Field(description="in the order of the study")
    interactions: list[str] = Field(
        description="a sentence for each other hyper-parameter that varies: how the best rate moves with it"
    )


def as_json(
    answer: pd.DataFrame,
    sensitivity: pd.DataFrame,
    interactions: pd.DataFrame,
    study: str,
    limits: Thresholds,
    *,
    top: int | None = None,
) -> str:
    """Return the answer as JSON.

    Args:
        answer: what `best` returns of the sensitivity table.
        sensitivity: that table.
        interactions: the table of that name, of these problems.
        study: its name.
        limits: the thresholds of the study.
        top: the most lines of a problem; None: all.
    """
    columns = [*line_columns(sensitivity), *sample.columns(sensitivity.columns)]
    problems = []
    for name, rows in answer.groupby("problem", sort=False):
        records = rows_of(rows)
        first = records[0]
        identities = rows_of(sensitivity[columns].iloc[rows["line"]])
        lines = [_line(*each) for each in zip(records[:top], identities[:top], strict=True)]
        problems.append(
            ProblemAnswer(
                problem=str(name),
                objective=first["objective"],
                at=first["at"],
                metric=_plain(first["headline"]),
                answer=headline(records, limits),
                lines=lines,
            )
        )
    found = WholeAnswer(
        schema_version=SCHEMA_VERSION, study=study, problems=problems, interactions=moves(interactions)
    )
    text = json.dumps(found.model_dump(), indent=2, ensure_ascii=False, allow_nan=False)
    # A name may be anybody's: what a terminal would obey is escaped as JSON has it, and lines stay lines.
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)


def _line(row: Row, names: Row) -> LineAnswer:
    identity = {name: _plain(value) for name, value in names.items()}
    known = {"good_low": row["from"], "good_high": row["to"], **row}
    found = {name: _plain(known[name]) for name in LineAnswer.model_fields if name != "identity"}
    return LineAnswer(
        identity={name: value for name, value in identity.items() if value is not None}, **found
    )


def _plain(value: Any) -> Any:
    """A value of a table as JSON has it; missing and infinite ones are None."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NA or (isinstance(value, float) and not np.isfinite(value)):
        return None
    return value
