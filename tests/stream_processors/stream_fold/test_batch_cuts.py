"""How a log is cut into batches, and where a fold stops and goes on, changes no byte of what it gives or keeps."""

from __future__ import annotations

import json
import random
import time

import pytest

from contracts.definition import Feed
from contracts.errors import StateError
from online_model.placement import Placement
from stream_processors.stream_fold.fold import StreamFold
from tests.stream_processors.stream_fold.streams import START, Folded, Log, fold_in_cuts, hostile, served, small_feed, with_rare_devices

RECORDS = 4_500
FEEDS = {
    "defaults": (small_feed(), 7, RECORDS),
    "thinned vectors, all detectors": (small_feed(log_vectors="10s", detectors=["e-detector", "ks", "psi", "adwin"]), 7, RECORDS),
    "evictions": (small_feed(max_entities=20, remembered=4, lateness="20s"), 90, 6 * RECORDS),
    "many entities": (small_feed(windows=["1m"], log_vectors="none", across=[]), 80, RECORDS),
    "river model": (small_feed(anomaly="river.anomaly.HalfSpaceTrees", lateness="20s"), 6, 600),
}


def assert_same(one: Folded, other: Folded) -> None:
    """Byte for byte, and the first difference told."""
    assert one.counters == other.counters
    assert one.records.keys() == other.records.keys()
    for kind, items in one.records.items():
        assert len(items) == len(other.records[kind]), kind
        for left, right in zip(items, other.records[kind], strict=True):
            assert left == right, kind
    assert one.created == other.created
    assert one.vectors == other.vectors
    assert one.chunks.keys() == other.chunks.keys()
    assert [name for name in one.chunks if one.chunks[name] != other.chunks[name]] == []


@pytest.fixture(scope="module", params=FEEDS)
def folded(request: pytest.FixtureRequest):
    """A feed, its stream, and what folding it in one batch gives."""
    feed, entities, records = FEEDS[request.param]
    log, _ = hostile(feed, 7, records, entities)
    if feed.max_entities < entities:
        log = with_rare_devices(log, 1)
    return feed, log, fold_in_cuts(feed, log, [])


def test_the_stream_is_as_hostile_as_it_claims(folded):
    """Every outcome, evidence and, where the table is small, evictions occur: so the comparisons below mean something."""
    feed, _, whole = folded
    assert min(whole.counters[name] for name in ("folded", "duplicate", "late", "dead_lettered", "out_of_order", "impossible")) > 0
    assert set(whole.records) == {"scores", "dead-letters", "evidence"}
    assert len({letter.value.split(b'"reason":"')[1].split(b'"')[0] for letter in whole.records["dead-letters"]}) > 5
    sources = {json.loads(item.value).get("source") for item in whole.records["evidence"]}
    assert len(sources) > 3 or len(whole.records["evidence"]) < 50
    evictions = feed.max_entities < 100
    assert evictions or any(b'"score":0.' in item.value for item in whole.records["scores"])
    assert (whole.counters["evicted"] > 100, whole.counters["overflowed"] > 100) == (evictions, evictions)
    headers = {len(item.headers) for item in whole.records["scores"]}
    assert headers == {"all": {1}, "10s": {0, 1}, "none": {0}}[feed.log_vectors]


@pytest.mark.parametrize("seed", range(3))
def test_cuts_change_no_byte(folded, seed):
    """Outputs, served vectors, counters and checkpoint of random cuts, many of a single record, equal those of one batch."""
    feed, log, whole = folded
    chance = random.Random(seed)
    cuts = chance.sample(range(len(log.values)), (5, 60, 300)[seed])
    assert_same(whole, fold_in_cuts(feed, log, cuts))


@pytest.mark.parametrize("seed", range(2))
def test_a_restart_changes_no_byte(folded, seed):
    """A fold put back from what was handed out as changed, time and again, goes on as if it had never stopped."""
    feed, log, whole = folded
    chance = random.Random(100 + seed)
    restarts = chance.sample(range(1, len(log.values)), (3, 25)[seed])
    assert_same(whole, fold_in_cuts(feed, log, chance.sample(range(len(log.values)), 20), restarts))


def test_what_changed_is_all_that_changed(folded):
    """The changed chunks laid over each other are the whole state, asked for or not, and asked again without a change there are none."""
    feed, log, whole = folded
    fold = StreamFold(feed, 0, 1)
    stored: dict[str, bytes] = {}
    for start in range(0, len(log.values), 500):
        fold.fold(log.batch(start, min(start + 500, len(log.values))))
        whole_state = fold.all_chunks()
        stored |= fold.changed_chunks()
        assert fold.all_chunks() == whole_state == stored
        assert fold.changed_chunks() == {}
    fold.forget_handed_out()
    assert fold.changed_chunks() == stored == whole.chunks


