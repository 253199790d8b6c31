"""Whether a MATLAB file of version 5 to 7 is whole: SciPy reads on where lengths and types are wrong, and crashes."""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path

import numpy as np

__all__ = ["refuse_damaged_mat5"]

HEADER = 128
NUMERIC = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}
"""Type of numbers -> bytes of one."""
TEXT = {1: 1, 2: 1, 4: 2, 16: 1, 17: 1, 18: 1}
"""Type of text -> bytes of a sign, at least."""
UNSIGNED, BYTES = 6, 1
INTEGERS = {5: 4, 6: 4}
"""MATLAB wants the first; some programs write the second."""
MATRIX, COMPRESSED = 14, 15
CELL, STRUCT, OBJECT, CHAR, SPARSE, NUMBERS = 1, 2, 3, 4, 5, range(6, 16)
COMPLEX = 0x08
ONLY_MATLABS = (16, 17)
"""Function handles and what has no description, such as tables."""
DEEPEST = 32
MOST_BYTES = 2**31
"""Of a variable, unpacked."""


def refuse_damaged_mat5(path: Path | str) -> None:
    """Walk through all elements of a file and see that each ends where it ought to and holds what it says.

    Raises:
        ValueError: when one does not.

    Source: MathWorks, "MAT-File Level 5 File Format", R2024a, and what SciPy makes of it.
    """
    data = memoryview(Path(path).read_bytes())
    order = "<" if bytes(data[126:128]) == b"IM" else ">"
    place = HEADER
    while place < len(data):
        kind, start, end, place = _tag(data, place, order, padded=False)
        if kind == COMPRESSED:
            _check_unpacked(data[start:end], order)
        elif kind == MATRIX:
            _Walk(order).matrix(data[start:end])
        else:
            raise ValueError(f"it has an element of type {kind} where a variable ought to be")


def _check_unpacked(packed: memoryview, order: str) -> None:
    unpacked = memoryview(zlib.decompressobj().decompress(packed, MOST_BYTES))
    kind, start, end, _ = _tag(unpacked, 0, order, padded=False)
    if kind != MATRIX:
        raise ValueError(f"it has an element of type {kind} where a variable ought to be")
    _Walk(order).matrix(unpacked[start:end])


def _tag(data: memoryview, place: int, order: str, *, padded: bool = True) -> tuple[int, int, int, int]:
    """Type, start and end of an element's values, and where the next element begins."""
    if place + 8 > len(data):
        raise ValueError("it ends within an element")
    first, size = struct.unpack_from(f"{order}II", data, place)
    if small := first >> 16:
        if small > 4:
            raise ValueError("it has a small element that is too large")
        return first & 0xFFFF, place + 4, place + 4 + small, place + 8
    start = place + 8
    if start + size > len(data):
        raise ValueError("it has an element that is longer than what holds it")
    return first, start, start + size, start + size + (-size % 8 if padded else 0)


class _Walk:
    def __init__(self, order: str, depth: int = 0) -> None:
        self.order, self.depth = order, depth
        if depth > DEEPEST:
            raise ValueError(f"its variables are nested in more than {DEEPEST} others")

    def matrix(self, data: memoryview) -> None:
        """Check the parts of a variable, which fill `data`."""
        if not data:
            return  # how MATLAB writes an empty one
        self.data, self.place = data, 0
        flags = self._values({UNSIGNED: 4}, exactly=2)
        kind = struct.unpack_from(f"{self.order}I", flags)[0]
        if kind & 0xFF in ONLY_MATLABS and not self.depth:
            return  # `_OldFile` leaves it alone
        shape = self._shape()
        self._values({BYTES: 1, 16: 1})  # its name
        self._content(kind & 0xFF, shape, is_complex=bool(kind >> 8 & COMPLEX))

    def _content(self, kind: int, shape: tuple[int, ...], *, is_complex: bool) -> None:
        count = math.prod(shape)
        if kind in NUMBERS:
            for _ in range(1 + is_complex):
                self._values(NUMERIC, exactly=count)
        elif kind == SPARSE:
            self._sparse(shape, is_complex=is_complex)
        elif kind == CHAR:
            self._values(TEXT, most=count * 4)
        elif kind == CELL:
            self._matrices(count)
        elif kind in (STRUCT, OBJECT):
            if kind == OBJECT:
                self._values({BYTES: 1, 16: 1})
            (length,) = struct.unpack(f"{self.order}i", self._values(INTEGERS, exactly=1))
            names = len(self._values({BYTES: 1, 16: 1}))
            if length < 1 or names % length:
                raise ValueError("it has a struct with damaged names")
            self._matrices(count * (names // length))
        else:
            raise ValueError(f"it has a variable of class {kind}, which is not known")

    def _sparse(self, shape: tuple[int, ...], *, is_complex: bool) -> None:
        rows, starts = (
            np.frombuffer(values, f"{self.order}i4")
            for values in (self._values(INTEGERS), self._values(INTEGERS, exactly=shape[-1] + 1))
        )
        filled = int(starts[-1])
        lengths = [
            len(rows),
            *(len(self._values(dict.fromkeys(NUMERIC, 1))) for _ in range(1 + is_complex)),
        ]  # in bytes: MATLAB stores logical ones as other types
        inside = not len(rows) or (rows.min() >= 0 and rows.max() < shape[0])
        if len(shape) != 2 or starts[0] or (np.diff(starts) < 0).any() or not inside or filled > min(lengths):
            raise ValueError("it has a damaged sparse matrix")

    def _matrices(self, count: int) -> None:
        if count > len(self.data):
            raise ValueError("it has fewer variables than a struct or cell array declares")
        for _ in range(count):
            kind, start, end, self.place = _tag(self.data, self.place, self.order)
            if kind != MATRIX:
                raise ValueError(f"it has an element of type {kind} where a variable ought to be")
            _Walk(self.order, self.depth + 1).matrix(self.data[start:end])

    def _shape(self) -> tuple[int, ...]:
        values = self._values(INTEGERS)
        shape = struct.unpack(f"{self.order}{len(values) // 4}i", values)
        if not 2 <= len(shape) <= DEEPEST or min(shape) < 0:
            raise ValueError("it has a variable with a damaged shape")
        return shape

    def _values(self, types: dict[int, int], *, exactly: int | None = None, most: int | None = None) -> memoryview:
        """Values of the next element, one of the types (-> bytes of a value), of which there are so many."""
        kind, start, end, self.place = _tag(self.data, self.place, self.order)
        if kind not in types or (end - start) % types[kind]:
            raise ValueError(f"it has an element of type {kind} and {end - start} bytes where another ought to be")
        count = (end - start) // types[kind]
        if (exactly is not None and count != exactly) or (most is not None and count > most):
            raise ValueError("it has a variable of other length than its shape tells")
        return self.data[start:end]
