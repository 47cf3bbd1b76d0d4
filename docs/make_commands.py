"""Writes the options of every command and the keys of what they print as JSON into docs/command-line.md: `python docs/make_commands.py`."""

from __future__ import annotations

import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import typer
from pydantic import BaseModel

from lrbench.cli import commands, json_schema
from lrbench.execution import plan_schema
from lrbench.execution.status import Status

PAGE = Path(__file__).with_name("command-line.md")
MODELS: dict[str, type[BaseModel]] = {
    "plan": plan_schema.Plan,
    "stage": plan_schema.StagePlan,
    "program": plan_schema.ProgramPlan,
    "probes": plan_schema.ProbePlan,
    "distribution": plan_schema.DistributionPlan,
    "node": plan_schema.NodePlan,
    "status": Status,
    "listing": json_schema.Listing,
    "entry": json_schema.ListedEntry,
    "parameter": json_schema.ListedParameter,
    "diagnosis": json_schema.Diagnosis,
    "extra": json_schema.FoundExtra,
    "device": json_schema.FoundDevice,
    "cache": json_schema.FoundCache,
}
_MARKED = re.compile(r"(?<=<!-- )(?!end )(\w+)( -->\n).*?(?=<!-- end -->)", re.DOTALL)


def page() -> str:
    """Return the page, with what is generated after `<!-- NAME -->`."""
    keys = runpy.run_path(str(PAGE.with_name("make_answer.py")))["keys"]

    def made(found: re.Match[str]) -> str:
        text = _options() if found[1] == "commands" else keys(MODELS[found[1]])
        return found[1] + found[2] + text

    return _MARKED.sub(made, PAGE.read_text(encoding="utf-8"))


def _options() -> str:
    """Return a section for each command: what it does, and its arguments and options."""
    group = typer.main.get_command(commands.app)
    assert isinstance(group, typer.core.TyperGroup)
    sections = []
    for name in group.list_commands(typer.Context(group)):
        command = group.get_command(typer.Context(group), name)
        assert command is not None
        rows = list(_rows(command))
        about = " ".join((command.help or "").split())
        table = "".join(f"| {' | '.join(row)} |\n" for row in [("", "meaning"), ("---",) * 2, *rows])
        sections.append(f"### {name}\n\n{about}\n\n{table if rows else ''}")
    return "\n" + "\n".join(sections) + "\n"


def _rows(command: typer.core.TyperCommand) -> Iterator[tuple[str, str]]:
    for each in command.params:
        is_argument = each.param_type_name == "argument"
        takes = each.metavar or "" if is_argument or not getattr(each, "is_flag", False) else ""
        names = takes if is_argument else " ".join(filter(None, [", ".join(each.opts), takes]))
        text = " ".join((getattr(each, "help", "") or "").split()).replace("|", r"\|")
        yield f"`{names}`".replace("|", r"\|"), text


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
