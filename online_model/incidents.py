"""Statistics above their ground, the incidents that explain them, and the rules of what explains what.

Times are event times in µs throughout.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from contracts.durations import HOUR, MINUTE
from contracts.records import Sample, Severity

CellKey = tuple[str, int, str, str]  # entity, partition where there is no entity else -1, field, source
GroupKey = tuple[str, str, int]  # source, field, direction


class Cell(msgspec.Struct, array_like=True):
    """One statistic that has left its ground: a field of an entity seen by one source."""

    entity: str | None
    field: str | None
    source: str
    partition: int
    level: float  # log10 of the e-value when last told
    direction: int
    since: int  # left its ground
    since_offset: int
    rose: int  # first told
    told: int  # last told, each time a decade higher
    reference: Sample | None
    current: Sample | None
    incident: int = 0  # number of the incident that explains it; 0: none

    @property
    def key(self) -> CellKey:
        """What tells this statistic from all others of the feed."""
        return cell_key(self.entity, self.field, self.source, self.partition)

    @property
    def group(self) -> GroupKey:
        """The same statistic of all entities."""
        return (self.source, self.field or "", self.direction)


def cell_key(entity: str | None, field: str | None, source: str, partition: int) -> CellKey:
    """The key of a statistic; one without an entity belongs to its partition."""
    return (entity or "", -1 if entity is not None else partition, field or "", source)


class Incident(msgspec.Struct, array_like=True):
    """One cause, open or cooling down."""

    number: int
    id: str
    kind: str
    entity: str | None
    field: str | None
    severity: int  # 0 low, 1 medium, 2 high; only rises
    first_seen: int
    opened_at: int
    log10_e: float  # highest of the leading statistic, or of the mean over the entities
    threshold: float
    partition: int  # whose clock ends it; of no meaning where `groups` or `idle` is set
    causes: list[tuple[str, str]]  # (field, source) that belong to it
    groups: list[GroupKey]  # of a common cause; empty for one entity
    idle: list[int]  # partitions that are idle altogether
    features: list[tuple[str, float]]
    reference: Sample | None = None
    current: Sample | None = None
    ks: float | None = None
    ks_p: float | None = None
    psi: float | None = None
    told_entities: int = 1  # when it was last told
    quiet_since: int | None = None  # its statistics are back on their ground
    resolved_at: int | None = None  # cooling down since

    @property
    def open(self) -> bool:
        """Told as opened and not yet as resolved."""
        return self.resolved_at is None


class Spans(NamedTuple):
    """Spans of event time that the rules compare with. Each is a duration or a number of an entity's readings, the longer."""

    join: int  # changes this close to each other are one cause; shorter, and two fields of one fault are two incidents
    common: int  # entities that change this close to each other may share a cause
    young: int  # while an incident is this young its kind and field may still change
    quiet: int  # back on its ground this long ends it; shorter, and a statistic that flaps opens one after another
    cool: int  # after its end the same cause may not open again


def spans_for(spacing: int) -> Spans:
    """The spans for a feed whose entities are read every `spacing` µs (0: not known); hourly feeds need longer ones."""
    return Spans(
        join=max(10 * MINUTE, 5 * spacing),
        common=max(HOUR, 30 * spacing),
        young=max(HOUR, 30 * spacing),
        quiet=max(30 * MINUTE, 30 * spacing),
        cool=max(HOUR, 60 * spacing),
    )


# What a fault that one source sees does to the other statistics of the same field.
EXPLAINED: dict[str, frozenset[str]] = {
    "stuck": frozenset({"drift", "anomaly"}),
    "silence": frozenset({"stuck", "missing", "range", "delay", "anomaly", "drift", "prediction"}),
    "missing": frozenset({"range", "anomaly", "drift"}),
    "range": frozenset({"missing", "anomaly", "drift"}),  # impossible values are folded as missing
    "anomaly": frozenset({"drift"}),  # a burst of spikes moves the mean
    "drift": frozenset({"anomaly"}),  # a shifted value lies in the tail
    "delay": frozenset(),
    "consistency": frozenset(),
    "concept": frozenset(),
    "prediction": frozenset(),
    "skew": frozenset(),
}
# Which source says most about the cause.
RANK = {
    "stuck": 5,
    "silence": 4,
    "missing": 3,
    "range": 3,
    "delay": 2,
    "consistency": 2,
    "concept": 2,
    "skew": 2,
    "anomaly": 1,
    "drift": 1,
    "prediction": 0,  # a field that changed says why
}
CHANGE = frozenset({"drift", "anomaly"})  # both see that values are distributed differently
LEARNT = frozenset({"concept", "skew"})  # of the model in place: what changes in the data at the same moment does not make them one
OUTGROWN = 1.0  # decades by which drift must outgrow anomaly, or the reverse, before the kind follows
OUTGROWN_FIELD = 2.0  # the same between two fields
SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high")
_BASE_SEVERITY = {"stuck": 1, "silence": 1, "range": 1}  # the sensor gives nothing to go by any more
_SEVERITY_DECADES = (2.0, 5.0)  # above the threshold, each a step of severity


