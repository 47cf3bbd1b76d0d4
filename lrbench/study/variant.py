"""A variant: one problem, optimizer or schedule of a grid, with a value for every parameter."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from lrbench.errors import StudyError
from lrbench.study.catalog import Entry
from lrbench.study.choice import Choice
from lrbench.study.sample import Points


@dataclass(frozen=True)
class Variant:
    """One fully resolved problem, optimizer or schedule: every parameter has a value.

    Args:
        name: the catalogue's name.
        params: every parameter and its value.
        shown: the parameters that the study set, which have columns in the tables.
        numeric: the parameters that are lanes.
        source: hash of the user's code, empty for built-in ones.
        choice: the number of the `[[...]]` of the study that it comes from.
        files: parameter → hash of the file that it names.
        off: parameters that are not part of the identity, at their defaults: options, and parameters that were added later.
        revision: of the catalogue's entry.
        sampled: parameter → its value at each point of the study's sample; `params` has the first of them.
    """

    name: str
    params: Mapping[str, Any]
    shown: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    source: str = ""
    choice: int = 0
    files: Mapping[str, str] = field(default_factory=dict)
    off: tuple[str, ...] = ()
    revision: int = 1
    sampled: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @cached_property
    def identity(self) -> str:
        """What distinguishes it from any other variant, as canonical JSON.

        A file counts by its contents, not its path; an option that is off is the same as none.
        """
        return self._identity({**self.params, **self.sampled})

    def identity_at(self, point: int) -> str:
        """Return the identity of the variant that has the sampled values of one point: that of a study which lists them."""
        at_point = {name: values[point] for name, values in self.sampled.items()}
        return self._identity({**self.params, **at_point})

    def _identity(self, params: Mapping[str, Any]) -> str:
        params = {name: value for name, value in params.items() if name not in self.off} | {**self.files}
        revised = [self.revision] if self.revision > 1 else []
        return json.dumps([self.name, params, self.source, *revised], sort_keys=True, separators=(",", ":"))

    @property
    def label(self) -> str:
        """Its name and the parameters that the study set, for people to read."""
        shown = ", ".join(f"{name}={_plain(self.text(name))}" for name in self.shown)
        return f"{self.name}({shown})" if shown else self.name

    def text(self, name: str) -> Any:
        """Return a parameter as tables show it: `None` if it is sampled; the parts of a schedule become `constant then cosine(final=0.1)`."""
        if name in self.sampled:
            return None
        value = self.params.get(name)
        if name != "parts" or not isinstance(value, list | tuple):
            return value
        return " then ".join(part if isinstance(part, str) else _part_text(part) for part in value)

    @property
    def structure(self) -> tuple[Any, ...]:
        """What determines the compiled program: the code, and every parameter that is not a lane."""
        static = {name: value for name, value in self.params.items() if name not in self.numeric}
        return self.choice, self.name, self.source, json.dumps(static, sort_keys=True)


def variants_of(kind: str, choices: Sequence[Choice], points: Points) -> tuple[Variant, ...]:
    """Return the variants of the problems, optimizers or schedules of a study; one that is listed twice raises `StudyError`."""
    found: dict[str, Variant] = {}
    labels: set[tuple[str, str]] = set()
    for index, choice in enumerate(choices):
        # A problem's numbers are structure: its data and shapes may depend on them.
        entry = choice.entry
        numeric = tuple(name for name, p in entry.settings.items() if p.numeric and kind != "problem")
        sampled = _sampled(kind, index, choice, points)
        for params in choice.variants():
            params |= {name: values[0] for name, values in sampled.items()}
            lanes = tuple(name for name in numeric if name in params)
            variant = Variant(
                entry.name,
                params,
                tuple(name for name in choice.axes if name not in sampled),
                lanes,
                choice.source,
                index,
                choice.hashes(params),
                _off(entry, params),
                entry.revision,
                sampled,
            )
            if variant.identity in found:
                shown = ", ".join(f"{key} = {value}" for key, value in params.items())
                raise StudyError(f"{kind}.{index}: {variant.name} ({shown}) is listed twice")
            label = variant.name, json.dumps(params, sort_keys=True)
            if label in labels:
                remedy = (
                    f"write yours as def my_{kind}(...)"
                    if variant.name == "<lambda>"
                    else "rename your function"
                )
                raise StudyError(
                    f"{kind}.{index}: another {kind} is also called {variant.name}; {remedy}, whose name is that of the {kind}"
                )
            labels.add(label)
            found[variant.identity] = variant
    _check_sampled(kind, list(found.values()))
    return tuple(found.values())


def cells(values: list[Any]) -> np.ndarray:
    """Return the values of a parameter as a column: numbers unchanged, lists as JSON text, missing values as None."""
    plain = [json.dumps(value) if isinstance(value, list | tuple | dict) else value for value in values]
    if all(isinstance(value, float) or value is None for value in plain):
        return np.array([math.nan if value is None else value for value in plain])
    column = np.empty(len(plain), dtype=object)
    column[:] = plain
    return column


def _sampled(kind: str, index: int, choice: Choice, points: Points) -> dict[str, tuple[float, ...]]:
    """Return the value at each point of what is sampled of a choice."""
    ranges = choice.ranges
    try:
        return dict(zip(ranges, points.of(list(ranges.values())), strict=True))
    except ValueError as error:
        raise StudyError(f"{kind}.{index}: {choice.entry.name}: {error}") from error


def _check_sampled(kind: str, variants: Sequence[Variant]) -> None:
    """Refuse lines that only a sampled parameter tells apart: it has no part in the identity of a line."""
    shown = list(dict.fromkeys(name for variant in variants for name in variant.shown))
    seen: dict[str, Variant] = {}
    for variant in variants:
        cells = json.dumps([variant.name, [variant.text(name) for name in shown]], default=str)
        other = seen.setdefault(cells, variant)
        if other is not variant and (sampled := [*variant.sampled, *other.sampled]):
            raise StudyError(
                f"{kind}.{variant.choice}: only {sampled[0]}, which is sampled, tells this {variant.name} apart from "
                f"{kind}.{other.choice}; list {sampled[0]} in the one that does not sample it, or leave one of them out"
            )


def _off(entry: Entry, params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the parameters of a variant that are not part of its identity."""
    options = (name for name, p in entry.options.items() if name in params and params[name] == p.default)
    return *options, *(name for name in entry.added if params[name] == entry.parameters[name].default)


def _part_text(part: Mapping[str, Any]) -> str:
    name = part.get("name", "")
    rest = ", ".join(f"{key}={_plain(value)}" for key, value in part.items() if key != "name")
    return f"{name}({rest})" if rest else str(name)


def _plain(value: Any) -> str:
    """Return a value as a study file writes it."""
    if isinstance(value, str) or value is None:
        return str(value)
    return f"{value:g}" if isinstance(value, float) else json.dumps(value)
