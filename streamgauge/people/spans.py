"""Spans of an entity in which nothing was raised: which ones people are asked about, and how many there are.

A span is eight hours of one entity, aligned to the epoch. Its *chance* is a hash of feed, entity and time, so it needs no clock and
no memory, and everybody who asks gets the same spans. A span is drawn where its chance is below a rate that is the same for
all, whatever was raised or answered before: of all spans without an alarm each had the same chance of being asked about.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from contracts.durations import HOUR
from feature_store.known_entities import Heard
from online_model.raised import Raised

SPAN = 8 * HOUR  # a shift: somebody was there and can answer for it, and a fault of minutes is not lost in a day
DRAWN = 4  # spans of each eight hours, up to twice that: some hundred a week, more than people will answer
BLOCK = 8  # spans whose chances come from one hash


class Span(NamedTuple):
    """Eight hours of one entity; µs."""

    entity: str
    start: int

    @property
    def end(self) -> int:
        """The end, itself not in it."""
        return self.start + SPAN


class Counted(NamedTuple):
    """Spans of a period."""

    raised: int  # an incident of the entity, or of the whole feed, was open at some time in it
    quiet: int  # none was


class Spans:
    """All whole spans between the first and the newest reading of each entity that is known.

    Args:
        feed: name.
        entities: what was heard of each.
        incidents: whatever was raised.
    """

    def __init__(self, feed: str, entities: Mapping[str, Heard], incidents: Iterable[Raised]) -> None:
        self._feed = feed
        self._entities = entities
        # a rate in powers of two changes only when the number of entities has doubled or halved
        self._limit = 1 << (64 - max(0, (len(entities) // DRAWN).bit_length() - 1))
        newest = max((heard.newest for heard in entities.values()), default=0)
        self._of_feed: set[int] = set()  # numbers of spans
        self._of_entity: dict[str, set[int]] = {}
        for incident in incidents:
            end = newest if incident.end is None else incident.end
            numbers = range(incident.start // SPAN, min(end, newest) // SPAN + 1)
            (self._of_feed if incident.entity is None else self._of_entity.setdefault(incident.entity, set())).update(numbers)

    def drawn(self, back: int) -> list[Span]:
        """Spans without an alarm that were drawn, of the newest `back` µs of each entity; in the order in which to ask."""
        found = []
        for entity, heard in self._entities.items():
            for chance, span in self._chances(entity, self._numbers(heard, heard.newest - back)):
                if chance < self._limit and self.quiet(span):
                    found.append((chance, span))
        return [span for _, span in sorted(found)]

    def is_drawn(self, span: Span) -> bool:
        """Whether it was drawn: its answer says something about those that nobody is asked about."""
        heard = self._entities.get(span.entity)
        if heard is None or span.start % SPAN or span.start // SPAN not in self._numbers(heard, 0) or not self.quiet(span):
            return False
        number = span.start // SPAN
        return all(chance < self._limit for chance, _ in self._chances(span.entity, range(number, number + 1)))

    def quiet(self, span: Span) -> bool:
        """Whether nothing was raised in it, about the entity or the whole feed."""
        number = span.start // SPAN
        return number not in self._of_feed and number not in self._of_entity.get(span.entity, ())

    def count(self, first: int) -> Counted:
        """All spans from `first` µs on."""
        raised = total = 0
        for entity, heard in self._entities.items():
            numbers = self._numbers(heard, first)
            total += len(numbers)
            raised += sum(number in numbers for number in self._of_feed | self._of_entity.get(entity, set()))
        return Counted(raised, total - raised)

    def _numbers(self, heard: Heard, first: int) -> range:
        return range(-(-max(heard.first, first) // SPAN), heard.newest // SPAN)

    def _chances(self, entity: str, numbers: range) -> Iterator[tuple[int, Span]]:
        block, digest = -1, b""
        for number in numbers:
            if number // BLOCK != block:
                block = number // BLOCK
                digest = hashlib.blake2b(f"{self._feed}/{block}/{entity}".encode(), digest_size=8 * BLOCK).digest()
            at = 8 * (number % BLOCK)
            yield int.from_bytes(digest[at : at + 8], "little"), Span(entity, number * SPAN)
