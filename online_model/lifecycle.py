"""How an incident lives: a statistic is explained, joins, or opens one; it is updated, ends, cools down, is merged.

statistic ──► own incident explains it? ──► joins      │ quiet for a while ──► resolved ──► cooling ──► forgotten
          └─► common cause explains it? ──► absorbed   │ common cause opens ──► resolved, merged_into
          └─► other field, same moment? ──► joins
          └─► above its threshold       ──► opened
"""

from __future__ import annotations

from contracts.records import Evidence
from online_model.alerting import Outbox, ranked
from online_model.common_cause import FEWEST, absorbs, began_at, common_cells, mean_log10, tenths_of
from online_model.incidents import (
    CHANGE,
    EXPLAINED,
    Cell,
    GroupKey,
    Incident,
    Spans,
    accompanies,
    explains,
    leads,
    same_cause,
    severity_of,
    severity_of_common,
    still_cools,
)
from online_model.judge_state import MAX_INCIDENTS, JudgeState

MOST_CAUSES = 64  # of one incident; a definition has at most 64 fields
HELD = 1.0  # decades above the threshold at which an entity no longer waits for a common cause that builds up


class Lifecycle:
    """The rules, applied to one state and telling into one outbox."""

    def __init__(self, state: JudgeState, outbox: Outbox) -> None:
        self.state, self.outbox = state, outbox

    def settle(self, cell: Cell, evidence: Evidence | None = None, may_hold: bool = False) -> None:
        """Finds the incident of a statistic whose level has just been told, or opens one."""
        owner = self.state.owner(cell)
        if owner is not None:
            self._advance(owner, cell, evidence)
            return
        cause, threshold = self._cause_of(cell), self.state.thresholds.entity[cell.source]
        if cause is not None:
            if cause.open and (cell.level >= threshold or same_cause(cause, cell) or cell.group in cause.groups):
                self._join(cause, cell, evidence)
            return
        if cell.level < threshold or (may_hold and cell.level < threshold + HELD and (self._builds_up(cell) or self._follows(cell))):
            return
        self._open(cell, evidence, threshold)

    def fall(self, cell: Cell) -> None:
        """A statistic is back on its ground."""
        incident = self.state.owner(cell)
        self.state.drop(cell.key)
        if incident is None:
            return
        if cell.source == "silence" == incident.kind and not incident.groups:
            self.resolve(incident, "heard again", self.outbox.now)
            return
        if self.state.affected_count(incident) < self._fewest_left(incident):
            self._begin_quiet(incident)
        elif incident.kind == cell.source == "anomaly" and incident.field == cell.field and not incident.groups:
            self._outlast(incident)

    def _outlast(self, incident: Incident) -> None:
        """Values that stay where they went were no burst: of one, drift falls before the anomaly, and of a shift after it.

        The anomaly has dated the change, and measured it by the readings that it threw out: closer than drift, which averages.
        """
        drift = next((c for c in self.state.member_cells(incident) if (c.source, c.field) == ("drift", incident.field)), None)
        if drift is not None and incident.open and drift.level >= self.state.thresholds.entity["drift"]:
            self._lead(incident, drift)
            self._tell_update(incident, "the values stay where they went")

    def _lead(self, incident: Incident, cell: Cell) -> None:
        """A statistic of the incident says better what is wrong."""
        incident.kind, incident.field, incident.log10_e = cell.source, cell.field, cell.level
        incident.threshold = self.state.thresholds.entity[cell.source]

    def _tell_update(self, incident: Incident, reason: str) -> None:
        """Tells what has changed, or that the incident has become more severe; nothing where neither is so."""
        severity = severity_of(incident.kind, incident.log10_e, incident.threshold)
        if severity > incident.severity:
            incident.severity = severity
            reason = reason or "more severe"
        if reason:
            self.outbox.tell(incident, "updated", reason)
            self.outbox.request_retraining(incident)

    def _fewest_left(self, incident: Incident) -> int:
        """With fewer entities the incident ends: for a common cause half of what it took to open, so that it does not flap."""
        return max(self.state.bar(incident.kind).fewest // 2, 1) if incident.groups else 1

    def _begin_quiet(self, incident: Incident) -> None:
        if incident.quiet_since is None:
            incident.quiet_since = self.outbox.now
            self.state.waiting[incident.number] = None

    def end_due(self, partition: int) -> None:
        """Resolves what has been quiet, and forgets what has cooled down, for long enough on this partition's clock."""
        now, spans = self.outbox.now, self.state.spans
        for number in sorted(self.state.waiting):
            incident = self.state.incidents[number]
            if incident.partition not in (partition, -1):  # common causes, and the learner's, end by any clock
                continue
            if incident.open and incident.quiet_since is not None and now >= incident.quiet_since + spans.quiet:
                self.resolve(incident, "back to normal", incident.quiet_since + spans.quiet)
            if incident.resolved_at is not None and now >= incident.resolved_at + spans.cool:
                self.state.forget(incident)

    def resolve(self, incident: Incident, reason: str, at: int) -> None:
        """Ends an incident at event time `at`; its cause may not open again until it has cooled down."""
        self.outbox.tell(incident, "resolved", reason)
        for cell in self.state.member_cells(incident):
            self.state.claim(cell, None)
        incident.resolved_at = at
        self.state.waiting[incident.number] = None

    def look_for_common_cause(self, group: GroupKey) -> None:
        """Opens one incident for a change that many entities show, or adds the change to the one that explains it."""
        if self.state.rate.entities < FEWEST:  # also before the first summary, when nobody knows how many there are
            return
        bar = self.state.bar(group[0])
        if not self.state.groups.may_pass(group, bar) or any(group in incident.groups for incident in self.state.common_incidents()):
            return
        cells = self._changed_together(group)
        if len(cells) < bar.fewest or not bar.reached((tenths_of(cell.level), 1) for cell in cells):
            return
        began = began_at(cells)
        for incident in self.state.common_incidents():
            if incident.open and self._same_common_cause(incident, group, began):
                self._extend(incident, group, cells)
                return
        self._open_common(group, cells, began)

    def _cause_of(self, cell: Cell) -> Incident | None:
        now, spans = self.outbox.now, self.state.spans
        own = [incident for incident in self.state.of_entity(cell.entity) if _of_same_owner(incident, cell, spans)]
        for incident in own:
            if explains(incident, cell, now, spans) if incident.open else still_cools(incident, cell):
                return incident
        if cell.entity is not None:
            for incident in self.state.common_incidents():
                if absorbs(incident, cell, self.state.affects(incident, cell.entity)):
                    return incident
        return next((incident for incident in own if accompanies(incident, cell, spans)), None)

    def _builds_up(self, cell: Cell) -> bool:
        fewest = self.state.bar(cell.source).fewest
        if cell.entity is None or self.state.groups.size(cell.group) < fewest:
            return False
        return len(self._changed_together(cell.group)) >= fewest

    def _follows(self, cell: Cell) -> bool:
        """Whether predictions change beside a field of their entity, whose own evidence is about to say why."""
        span = self.state.spans.common
        return cell.source == "prediction" and any(
            other.source in CHANGE and other.entity == cell.entity and abs(other.since - cell.since) <= span
            for other in self.state.cells.values()
        )

    def _changed_together(self, group: GroupKey) -> list[Cell]:
        cells = [self.state.cells[key] for key in self.state.groups.keys(group)]
        return common_cells(cells, self.state.owner, self.outbox.now, self.state.spans)

    def _open(self, cell: Cell, evidence: Evidence | None, threshold: float) -> None:
        if not self._room():
            return
        incident = Incident(
            number=self.state.next_number,
            id=self.outbox.next_alert_id(),
            kind=cell.source,
            entity=cell.entity,
            field=cell.field,
            severity=severity_of(cell.source, cell.level, threshold),
            first_seen=cell.since,
            opened_at=self.outbox.now,
            log10_e=cell.level,
            threshold=threshold,
            partition=cell.partition,
            causes=[(cell.field or "", cell.source)],
            groups=[],
            idle=[],
            features=[],
        )
        self.state.add(incident)
        self.state.claim(cell, incident)
        self._describe(incident, cell, evidence)
        self.outbox.tell(incident, "opened")
        self.outbox.request_retraining(incident)

    def _room(self) -> bool:
        """Room for one more incident: the one that has cooled longest makes it; else none is opened, and that is counted."""
        if len(self.state.incidents) < MAX_INCIDENTS:
            return True
        cooling = [incident for incident in self.state.incidents.values() if incident.resolved_at is not None]
        if not cooling:
            self.state.counters["suppressed_incidents"] += 1
            return False
        self.state.forget(min(cooling, key=lambda incident: (incident.resolved_at or 0, incident.number)))
        return True

    def _join(self, incident: Incident, cell: Cell, evidence: Evidence | None) -> None:
        self.state.claim(cell, incident)
        cause = (cell.field or "", cell.source)
        if not incident.groups and cause not in incident.causes and len(incident.causes) < MOST_CAUSES:
            incident.causes.append(cause)
        if incident.quiet_since is not None and self.state.affected_count(incident) >= self._fewest_left(incident):
            incident.quiet_since = None
            self.state.waiting.pop(incident.number, None)
        self._advance(incident, cell, evidence)

    def _advance(self, incident: Incident, cell: Cell, evidence: Evidence | None) -> None:
        if incident.groups:
            self._advance_common(incident)
            return
        common = self._common_for(incident)
        if common is not None:
            self._merge([incident], common)
            return
        reason = ""
        if leads(incident, cell, self.outbox.now, self.state.spans):
            reason = f"{cell.source}{f' of {cell.field}' if cell.field else ''} explains it better"
            self._lead(incident, cell)
            incident.first_seen = min(incident.first_seen, cell.since)
            self._describe(incident, cell, evidence)
        elif (cell.source, cell.field) == (incident.kind, incident.field) and cell.level >= incident.log10_e:
            incident.log10_e = cell.level
            self._describe(incident, cell, evidence)
        self._tell_update(incident, reason)

    def _describe(self, incident: Incident, cell: Cell, evidence: Evidence | None) -> None:
        incident.reference, incident.current = cell.reference, cell.current
        incident.ks, incident.ks_p, incident.psi = (evidence.ks, evidence.ks_p, evidence.psi) if evidence else (None, None, None)
        self.state.note_adwin(incident, evidence.adwin if evidence else None)
        incident.features = ranked(self.state.member_cells(incident), evidence.contributions if evidence else None)

    def _advance_common(self, incident: Incident) -> None:
        affected = self.state.affected_count(incident)
        severity = severity_of_common(incident.kind, affected, self.state.rate.entities)
        if severity > incident.severity or affected >= 2 * incident.told_entities:
            reason = "more severe" if severity > incident.severity else "twice as many entities"
            incident.severity = max(incident.severity, severity)
            self.outbox.tell(incident, "updated", reason)

    def _same_common_cause(self, incident: Incident, group: GroupKey, began: int) -> bool:
        source, field, direction = group
        for other, of_field, sign in incident.groups:
            agrees = 0 in (sign, direction) or sign == direction
            if of_field == field and agrees and (source in EXPLAINED[other] or other in EXPLAINED[source]):
                return True
        onset = max(self.state.spans.common, incident.opened_at - incident.first_seen)
        moved = {source, incident.kind} <= CHANGE | {"prediction"}
        return moved and abs(began - incident.first_seen) <= onset

    def _open_common(self, group: GroupKey, cells: list[Cell], began: int) -> None:
        if not self._room():
            return
        source, field, _ = group
        incident = Incident(
            number=self.state.next_number,
            id=self.outbox.next_alert_id(),
            kind=source,
            entity=None,
            field=field or None,
            severity=severity_of_common(source, len(cells), self.state.rate.entities),
            first_seen=began,
            opened_at=self.outbox.now,
            log10_e=mean_log10(cells, self.state.rate.entities),
            threshold=self.state.thresholds.feed_wide[source],
            partition=-1,
            causes=[],
            groups=[group],
            idle=[],
            features=[],
        )
        self.state.add(incident)
        taken = self._take(incident, cells)
        self.outbox.tell(incident, "opened")
        self.outbox.request_retraining(incident)
        self._merge(taken, incident)

    def _extend(self, incident: Incident, group: GroupKey, cells: list[Cell]) -> None:
        """Adds a change to a common cause. A shift that so many share is drift, and a field says more than the whole."""
        source, field, _ = group
        incident.groups.append(group)
        taken = self._take(incident, cells)
        named = incident.field is None and field != ""
        same_field = incident.field == (field or None)
        says_why = named or (same_field and incident.kind == "anomaly") or incident.kind == "prediction" != source
        if self.outbox.now <= incident.opened_at + self.state.spans.young and says_why:
            incident.kind, incident.field = source, field or None
            incident.threshold, incident.log10_e = self.state.thresholds.feed_wide[source], mean_log10(cells, self.state.rate.entities)
            self.outbox.tell(incident, "updated", f"{source}{f' of {field}' if field else ''} explains it better")
            self.outbox.request_retraining(incident)
        self._merge(taken, incident)
        self._advance_common(incident)

    def _take(self, common: Incident, cells: list[Cell]) -> list[Incident]:
        """Gives the statistics to the common cause; returns the incidents of single entities that it explains as wholes."""
        for cell in cells:
            self.state.claim(cell, common)
        taken = []
        for entity in sorted({cell.entity or "" for cell in cells}):
            for own in self.state.of_entity(entity):
                if own.open and self._common_for(own) is common:
                    taken.append(own)
                elif own.open and not self.state.members[own.number]:
                    self._begin_quiet(own)
        return taken

    def _common_for(self, own: Incident) -> Incident | None:
        """The open common cause that an incident of one entity turns out to be a part of."""
        if own.entity is None:
            return None
        for common in self.state.common_incidents():
            onset = max(self.state.spans.common, common.opened_at - common.first_seen)
            if not common.open or own.opened_at < common.first_seen - onset:
                continue
            lead = self.state.cells.get((own.entity, -1, own.field or "", own.kind))
            if lead is None:
                lead = Cell(own.entity, own.field, own.kind, own.partition, 0.0, 0, own.first_seen, 0, 0, 0, None, None)
            if absorbs(common, lead, self.state.affects(common, own.entity)):
                return common
        return None

    def _merge(self, taken: list[Incident], common: Incident) -> None:
        """Ends the incidents as part of a common cause; statistics of theirs that it does not explain stand for themselves."""
        left = []
        for own in taken:
            self.outbox.tell(own, "resolved", "one cause across entities", merged_into=common.id)
            left += self.state.member_cells(own)
            self.state.forget(own)
        for cell in left:
            self.settle(cell)


def _of_same_owner(incident: Incident, cell: Cell, spans: Spans) -> bool:
    """Statistics of no entity belong to their partition, or to one that changed at the same time: what devices send changes in all.

    Idle partitions are ended by what is read, not by statistics.
    """
    if incident.idle:
        return False
    return cell.entity is not None or incident.partition == cell.partition or abs(cell.since - incident.first_seen) <= spans.common
