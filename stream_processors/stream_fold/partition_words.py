"""Words of a partition's own state: its clock, its counters, what it knows of its entities as a whole."""

from __future__ import annotations

from contracts.outcomes import Outcome, Reason

# Integers; floats stand in the same memory behind the float view.
ENTITIES = 0
UNKNOWN_FLOOR = 1  # what an entity never seen, or forgotten altogether, begins with
CLOCK = 2  # running maximum of accepted event times, µs; -1 before the first
FIRST_CLOCK = 3  # event time of the first reading folded
SUMMARIES = 4  # edges of the clock at which a summary was due, so far
ACTIVE_CLOCK = 5  # float: the clock less the time in which nobody was heard, µs
MEAN_STEP = 6  # float: running mean of the clock's steps above zero, µs
STEPS = 7
OUTCOMES = 8  # one counter for each Outcome
REASONS = OUTCOMES + len(Outcome)  # one for each Reason
OUT_OF_ORDER = REASONS + len(Reason)
IMPOSSIBLE = OUT_OF_ORDER + 1  # values out of range or not finite, folded as missing
UNKNOWN_FIELDS = OUT_OF_ORDER + 2  # keys of objects that the definition does not name
FORGOTTEN = OUT_OF_ORDER + 3  # remembered readings given up while they could still have been repeated
EVICTED = OUT_OF_ORDER + 4
OVERFLOWED = OUT_OF_ORDER + 5  # evicted entities that the bounded table could not keep
EVIDENCE = OUT_OF_ORDER + 6  # pieces of evidence emitted
WORDS = OUT_OF_ORDER + 7

COUNTER_NAMES: dict[int, str] = (
    {OUTCOMES + outcome: outcome.name.lower() for outcome in Outcome}
    | {REASONS + reason: reason.code for reason in Reason if reason not in (Reason.NONE, Reason.LATE)}
    | {
        OUT_OF_ORDER: "out_of_order",
        IMPOSSIBLE: "impossible",
        UNKNOWN_FIELDS: "unknown_fields",
        FORGOTTEN: "forgotten",
        EVICTED: "evicted",
        OVERFLOWED: "overflowed",
    }
)
