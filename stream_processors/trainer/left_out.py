"""Which spans of the examples are not trained on: those of incidents that people have confirmed."""

from __future__ import annotations

from collections.abc import Iterable

from contracts.definition import Feed
from contracts.records import Alert, LeftOut, Remark, RetrainRequest
from contracts.settings import KafkaSettings
from online_model.opinions import Opinion, Opinions
from online_model.raised import raised_incidents
from stream_processors.alert_reader import read_alerts
from stream_processors.remarks_reader import read_remarks

MOST_SPANS = 1_000  # the newest: they stand on the answer and on the snapshot, and a record has 1 MB
CONCEPT = "concept"  # an incident of this source is no fault: the relation that holds since is what is to be learnt


def confirmed_spans(remarks: Iterable[Remark], alerts: Iterable[Alert], request: RetrainRequest) -> list[LeftOut]:
    """Spans of confirmed incidents in the order in which they opened.

    A verdict that people disagree on confirms nothing. The incident that the request is about is not among them, nor is a changed
    concept: without their span there would be nothing of what is to be learnt.
    """
    said = [remark.label for remark in remarks]
    given = [Opinion(label.incident, label.by, label.verdict == "confirm") for label in said if label.incident and label.verdict]
    settled = Opinions(given).settled
    found = [
        LeftOut(incident=incident.id, entity=incident.entity, first_seen=incident.start, until=incident.end)
        for incident in raised_incidents(alerts).values()
        if settled.get(incident.id, False) and incident.source != CONCEPT and incident.id != request.incident
    ]
    return found[-MOST_SPANS:]


def read_confirmed_spans(feed: Feed, kafka: KafkaSettings, request: RetrainRequest) -> list[LeftOut]:
    """As remarks and alerts stand on their topics now; raises ServerUnavailable."""
    remarks = read_remarks(feed, kafka).said
    return confirmed_spans(remarks, read_alerts([feed], kafka, follow=False), request) if remarks else []