def test_everything_served_is_what_was_served_last(folded):
    """The vectors for a store that forgot are those served last, byte for byte, of all entities that have a row."""
    feed, _, whole = folded
    fold = StreamFold(feed, 0, 1)
    fold.restore(whole.chunks)
    everything = served(fold.everything_served())
    assert len(everything) == whole.counters["entities"]
    assert everything.items() <= whole.vectors.items()
    assert {entity for entity, _ in fold.everything_served().created} == everything.keys()


def test_offsets_partition_and_generation_only_name_the_outputs():
    """The same records at other offsets give the same scores under other ids: nothing is drawn from where they stand."""
    feed = small_feed()
    log, _ = hostile(feed, 3, 500)
    there = fold_in_cuts(feed, log._replace(first=1_000_000), [10, 20])
    here = fold_in_cuts(feed, log, [])
    for left, right in zip(here.records["scores"], there.records["scores"], strict=True):
        assert left.value.partition(b',"entity"')[2] == right.value.partition(b',"entity"')[2]
        assert right.value.startswith(b'{"id":"small/1/0/%d/score/0"' % (left.offset + 1_000_000))


@pytest.mark.parametrize("missing", ["partition", "model", "group", "rows-000000"])
def test_a_checkpoint_with_a_hole_is_refused(missing):
    """A missing or shortened chunk is a StateError that names it, never a state that is half new."""
    feed = small_feed()
    log, _ = hostile(feed, 3, 200)
    chunks = fold_in_cuts(feed, log, []).chunks
    with pytest.raises(StateError, match=missing):
        StreamFold(feed, 0, 1).restore({name: data for name, data in chunks.items() if name != missing})
    with pytest.raises(StateError):
        StreamFold(feed, 0, 1).restore(chunks | {missing: chunks[missing][:-8]})


def test_another_definition_has_no_use_for_the_state():
    """Rows of a definition with one window more do not fit, and say so."""
    log, _ = hostile(small_feed(), 3, 200)
    chunks = fold_in_cuts(small_feed(), log, []).chunks
    other: Feed = small_feed(windows=["1m", "5m", "10m"])
    with pytest.raises(StateError):
        StreamFold(other, 0, 1).restore(chunks)


def test_evidence_names_the_entity_that_had_the_slot():
    """Two devices told silent and then evicted one after the other, within one batch, are still those that the evidence names."""
    feed = small_feed(windows=["1m"], max_entities=4)
    sending = {"a": range(300), "b": range(300), "c": range(60), "d": range(150), "e": range(170, 300), "f": range(200, 300)}
    readings = [(i, name) for i in range(300) for name, steps in sending.items() if i in steps]
    values = [json.dumps({"pump": name, "ts": START // 1000 + 10_000 * i, "heat": i % 7 + 1.0}).encode() for i, name in readings]
    log = Log([-1] * len(values), [name.encode() for _, name in readings], list(values))
    single = fold_in_cuts(feed, log, range(len(values)))
    silent = [json.loads(item.value)["entity"] for item in single.records["evidence"] if b'"source":"silence"' in item.value]
    assert set(silent) == {"c", "d"}
    assert single.counters["evicted"] == 2
    assert_same(single, fold_in_cuts(feed, log, []))


def test_a_flood_of_dead_letters_takes_no_longer_than_their_number():
    """A batch of 3,000 damaged records of 2 KB costs little more than ten times one of 300, and not a hundred times."""
    feed = small_feed()

    def seconds(n: int) -> float:
        log = Log([-1] * n, [b"p"] * n, [b"x" * 2_000] * n)
        fold = StreamFold(feed, 0, 1)
        began = time.process_time()
        outputs = fold.fold(log.batch(0, n))
        assert len(outputs.records["dead-letters"]) == n
        return time.process_time() - began

    seconds(10)
    assert min(seconds(3_000) for _ in range(2)) < 35 * min(seconds(300) for _ in range(3))


def test_any_number_of_placements_may_be_due_at_once() -> None:
    """A worker that starts is told of every switch of its generation, thousands where a model learns for months: none is nested."""
    feed = small_feed()
    log, _ = hostile(feed, 5, 40, 6)
    fold = StreamFold(feed, 0, 1)
    for switch in range(3_000):
        fold.place_models(switch // 100, Placement(None, None, 0.0))
    outputs = fold.fold(log.batch(0, len(log.values)))
    assert outputs.records == fold_in_cuts(feed, log, []).records
    assert fold.predictions.next_offset(40) is None