def severity_of(kind: str, log10_e: float, threshold: float) -> int:
    """0 low, 1 medium, 2 high: from the source, and from how many decades it stands above its threshold."""
    steps = sum(log10_e >= threshold + decades for decades in _SEVERITY_DECADES)
    return min(_BASE_SEVERITY.get(kind, 0) + steps, 2)


def severity_of_common(kind: str, affected: int, entities: int) -> int:
    """A common cause is at least medium, and high when it holds half of the entities."""
    return min(max(_BASE_SEVERITY.get(kind, 0), 1) + (2 * affected >= entities), 2)


def same_cause(incident: Incident, cell: Cell) -> bool:
    """The statistic is one that the incident has already counted as its own."""
    return (cell.field or "", cell.source) in incident.causes


def explains(incident: Incident, cell: Cell, now: int, spans: Spans) -> bool:
    """Whether an incident of one entity is the cause of this statistic of the same entity and field.

    A more specific source joins only while the incident is young: a sensor that sticks after a week of drift is a new
    fault. An incident or a statistic of the whole entity touches every field.
    """
    if same_cause(incident, cell):
        return True
    whole = incident.field is None or cell.field is None
    if incident.field != cell.field and not whole:
        return False
    if cell.source in EXPLAINED[incident.kind] or (whole and cell.source == incident.kind == "anomaly"):
        return True
    return (
        incident.kind in EXPLAINED[cell.source]
        and incident.open
        and now <= incident.opened_at + spans.young
        and _near(incident, cell, spans)
    )


def still_cools(incident: Incident, cell: Cell) -> bool:
    """Whether a resolved incident keeps its cause from opening again."""
    return same_cause(incident, cell) or (incident.field == cell.field and cell.source in EXPLAINED[incident.kind])


def accompanies(incident: Incident, cell: Cell, spans: Spans) -> bool:
    """Whether a statistic of another field of the same entity changed together with the incident.

    Within `join` whatever changes is one cause. Slow changes are dated less exactly, so for drift, anomalies and predictions the
    span is the time that the incident took from its beginning to its opening.
    """
    if incident.idle or not incident.open or (incident.kind != cell.source and LEARNT & {incident.kind, cell.source}):
        return False
    if (incident.kind in CHANGE and cell.source in CHANGE) or "prediction" in (incident.kind, cell.source):
        return _near(incident, cell, spans)
    return abs(cell.since - incident.first_seen) <= spans.join


def _near(incident: Incident, cell: Cell, spans: Spans) -> bool:
    onset = incident.opened_at - incident.first_seen
    return abs(cell.since - incident.first_seen) <= max(spans.join, onset)


def leads(incident: Incident, cell: Cell, now: int, spans: Spans) -> bool:
    """Whether a statistic that belongs to the incident says better than its present kind and field what is wrong.

    A burst and a shift raise both drift and anomaly; which it is shows in which grows faster. That the entity as a whole is
    unusual is said of it only until a field is known, however late.
    """
    if cell.source == incident.kind and cell.field == incident.field:
        return False
    named = incident.field is None and cell.field is not None and incident.kind == "anomaly"
    if now > incident.opened_at + spans.young and not (named and cell.level >= incident.threshold):
        return False
    if RANK[cell.source] != RANK[incident.kind]:
        return RANK[cell.source] > RANK[incident.kind]
    if cell.field is None or incident.field is None:
        return incident.field is None and cell.field is not None
    return cell.level >= incident.log10_e + (OUTGROWN if cell.field == incident.field else OUTGROWN_FIELD)
