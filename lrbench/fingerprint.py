"""A stable hash of a user's own code and data, so that a run's identity changes when what it trains does."""

from __future__ import annotations

import functools
import hashlib
import inspect
import types
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np


def of_file(path: Path) -> str:
    """Return the hash of a file's content, of source or of data."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, functools.partial(hashlib.blake2b, digest_size=10)).hexdigest()


def of_object(thing: Any) -> str:
    """Return the hash of an object: the source of its functions, what they close over, and its arrays' bytes.

    >>> of_object(lambda x: x + 1) == of_object(lambda x: x + 2)
    False
    """
    digest = hashlib.blake2b(digest_size=10)
    for piece in _pieces(thing, set()):
        digest.update(piece + b"\0")
    return digest.hexdigest()


def _pieces(thing: Any, seen: set[int]) -> Iterator[bytes]:
    if id(thing) in seen:
        return
    if isinstance(thing, str | int | float | bool | bytes | None):
        yield repr(thing).encode()
        return
    seen.add(id(thing))
    if isinstance(thing, functools.partial):
        yield from _pieces((thing.func, thing.args, thing.keywords), seen)
    elif isinstance(thing, types.FunctionType):
        yield from _function(thing, seen)
    elif isinstance(thing, types.MethodType):
        yield from _pieces((thing.__func__, thing.__self__), seen)
    elif isinstance(thing, Mapping):
        for key in sorted(thing, key=str):
            yield from _pieces((str(key), thing[key]), seen)
    elif isinstance(thing, tuple | list | set | frozenset):
        for item in thing:
            yield from _pieces(item, seen)
    elif hasattr(thing, "__array__"):
        array = np.ascontiguousarray(thing)
        yield f"{array.dtype}{array.shape}".encode()
        yield array.tobytes()
    elif is_dataclass(thing) and not isinstance(thing, type):
        yield from _pieces([(f.name, getattr(thing, f.name)) for f in fields(thing)], seen)
    else:
        kind = thing if isinstance(thing, type) else type(thing)
        yield f"{kind.__module__}.{kind.__qualname__}".encode()


def _function(function: types.FunctionType, seen: set[int]) -> Iterator[bytes]:
    if (function.__module__ or "").partition(".")[0] in {"jax", "optax", "numpy", "flax", "equinox"}:
        # A library's function is named by where it stands: its version is in the manifest, not in the identity.
        yield f"{function.__module__}.{function.__qualname__}".encode()
    else:
        yield from _code(function.__code__)
    yield from _pieces((function.__defaults__, function.__kwdefaults__), seen)
    for cell in function.__closure__ or ():
        yield from _pieces(cell.cell_contents, seen)


def _code(code: types.CodeType) -> Iterator[bytes]:
    try:
        lines, start = inspect.findsource(code)
        yield "".join(inspect.getblock(lines[start:])).encode()
        # Several lambdas on one line share their source, so their constants and names are told apart too.
        yield repr([c for c in code.co_consts if not isinstance(c, types.CodeType)]).encode()
    except (OSError, TypeError):
        yield code.co_code
        yield repr(code.co_consts).encode()
    yield repr(code.co_names).encode()
