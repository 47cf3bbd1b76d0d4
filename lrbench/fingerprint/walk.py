"""The hash of an object, made of the hashes of all that it reaches."""

from __future__ import annotations

import copyreg
import enum
import functools
import hashlib
import platform
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path, PurePath
from typing import Any

from lrbench.fingerprint import library, syntax
from lrbench.fingerprint.names import globals_of
from lrbench.fingerprint.owner import is_function_of_a_module, is_generated, is_named, is_own

_DIGEST = 10
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
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
    property: ("fget", "fset", "fdel"),
}
"""Types of Python's own, and where their content is."""
_BESIDE = frozenset({"__dict__", "__weakref__", "_abc_impl", "__annotate__", "__annotate_func__"})
"""What every class holds, whatever it does."""


class Unhashable(ValueError):
    """An object reaches something of which no stable hash can be taken; says which, and by which way it is reached."""

    def __init__(self, way: Iterable[str], what: str) -> None:
        """The message is made here."""
        super().__init__(f"{' → '.join(way) or 'it'} {what}")


def of_file(path: Path) -> str:
    """Return the hash of a file's content, of source or of data."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, functools.partial(hashlib.blake2b, digest_size=_DIGEST)).hexdigest()


def of_object(thing: Any) -> str:
    """Return the hash of an object and of all that it reaches.

    Raises:
        Unhashable: if it reaches what has no stable content, such as an open file.

    >>> of_object({"rate": 0.1}) == of_object({"rate": 0.2})
    False
    """
    try:
        return _Walk().digest(thing, "").hex()
    except RecursionError as error:
        raise Unhashable([], "is nested too deeply to be hashed") from error


class _Walk:
    """One walk over an object; every object on the way is kept alive, because its number stands for it.

    An object's hash is made of those of its pieces. On a circle, the second visit says how far back the first one is.
    """

    def __init__(self) -> None:
        """Nothing is visited yet."""
        self._found: dict[int, tuple[bytes, Any]] = {}
        self._open: dict[int, int] = {}
        self._way: list[str] = []
        self._rules: tuple[tuple[Any, Callable[[Any], bytes]], ...] = (
            (types.ModuleType, self._module),
            (type, self._class),
            (types.FunctionType, self._function),
            (types.MethodType, self._method),
            (_BUILT_IN, self._built_in),
            (types.CodeType, self._bytecode),
            (types.CellType, self._cell),
            (types.MappingProxyType, self._mapping),
            (PurePath, lambda path: _hash("path", str(path))),
            *((kind, self._parts(names)) for kind, names in _PARTS.items()),
        )

    def digest(self, thing: Any, name: str = "") -> bytes:
        """Return the hash of an object that is reached by a name."""
        if type(thing) in _PLAIN:
            # repr of a number of thousands of digits is refused by Python, hex is not.
            return _hash(type(thing).__name__, hex(thing) if type(thing) is int else repr(thing))
        key = id(thing)
        if key in self._found:
            return self._found[key][0]
        if key in self._open:
            return _hash("back", str(len(self._open) - self._open[key]))
        self._open[key] = len(self._open)
        self._way.append(name)  # after a failure the way stays, for the message
        found = self._of(thing)
        self._way.pop()
        del self._open[key]
        self._found[key] = found, thing
        return found

    @property
    def way(self) -> list[str]:
        """The names by which the present object was reached."""
        return [name for name in self._way if name]

    def _of(self, thing: Any) -> bytes:
        """Return the hash of what is no plain value; the first rule that fits counts."""
        kind = type(thing)
        for kinds, rule in self._rules:
            if isinstance(thing, kinds):
                return rule(thing)
        if kind is dict:
            return self._mapping(thing)
        if kind in (tuple, list):
            return self._pieces(kind.__name__, thing)
        if kind in (set, frozenset):
            return _hash(kind.__name__, *sorted(self.digest(item) for item in thing))
        if (array := library.array(thing)) is not None:
            return self._array(kind, array)
        return self._instance(thing)

    def _pieces(self, kind: str, pieces: Iterable[Any]) -> bytes:
        return _hash(kind, *(self.digest(piece) for piece in pieces))

    def _parts(self, names: Iterable[str]) -> Callable[[Any], bytes]:
        """Return the rule for a type of Python's own whose content is in these attributes."""
        return lambda thing: self._pieces(type(thing).__name__, (getattr(thing, name) for name in names))

    def _mapping(self, thing: Mapping[Any, Any]) -> bytes:
        pairs = ((self.digest(key), self.digest(value, _key(key))) for key, value in thing.items())
        return _hash("mapping", *(each for pair in sorted(pairs) for each in pair))

    def _array(self, kind: type, array: Any) -> bytes:
        about = f"{_name(kind)} {array.dtype} {array.shape}"
        if array.dtype.hasobject:
            return self._pieces(about, array.reshape(-1).tolist())
        digest = hashlib.blake2b(about.encode(), digest_size=_DIGEST)
        if array.nbytes:
            digest.update(array.reshape(-1).view("u1").data)
        return digest.digest()

    def _module(self, module: types.ModuleType) -> bytes:
        if not is_own(module):
            return _hash("module", module.__name__)
        held = {name: value for name, value in vars(module).items() if not name.startswith("__")}
        return _hash("module", self._mapping(held))

    def _class(self, kind: type) -> bytes:
        if not is_own(kind):
            return _hash("class", _name(kind))
        if isinstance(kind, enum.EnumType):
            members: Any = kind
            held: dict[str, Any] = {member.name: member.value for member in members}
            held |= {name: value for name, value in vars(kind).items() if is_own(value)}
        else:
            # What Python, or a library, notes in a class follows from its source; and what they write has none.
            methods = {n: v for n, v in vars(kind).items() if not is_generated(kind, n, v)}
            held = {
                n: v
                for n, v in methods.items()
                if not n.startswith("__") or callable(v) or hasattr(v, "__get__")
            }
            held = {
                n: v
                for n, v in held.items()
                if n not in _BESIDE and not isinstance(v, types.GetSetDescriptorType)
            }
        if is_dataclass(kind):
            held |= {f"field {f.name}": (f.default, f.default_factory) for f in fields(kind)}
        return _hash("class", kind.__qualname__, self._pieces("bases", kind.__bases__), self._mapping(held))

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
        except ValueError:  # nothing is in it yet
            return _hash("cell")

    def _function(self, function: types.FunctionType) -> bytes:
        own, code = is_own(function), function.__code__
        if not own and is_named(function):
            return _hash("function", _name(function))
        if own:
            read = syntax.of_code(code, function.__globals__)
            said = self._bytecode(code) if read is None else _hash("source", read)
        else:
            said = _hash("function", code.co_qualname)
        held: dict[str, Any] = {"defaults": function.__defaults__, "keywords": function.__kwdefaults__}
        held |= {f"attribute {name}": value for name, value in vars(function).items()}
        cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
        held |= {f"{function.__name__}'s {name}": cell for name, cell in cells}
        if own:
            held |= dict(globals_of(function))
        return _hash("function", said, self._mapping(held))

    def _bytecode(self, code: types.CodeType) -> bytes:
        """Hash what Python compiled; another version compiles otherwise."""
        version = ".".join(platform.python_version_tuple()[:2])
        said = [code.co_code, code.co_names, code.co_varnames, code.co_freevars, code.co_consts]
        return self._pieces(f"bytecode of Python {version}", [*said, code.co_exceptiontable])

    def _instance(self, thing: Any) -> bytes:
        kind = type(thing)
        if not is_own(kind) and is_named(thing):
            return _hash("object", _name(thing))
        if (known := library.content(thing)) is not None:
            return self._pieces("object", [kind, *known])
        if kind.__module__.partition(".")[0] == "lrbench" and is_dataclass(kind):
            return self._record(thing)
        try:
            reduce = copyreg.dispatch_table.get(kind)
            reduced = reduce(thing) if reduce else thing.__reduce_ex__(4)
        except Exception as error:
            raise Unhashable(
                self.way, f"is a {_name(kind)}, which has no content that could be hashed"
            ) from error
        if isinstance(reduced, str):
            return self._pieces("object", [kind, reduced])
        return self._pieces(
            "object", [kind, *(list(each) if isinstance(each, Iterator) else each for each in reduced)]
        )

    def _record(self, thing: Any) -> bytes:
        """Hash one of lrbench's own records; a field at its default counts for nothing, so that one can be added later."""
        said = {}
        for each in fields(thing):
            default = each.default_factory() if callable(each.default_factory) else each.default
            digest = self.digest(getattr(thing, each.name), each.name)
            if digest != self.digest(default):
                said[each.name] = digest
        return self._pieces("record", [type(thing), said])


def _hash(*pieces: str | bytes) -> bytes:
    digest = hashlib.blake2b(digest_size=_DIGEST)
    for piece in pieces:
        data = piece.encode("utf-8", "surrogatepass") if isinstance(piece, str) else piece
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.digest()


def _name(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"


def _key(key: Any) -> str:
    return key if isinstance(key, str) else repr(key)[:40]
