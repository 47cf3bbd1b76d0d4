"""A listener that keeps what a person would read."""

from __future__ import annotations

from lrbench.execution.listener import Listener


class Heard(Listener):
    """Notices and warnings in the order in which they came."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def notify(self, text: str) -> None:
        self.lines.append(text)

    def warn(self, text: str) -> None:
        self.lines.append(text)
