"""Launchers: each maps the work over packs; none knows what the work is.

A launcher is `(packs, work, *, its parameters) → outcomes`, one for each pack, as they come. It calls `work(pack)` in
whatever process it likes: the work pickles, the same pack twice does nothing, and what its training raises is an
outcome. What a study says under `[launcher.NAME]` are its parameters. One that shares packs out to several machines says how
in a function `shares` beside it, `(costs of the packs, nodes) → numbers of each node's packs`, which `lrbench plan` shows.

A text among the parameters is a `Word` or an `Address`, also where it is an item of a list; the catalog has their patterns.
"""

from typing import TypeAlias

Word: TypeAlias = str
"""A text without spaces, quotes or line breaks, as it may stand in the script of a job."""
Address: TypeAlias = str
"""A word, or the address or URL of something that is connected to; in a study file the second needs `--trust`."""
