"""Switches: what an overtaken owner wrote is void, a generation is the newest valid one, a stranger's record is passed over."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from contracts.records import Switch
from contracts.settings import Servers
from contracts.topics import topic_name
from stream_processors.runner.switch_log import Recorded, SwitchLog, current_generation, decoded_switch, superseding, valid_switches
from tests.stream_processors.runner.places import fresh_feed, shell


def taken(log: str = "a", partition: int = 0) -> Switch:
    return Switch(kind="taken", log=log, partition=partition)


def generation(number: int, epoch: int, log: str = "a", partition: int = 0, definition: str = "old") -> Switch:
    return Switch(kind="generation", log=log, partition=partition, generation=number, epoch=epoch, definition=definition, fold_version=1)


def recorded(*switches: Switch) -> list[Recorded]:
    return [Recorded(offset, switch) for offset, switch in enumerate(switches)]


def test_what_an_overtaken_owner_wrote_is_void():
    """A switch with an epoch below that of a taken record that stands before it is left out; one that stood earlier holds."""
    log = recorded(taken(), generation(1, 0), taken(), generation(2, 0), generation(2, 2))
    assert [r.offset for r in valid_switches(log)] == [0, 1, 2, 4]


def test_owners_of_other_partitions_do_not_overtake():
    """Epochs are offsets of one topic, but an owner stands against those of its own log and partition alone."""
    log = recorded(taken(), taken(partition=1), taken(log="b"), generation(1, 0), generation(7, 1, partition=1), generation(9, 2, log="b"))
    assert valid_switches(log) == log
    assert current_generation(log, "a", 0).switch.generation == 1
    assert current_generation(log, "a", 1).switch.generation == 7
    assert current_generation(log, "b", 0).switch.generation == 9
    assert current_generation(log, "b", 1) is None


def test_the_generation_is_the_newest_valid_one():
    """A zombie's generation does not count, whatever its number."""
    log = recorded(taken(), generation(1, 0), taken(), generation(2, 2), generation(9, 0))
    assert current_generation(valid_switches(log), "a", 0).switch.generation == 2


@pytest.mark.parametrize(
    ("definition", "version", "began", "refused"),
    [
        ("old", 1, 2, True),  # ran when the new one came
        ("old", 1, 4, False),  # started since: goes back on purpose
        ("new", 1, 2, False),  # has the place
        ("newer", 1, 2, False),  # never had it: comes after the new one
        ("new", 2, 2, False),  # likewise
    ],
)
def test_the_definition_that_was_started_last_has_the_place(definition: str, version: int, began: int, refused: bool):
    """A worker does not take back what another definition has taken over since it began, whoever fenced it; otherwise it may."""
    log = recorded(taken(), generation(1, 0), taken(), generation(2, 2, definition="new"), taken(), taken(partition=1))
    found = superseding(log, "a", 0, definition, version, began)
    assert (found is not None) == refused
    assert superseding(log, "a", 1, definition, version, began) is None, "nobody has it yet"


def test_a_record_that_is_no_switch_is_passed_over():
    """Tombstones, other JSON and other bytes on the topic do not stop a takeover."""
    for value in (
        None,
        b"",
        b"\xff",
        b"{}",
        b'{"kind":"taken"}',
        b'{"kind":"taken","log":"\xff","partition":0}',
        b'{"kind":"party","log":"a","partition":0}',
    ):
        assert decoded_switch(3, value) == []
    assert decoded_switch(3, msgspec.json.encode(taken())) == [Recorded(3, taken())]


def test_read_to_reads_its_own_append_whatever_else_is_there(servers: Servers) -> None:
    """An owner reads every switch up to its own record, those of others and of strangers between them included."""
    feed = fresh_feed("switches")

    async def scenario() -> None:
        async with shell(servers, feed) as worker:
            topic = topic_name(feed, "switches")
            log: SwitchLog = worker.runners._switches
            first = await log.append(taken())
            await worker.producer.send_and_wait(topic, b"not a switch", partition=0)
            own = await log.append(taken(partition=1))
            assert [r.offset for r in await log.read_to(own)] == [first, own]
            assert [r.offset for r in await log.read_to(first)] == [first]
            again = await log.append(generation(1, own, partition=1))
            assert [r.switch.kind for r in await log.read_to(again)] == ["taken", "taken", "generation"]

    asyncio.run(scenario())
