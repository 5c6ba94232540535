"""What the judge says: alerts and retrain requests, with ids made from the evidence's offset."""

from __future__ import annotations

from typing import Literal

from contracts.definition import Feed
from contracts.durations import DAY
from contracts.ids import RecordId
from contracts.records import Alert, DatasetPin, IncidentKind, RetrainRequest
from online_model.common_cause import mean_log10, pooled
from online_model.incidents import CHANGE, SEVERITIES, Cell, Incident
from online_model.judge_state import JudgeState
from online_model.sentences import Subject, resolved_sentence, sentence

RETRAIN_INTERVAL = DAY  # event time for which a request counts as in progress; without it each incident would start a training
MOST_ENTITIES = 100  # named in an alert
MOST_FEATURES = 20
MOST_DRIFTING = 3  # incidents that a sentence has room for

Status = Literal["opened", "updated", "resolved"]


class Outbox:
    """Collects the outputs of a batch; `begin` names the evidence record that causes what follows."""

    def __init__(self, feed: Feed, generation: int, state: JudgeState) -> None:
        self.feed, self.generation, self.state = feed, generation, state
        self.out: list[tuple[int, Alert | RetrainRequest]] = []
        self.offset = self.now = self._alerts = self._requests = 0

    def begin(self, offset: int, now: int) -> None:
        """What follows is caused by the evidence at `offset`, at event time `now` µs."""
        self.offset, self.now, self._alerts, self._requests = offset, now, 0, 0

    def next_alert_id(self) -> str:
        """The id that the next alert will have; an incident is named by its opening alert."""
        return str(RecordId(self.feed.name, self.generation, "evidence", self.offset, "alert", self._alerts))

    def tell(self, incident: Incident, status: Status, reason: str = "", merged_into: str | None = None) -> None:
        """Puts out an alert on the incident as it stands."""
        entities = self._entities(incident)
        if incident.groups:
            self._pool(incident)
        subject = self._subject(incident, len(entities))
        if status == "resolved":
            text = resolved_sentence(self.feed, subject, reason, merged_into is not None)
        else:
            text = sentence(self.feed, subject)
        alert = Alert(
            id=self.next_alert_id(),
            incident=incident.id,
            status=status,
            kind=_kind(incident.kind),
            scope="entity" if incident.entity is not None else "feed",
            entity=incident.entity,
            field=incident.field,
            severity=SEVERITIES[incident.severity],
            sentence=text,
            event_time=self.now,
            first_seen=incident.first_seen,
            log10_e=incident.log10_e,
            threshold=incident.threshold,
            features=incident.features,
            reference=incident.reference,
            current=incident.current,
            ks=incident.ks,
            ks_p=incident.ks_p,
            psi=incident.psi,
            entities=entities[:MOST_ENTITIES],
            merged_into=merged_into,
            reason=reason,
            adwin=self.state.adwin.get(incident.number),
        )
        self._alerts += 1
        incident.told_entities = max(incident.told_entities, len(entities))
        self.out.append((self.offset, alert))

    def request_retraining(self, incident: Incident) -> None:
        """Asks for a model when drift matters and no request is in progress."""
        matters = incident.kind in ("concept", "skew") or (incident.kind == "drift" and (incident.groups or incident.severity >= 1))
        if not matters or not incident.open:
            return
        last = self.state.retrained_at.get(incident.kind)  # a changed concept does not wait for a request that drift has made
        if last is not None and self.now < last + RETRAIN_INTERVAL:
            return
        self.state.retrained_at[incident.kind] = self.now
        partitions = [(number, partition) for number, partition in sorted(self.state.partitions.items()) if number >= 0]
        request = RetrainRequest(
            id=str(RecordId(self.feed.name, self.generation, "evidence", self.offset, "retrain", self._requests)),
            incident=incident.id,
            reason=incident_reason(incident),
            event_time=self.now,
            from_offset=self._changed_from(incident),
            pin=DatasetPin(
                feed=self.feed.name,
                definition=self.feed.hash,
                generations={str(number): partition.generation for number, partition in partitions},
                offsets={str(number): (0, partition.last_offset + 1) for number, partition in partitions},
            ),
        )
        self._requests += 1
        self.out.append((self.offset, request))

    def _changed_from(self, incident: Incident) -> dict[str, int]:
        """Partition, or the examples' log -> first offset of the change; excursions from long before the incident do not date it."""
        first: dict[int, int] = {}
        for cell in self.state.member_cells(incident):
            if cell.since >= incident.first_seen - self.state.spans.common:
                first[cell.partition] = min(cell.since_offset, first.get(cell.partition, cell.since_offset))
        return {"examples" if partition < 0 else str(partition): offset for partition, offset in sorted(first.items())}

    def _entities(self, incident: Incident) -> list[str]:
        return self.state.affected(incident) if incident.entity is None else [incident.entity]

    def _pool(self, incident: Incident) -> None:
        """Renews the numbers of a common cause from those of its entities."""
        lead = [cell for cell in self.state.member_cells(incident) if (cell.source, cell.field) == (incident.kind, incident.field)]
        if not lead:
            return
        incident.reference = pooled(cell.reference for cell in lead)
        incident.current = pooled(cell.current for cell in lead)
        incident.log10_e = max(incident.log10_e, mean_log10(lead, self.state.rate.entities))
        incident.features = ranked(self.state.member_cells(incident))

    def _subject(self, incident: Incident, affected: int) -> Subject:
        return Subject(
            kind=incident.kind,
            entity=incident.entity,
            field=incident.field,
            since=incident.first_seen,
            now=self.now,
            reference=incident.reference,
            current=incident.current,
            affected=affected,
            entities=max(self.state.rate.entities, affected),
            idle=tuple(incident.idle),
            leading=tuple(name for name, _ in incident.features[:2]),
            drifting=self._drifting() if incident.kind == "concept" else (),
        )

    def _drifting(self) -> tuple[str, ...]:
        """What else is open that could make predictions worse: readings that have changed, or differ from training."""
        found = [other for other in self.state.incidents.values() if other.open and other.kind in CHANGE | {"skew"}]
        return tuple(_named(other) for other in sorted(found, key=lambda other: other.number)[:MOST_DRIFTING])


def _named(incident: Incident) -> str:
    what = f"{incident.kind} of {incident.field}" if incident.field else incident.kind
    return f"{what} of {incident.entity}" if incident.entity is not None else what


def incident_reason(incident: Incident) -> str:
    """Why a model is asked for."""
    if incident.kind in ("concept", "skew"):
        return f"{incident.kind}, severity {SEVERITIES[incident.severity]}"
    whom = f"{incident.told_entities} entities" if incident.groups else incident.entity or "the feed"
    return f"drift of {incident.field or 'the readings'} of {whom}, severity {SEVERITIES[incident.severity]}"


def ranked(cells: list[Cell], contributions: dict[str, float] | None = None) -> list[tuple[str, float]]:
    """Features by share of the evidence, largest first: what the detector says, else the fields by their decades."""
    shares = dict(contributions or {})
    if not shares:
        total = sum(cell.level for cell in cells)
        for cell in cells:
            if cell.field is not None and total > 0.0:
                shares[cell.field] = shares.get(cell.field, 0.0) + cell.level / total
    return [(name, round(share, 4)) for name, share in sorted(shares.items(), key=lambda item: (-item[1], item[0]))[:MOST_FEATURES]]


def _kind(kind: str) -> IncidentKind:
    return kind  # type: ignore[return-value]  # only sources become kinds; checked where evidence is taken
