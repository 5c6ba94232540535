"""From alerts and remarks to precision, agreement and misses."""

from __future__ import annotations

import msgspec
import pytest

from contracts.durations import HOUR, MINUTE, WEEK
from contracts.records import Alert, Label, Remark
from online_model.raised import Raised, raised_incidents
from streamgauge.people.spans import SPAN, Span, Spans
from streamgauge.people.verdicts import PERIOD, people, plain
from tests.streamgauge.people.test_spans import FEED, FEW, START, answer, incident


def alert(status: str, event_time: int, kind: str = "anomaly", **changed: object) -> Alert:
    """Of one incident, 5 minutes after it began."""
    given = {"id": f"f/1/evidence/{event_time}/alert/0", "incident": "i", "status": status, "kind": kind, "scope": "entity"}
    given |= {
        "entity": "a",
        "field": None,
        "severity": "low",
        "sentence": "",
        "event_time": event_time,
        "first_seen": START,
        "log10_e": 9.0,
    }
    given |= {"threshold": 6.0, "features": [], "entities": [], "merged_into": None, "reason": ""}
    return msgspec.convert(given | dict.fromkeys(("reference", "current", "ks", "ks_p", "psi")) | changed, Alert)


def verdict(offset: int, incident: str, said: str, by: str) -> Remark:
    label = Label(incident=incident, verdict=said, by=by)  # type: ignore[arg-type]
    return Remark(id=f"f/1/labels-0/{offset}/remark/0", when=offset, label=label)


def test_an_incident_counts_for_the_source_that_opened_it() -> None:
    """Also where drift explained it better later; it lasts from when its statistic left the ground to its resolution."""
    later = [alert("updated", START + HOUR, "drift", first_seen=START - HOUR), alert("resolved", START + 9 * HOUR, "drift")]
    opened = alert("opened", START + 5 * MINUTE)
    assert raised_incidents([opened, later[0]]) == {"i": Raised("i", "anomaly", "a", START - HOUR, None)}
    assert raised_incidents([opened, *later]) == {"i": Raised("i", "anomaly", "a", START - HOUR, START + 9 * HOUR)}


def test_verdicts_give_the_precision_of_each_source() -> None:
    """Settled incidents only; disputed ones are counted apart, those nobody spoke of are only raised, and unknown ones are named."""
    raised = {name: Raised(name, "drift" if name < "e" else "stuck", "a", START, START) for name in "abcdef"}
    said = [verdict(0, "a", "confirm", "ana"), verdict(1, "b", "dismiss", "ana"), verdict(2, "c", "confirm", "ana")]
    said += [verdict(3, "c", "dismiss", "ben"), verdict(4, "a", "confirm", "ben"), verdict(5, "gone", "confirm", "ben")]
    found = people(FEED, said, 0, raised, {})
    assert [(s.source, s.raised, s.disputed, s.confirmed.yes, s.confirmed.of) for s in found.sources] == [
        ("drift", 4, 1, 1, 2),
        ("stuck", 2, 0, 0, 0),
    ]
    assert (found.agreeing, found.pairs, found.unknown, found.misses) == (1, 2, ["gone"], None)
    drift, stuck = plain(found)["sources"]
    assert (drift["precision"], drift["low"], drift["high"]) == (0.5, pytest.approx(0.0126, abs=1e-4), pytest.approx(0.9874, abs=1e-4))
    assert (stuck["precision"], stuck["low"], stuck["high"]) == (None, 0.0, 1.0)


def test_verdicts_give_the_precision_of_each_tag() -> None:
    """Of the incidents that bear it, by whomever; a tag on events, or on an incident that was never raised, is of none."""
    raised = {name: Raised(name, "drift", "a", START, START) for name in "abc"}
    tagged = [("a", "valve"), ("b", "valve"), ("a", "rain"), ("gone", "rain"), (None, "wind")]
    said = [Remark(id=f"f/1/labels-0/{n}/remark/0", when=n, label=Label(incident=i, tags=[t])) for n, (i, t) in enumerate(tagged)]
    found = people(FEED, [*said, verdict(9, "a", "confirm", "ana"), verdict(10, "b", "dismiss", "ana")], 0, raised, {})
    assert [(s.source, s.raised, s.confirmed.yes, s.confirmed.of) for s in found.tags] == [("valve", 2, 1, 2), ("rain", 1, 1, 1)]
    assert plain(found)["tags"][1]["precision"] == 1.0


def test_answers_give_misses_and_recall() -> None:
    """Of drawn spans without an alarm. An answer about a span that has an alarm by now, about another stretch of time,
    or before the period says nothing; one of a tie is disputed."""
    raised = {"x": incident("pump-00", START, START + SPAN, "x")}
    drawn = sorted(Spans("f", FEW, raised.values()).drawn(WEEK), key=lambda span: span.start)
    odd = Remark(id="f/1/labels-0/9/remark/0", when=9, label=Label(entity="pump-01", event_time=1, until=2, verdict="fine"))
    said = [answer(span, "missed" if i < 2 else "fine", "ana", i) for i, span in enumerate(drawn[:10])]
    said += [answer(drawn[9], "missed", "ben", 20), answer(Span("pump-00", START), "fine", "ana", 21), odd]
    said += [answer(Span("pump-01", START - PERIOD), "missed", "ana", 22), verdict(23, "x", "confirm", "ana")]
    found = people(FEED, said, 0, raised, FEW)
    assert found.misses is not None
    assert found.misses.missed[:2] == (2, 9)
    assert (found.misses.disputed, found.misses.not_drawn) == (1, 2)
    assert found.misses.spans == (2, 5 * 21 - 2)
    assert found.misses.recall.recall == pytest.approx(2 / (2 + 103 * 2 / 9))
    assert found.misses.recall.low < found.misses.recall.recall < found.misses.recall.high
    assert plain(found)["misses"]["share"] == pytest.approx(2 / 9)
