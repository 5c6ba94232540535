"""Mutants of valid inputs: bytes changed, cut, doubled, crossed; numbers and texts at their extremes; brackets without end."""

from __future__ import annotations

import random
import re
import struct
from collections.abc import Callable, Sequence

MAX_BYTES = 200_000  # of a mutant: what grows with the square of the length shows by then, and a long run stays one of minutes
JSON_TOKENS = [
    *b'{ } [ ] " , : \\ null true false NaN Infinity -Infinity 1e999 -0 0.0 1.5 -1 \\u0000 \\ud800 \\u00e9 {} [] ""'.split(b" "),
    *b"\x00 \x7f \x80 \xc3\xa9 \xed\xa0\x80 \xf0\x9f\x98\x80 \xff \xef\xbb\xbf \xe2\x80\xae".split(b" "),
]
NUMBERS = [
    str(sign * value + more).encode()
    for value in (0, 1, 2**15, 2**31, 2**32, 2**53, 2**62, 2**63, 2**64, 10**30)
    for sign in (1, -1)
    for more in (-1, 0, 1)
] + [b"1e308", b"-1e308", b"1e-320", b"0.1", b"9" * 400, b"9" * 5_000, b"1." + b"1" * 400, b"1e400"]
TEXTS = [
    b"",
    b"/",
    b"////////",
    b"a/1/0/5/score/0",
    b"\\u0000",
    b"x" * 129,
    b"x" * 70_000,
    b"\xc3\xa9" * 64,
    b"../../../etc/passwd",
    b"%s%n",
]
WORDS = [struct.pack(f"<{kind}", value) for kind, values in (
    ("q", (0, 1, -1, 2**31, 2**53, 2**62, 2**63 - 1, -(2**63))),
    ("i", (0, 1, -1, 2**31 - 1, -(2**31))),
    ("h", (0, 1, -1, 2**15 - 1)),
    ("d", (0.0, -0.0, 1e308, -1e308, float("nan"), float("inf"), float("-inf"), 5e-324)),
) for value in values]  # fmt: skip
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_TEXT = re.compile(rb'"[^"\\]*"')

Change = Callable[[random.Random, bytearray, Sequence[bytes]], None]


def mutant(draw: random.Random, corpus: Sequence[bytes], tokens: Sequence[bytes] = JSON_TOKENS) -> bytes:
    """One of the corpus after one to eight changes; now and then as it is, so that what follows meets a state that moves."""
    data = bytearray(draw.choice(corpus))
    for _ in range(draw.choice((0, 1, 1, 1, 1, 2, 2, 4, 8))):
        if draw.random() < 0.15:
            _put(draw, data, draw.choice(tokens))
        else:
            draw.choices(_CHANGES, _WEIGHTS)[0](draw, data, corpus)
        del data[MAX_BYTES:]
    return bytes(data)


def _span(draw: random.Random, data: bytearray) -> slice:
    start = draw.randrange(len(data) + 1)
    return slice(start, min(len(data), start + draw.choice((1, 2, 4, 8, draw.randint(1, 64), len(data)))))


def _put(draw: random.Random, data: bytearray, what: bytes) -> None:
    at = draw.randrange(len(data) + 1)
    data[at : at + draw.choice((0, 0, 1, len(what)))] = what


def _byte(draw: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    if data:
        data[draw.randrange(len(data))] = draw.randrange(256)


def _bit(draw: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    if data:
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)


def _cut_out(draw: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    del data[_span(draw, data)]


def _cut_off(draw: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    del data[draw.randrange(len(data) + 1) :]


def _double(draw: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    part = bytes(data[_span(draw, data)])
    _put(draw, data, part * draw.choice((1, 1, 1, 1, 2, 2, 16, max(1, 40_000 // max(len(part), 1)))))


def _cross(draw: random.Random, data: bytearray, corpus: Sequence[bytes]) -> None:
    other = bytearray(draw.choice(corpus))
    data[_span(draw, data)] = other[_span(draw, other)]


def _number(draw: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    _replace(draw, data, _NUMBER, draw.choice(NUMBERS) if draw.random() < 0.8 else str(draw.randint(-(10**6), 10**6)).encode())


def _text(draw: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    _replace(draw, data, _TEXT, draw.choice((b'"%s"' % draw.choice(TEXTS), *NUMBERS[:3], b"null", b"[]", b"{}")))


def _value(draw: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    """A number becomes a text, a list or nothing."""
    _replace(draw, data, _NUMBER, draw.choice((b"null", b'"5"', b"[]", b"[1,2,3]", b'{"a":1}', b"true")))


def _word(draw: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    word = draw.choice(WORDS)
    word = word if draw.random() < 0.7 else word[::-1]
    at = draw.randrange(max(1, len(data) - len(word) + 1))
    at -= at % draw.choice((1, 4, 8))
    data[at : at + len(word)] = word


def _nest(draw: random.Random, data: bytearray, _: Sequence[bytes]) -> None:
    depth = draw.choice((8, 8, 31, 32, 33, 100, 1_000, 20_000))
    opened, closed = draw.choice(((b"[", b"]"), (b'{"a":', b"}"), (b"\x91", b""), (b"\x81\xa1a", b"")))
    deep = opened * depth + b"1" + (closed * depth if draw.random() < 0.7 else b"")
    if draw.random() < 0.5:
        _replace(draw, data, _NUMBER, deep)
    elif data[:1] == b"{":
        data[1:1] = b'"x":' + deep + b","  # a key that nobody asked for
    else:
        _put(draw, data, deep)


def _replace(draw: random.Random, data: bytearray, pattern: re.Pattern[bytes], what: bytes) -> None:
    found = list(pattern.finditer(data))
    if found:
        one = draw.choice(found)
        data[one.start() : one.end()] = what


_CHANGES: list[Change] = [_byte, _bit, _cut_out, _cut_off, _double, _cross, _number, _text, _value, _word, _nest]
_WEIGHTS = [3, 3, 2, 1, 2, 2, 5, 3, 2, 3, 1]
