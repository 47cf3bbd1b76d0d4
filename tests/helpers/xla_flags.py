"""Which flags the installed XLA knows."""

from __future__ import annotations

import mmap
from importlib.util import find_spec
from pathlib import Path


def known(flags: str) -> str:
    """Return those of `flags` that the installed XLA knows; one that it does not know would end the process without a word.

    XLA has no question for this that a process survives, so its library is searched: what it takes as a flag is there as a
    text of its own. A name inside a longer text is that of a flag that is gone. Where no library is found, no flag is known.
    """
    spec = find_spec("jaxlib")
    folders = spec.submodule_search_locations if spec and spec.submodule_search_locations else []
    libraries = [path for folder in folders for path in Path(folder).glob("libjax_common.*")]
    return " ".join(flag for flag in flags.split() if any(_holds(path, flag) for path in libraries))


def _holds(library: Path, flag: str) -> bool:
    name = flag.partition("=")[0].removeprefix("--").encode()
    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(b"\0" + name + b"\0") >= 0
