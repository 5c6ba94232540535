"""What people said, set against what was raised: precision of each source of alarms, agreement, recall."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from contracts.definition import Feed
from contracts.durations import DAY
from contracts.records import Remark
from feature_store.known_entities import Heard
from online_model.opinions import Opinion, Opinions
from online_model.raised import Raised
from stream_processors.joiner.labels import times_of
from streamgauge.people.recall import Recall, recall_of
from streamgauge.people.share import Share, share_of
from streamgauge.people.spans import SPAN, Counted, Span, Spans

PERIOD = 28 * DAY  # that recall speaks of, of event time: longer, and it would tell of sensors and thresholds that are gone


class Precision(NamedTuple):
    """Of one source of alarms, or of the incidents with one tag."""

    source: str  # or the tag
    raised: int  # incidents
    disputed: int
    confirmed: Share  # of those on which people have settled


class Misses(NamedTuple):
    """Of the spans without an alarm that were drawn and answered."""

    missed: Share
    disputed: int
    not_drawn: int  # answered spans that say nothing about the others: not drawn, or something was raised there by now
    spans: Counted
    recall: Recall


class People(NamedTuple):
    """Everything that people have said about a feed."""

    sources: list[Precision]  # that of most incidents first
    tags: list[Precision]  # of the incidents that bear a tag, likewise
    agreeing: int  # pairs of people
    pairs: int
    misses: Misses | None  # None before the first answer
    unknown: list[str]  # incidents with a verdict that were never raised
    unreadable: int


class Verdicts:
    """The opinions in remarks, in their order."""

    def __init__(self, feed: Feed, remarks: Iterable[Remark]) -> None:
        incidents: list[Opinion[str]] = []
        spans: list[Opinion[Span]] = []
        self.odd_spans = 0  # answered, but not one that anybody is asked about
        for label in (remark.label for remark in remarks):
            if label.verdict in ("confirm", "dismiss") and label.incident:
                incidents.append(Opinion(label.incident, label.by, label.verdict == "confirm"))
            elif label.verdict is not None and (times := times_of(feed, label)) is not None:
                span = Span(label.entity or "", times[0])
                if span.start % SPAN or times[1] != span.end:
                    self.odd_spans += 1
                else:
                    spans.append(Opinion(span, label.by, label.verdict == "missed"))
        self.incidents = Opinions(incidents)
        self.spans = Opinions(spans)


def people(feed: Feed, remarks: Iterable[Remark], unreadable: int, raised: Mapping[str, Raised], entities: Mapping[str, Heard]) -> People:
    """Precision by source, agreement, and recall over the newest PERIOD since the first answered span."""
    remarks = list(remarks)
    verdicts = Verdicts(feed, remarks)
    settled, disputed = verdicts.incidents.settled, verdicts.incidents.disputed
    of_source: dict[str, set[str]] = {}
    for incident in raised.values():
        of_source.setdefault(incident.source, set()).add(incident.id)
    of_tag: dict[str, set[str]] = {}
    for label in (remark.label for remark in remarks if remark.label.incident in raised):
        for tag in label.tags or ():
            of_tag.setdefault(tag, set()).add(label.incident or "")
    pairs = [opinions.agreement for opinions in (verdicts.incidents, verdicts.spans)]
    return People(
        _precisions(of_source, settled, disputed),
        _precisions(of_tag, settled, disputed),
        sum(agreeing for agreeing, _ in pairs),
        sum(both for _, both in pairs),
        _misses(verdicts, Spans(feed.name, entities, raised.values()), raised, entities),
        sorted((settled.keys() | disputed) - raised.keys()),
        unreadable,
    )


def _precisions(groups: Mapping[str, set[str]], settled: Mapping[str, bool], disputed: set[str]) -> list[Precision]:
    found = []
    for name, mine in groups.items():
        said = [settled[incident] for incident in mine if incident in settled]
        found.append(Precision(name, len(mine), len(mine & disputed), share_of(sum(said), len(said))))
    return sorted(found, key=lambda item: (-item.raised, item.source))


def _misses(verdicts: Verdicts, spans: Spans, raised: Mapping[str, Raised], entities: Mapping[str, Heard]) -> Misses | None:
    newest = max((heard.newest for heard in entities.values()), default=0)
    settled = {span: yes for span, yes in verdicts.spans.settled.items() if span.start >= newest - PERIOD}
    disputed = {span for span in verdicts.spans.disputed if span.start >= newest - PERIOD}
    drawn = [span for span in settled if spans.is_drawn(span)]
    if not (settled or disputed or verdicts.odd_spans):
        return None
    first = min((span.start for span in drawn), default=newest)
    counted = spans.count(first)
    missed = share_of(sum(settled[span] for span in drawn), len(drawn))
    held = verdicts.incidents.settled
    of_period = [held[i.id] for i in raised.values() if i.id in held and (i.end is None or i.end >= first)]
    recall = recall_of(counted, (sum(of_period), len(of_period)), (missed.yes, missed.of))
    not_drawn = len(settled) - len(drawn) + verdicts.odd_spans
    return Misses(missed, sum(map(spans.is_drawn, disputed)), not_drawn, counted, recall)


def plain(found: People) -> dict[str, Any]:
    """As JSON values."""
    misses = found.misses
    return {
        "sources": [{"source": item.source} | _plain_precision(item) for item in found.sources],
        "tags": [{"tag": item.source} | _plain_precision(item) for item in found.tags],
        "agreement": {"pairs": found.pairs, "agreeing": found.agreeing, "rate": found.agreeing / found.pairs if found.pairs else None},
        "misses": None
        if misses is None
        else {
            "answered": misses.missed.of,
            "missed": misses.missed.yes,
            "share": misses.missed.share,
            "low": misses.missed.low,
            "high": misses.missed.high,
            "disputed": misses.disputed,
            "not_drawn": misses.not_drawn,
            "spans_with_alarm": misses.spans.raised,
            "spans_without": misses.spans.quiet,
            "recall": misses.recall._asdict(),
        },
        "unknown_incidents": found.unknown,
        "unreadable": found.unreadable,
    }


def _plain_precision(item: Precision) -> dict[str, Any]:
    confirmed = item.confirmed
    counts = {"raised": item.raised, "disputed": item.disputed, "confirmed": confirmed.yes, "settled": confirmed.of}
    return counts | {"precision": confirmed.share, "low": confirmed.low, "high": confirmed.high}
