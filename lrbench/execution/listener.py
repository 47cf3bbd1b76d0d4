"""What a study tells whoever started it while it goes on, and what it asks."""

from __future__ import annotations


class Listener:
    """Told how a study goes on, and asked whether it shall; this one keeps quiet, and never ends it."""

    def say(self, text: str) -> None:
        """Take one line that a person should read."""

    def begin(self, runs: int, steps: int) -> None:
        """Training of so many runs, of so many steps each, begins."""

    def compiling(self, what: str) -> None:
        """A program is being compiled."""

    def advance(self, runs: int, steps: int) -> None:
        """So many runs moved on by so many steps; by 0 once a pack is compiled and its training begins."""

    def end(self) -> None:
        """Training is over."""

    def stopping(self) -> bool:
        """Return whether the work is to end; asked after every segment, pack, table and plot."""
        return False

    def check(self) -> None:
        """Raise `KeyboardInterrupt` if the work is to end."""
        if self.stopping():
            raise KeyboardInterrupt
