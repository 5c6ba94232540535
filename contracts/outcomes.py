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


class LabelOutcome(IntEnum):
    """Each truth on `<feed>.labels` ends in exactly one of these; those that wait are counted apart until they do."""

    JOINED = 0
    DUPLICATE = 1  # the same value for an event that has it
    CORRECTION = 2  # a later value for an event that has one
    TOO_LATE = 3  # its event is older than LABEL_HORIZON, or than what the joiner still remembers
    UNMATCHED = 4  # unreadable, or no event answers to it


class LabelReason(IntEnum):
    """Why a label is a dead letter; the lower-case name is what records say."""

    LABEL_UNREADABLE = 0  # no JSON object of the label's shape, no time, or a value that does not fit the target
    LABEL_TOO_LATE = 1
    LABEL_UNMATCHED = 2  # its event did not come within the time that a label waits
    LABEL_NO_TARGET = 3  # a truth for a feed that predicts nothing

    @property
    def code(self) -> str:
        """The text in records: ``label_unmatched``."""
        return self.name.lower()


LABEL_HORIZON = 90 * 86_400_000_000  # µs; an older truth is too late: its vector may be gone from the history
MAX_VALUE_BYTES = 1_000_000  # a larger value would let one record stall a partition for seconds
MAX_DEPTH = 32  # deeper nesting exhausts the stack of recursive parsers
MAX_ENTITY_BYTES = 128  # the name is kept in each entity's row, so it bounds the bytes of state
MAX_ORIGINAL_BYTES = 65_536  # of the original kept in a dead letter; the rest is read by its offset
MAX_CATEGORY_BYTES = 64  # longer category values are a type error: free text is not a category
