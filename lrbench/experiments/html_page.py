"""The HTML page of an experiment that has one: one file that loads nothing from the network, in the style of the report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any

import jinja2
import markupsafe


def render(
    package: str, shown: Mapping[str, Any], filters: Mapping[str, Callable[..., Any]] | None = None
) -> str:
    """Return `template.html.jinja` of a package, filled in; `style` in it is the report's, and then `page.css` of the package.

    Args:
        package: the `__package__` of who calls.
        shown: the variables of the template.
        filters: of the template, by their names.
    """
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= filters or {}
    own = resources.files(package)
    style = "".join(
        folder.joinpath("page.css").read_text("utf-8") for folder in (resources.files("lrbench.report"), own)
    )
    template = environment.from_string(own.joinpath("template.html.jinja").read_text("utf-8"))
    return template.render(shown, style=markupsafe.Markup(style))  # files of the package
