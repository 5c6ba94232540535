"""The judge is a function of its log: cuts, repeats and restarts change nothing, and its memory is bounded."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.errors import StateError
from contracts.records import AdwinChange, Alert, Evidence, RetrainRequest
from online_model import judge_state
from online_model.judge import Judge
from tests.online_model.evidence_log import HIGHER, NORMAL, EvidenceLog, pumps

Log = list[tuple[int, Evidence]]
Steps = list[tuple[int, int, str | None, str, float, int, str]]

STEP = st.tuples(
    st.sampled_from([0, 1, 1, 2, 5, 20, 70, 200]),  # minutes since the record before
    st.integers(0, 11),  # entity
    st.sampled_from(["temperature", "vibration", "vibration", None]),
    st.sampled_from(["drift", "drift", "anomaly", "stuck", "missing", "silence"]),
    st.sampled_from([0.0, 2.0, 5.0, 7.0, 8.0, 12.0]),
    st.sampled_from([-1, 0, 1, 1, 1]),
    st.sampled_from(["level"] * 12 + ["fleet"] * 6 + ["idle", "planned_stop", "generation"]),
)


def log_of(steps: Steps) -> Log:
    """A log with two writers whose partitions are summed up now and then."""
    log = EvidenceLog(entities=12, partitions=2)
    log.summaries(-3_000, 0, step=1_000)
    minute, generation = 1, 1
    for step, entity, field, source, level, direction, kind in steps:
        minute += step
        generation += kind == "generation"
        values: dict[str, Any] = {"generation": generation, "offset": minute * 100}
        change = AdwinChange(event_time=minute, old_n=640, old_mean=0.5, new_n=entity, new_mean=0.8) if entity > 4 else None
        summary: dict[str, Any] = {"entities": 6, "counters": {"folded": (minute + 3_000) * 6}} | values
        if kind in ("level", "fleet"):
            seen = {"direction": direction, "reference": NORMAL, "current": HIGHER, "adwin": change} | values
            for pump in [entity] if kind == "level" else range(entity % 4, 12):
                log.level(minute, f"pump-{pump:02}", field, source, level, minute - 5, partition=pump % 2, **seen)
        elif kind != "generation":
            log.put("idle" if kind == "idle" else "planned_stop", minute, entity % 2, **values)
        if kind == "generation" or step > 60:
            log.put("summary", minute, entity % 2, **summary)
    return log.records


def folded(log: Log) -> tuple[list[tuple[int, Alert | RetrainRequest]], bytes]:
    """Outputs and state of a log folded in one batch."""
    judge = Judge(pumps(), 1)
    state = judge.new_state()
    return judge.fold(state, log), judge.to_bytes(state)


STEPS = st.lists(STEP, min_size=1, max_size=80)
QUICK = settings(derandomize=True, max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@QUICK
@given(STEPS)
def test_a_restart_after_every_record_changes_nothing(steps: Steps) -> None:
    """What is not stored is derived again to the same: alerts and final bytes equal those of one batch."""
    log = log_of(steps)
    whole, final = folded(log)
    judge = Judge(pumps(), 1)
    data, out = judge.to_bytes(judge.new_state()), []
    for record in log:
        state = judge.from_bytes(data)
        out += judge.fold(state, [record])
        data = judge.to_bytes(state)
    assert msgspec.json.encode(out) == msgspec.json.encode(whole)
    assert data == final


@QUICK
@given(STEPS, st.lists(st.integers(0, 400), max_size=6))
def test_any_cut_into_batches_and_any_restart_give_the_same(steps: Steps, cuts: list[int]) -> None:
    """At each cut the state goes through its bytes; alerts and final bytes equal those of one batch."""
    log = log_of(steps)
    whole, final = folded(log)
    judge = Judge(pumps(), 1)
    state, out = judge.new_state(), []
    edges = sorted({min(cut, len(log)) for cut in cuts} | {0, len(log)})
    for start, end in pairwise(edges):
        out += judge.fold(state, log[start:end])
        state = judge.from_bytes(judge.to_bytes(state))
    assert msgspec.json.encode(out) == msgspec.json.encode(whole)
    assert judge.to_bytes(state) == final


@QUICK
@given(STEPS, st.integers(0, 400), st.integers(1, 30))
def test_a_repeated_stretch_changes_nothing_but_its_count(steps: Steps, at: int, length: int) -> None:
    """A writer that repeats what it has already written gets no second hearing."""
    log = log_of(steps)
    whole, final = folded(log)
    at = min(at, len(log))
    repeats = log[max(at - length, 0) : at]
    out, last = folded([*log[:at], *repeats, *log[at:]])
    assert msgspec.json.encode(out) == msgspec.json.encode(whole)
    counted, counted_again = (msgspec.msgpack.decode(data) for data in (final, last))
    read, repeated, *others = counted.pop("counters")
    assert counted_again.pop("counters") == [read + len(repeats), repeated + len(repeats), *others]
    assert counted_again == counted


@QUICK
@given(STEPS)
def test_incidents_open_once_and_end_once(steps: Steps) -> None:
    """Every incident is opened first, is resolved at most once, says nothing after that, and all ids differ."""
    out, _ = folded(log_of(steps))
    ended: set[str] = set()
    begun: set[str] = set()
    for _, record in out:
        if isinstance(record, Alert):
            assert (record.status == "opened") == (record.incident not in begun) == (record.id == record.incident)
            assert record.incident not in ended
            assert record.merged_into is None or record.merged_into in begun
            begun.add(record.incident)
            if record.status == "resolved":
                ended.add(record.incident)
    assert len({record.id for _, record in out}) == len(out)


def test_the_state_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the caps the weakest statistics are forgotten and no incident is opened; both are counted."""
    monkeypatch.setattr(judge_state, "MAX_CELLS", 100)
    monkeypatch.setattr("online_model.lifecycle.MAX_INCIDENTS", 10)
    log = EvidenceLog(entities=5_000)
    log.summaries(-3_000, 0)
    for pump in range(1_000):
        log.level(pump + 1, f"pump-{pump}", "vibration", "drift", 19.0 if pump % 3 else 3.0)
    judge = Judge(pumps(), 1)
    state = judge.new_state()
    judge.fold(state, log.in_time())
    assert len(state.cells) <= 100
    assert len(state.incidents) <= 10
    assert state.counters["forgotten_statistics"] > 0
    assert state.counters["suppressed_incidents"] > 0


def test_foreign_bytes_are_refused() -> None:
    """Bytes of another version, or none of ours, are an error that says what to do."""
    judge = Judge(pumps(), 1)
    wire = msgspec.msgpack.decode(judge.to_bytes(judge.new_state()))
    for data in (b"nonsense", msgspec.msgpack.encode(wire | {"version": 999})):
        with pytest.raises(StateError, match="fold the evidence anew"):
            judge.from_bytes(data)


def test_a_state_whose_parts_do_not_fit_is_refused() -> None:
    """Counters of another number, or a statistic of an incident that is not there, are a StateError and no traceback."""
    log = EvidenceLog()
    log.summaries(-3_000, 600)
    log.climb(1, "pump-07", "temperature", "drift")
    judge = Judge(pumps(), 1)
    state = judge.new_state()
    judge.fold(state, log.in_time())
    wire = msgspec.msgpack.decode(judge.to_bytes(state))
    assert wire["incidents"]
    assert wire["cells"]
    for part in ({"counters": [1, 2]}, {"incidents": []}):
        with pytest.raises(StateError, match="fold the evidence anew"):
            judge.from_bytes(msgspec.msgpack.encode(wire | part))
