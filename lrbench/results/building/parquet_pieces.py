"""Joins Parquet files of one schema into one without decoding them: what their row groups hold stays, byte by byte.

The footer of a Parquet file says where in it everything is. That of the whole has the row groups of all pieces, each moved by as many bytes as
come before it; whatever else a footer says is taken from the first piece.

Source: the Parquet format, parquet.thrift; Thrift's compact protocol, which footers are written in.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

MAGIC = b"PAR1"
_BOOLEANS, _BYTE, _DOUBLE, _BINARY, _LISTS, _MAP, _STRUCT = (1, 2), 3, 7, 8, (9, 10), 11, 12
_INTEGERS = 4, 5, 6
# Numbers of fields: of the file, of a row group, of a column in it, and of what is known of a column.
_SCHEMA, _ROWS, _GROUPS = 2, 3, 4
_COLUMNS, _GROUP_BEGINS, _ORDINAL = 1, 5, 7
_CHUNK_BEGINS, _CHUNK = 2, 3
_PAGES_BEGIN = 9, 10, 11

Fields = dict[int, tuple[int, Any]]
"""What a struct holds: number of the field → its type and its value."""


class Items(NamedTuple):
    """A list: the type of what is in it, and that."""

    kind: int
    values: list[Any]


class Footer:
    """The footer of a file that grows by the row groups of pieces."""

    def __init__(self) -> None:
        """Nothing is in the file yet but what every Parquet file begins with."""
        self.size = len(MAGIC)
        self._fields: Fields = {}

    def add(self, piece: memoryview) -> memoryview:
        """Take over the row groups of a piece, a whole Parquet file, and return the bytes that come next in the file.

        Raises:
            ValueError: if it has other columns than the first one.
        """
        begin = len(piece) - 8 - int.from_bytes(piece[-8:-4], "little")
        fields, _ = _read_struct(bytes(piece[begin:]), 0)
        if not self._fields:
            self._fields = {**fields, _ROWS: (6, 0), _GROUPS: (9, Items(_STRUCT, []))}
        if fields[_SCHEMA] != self._fields[_SCHEMA]:
            raise ValueError("the pieces of a table have other columns")
        groups = self._fields[_GROUPS][1].values
        for group in fields[_GROUPS][1].values:
            _move(group, self.size - len(MAGIC), len(groups))
            groups.append(group)
        self._fields[_ROWS] = 6, self._fields[_ROWS][1] + fields[_ROWS][1]
        self.size += begin - len(MAGIC)
        return piece[len(MAGIC) : begin]

    def encoded(self) -> bytes:
        """Return what comes after all pieces."""
        out = bytearray()
        _write_struct(out, self._fields)
        return bytes(out) + struct.pack("<I", len(out)) + MAGIC


def _move(group: Fields, by: int, ordinal: int) -> None:
    """Say that a row group is so many bytes further on in a file, and the how manieth it is."""
    for column in group[_COLUMNS][1].values:
        _add(column, _CHUNK_BEGINS, by)
        for field in _PAGES_BEGIN:
            _add(column[_CHUNK][1], field, by)
    _add(group, _GROUP_BEGINS, by)
    if _ORDINAL in group:
        group[_ORDINAL] = group[_ORDINAL][0], ordinal


def _add(fields: Fields, number: int, by: int) -> None:
    """Add to a place in the file, if it is known: 0 is not."""
    if fields.get(number, (0, 0))[1]:
        fields[number] = fields[number][0], fields[number][1] + by


def _read_struct(data: bytes, at: int) -> tuple[Fields, int]:
    """Return the fields of the struct at a place, and where it ends."""
    fields: Fields = {}
    number = 0
    while head := data[at]:
        kind, at = head & 15, at + 1
        if head >> 4:
            number += head >> 4
        else:
            number, at = _read_integer(data, at)
        if kind in _BOOLEANS:
            fields[number] = kind, None
        else:
            value, at = _read(data, at, kind)
            fields[number] = kind, value
    return fields, at + 1


def _read(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    """Return the value of a type at a place, and where it ends."""
    if kind in _INTEGERS:
        return _read_integer(data, at)
    if kind == _STRUCT:
        return _read_struct(data, at)
    if kind == _BINARY:
        size, at = _read_varint(data, at)
        return data[at : at + size], at + size
    if kind in _LISTS:
        return _read_list(data, at)
    sizes = {_BYTE: 1, _DOUBLE: 8} | dict.fromkeys(_BOOLEANS, 1)
    if kind not in sizes:
        raise ValueError(f"a footer has a value of type {kind}")
    return data[at : at + sizes[kind]], at + sizes[kind]


def _read_list(data: bytes, at: int) -> tuple[Items, int]:
    size, kind, at = data[at] >> 4, data[at] & 15, at + 1
    if size == 15:
        size, at = _read_varint(data, at)
    values = []
    for _ in range(size):
        value, at = _read(data, at, kind)
        values.append(value)
    return Items(kind, values), at


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while data[at] & 128:
        value |= (data[at] & 127) << shift
        shift, at = shift + 7, at + 1
    return value | data[at] << shift, at + 1


def _read_integer(data: bytes, at: int) -> tuple[int, int]:
    value, at = _read_varint(data, at)
    return value >> 1 ^ -(value & 1), at


def _write_struct(out: bytearray, fields: Fields) -> None:
    before = 0
    for number, (kind, value) in fields.items():
        if 0 < number - before < 16:
            out.append(number - before << 4 | kind)
        else:
            out.append(kind)
            _write_integer(out, number)
        before = number
        if kind not in _BOOLEANS:
            _write(out, kind, value)
    out.append(0)


def _write(out: bytearray, kind: int, value: Any) -> None:
    if kind in _INTEGERS:
        _write_integer(out, value)
    elif kind == _STRUCT:
        _write_struct(out, value)
    elif kind == _BINARY:
        _write_varint(out, len(value))
        out += value
    elif kind in _LISTS:
        small = len(value.values) < 15
        out.append((len(value.values) if small else 15) << 4 | value.kind)
        if not small:
            _write_varint(out, len(value.values))
        for each in value.values:
            _write(out, value.kind, each)
    else:
        out += value


def _write_varint(out: bytearray, value: int) -> None:
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)


def _write_integer(out: bytearray, value: int) -> None:
    _write_varint(out, value << 1 if value >= 0 else ~value << 1 | 1)
