"""What one record can end as, and the closed list of reasons of dead letters (docs/semantics.md, section 2)."""

from __future__ import annotations

from enum import IntEnum


class Outcome(IntEnum):
    """Each record read ends in exactly one of these; the four are counted per partition."""

    FOLDED = 0
    DUPLICATE = 1
    LATE = 2
    DEAD_LETTERED = 3


class Reason(IntEnum):
    """Why a record was dead-lettered. The number is what kernels carry, the lower-case name what records say."""

    NONE = 0
    EMPTY = 1  # tombstone or empty value
    TOO_LARGE = 2  # value above MAX_VALUE_BYTES
    NOT_UTF8 = 3
    NOT_JSON = 4
    TOO_DEEP = 5  # nested deeper than MAX_DEPTH
    NOT_AN_OBJECT = 6
    DUPLICATE_FIELD = 7  # a declared field stands twice in the object
    ENTITY_MISSING = 8
    ENTITY_TOO_LONG = 9  # above MAX_ENTITY_BYTES of UTF-8
    TIME_MISSING = 10
    TIME_UNREADABLE = 11
    TYPE = 12  # a declared field has a value of another type
    REQUIRED_MISSING = 13  # a field declared required is missing or null
    KEY = 14  # Kafka key null or not equal to the entity in the body
    CLOCK_AHEAD = 15  # event time above Kafka timestamp + clock tolerance
    LATE = 16  # below the entity's watermark; counted as late, not as dead-lettered

    @property
    def code(self) -> str:
        """The text in records: ``not_json``."""
        return self.name.lower()


MAX_VALUE_BYTES = 1_000_000  # a larger value would let one record stall a partition for seconds
MAX_DEPTH = 32  # deeper nesting exhausts the stack of recursive parsers
MAX_ENTITY_BYTES = 128  # the name is kept in each entity's row, so it bounds the bytes of state
MAX_ORIGINAL_BYTES = 65_536  # of the original kept in a dead letter; the rest is read by its offset
MAX_CATEGORY_BYTES = 64  # longer category values are a type error: free text is not a category
