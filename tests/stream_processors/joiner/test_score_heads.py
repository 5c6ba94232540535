"""What the index is told of scores: read from bytes the same as from records that are decoded as a whole."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.definition import Feed, Number, Regression
from stream_processors.archive.score_decoding import decode_scores
from stream_processors.decoding.batches import raw_batch
from stream_processors.joiner.score_heads import head_of, score_heads

FEED = Feed("pumps", entity="pump", time="ts", fields=[Number("x")], windows=["1m"], target=Regression("y"))
RECORD: dict[str, Any] = {
    "id": "pumps/3/1/17/score/0",
    "entity": "pump-07",
    "event_time": 1_767_225_600_000_000,
    "score": 0.25,
    "p_value": 0.5,
    "model": "half-space-trees",
}


def spelled(**changed: Any) -> bytes:
    """A record as workers write it, but for what is changed."""
    return json.dumps(RECORD | changed, separators=(",", ":"), ensure_ascii=False).encode()


STRANGE = [
    spelled(id="pumps/3/1/17/score"),
    spelled(id="others/3/1/17/score/0"),
    spelled(id="pumps/3/1/17/alert/0"),
    spelled(id="pumps/-3/1/17/score/0"),
    spelled(id=f"pumps/3/1/{10**19}/score/0"),
    spelled(event_time=-5),
    spelled(event_time=1.5),
    spelled()[:-1],
    json.dumps(dict(reversed(RECORD.items()))).encode(),
    b"{}",
    b"",
    b'{"id":"pumps/',
    b"\xff" * 40,
    None,
]
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.one_of(names.map(lambda name: spelled(entity=name)), st.sampled_from([*STRANGE, spelled()])), max_size=12))
def test_bytes_tell_the_same_as_whole_records(values: list[bytes | None]) -> None:
    """Any name, in any company of strangers' records, which tell nothing, or what they would tell when decoded."""
    n = len(values)
    positions = [5 + 2 * i for i in range(n)]
    found = list(score_heads(FEED, raw_batch(positions, [-1] * n, [b"k"] * n, values)))
    assert found == [head_of(record) for record in decode_scores(FEED, values, [None] * n, positions)]


def test_a_record_as_workers_write_it_is_read_in_compiled_code() -> None:
    """The fold's own spelling is the one that is recognised; what stands there by name and number comes out."""
    (found,) = score_heads(FEED, raw_batch([9], [-1], [b"k"], [spelled(predictions={"v1": [0.5]})]))
    assert found == (1, 3, 17, "pump-07", 1_767_225_600_000_000, 9)
