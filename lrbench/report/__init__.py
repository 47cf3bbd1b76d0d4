"""The report of a results folder: one self-contained interactive HTML page that opens offline.

`page` fills the template. Its tables, the answer first, come from `page_tables`; what its pictures draw, few enough points to open at once, from `page_plots`; and
what the words mean from `glossary`. Every text is escaped, and the page's policy lets the browser fetch nothing. It needs the tables of a study and its manifest, nothing else, so that it
works on hand-written frames.
"""

from lrbench.report.page import report

__all__ = ["report"]
