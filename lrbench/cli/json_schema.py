"""What `lrbench list --json` and `lrbench doctor --json` print: schemas that say of every key what it is; docs/command-line.md lists them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from pydantic import Field

from lrbench.cli import listing
from lrbench.cli.doctor import Facts, problems
from lrbench.execution.json_record import SCHEMA_VERSION, Count, JsonRecord

Bytes = Annotated[int, Field(ge=0, json_schema_extra={"unit": "bytes"})]
Pace = Annotated[float, Field(ge=0, json_schema_extra={"unit": "floating-point operations per second"})]


class ListedParameter(JsonRecord):
    """A parameter of an entry."""

    name: str = Field(description="its name, as in a study file")
    type: str = Field(
        description="the type of a value, as in its signature; a `float` of an optimizer is a lane"
    )
    required: bool = Field(description="whether a study must give it")
    default: Any = Field(description="its value if a study gives none; null if it is required")
    meaning: str = Field(description="what it is")


class ListedEntry(JsonRecord):
    """An entry of the catalogue."""

    kind: str = Field(description="its kind: problem, optimizer, ...")
    name: str = Field(description="its name")
    summary: str = Field(description="what it is, in a sentence")
    text: str = Field(description="its docstring; for a study, its file")
    parameters: tuple[ListedParameter, ...] = Field((), description="its parameters")
    options: tuple[ListedParameter, ...] = Field((), description="the options of every entry of its kind")


class Listing(JsonRecord):
    """What `lrbench list` lists."""

    schema_version: int = Field(SCHEMA_VERSION, description="raised when a key changes its meaning")
    entries: tuple[ListedEntry, ...] = Field(description="the entries that match")


class FoundExtra(JsonRecord):
    """A package of an extra."""

    extra: str = Field(description="the extra, as in `pip install 'lrbench[EXTRA]'`")
    package: str = Field(description="a package that it installs")
    version: str = Field(description="the version, empty if it is not installed")


class FoundDevice(JsonRecord):
    """A device as JAX sees it."""

    platform: str = Field(description="`cpu`, `gpu` or `tpu`")
    kind: str = Field(description="its kind")
    memory: Bytes = Field(description="its own memory; 0 for a CPU")
    free: Bytes = Field(description="how much of it is free")


class FoundCache(JsonRecord):
    """A folder that caches what is slow to compute or to download."""

    name: str = Field(description="what it caches")
    folder: str = Field(description="where it is")
    files: Count = Field(description="its files")
    size: Bytes = Field(description="their size")
    writable: bool = Field(description="whether files can be written there")


class Diagnosis(JsonRecord):
    """What `lrbench doctor` finds."""

    schema_version: int = Field(SCHEMA_VERSION, description="raised when a key changes its meaning")
    versions: dict[str, str] = Field(description="of Python, of lrbench and of its dependencies")
    extras: tuple[FoundExtra, ...] = Field(description="what the extras install")
    cores: Count = Field(description="the cores that this process may use")
    memory: Bytes = Field(description="of the machine, or of the container")
    free_memory: Bytes = Field(description="how much of it is free")
    gpu: str = Field(description="what the NVIDIA driver shows, empty for none")
    environment: dict[str, str] = Field(description="the environment variables of JAX and CUDA that are set")
    devices: tuple[FoundDevice, ...] = Field(description="the devices that JAX uses")
    matrix_products: dict[str, Pace] = Field(description="how fast matrices are multiplied, by their size")
    caches: tuple[FoundCache, ...] = Field(description="the caches")
    problems: tuple[str, ...] = Field(description="what is wrong, each with what to do about it")


def as_listing(what: str | None, name: str | None) -> Listing:
    """Return the record of what `lrbench list` lists; arguments and errors are those of `listing`."""
    return Listing.model_validate({"entries": listing.entries(what, name)})


def as_diagnosis(facts: Facts) -> Diagnosis:
    """Return the record of facts about the machine."""
    return Diagnosis(
        versions=dict(facts.versions),
        extras=tuple(
            FoundExtra(extra=extra, package=package, version=version)
            for extra, package, version in facts.extras
        ),
        cores=facts.cores,
        memory=facts.memory.total,
        free_memory=facts.memory.free,
        gpu=facts.gpu,
        environment=dict(facts.environment),
        devices=tuple(FoundDevice(**asdict(device)) for device in facts.devices),
        matrix_products=dict(facts.peaks),
        caches=tuple(FoundCache(**asdict(cache) | {"folder": str(cache.folder)}) for cache in facts.caches),
        problems=tuple(problems(facts)),
    )
