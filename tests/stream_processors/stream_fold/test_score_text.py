"""The compiled writer of scores against msgspec, and every record that a fold gives against its published schema."""

from __future__ import annotations

import json
import math

import jsonschema
import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.columns import Columns
from contracts.outcomes import Outcome
from contracts.records import Score
from contracts.schemas import topic_schemas
from stream_processors.stream_fold.fold import StreamFold
from stream_processors.stream_fold.fold_kernel import ACCURACY, OUT_OF_ORDER, RowOutputs, new_row_outputs
from stream_processors.stream_fold.outputs import VECTOR_HEADER
from stream_processors.stream_fold.score_text import score_room, write_scores
from tests.stream_processors.stream_fold.streams import fold_in_cuts, hostile, small_feed

PREFIX, MODEL = b"small/3/7/", b"half-space-trees/1"
PLAN = StreamFold(small_feed(), 0, 1).plan
SCORES = st.one_of(st.just(math.nan), st.floats(-2, 2), st.floats(0, 1), st.sampled_from([0.0, 1.0, 0.9999995, 0.4999994999]))
ROW = st.tuples(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30), st.integers(0, 2**53 - 8), SCORES, SCORES, st.integers(0, 7)
)


def written(rows: list[tuple[str, int, float, float, int]], offsets: list[int], outcomes: list[int]) -> list[bytes]:
    """What the kernel writes for each row; rows that were not folded give nothing."""
    n = len(rows)
    names = [row[0].encode() for row in rows]
    ends = np.cumsum([len(name) for name in names])
    entity = np.frombuffer(b"".join(names), np.uint8)
    blank = np.zeros(n, np.int64)
    columns = Columns(
        np.array(offsets, np.int64), blank, blank, blank, entity, ends, blank.astype(np.uint64),
        np.array([row[1] for row in rows], np.int64), np.zeros((n, 3)), np.zeros((n, 1), np.uint64), np.zeros(0, np.uint8),
        np.zeros((n, 1), np.int64), blank.astype(np.uint64), blank,
    )  # fmt: skip
    out: RowOutputs = new_row_outputs(n, PLAN, 1)
    out.outcome[:] = outcomes
    out.score[:] = [row[2] for row in rows]
    out.p_value[:] = [row[3] for row in rows]
    out.flags[:] = [flags_of(row[4]) for row in rows]
    out.as_of[:] = [row[1] + 7 for row in rows]
    text = np.full(score_room(PREFIX, MODEL, n, len(entity)) + 64, 255, np.uint8)
    text_ends = np.zeros(n, np.int64)
    used = write_scores(np.frombuffer(PREFIX, np.uint8), np.frombuffer(MODEL, np.uint8), columns, out, text, text_ends)
    assert (text[-64:] == 255).all(), "wrote beyond the room"
    edges = [0, *text_ends.tolist()]
    assert edges[-1] == used
    return [text[a:b].tobytes() for a, b in zip(edges, edges[1:], strict=False)]  # noqa: RUF007


def flags_of(bits: int) -> int:
    """Three bits as the kernel's flags; the third stands for a partial window."""
    return (OUT_OF_ORDER if bits & 1 else 0) | (ACCURACY if bits & 2 else 0) | (1 << 9 if bits & 4 else 0)


def rounded(value: float) -> float | None:
    """Half up at the sixth decimal, as the record says it."""
    return None if math.isnan(value) else math.copysign(math.floor(abs(value) * 1e6 + 0.5) / 1e6, value)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.lists(st.tuples(ROW, st.booleans()), min_size=1, max_size=5))
def test_a_score_says_what_msgspec_would_say(rows):
    """Each folded row decodes to the Score of its values, with the keys in the order in which msgspec writes them."""
    offsets = [1_000_000 * i for i in range(len(rows))]
    texts = written([row for row, _ in rows], offsets, [Outcome.FOLDED if folded else Outcome.LATE for _, folded in rows])
    for (row, folded), offset, text in zip(rows, offsets, texts, strict=True):
        if not folded:
            assert text == b""
            continue
        name, time, score, p_value, bits = row
        names = [flag for bit, flag in ((1, "out_of_order"), (2, "accuracy"), (4, "partial")) if bits & bit]
        wanted = Score(
            id=f"small/3/7/{offset}/score/0",
            entity=name,
            event_time=time,
            score=rounded(score),
            p_value=rounded(p_value),
            model=MODEL.decode(),
            flags=names,
            as_of=time + 7 if "out_of_order" in names else None,
        )
        assert msgspec.json.decode(text, type=Score) == wanted
        assert json.loads(text) == json.loads(msgspec.json.encode(wanted))
        assert list(json.loads(text)) == list(json.loads(msgspec.json.encode(wanted)))


@pytest.mark.parametrize("name", ['a "quoted" \\ name', "".join(map(chr, range(32))), "Pumpe Süd № 7 🌊", "\u2028\u2029\x7f", "€" * 42])
def test_any_name_of_an_entity_survives(name):
    """Quotes, backslashes, every control character, line separators and four-byte characters decode to themselves."""
    (text,) = written([(name, 1, 0.5, 0.5, 0)], [0], [Outcome.FOLDED])
    assert json.loads(text)["entity"] == name


def test_the_longest_record_fits_its_room():
    """Names of 128 control characters, the largest numbers and all flags stay within what is set aside."""
    rows = [("\x01" * 128, 2**53 - 1, -1e300, -1e300, 7)] * 3
    texts = written(rows, [2**62, 2**62 + 1, 2**62 + 2], [Outcome.FOLDED] * 3)
    assert all(json.loads(text)["score"] == -1e9 for text in texts)


@pytest.fixture(scope="module")
def records():
    """What a hostile stream gives."""
    feed = small_feed(max_entities=10)
    log, _ = hostile(feed, 5, 4_000, 14)
    return fold_in_cuts(feed, log, [1_000]).records


@pytest.mark.parametrize("kind", ["scores", "dead-letters", "evidence"])
def test_every_record_fits_its_schema(records, kind):
    """No record of a fold needs a word that the published JSON Schema of its topic does not have."""
    schema = json.loads(topic_schemas()[kind])
    validator = jsonschema.Draft202012Validator(schema)
    assert len(records[kind]) > 100 if kind != "evidence" else records[kind]
    properties = schema["$defs"][schema["$ref"].rpartition("/")[2]]["properties"]
    for item in records[kind]:
        found = json.loads(item.value)
        validator.validate(found)
        assert found.keys() <= properties.keys()


def test_every_id_is_once_and_names_its_source(records):
    """Ids are made of feed, generation, partition, offset, kind and n; none stands twice; lists are in their order."""
    for kind, word in (("scores", "score"), ("dead-letters", "dead-letter"), ("evidence", "evidence")):
        items = records[kind]
        assert [json.loads(i.value)["id"] for i in items] == [f"small/1/0/{i.offset}/{word}/{i.n}" for i in items]
        places = [(i.offset, i.n) for i in items]
        assert places == sorted(set(places))
        assert all(i.value.startswith(b'{"id":"') for i in items), "readers of tails look no further than the first key"


def test_every_folded_record_has_one_score_and_its_vector(records):
    """The header holds one float64 for each feature, and the key is the entity."""
    dimension = PLAN.features.dimension
    for item in records["scores"]:
        ((name, vector),) = item.headers
        assert name == VECTOR_HEADER
        assert len(vector) == 8 * dimension
        assert item.key == json.loads(item.value)["entity"].encode()
