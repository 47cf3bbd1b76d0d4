"""Writes what docs/answer.md says of each key of `lrbench best --json`, from its schema: `python docs/make_answer.py`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from lrbench.results.answer_schema import LineAnswer, ProblemAnswer, WholeAnswer

PAGE = Path(__file__).with_name("answer.md")
MODELS: dict[str, type[BaseModel]] = {"answer": WholeAnswer, "problem": ProblemAnswer, "line": LineAnswer}
_MARKED = re.compile(r"(?<=<!-- )(?!end )(\w+)( -->\n).*?(?=<!-- end -->)", re.DOTALL)


def page() -> str:
    """Return the page, with the keys of each model after `<!-- NAME -->`."""
    return _MARKED.sub(
        lambda found: found[1] + found[2] + keys(MODELS[found[1]]), PAGE.read_text(encoding="utf-8")
    )


def keys(model: type[BaseModel]) -> str:
    """Return a table of the keys of a model."""
    schema = model.model_json_schema()
    rows = [("key", "type", "unit", "meaning"), ("---",) * 4]
    for key, found in schema["properties"].items():
        rows.append((f"`{key}`", _type(found), _unit(found), found["description"].replace("|", r"\|")))
    return "\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows) + "\n"


def _unit(found: dict[str, Any]) -> str:
    """The unit of a key, which that of one that may be null has with its type."""
    return next((each["unit"] for each in (found, *found.get("anyOf", ())) if "unit" in each), "")


def _type(found: dict[str, Any]) -> str:
    """The type of a key, as JSON has it."""
    if "anyOf" in found:
        return " or ".join(dict.fromkeys(_type(each) for each in found["anyOf"]))
    if "enum" in found:
        return " or ".join(f'`"{each}"`' for each in found["enum"])
    if "$ref" in found:
        return "object, as below"
    if found.get("type") == "array":
        inside = found["items"]
        return "list of objects, as below" if "$ref" in inside else f"list of {_type(inside)}s"
    if isinstance(found.get("additionalProperties"), dict):
        return f"object of {_type(found['additionalProperties'])}s"
    kind = found.get("type", "anything")
    return {"string": "text", "boolean": "true or false", "null": "null"}.get(kind, kind)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
