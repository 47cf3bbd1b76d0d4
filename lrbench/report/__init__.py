"""The report of a results folder: one self-contained interactive HTML page that opens offline.

`data` picks from the tables what the page shows, and `page` fills the template with it; every text is escaped, and the page's policy lets the browser fetch
nothing. It needs the tables of a folder and nothing else of it, so that it can be tried on frames made by hand.
"""

from lrbench.report.page import report

__all__ = ["report"]
