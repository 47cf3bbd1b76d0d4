"""The hash of an object, made from the hashes of everything that it refers to."""

from __future__ import annotations

import copyreg
import functools
import hashlib
import logging
import os
import platform
import sys
import threading
import types
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path, PurePath
from typing import Any

from lrbench.study.fingerprint import library, syntax
from lrbench.study.fingerprint.members import fields_of, is_cache, members
from lrbench.study.fingerprint.names import globals_of
from lrbench.study.fingerprint.owner import is_function_of_a_module, is_named, is_own

_DIGEST = 10
_LONGEST_PATH = 5
"""The most names of a path that a message shows."""
_BYTECODE = f"bytecode of Python {'.'.join(platform.python_version_tuple()[:2])}"
"""Bytecode is hashed with the version of Python, since versions compile differently."""
_PLAIN = (str, int, float, complex, bool, bytes, type(None), type(Ellipsis), type(NotImplemented))
_BUILT_IN = (
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.MethodWrapperType,
    types.ClassMethodDescriptorType,
    types.GetSetDescriptorType,
    types.MemberDescriptorType,
)
_PARTS: Mapping[Any, tuple[str, ...]] = {
    functools.partial: ("func", "args", "keywords", "__dict__"),
    functools.cached_property: ("func",),
    types.CodeType: (
        *("co_code", "co_names", "co_varnames", "co_freevars", "co_consts", "co_exceptiontable"),
        *("co_flags", "co_argcount", "co_posonlyargcount", "co_kwonlyargcount"),
    ),
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
    property: ("fget", "fset", "fdel"),
}
"""Types of Python's own, and the attributes with their contents."""
_WITHOUT_CONTENTS = (
    *(type(threading.Lock()), type(threading.RLock()), type(os.environ), logging.Logger),
    *(weakref.WeakKeyDictionary, weakref.WeakValueDictionary),
)
"""Types whose contents do not affect training: locks, weak caches, and objects of the machine."""
_DEEPEST = 10_000
"""The deepest recursion of a walk; a step from an object to a part of it takes up to seven calls."""


class Unhashable(ValueError):
    """An object refers to something that has no stable hash; the message names it and the path to it."""

    def __init__(self, path: Iterable[str], what: str) -> None:
        """Compose the message from the path to the object and what is wrong with it."""
        names = list(path)
        names = names if len(names) <= _LONGEST_PATH else [*names[:2], "...", *names[-2:]]
        super().__init__(f"{' → '.join(names) or 'it'} {what}")


