"""What msgspec raises for bytes that are not what was expected of them, JSON and msgpack alike."""

from __future__ import annotations

import msgspec

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""The latter two are none of its own: a text that is no UTF-8, and nesting that would end the stack."""
