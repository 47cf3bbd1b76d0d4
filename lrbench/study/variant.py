"""A variant: one problem, optimizer or schedule of a grid, with a value for every parameter."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from lrbench.errors import StudyError
from lrbench.study.catalog import Entry
from lrbench.study.choice import Choice


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
        off: parameters that are not part of the identity: options set to 0 or an empty list, and parameters that were added later, at their defaults.
        revision: of the catalogue's entry.
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

    @cached_property
    def identity(self) -> str:
        """What distinguishes it from any other variant, as canonical JSON.

        A file counts by its contents, not its path; an option that is off is the same as none.
        """
        params = {name: value for name, value in self.params.items() if name not in self.off} | {**self.files}
        revised = [self.revision] if self.revision > 1 else []
        return json.dumps([self.name, params, self.source, *revised], sort_keys=True, separators=(",", ":"))

    @property
    def label(self) -> str:
        """Its name and the parameters that the study set, for people to read."""
        shown = ", ".join(f"{name}={_plain(self.text(name))}" for name in self.shown)
        return f"{self.name}({shown})" if shown else self.name

    def text(self, name: str) -> Any:
        """Return a parameter as tables show it; the parts of a schedule become `constant then cosine(final=0.1)`."""
        value = self.params.get(name)
        if name != "parts" or not isinstance(value, list | tuple):
            return value
        return " then ".join(part if isinstance(part, str) else _part_text(part) for part in value)

    @property
    def structure(self) -> tuple[Any, ...]:
        """What determines the compiled program: the code, and every parameter that is not a lane."""
        static = {name: value for name, value in self.params.items() if name not in self.numeric}
        return self.choice, self.name, self.source, json.dumps(static, sort_keys=True)


def variants_of(kind: str, choices: Sequence[Choice]) -> tuple[Variant, ...]:
    """Return the variants of the problems, optimizers or schedules of a study; one that is listed twice raises `StudyError`."""
    found: dict[str, Variant] = {}
    labels: set[tuple[str, str]] = set()
    for index, choice in enumerate(choices):
        # A problem's numbers are structure: its data and shapes may depend on them.
        entry = choice.entry
        numeric = tuple(name for name, p in entry.settings.items() if p.numeric and kind != "problem")
        for params in choice.variants():
            lanes = tuple(name for name in numeric if name in params)
            variant = Variant(
                entry.name,
                params,
                tuple(choice.axes),
                lanes,
                choice.source,
                index,
                choice.hashes(params),
                _off(entry, params),
                entry.revision,
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
    return tuple(found.values())


def _off(entry: Entry, params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the parameters of a variant that are not part of its identity."""
    options = (name for name in entry.options if name in params and not params[name])
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