def of_file(path: Path) -> str:
    """Return the hash of the contents of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, functools.partial(hashlib.blake2b, digest_size=_DIGEST)).hexdigest()


def of_object(thing: Any) -> str:
    """Return the hash of an object and of everything that it refers to.

    Raises:
        Unhashable: if it refers to something without stable contents, such as an open file.

    >>> of_object({"rate": 0.1}) == of_object({"rate": 0.2})
    False
    """
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, _DEEPEST))
    walk = _Walk()
    try:
        return walk.digest(thing).hex()
    except RecursionError as error:
        raise Unhashable(walk.path, "is nested too deeply to be hashed") from error
    finally:
        sys.setrecursionlimit(before)


class _Walk:
    """One walk over an object; every visited object is kept alive, because its `id` stands for it.

    The hash of an object is made from those of its parts. A reference back to an object that is being hashed is hashed as the
    number of that cycle, counted in the order in which they close, so that two cycles of the same parts differ.
    """

    def __init__(self) -> None:
        """Start without any visited object."""
        self._found: dict[int, tuple[bytes, Any]] = {}
        self._open: set[int] = set()
        self._circles: dict[int, int] = {}
        self._path: list[str] = []
        self._rules: tuple[tuple[Any, Callable[[Any], bytes]], ...] = (
            (types.ModuleType, self._module),
            (type, self._class),
            (types.FunctionType, self._function),
            (types.MethodType, self._method),
            (_BUILT_IN, self._built_in),
            (types.CellType, self._cell),
            (_WITHOUT_CONTENTS, lambda thing: _hash(type(thing).__qualname__)),
        )
        self._containers: dict[type, Callable[[Any], bytes]] = {
            **dict.fromkeys((dict, types.MappingProxyType), lambda it: self._mapping(type(it).__name__, it)),
            **dict.fromkeys((tuple, list), lambda it: self._pieces(type(it).__name__, it)),
            **dict.fromkeys((set, frozenset), self._set),
        }

    def digest(self, thing: Any, name: str = "") -> bytes:
        """Return the hash of an object that is referred to by a name."""
        if type(thing) in _PLAIN:
            # Python refuses the repr of an integer of thousands of digits, but not its hex.
            return _hash(type(thing).__name__, hex(thing) if type(thing) is int else repr(thing))
        key = id(thing)
        if key in self._found:
            return self._found[key][0]
        if key in self._open:
            return _hash("circle", str(self._circles.setdefault(key, len(self._circles))))
        self._open.add(key)
        self._path.append(name)  # after a failure the path remains, for the message
        found = self._of(thing)
        self._path.pop()
        self._open.remove(key)
        self._found[key] = found, thing
        return found

    @property
    def path(self) -> list[str]:
        """The names that lead to the current object."""
        return [name for name in self._path if name]

    def _of(self, thing: Any) -> bytes:
        """Return the hash of what is not a plain value, by the first rule that matches."""
        kind = type(thing)
        if kind in self._containers:
            return self._containers[kind](thing)
        for kinds, rule in self._rules:
            if isinstance(thing, kinds):
                return rule(thing)
        if kind in _PARTS:
            return self._pieces(kind.__name__, (getattr(thing, name) for name in _PARTS[kind]))
        found = library.array(thing)
        return self._instance(thing) if found is None else self._array(*found)

    def _set(self, thing: set[Any] | frozenset[Any]) -> bytes:
        """Hash a set in an order of its own, because the numbering of cycles depends on the order of the walk."""
        return _hash(type(thing).__name__, *sorted(self.digest(item) for item in sorted(thing, key=_order)))

    def _pieces(self, kind: str, pieces: Iterable[Any]) -> bytes:
        return _hash(kind, *(self.digest(piece) for piece in pieces))

    def _mapping(self, kind: str, thing: Mapping[Any, Any]) -> bytes:
        """Hash the items of a mapping in order: a loop over it may depend on the order."""
        pairs = ((self.digest(key), self.digest(value, _key(key))) for key, value in thing.items())
        return _hash(kind, *(each for pair in pairs for each in pair))

    def _named(self, kind: str, thing: Mapping[str, Any]) -> bytes:
        """Hash things by name, whatever the order in which they were found."""
        return self._mapping(kind, dict(sorted(thing.items())))

    def _array(self, about: str, array: Any) -> bytes:
        if array.dtype.hasobject:
            return self._pieces(about, array.reshape(-1).tolist())
        digest = hashlib.blake2b(about.encode(), digest_size=_DIGEST)
        if array.nbytes:
            digest.update(array.reshape(-1).view("u1").data)
        return digest.digest()

    def _module(self, module: types.ModuleType) -> bytes:
        if not is_own(module):
            return _hash("module", module.__name__)
        return self._named("module", {n: v for n, v in vars(module).items() if not n.startswith("__")})

    def _class(self, kind: type) -> bytes:
        if not is_own(kind) and is_named(kind):
            return _hash("class", _name(kind))
        contents = members(kind)
        about = [kind.__qualname__, kind.__bases__, type(kind), fields_of(kind)]
        return _hash("class", self._pieces("about", about), self._named("members", contents))

    def _method(self, method: types.MethodType) -> bytes:
        if is_function_of_a_module(method):
            return _hash("function", method.__qualname__)
        return self._pieces("method", [method.__func__, method.__self__])

    def _built_in(self, thing: Any) -> bytes:
        owner = getattr(thing, "__self__", None)
        name = f"{getattr(thing, '__module__', None)}.{thing.__qualname__}"
        if is_function_of_a_module(thing):
            return _hash("function", name)
        return self._pieces(name, [] if isinstance(owner, types.ModuleType) else [owner])

    def _cell(self, cell: types.CellType) -> bytes:
        try:
            return self._pieces("cell", [cell.cell_contents])
        except ValueError:  # it is still empty
            return _hash("cell")

    def _function(self, function: types.FunctionType) -> bytes:
        own, code = is_own(function), function.__code__
        if code.co_filename.startswith("<@beartype") and hasattr(function, "__wrapped__"):
            return self._pieces(
                "checked", [function.__wrapped__]
            )  # generated code and caches differ between processes
        if not own and is_named(function):
            return _hash("function", _name(function))
        if own:
            read = syntax.of_code(code, function.__globals__)
            body = self._pieces(_BYTECODE, [code]) if read is None else _hash("source", read)
        else:
            body = _hash("function", code.co_qualname)
        reached: dict[str, Any] = {"defaults": function.__defaults__, "keywords": function.__kwdefaults__}
        reached |= {f"attribute {name}": value for name, value in vars(function).items()}
        cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
        reached |= {f"{function.__name__}'s {name}": cell for name, cell in cells}
        if own:
            reached |= dict(globals_of(function))
        return _hash("function", body, self._named("reached", reached))

    def _instance(self, thing: Any) -> bytes:
        kind = type(thing)
        if (text := _text(thing)) is not None:
            return _hash("object", text)
        if (known := library.content(thing)) is not None:
            return self._pieces("object", [kind, *known])
        if kind.__module__.partition(".")[0] == "lrbench" and is_dataclass(kind):
            return self._record(thing)
        return self._pieces("object", [kind, *self._reduced(thing)])

    def _reduced(self, thing: Any) -> list[Any]:
        """Return the parts of an object, as `copy` and `pickle` take it apart."""
        kind = type(thing)
        try:
            reduce = copyreg.dispatch_table.get(kind)
            reduced = reduce(thing) if reduce else thing.__reduce_ex__(4)
        except Exception as error:
            raise Unhashable(
                self.path, f"is a {_name(kind)}, which has no contents that can be hashed"
            ) from error
        if isinstance(reduced, str):
            return [reduced]
        pieces = [list(each) if isinstance(each, Iterator) else each for each in reduced]
        if (
            len(pieces) > 2 and type(pieces[2]) is dict
        ):  # without cached properties, which follow from the rest
            pieces[2] = {name: value for name, value in pieces[2].items() if not is_cache(kind, name)} or None
        return pieces

    def _record(self, thing: Any) -> bytes:
        """Hash one of lrbench's own dataclasses; a field at its default is skipped, so that fields can be added later.

        A field that is not compared, such as the notes of a problem, trains nothing.
        """
        changed = {}
        for each in (field for field in fields(thing) if field.compare):
            default = each.default_factory() if callable(each.default_factory) else each.default
            digest = self.digest(getattr(thing, each.name), each.name)
            if digest != self.digest(default):
                changed[each.name] = digest
        return _hash("record", self._class(type(thing)), self._named("fields", changed))


def _hash(*pieces: str | bytes) -> bytes:
    digest = hashlib.blake2b(digest_size=_DIGEST)
    for piece in pieces:
        data = piece.encode("utf-8", "surrogatepass") if isinstance(piece, str) else piece
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.digest()


def _name(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"


def _text(thing: Any) -> str | None:
    """Return the text that represents a named object of a library, a path or a stream; None for others."""
    if any(thing is stream for stream in (sys.stdin, sys.stdout, sys.stderr)):
        return "stream"
    if is_own(type(thing)):
        return None
    if isinstance(thing, PurePath):  # whose class has a different name in each version of Python
        return f"path {thing}"
    return f"named {_name(thing)}" if is_named(thing) else None


def _order(thing: Any) -> tuple[str, str]:
    """Return the sort key of a member of a set."""
    return type(thing).__qualname__, repr(thing) if type(thing) in _PLAIN else getattr(
        thing, "__qualname__", ""
    )


def _key(key: Any) -> str:
    return key if isinstance(key, str) else repr(key)[:40]
