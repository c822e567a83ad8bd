"""Columns of whole numbers in as few bytes as is cheap: what is constant costs nothing, what is noise its own bits.

A column is a constant, or its numbers less the smallest, cut into planes of bytes, each deflated by itself (their
alphabets differ); where that saves something, the four lowest bits, which are pure noise, are split off first. Over
response times this takes 1.03 bytes a value, where deflating the 16-bit numbers takes 1.43 (see docs/history.md).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import accumulate

_CONSTANT, _PLANES = 0, 1
_MOST = 10_000_000
_WORTH_SPLITTING = 0.7
"""Bytes a number from which on the lowest bits are worth a plane of their own."""


def put_number(number: int) -> bytes:
    """A whole number of any size and sign, seven bits a byte, lowest first."""
    rest = number << 1 if number >= 0 else (-number << 1) - 1
    found = bytearray()
    while rest > 0x7F:
        found.append(rest & 0x7F | 0x80)
        rest >>= 7
    found.append(rest)
    return bytes(found)


def put_bytes(data: bytes) -> bytes:
    return put_number(len(data)) + data


def put_column(values: Sequence[int]) -> bytes:
    """How many numbers there are must be known to who takes them."""
    least = min(values, default=0)
    most = max(values, default=0)
    if least == most:
        return bytes((_CONSTANT,)) + put_number(least)
    rest = [value - least for value in values]
    best = _planes(rest, most - least, shift=0)
    if most - least > 15 and len(best) > len(rest) * _WORTH_SPLITTING:
        best = min(best, _planes(rest, most - least, shift=4), key=len)
    return bytes((_PLANES,)) + put_number(least) + put_number(most - least) + best


def put_steps(values: Sequence[int]) -> bytes:
    """A column by the differences between neighbours: for what goes on evenly."""
    return put_column([after - before for before, after in zip([0, *values], values, strict=False)])


def _planes(rest: Sequence[int], most: int, shift: int) -> bytes:
    found = bytearray((shift,))
    if shift:
        low = [value & 15 for value in rest] + [0] * (len(rest) & 1)
        found += bytes(a | b << 4 for a, b in zip(low[0::2], low[1::2], strict=True))
        rest = [value >> shift for value in rest]
    for byte in range(_width(most >> shift)):
        found += put_bytes(_deflated(bytes(value >> 8 * byte & 0xFF for value in rest)))
    return bytes(found)


def _width(most: int) -> int:
    return max((most.bit_length() + 7) // 8, 1)


def _deflated(data: bytes) -> bytes:
    """Noise is best served by its letters' frequencies alone, everything else by repetitions, too."""
    return min((_deflate(data, strategy) for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY)), key=len)


def _deflate(data: bytes, strategy: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 9, strategy)
    return packer.compress(data) + packer.flush()


class Taker:
    """Reads back, in the same order, what was put. Raises `ValueError` for what is damaged."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def number(self) -> int:
        rest = shift = 0
        while True:
            byte = self.take(1)[0]
            rest |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return rest >> 1 if not rest & 1 else -(rest + 1 >> 1)

    def count(self) -> int:
        """How many rows follow; one that is beyond belief must not become memory."""
        count = self.number()
        if not 0 <= count <= _MOST:
            raise ValueError("it has too many rows")
        return count

    def take(self, count: int) -> bytes:
        found = self._data[self._at : self._at + count]
        if count < 0 or len(found) != count:
            raise ValueError("it ends too early")
        self._at += count
        return found

    def blob(self) -> bytes:
        return self.take(self.number())

    def column(self, count: int) -> list[int]:
        kind = self.take(1)[0]
        least = self.number()
        if kind == _CONSTANT:
            return [least] * count
        most = least + self.number()
        shift = self.take(1)[0]
        low = self.take((count + 1) // 2) if shift else b""
        values = [0] * count
        for byte in range(_width((most - least) >> shift)):
            plane = self._inflated(count)
            values = [value | part << 8 * byte for value, part in zip(values, plane, strict=True)]
        if shift:
            values = [value << 4 | low[at >> 1] >> 4 * (at & 1) & 15 for at, value in enumerate(values)]
        return [value + least for value in values]

    def steps(self, count: int) -> list[int]:
        return list(accumulate(self.column(count)))

    def _inflated(self, count: int) -> bytes:
        try:
            plane = zlib.decompressobj(-15).decompress(self.blob(), count + 1)
        except zlib.error as error:
            raise ValueError(str(error)) from error
        if len(plane) != count:
            raise ValueError("a column has the wrong length")
        return plane
