"""What the records have in common that commands print as JSON: a schema that says of every key what it is."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1
"""Raised when a key changes its meaning; keys may be added without."""
Count = Annotated[int, Field(ge=0, json_schema_extra={"unit": "count"})]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False, json_schema_extra={"unit": "seconds"})]


class JsonRecord(BaseModel):
    """A record whose keys are all known."""

    model_config = ConfigDict(extra="forbid", frozen=True)
