"""The look of every plot, in one place: colours, dashes, sizes of letters and widths of lines."""

from __future__ import annotations

from typing import Any

INK, MUTED, GRID, SHADE = "#22262b", "#6a737d", "#e6e8eb", "#f0e4e1"
REST = "#c3c8ce"
"""The lines that have no colour of their own."""

# After Okabe & Ito; yellow and sky blue a little lighter, purple and black in place of yellow and grey, so that the eight are told
# apart with any colour blindness, and those four apart, which share their dashes, in grey, too.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#eba91a", "#7cc8ef", "#5a1f7a", "#22262b")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.2, 1.6)), (0, (5, 2, 1.2, 2)))
ON_LIGHT = (*COLOURS[:4], "#745000", "#0091e6", *COLOURS[6:])
ON_DARK = ("#4a9be8", "#f0803c", "#35c290", "#ee86c4", "#eba91a", "#9fdcf7", "#8c66ff", "#e6e9ec")
"""The same eight on a page, where thin lines need a contrast of 3 (WCAG's AA): darker where they lack it, and all lighter in its dark scheme."""
TOO_SMALL, BEST, TOO_LARGE = COLOURS[5], COLOURS[2], COLOURS[1]
APART, ALIKE = COLOURS[1], MUTED
"""Lines that are told apart, and lines that are not."""

MAP, GONE, ABOVE = "viridis", "#d8d3cf", "#b8432f"
"""Losses as colours; where they are not finite any more; where they are above the start."""
HEIGHTS = ("#f4f6f8", "#c3cdd6", "#8b99a6")
GAPS, SHARES, TWO_SIDES = "YlGnBu", ("#f7f8fa", "#bcd9ea", COLOURS[0]), "Spectral"
"""How far from the best, shares from none to all, and numbers of which the sign matters, as colours."""
ADVISED = "#f3e3b3"
"""Rates that someone advises."""
SPEAKS_FOR, SPEAKS_AGAINST = COLOURS[2], COLOURS[1]

TITLE, PANEL, LABEL, SMALL, TINY = 13.0, 10.0, 9.0, 8.5, 7.5
"""Sizes of letters, in points: the title; of a panel; of an axis, and what is shown; ticks, legends and notes; remarks in a panel."""
LINE, THIN = 1.8, 1.0
"""Widths of lines, in points: those that are compared, and all others."""
