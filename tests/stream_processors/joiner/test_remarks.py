"""What people say of incidents and spans on the topic of labels is handed on as remarks."""

from __future__ import annotations

import msgspec
import pytest

from tests.stream_processors.joiner.joining import MINUTE, START, Bench, score_id

HOURS = {"entity": "pump-a", "event_time": START, "until": START + 8 * 60 * MINUTE}
REMARKS = [
    {"incident": "x", "verdict": "confirm", "by": "ana"},
    {"incident": "x", "verdict": "dismiss", "tags": ["rain"]},
    {"incident": "x", "tags": ["rain"]},
    {"entity": "pump-a", "event_time": START, "tags": ["rain"]},
    {"score": score_id(1), "tags": ["rain"]},
    HOURS | {"tags": ["rain"]},
    HOURS | {"verdict": "fine"},
    HOURS | {"verdict": "missed", "note": "bearing"},
]


def test_tags_and_verdicts_are_handed_on():
    """They are no truth: each is counted apart and put on the remarks as it stands, and nothing waits for it."""
    bench = Bench()
    bench.tell(*REMARKS)
    assert bench.fold.counters()["remarks"] == len(REMARKS)
    assert bench.balanced()
    assert [remark["label"] for remark in bench.remarks] == REMARKS
    assert [remark["id"] for remark in bench.remarks] == [f"joined/1/labels-0/{i}/remark/0" for i in range(len(REMARKS))]
    assert {remark["when"] for remark in bench.remarks} == {bench.now}


@pytest.mark.parametrize(
    "value",
    [
        {"verdict": "confirm"},
        {"entity": "pump-a", "event_time": START, "verdict": "dismiss"},
        {"incident": "x", "verdict": "fine"},
        {"entity": "pump-a", "event_time": START, "verdict": "missed"},
        HOURS | {"verdict": "perhaps"},
        HOURS | {"until": START, "verdict": "fine"},
        {"tags": ["rain"]},
        {"score": "no id", "tags": ["rain"]},
        {"incident": "x"},
    ],
)
def test_a_remark_about_nothing_is_a_dead_letter(value):
    """A verdict without an incident or a span, a tag without anything to be on."""
    bench = Bench()
    bench.tell(value)
    assert bench.reasons() == {0: "label_unreadable"}
    assert bench.remarks == []
    assert bench.balanced()


def test_a_remark_that_stands_there_is_not_repeated():
    """A successor that starts before labels whose remarks are published hands on the others only, and says when it has passed them."""
    first, second = Bench(), Bench()
    first.tell(*REMARKS)
    second.fold.recall([], [], [msgspec.json.encode(remark) for remark in first.remarks[:5]] + [b"no remark"], 2)
    second.offset = 2
    assert second.fold.recorded
    second.tell(*REMARKS[2:])
    assert second.remarks == first.remarks[5:]
    assert not second.fold.recorded
