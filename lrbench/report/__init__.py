"""Tables -> one self-contained interactive HTML page that opens offline."""

from lrbench.report.page import report

__all__ = ["report"]
