"""Writes evidence logs for tests: a builder that stamps ids as stream folds do, and folds what it wrote."""

from __future__ import annotations

from typing import Any, Literal

from contracts.definition import Category, Feed, Number
from contracts.durations import HOUR, MINUTE
from contracts.event_time import parse_event_time
from contracts.records import Alert, Evidence, RetrainRequest, Sample
from online_model.judge import Judge
from online_model.judge_state import JudgeState

START = parse_event_time("2026-11-20T00:00:00Z") or 0


def pumps(budget: float = 1.0) -> Feed:
    """The feed of the examples."""
    return Feed(
        "pumps",
        entity="pump",
        time="ts",
        fields=[Number("temperature", unit="degC"), Number("vibration", unit="mm/s"), Category("mode")],
        false_alarms_per_week=budget,
    )


Kind = Literal["level", "summary", "idle", "planned_stop", "verdict"]


class EvidenceLog:
    """An evidence log in the making. Times are minutes after START; a reading a minute gives an offset a minute."""

    def __init__(self, entities: int = 48, partitions: int = 1) -> None:
        self.records: list[tuple[int, Evidence]] = []
        self.entities, self.partitions = entities, partitions
        self._n: dict[tuple[int, int], int] = {}

    def put(self, kind: Kind, minute: float, partition: int = 0, generation: int = 1, offset: int | None = None, **values: Any) -> Evidence:
        """Any record; the id's kind is that of the writer."""
        source = int(minute * 48) if offset is None else offset
        n = self._n.get((partition, source), 0)
        self._n[partition, source] = n + 1
        writer = "evidence" if kind in ("level", "summary") else kind
        values.setdefault("event_time", START + round(minute * MINUTE))
        record = Evidence(id=f"pumps/{generation}/{partition}/{source}/{writer}/{n}", kind=kind, partition=partition, **values)
        self.records.append((len(self.records), record))
        return record

    def level(
        self, minute: float, entity: str | None, field: str | None, source: str, level: float, since: float = 0.0, **values: Any
    ) -> None:
        """A statistic that has reached `level`; with `level` < 1 one that fell back."""
        self.put("level", minute, entity=entity, field=field, source=source, log10_e=level, since=START + round(since * MINUTE), **values)

    def climb(self, minute: float, entity: str, field: str | None, source: str, top: int = 9, pace: float = 1.0, **values: Any) -> None:
        """A statistic that gains a decade every `pace` minutes from `minute` on, told from the second to `top`."""
        for decade in range(2, top + 1):
            self.level(minute + pace * decade, entity, field, source, float(decade), since=minute, **values)

    def summaries(self, first: float, last: float, step: float = 60.0) -> None:
        """A summary of each partition every `step` minutes: a reading a minute from each entity."""
        minute = first
        while minute <= last:
            for partition in range(self.partitions):
                folded = int((minute + 10_000) * self.entities / self.partitions)
                each = self.entities // self.partitions
                cells = {"drift": 2 * each, "anomaly": 2 * each, "stuck": 2 * each, "missing": 2 * each, "silence": each}
                self.put("summary", minute, partition, entities=each, counters={"folded": folded}, cells=cells)
            minute += step

    def in_time(self) -> list[tuple[int, Evidence]]:
        """The records in the order of event time, as one live writer a partition leaves them."""
        ordered = sorted((record for _, record in self.records), key=lambda record: record.event_time)
        counts: dict[tuple[str, str], int] = {}
        out = []
        for offset, record in enumerate(ordered):
            head, _, _ = record.id.rpartition("/")
            n = counts.get((head, ""), 0)
            counts[head, ""] = n + 1
            record.id = f"{head}/{n}"
            out.append((offset, record))
        return out


def judged(log: EvidenceLog, feed: Feed | None = None, state: JudgeState | None = None) -> list[Alert | RetrainRequest]:
    """What the judge says of a whole log."""
    judge = Judge(feed or pumps(), 1)
    return [record for _, record in judge.fold(state or judge.new_state(), log.in_time())]


def alerts(log: EvidenceLog, feed: Feed | None = None) -> list[Alert]:
    """The alerts alone."""
    return [record for record in judged(log, feed) if isinstance(record, Alert)]


def told(found: list[Alert]) -> list[tuple[str, str, str | None, str | None]]:
    """Status, kind, entity and field of each alert."""
    return [(alert.status, alert.kind, alert.entity, alert.field) for alert in found]


NORMAL = Sample(n=500, mean=2.4, std=0.2)
HIGHER = Sample(n=60, mean=3.1, std=0.2)
HOURS = HOUR // MINUTE
