"""A report, taken apart."""

from __future__ import annotations

import warnings
from html.parser import HTMLParser

from lrbench.report import report
from tests.helpers import frames


class Page(HTMLParser):
    """Elements, attributes, visible text and scripts of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self._raw = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._raw = tag if tag in ("script", "style") else ""
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._raw = ""

    def handle_data(self, data: str) -> None:
        if self._raw == "script":
            self.scripts[-1] += data
        elif not self._raw:
            self.text += data


def page_of(results: frames.Results) -> Page:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return Page(report(results))
