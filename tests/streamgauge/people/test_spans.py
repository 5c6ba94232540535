"""Spans without an alarm: which are drawn, who is asked, and what the answers say about misses."""

from __future__ import annotations

import numpy as np
import pytest

from contracts.definition import Feed, Number
from contracts.durations import DAY, HOUR, WEEK
from contracts.event_time import format_event_time
from contracts.records import Label, Remark
from feature_store.known_entities import Heard
from online_model.raised import Raised
from streamgauge.people.questions import AT_ONCE, questions
from streamgauge.people.recall import recall_of
from streamgauge.people.spans import SPAN, Counted, Span, Spans

FEED = Feed("f", entity="e", time="t", fields=[Number("x")])
START = 1_767_225_600_000_000  # midnight, which begins a span
WHOLE = {f"pump-{i:02}": Heard(START, START + WEEK) for i in range(48)}
FEW = {name: WHOLE[name] for name in list(WHOLE)[:5]}


def incident(entity: str | None, start: int, end: int | None, name: str = "f/1/evidence/0/alert/0") -> Raised:
    return Raised(name, "drift", entity, start, end)


def answer(span: Span, verdict: str, by: str, offset: int = 0) -> Remark:
    label = Label(
        entity=span.entity,
        event_time=format_event_time(span.start),
        until=format_event_time(span.end),
        verdict=verdict,
        by=by,  # type: ignore[arg-type]
    )
    return Remark(id=f"f/1/labels-0/{offset}/remark/0", when=offset, label=label)


def test_of_few_entities_every_whole_span_is_drawn() -> None:
    """Three a day; not the one in which an entity was first heard, nor the one that has not passed."""
    late = FEW | {"late": Heard(START + 1, START + WEEK - 1)}
    found = Spans("f", late, []).drawn(WEEK)
    assert len(found) == len(set(found)) == 5 * 21 + 19
    assert all(start % SPAN == 0 for _, start in found)
    assert min(span.start for span in found if span.entity == "late") == START + SPAN
    assert len(Spans("f", FEW, []).drawn(DAY)) == 5 * 3


def test_of_many_a_share_is_drawn_that_depends_on_nothing() -> None:
    """An eighth of 48 pumps' spans, in an order that mixes them; others' alarms and new pumps change neither the draw nor the order."""
    spans = Spans("f", WHOLE, [])
    found = spans.drawn(WEEK)
    assert 90 < len(found) < 165  # 1,008 / 8, four standard deviations around it
    assert found != sorted(found)
    assert len({span.entity for span in found[:20]}) > 10
    assert all(map(spans.is_drawn, found))
    assert sum(spans.is_drawn(Span(name, START + i * SPAN)) for name in WHOLE for i in range(21)) == len(found)
    raised = [incident(found[0].entity, found[0].start + HOUR, found[0].start + 2 * HOUR)]
    assert Spans("f", WHOLE, raised).drawn(WEEK) == found[1:]
    more = Spans("f", WHOLE | {"new": Heard(START, START + WEEK)}, []).drawn(WEEK)
    assert [span for span in more if span.entity != "new"] == found
    assert Spans("g", WHOLE, []).drawn(WEEK) != found


def test_a_span_is_quiet_where_nothing_was_open() -> None:
    """Not where an incident of the entity or of the whole feed reaches into it; one that is open reaches to the newest reading."""
    raised = [incident("pump-00", START + SPAN - 1, START + SPAN), incident(None, START + 2 * DAY, START + 2 * DAY)]
    raised.append(incident("pump-01", START + 6 * DAY, None))
    spans = Spans("f", FEW, raised)
    loud = {("pump-00", 0), ("pump-00", 1)} | {(name, 6) for name in FEW} | {("pump-01", i) for i in range(18, 21)}
    for name in FEW:
        for i in range(21):
            assert spans.quiet(Span(name, START + i * SPAN)) == ((name, i) not in loud)
    assert spans.count(START) == Counted(len(loud), 5 * 21 - len(loud))
    assert spans.count(START + DAY) == Counted(len(loud) - 2, 5 * 18 - len(loud) + 2)


def test_what_is_no_drawn_span_is_told_apart() -> None:
    """An unknown entity, a time between two spans, a span that has not passed, and one with an alarm."""
    spans = Spans("f", FEW, [incident("pump-00", START, START)])
    assert spans.is_drawn(Span("pump-01", START))
    others = [("nobody", START), ("pump-01", START + HOUR), ("pump-01", START + WEEK), ("pump-01", START - SPAN), ("pump-00", START)]
    assert not any(spans.is_drawn(Span(*name)) for name in others)


def test_people_are_asked_what_is_open() -> None:
    """A settled span no more, a disputed one only those who have not said anything, and everybody else in the same order."""
    first, second, third, *_ = questions(FEED, [], {}, FEW, "ana")
    assert len(questions(FEED, [], {}, FEW, "ana")) == AT_ONCE
    said = [answer(first, "fine", "ana", 0), answer(second, "fine", "ana", 1), answer(second, "missed", "ben", 2)]
    assert questions(FEED, said, {}, FEW, "cem")[:2] == [second, third]
    assert questions(FEED, said, {}, FEW, "ben")[:1] == [third]
    raised = {"x": incident(second.entity, second.start, second.start, "x")}
    assert questions(FEED, said, raised, FEW, "cem")[:1] == [third]


def test_recall_of_the_strata() -> None:
    """Where all is known it is what it is: 20 spans with an alarm, half of them rightly, and 10 of 200 missed ones: one half."""
    found = recall_of(Counted(20, 200), (5_000, 10_000), (500, 10_000))
    assert found.recall == pytest.approx(0.5)
    assert 0.45 < found.low < 0.5 < found.high < 0.55
    assert recall_of(Counted(20, 200), (0, 0), (0, 0)) == (None, 0.0, 1.0)
    assert recall_of(Counted(20, 200), (10, 10), (0, 30)).recall == 1.0
    assert recall_of(Counted(20, 200), (10, 10), (0, 30)).low < 0.5
    assert recall_of(Counted(0, 200), (0, 0), (2, 30)) == (None, 0.0, 0.0)


def test_the_interval_holds_the_true_recall() -> None:
    """Of 48 pumps with planted faults, some raised and some not: people answer what they are asked about, and confirm incidents;
    the interval holds the true share in nearly all of 200 fleets, and the estimates are right on average."""
    draw, held, estimates = np.random.default_rng(7), 0, []
    every = [Span(name, start) for name in WHOLE for start in range(START, START + WEEK, SPAN)]
    for fleet in range(200):
        faulty = draw.random(len(every)) < 0.1
        raised = np.where(faulty, draw.random(len(every)) < 0.6, draw.random(len(every)) < 0.02)
        incidents = [incident(span.entity, span.start, span.start) for span, loud in zip(every, raised, strict=True) if loud]
        truth = dict(zip(every, faulty.tolist(), strict=True))
        spans = Spans(f"fleet-{fleet}", WHOLE, incidents)
        asked = spans.drawn(WEEK)[:60]
        confirmed = [bool(f) for f, loud in zip(faulty, raised, strict=True) if loud][:20]
        counted = spans.count(START)
        assert counted == Counted(int(raised.sum()), int((~raised).sum()))
        found = recall_of(counted, (sum(confirmed), len(confirmed)), (sum(truth[span] for span in asked), len(asked)))
        true = (faulty & raised).sum() / faulty.sum()
        held += found.low <= true <= found.high
        estimates.append((found.recall, true))
    assert held >= 190
    assert np.mean([told for told, _ in estimates]) == pytest.approx(np.mean([true for _, true in estimates]), abs=0.05)
