"""The one way in which records are read from a topic: whatever the bytes are, it gives a record or None, and never an exception.

A stranger's record must not stop who reads a topic, and each reader must take the same records: a live fold and the fold that
checks it, from whatever depth of calls. So size and nesting are bounded here and not by the stack that happens to be left.
"""

from __future__ import annotations

import re
from typing import Any, Generic, TypeVar

import msgspec

from contracts.outcomes import MAX_DEPTH

T = TypeVar("T")

MAX_RECORD_BYTES = 4_000_000
"""A larger value is no record of ours: Kafka's default allows 1 MB, and as objects a record takes many times its bytes."""

_BRACKET = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


class RecordReader(Generic[T]):
    """Reads values of one kind of record, or of several that tell each other apart.

    >>> from contracts.records import Switch
    >>> RecordReader(Switch).read(b'{"kind":"taken","log":"pumps.events","partition":0}').log
    'pumps.events'
    >>> RecordReader(Switch).read(b"[" * 100_000)
    """

    def __init__(self, kind: Any) -> None:
        self._decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(kind)

    def read(self, value: bytes | None) -> T | None:
        """The record, or None where the value is none."""
        if not value or len(value) > MAX_RECORD_BYTES or is_deeper(value, MAX_DEPTH):
            return None
        try:
            return self._decoder.decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None


def is_deeper(text: bytes, depth: int) -> bool:
    """Whether brackets outside of strings are open more than `depth` deep. Linear in the length; nothing recurses."""
    if text.count(b"[") + text.count(b"{") <= depth:
        return False
    opened = 0
    for match in _BRACKET.finditer(text):
        bracket = match[0]
        if bracket in (b"[", b"{"):
            opened += 1
            if opened > depth:
                return True
        elif bracket in (b"]", b"}"):
            opened -= 1
    return False
