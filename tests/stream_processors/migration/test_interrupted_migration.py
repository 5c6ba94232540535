"""A migration that did not come to its end: a worker took a partition meanwhile, or only some partitions were cut over."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contracts.errors import Fenced, StateError
from contracts.records import Switch
from contracts.settings import Servers
from contracts.topics import events_topic, topic_name
from feature_store.full_copies import FullCopies
from feature_store.partition_reader import PartitionReader
from producers.sender import Sender
from stream_processors.runner.switch_log import current_generation
from stream_processors.verification.log_reader import read_switches
from tests.stream_processors.migration.test_migration import WINDOWS, folded, migrate
from tests.stream_processors.runner.places import fresh_feed, own_store, send, shell
from tests.stream_processors.runner.test_take import LOG

pytestmark = pytest.mark.integration


def test_a_switch_that_does_not_stand_leaves_the_store_as_it_was(stack: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker is on record as the owner before the migration's switch is: nobody will act on that, so its state must not be served."""
    old = fresh_feed("overtaken")
    new = replace(old, windows=WINDOWS)
    send(stack, old, LOG)
    write = FullCopies.write

    def overtaken(self: FullCopies, *copy: Any) -> int:
        taken = Switch(kind="taken", log=events_topic(old), partition=0, owner="a worker that has not come to the store yet")
        with Sender(stack.kafka) as sender:
            sender.send(topic_name(old, "switches"), [b""], [msgspec.json.encode(taken)])
            sender.flush()
        return write(self, *copy)

    async def scenario(servers: Servers) -> None:
        async with shell(servers, old) as worker:
            runner = await folded(worker, "old")
            await runner.release()
            reader = PartitionReader(worker.redis, old.name, 0)
            before = await reader.manifest()
            with monkeypatch.context() as amid:
                amid.setattr(FullCopies, "write", overtaken)
                with pytest.raises(Fenced, match="taken again"):
                    await migrate(worker, new, tmp_path)
            assert await reader.manifest() == before
            successor = await worker.take(owner="that worker")
            assert (successor.generation, successor.progress.next_offset) == (1, len(LOG.values))
            await successor.release()
            report = await migrate(worker, new, tmp_path)
            assert [place.generation for place in report.places] == [2]

    with own_store(stack) as own:
        asyncio.run(scenario(own))


def test_a_migration_that_is_run_again_leaves_what_is_done(stack: Servers, tmp_path: Path) -> None:
    """Of two partitions one is folded with the new definition already: only the other is cut over."""
    old = fresh_feed("again", partitions=2)
    new = replace(old, windows=WINDOWS)
    send(stack, old, LOG)

    async def scenario(servers: Servers) -> None:
        async with shell(servers, old) as worker:
            for partition in (0, 1):
                runner = await worker.runners.take("events", partition, "old")
                runner._changed = True  # a checkpoint, also where no event has come
                await runner.release()
            assert len((await migrate(worker, new, tmp_path)).places) == 2
        async with shell(servers, old) as worker:  # started with the old file, it goes back: as if the second had not been cut over
            back = await worker.runners.take("events", 1, "old")
            back._changed = True
            await back.release()
            again = await migrate(worker, new, tmp_path)
            assert [(place.partition, place.generation) for place in again.places] == [(1, 4)]
            recorded = await read_switches(new, servers.kafka)
            found = [current_generation(recorded, events_topic(new), p) for p in (0, 1)]
            assert [(r.switch.generation, r.switch.definition) for r in found if r] == [(2, new.hash), (4, new.hash)]
            with pytest.raises(StateError, match="already"):
                await migrate(worker, new, tmp_path)

    with own_store(stack) as own:
        asyncio.run(scenario(own))
