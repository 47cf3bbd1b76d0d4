"""What a study reports while it runs, and whether it is to stop."""

from __future__ import annotations

import logging


class Listener:
    """Receives the progress of a study, and may stop it; this one logs warnings alone and never stops it.

    It is the default of calls from Python outside a notebook: warnings go to the logger `lrbench`, which prints them on standard error unless logging is
    configured otherwise.
    """

    def notify(self, text: str) -> None:
        """Receive one line for a person to read."""

    def warn(self, text: str) -> None:
        """Receive one line that a person should not miss."""
        logging.getLogger("lrbench").warning(text)

    def begin(self, runs: int, steps: int, stage: str) -> None:
        """Training of so many runs, of so many steps in all, begins; `stage` is empty in a study of a single one."""

    def compiling(self, what: str) -> None:
        """A program is being compiled."""

    def advance(self, runs: int, steps: int) -> None:
        """So many runs have advanced by so many steps; by 0 once a pack is compiled and its training begins."""

    def end(self) -> None:
        """Training is over."""

    def stopping(self) -> bool:
        """Return whether the work is to stop; called after every segment, pack, table and plot."""
        return False

    def check(self) -> None:
        """Raise `KeyboardInterrupt` if the work is to stop."""
        if self.stopping():
            raise KeyboardInterrupt
