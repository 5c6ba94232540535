"""Spans of confirmed incidents: which they are, and that a model's pin names them."""

from __future__ import annotations

import base64
from typing import Any, Literal

import msgspec
import pytest
from kafka import KafkaProducer

from contracts.records import Alert, Example, Label, LeftOut, Remark, RetrainRequest
from contracts.settings import Servers
from stream_processors.topics import ensure_topics
from stream_processors.trainer.left_out import confirmed_spans
from stream_processors.trainer.logs import FeedLogs
from stream_processors.trainer.trainer import Trainer
from tests.stream_processors.trainer.retrain_log import Story, put_examples, request
from tests.stream_processors.trainer.test_trainer import Shown
from tests.training.examples import SECOND, regression
from training.search import train
from training.training_set import training_set


def alert(incident: str, at: int, status: Literal["opened", "updated", "resolved"] = "opened", **other: Any) -> Alert:
    """One of a few; incident i was first seen 5 µs before it opened."""
    facts: dict[str, Any] = {"kind": "stuck", "entity": "a", "first_seen": at - 5} | other
    told = {"severity": "low", "sentence": "", "log10_e": 9.0, "threshold": 5.0, "features": [], "entities": [], "reason": ""}
    nothing = dict.fromkeys(("field", "reference", "current", "ks", "ks_p", "psi", "merged_into"))
    return Alert(id=f"{incident}/{status}", incident=incident, status=status, scope="entity", event_time=at, **facts, **told, **nothing)


def verdicts(*said: tuple[str, str, str]) -> list[Remark]:
    """(incident, person, verdict), in this order."""
    return [
        Remark(
            id=f"lines/1/labels-0/{n}/remark/0",
            when=n,
            label=Label(incident=incident, by=by, verdict=verdict),  # type: ignore[arg-type]
        )
        for n, (incident, by, verdict) in enumerate(said)
    ]


def asked(incident: str = "") -> RetrainRequest:
    """A request about an incident."""
    return msgspec.structs.replace(msgspec.json.decode(request(regression(), 0), type=RetrainRequest), incident=incident)


def test_incidents_that_people_have_confirmed_are_left_out() -> None:
    """From first seen to resolved, or without an end; not those dismissed, disputed, never judged, or never raised."""
    alerts = [alert(name, 100 * n) for n, name in enumerate(("one", "two", "three", "four", "five"), 1)]
    alerts += [alert("one", 150, "updated", kind="drift"), alert("one", 190, "resolved")]
    remarks = verdicts(
        ("one", "ada", "confirm"),
        ("two", "ada", "confirm"),
        ("two", "bob", "dismiss"),
        ("three", "ada", "dismiss"),
        ("five", "ada", "dismiss"),
        ("five", "ada", "confirm"),
        ("six", "ada", "confirm"),
    )
    assert confirmed_spans(remarks, alerts, asked()) == [
        LeftOut(incident="one", entity="a", first_seen=95, until=190),
        LeftOut(incident="five", entity="a", first_seen=495, until=None),
    ]
    settled = [*remarks, *verdicts(("two", "cyd", "confirm"))]
    assert [span.incident for span in confirmed_spans(settled, alerts, asked())] == ["one", "two", "five"]


def test_what_is_to_be_learnt_is_not_left_out() -> None:
    """Neither the span of the incident that the request is about nor that of a changed concept."""
    alerts = [alert("drift", 100, kind="drift", entity=None), alert("concept", 200, kind="concept", entity=None), alert("stuck", 300)]
    remarks = verdicts(*((name, "ada", "confirm") for name in ("drift", "concept", "stuck")))
    assert [span.incident for span in confirmed_spans(remarks, alerts, asked("drift"))] == ["stuck"]
    assert [span.incident for span in confirmed_spans(remarks, alerts, asked())] == ["drift", "stuck"]


@pytest.mark.integration
def test_the_pin_of_a_model_leads_to_the_same_model(servers: Servers) -> None:
    """Answer and snapshot name what was left out, as it was when the training began; trained from the pin alone, the same bytes."""
    feed = regression("left-out")
    ensure_topics(feed, servers.kafka)
    put_examples(feed, servers.kafka, 600)
    logs = FeedLogs(feed, servers.kafka)
    raised = [alert("i", 105 * SECOND, entity="line", first_seen=100 * SECOND), alert("i", 250 * SECOND, "resolved", entity="line")]
    put(feed.name, servers, "alerts", raised)
    put(feed.name, servers, "remarks", verdicts(("i", "ada", "confirm")))
    job = Trainer(logs, Shown()).answer(0, request(feed, 0))
    put(feed.name, servers, "remarks", verdicts(("i", "ada", "confirm"), ("i", "ada", "dismiss"))[1:])
    assert job is not None
    job()
    job = Trainer(logs, Shown(), with_incidents=True).answer(1, request(feed, 1, 10**12))
    assert job is not None
    job()
    story = Story(logs)
    expected = [LeftOut(incident="i", entity="line", first_seen=100 * SECOND, until=250 * SECOND)]
    assert [answer.left_out for answer in story.answers if answer.outcome == "started"] == [expected, []]
    without, whole = story.snapshots
    assert without.pin is not None and whole.pin is not None
    assert (without.pin.examples, without.pin.left_out, whole.pin.left_out) == ((0, 600), expected, [])
    assert (without.metrics["trained_on"], whole.metrics["trained_on"]) == (449.0, 600.0)
    examples = [(record.offset, msgspec.json.decode(record.value, type=Example)) for record in logs.read("examples", 0, 600)]
    again = train(feed, training_set(feed, examples, {}, without.pin.left_out))
    assert (again.metrics, again.reference) == (without.metrics, without.reference)
    assert again.parameters == without.parameters
    assert again.state == base64.b64decode(without.state)


def put(feed: str, servers: Servers, kind: str, records: list[Any]) -> None:
    """At the end of a one-partition topic."""
    producer = KafkaProducer(**servers.kafka.client_options(), enable_idempotence=False)
    for record in records:
        producer.send(f"{feed}.{kind}", value=msgspec.json.encode(record), partition=0)
    producer.flush()
    producer.close()
