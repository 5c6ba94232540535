"""Requests in parts: the bytes that aiokafka itself makes of them, and a fallback where it is made otherwise."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from aiokafka.protocol.produce import ProduceRequest

from contracts.settings import KafkaSettings
from stream_processors.runner import produce_seam
from stream_processors.runner.clients import plain_producer
from stream_processors.runner.produce_seam import PartsHandler, in_parts


def sent(request: Any, version: int) -> bytes:
    """What a connection would write of it, as its `send` puts a message together."""
    struct = request.prepare({0: (version, version)})
    message = struct.build_request_header(correlation_id=9, client_id="test").encode() + struct.encode()
    return bytes(len(message).to_bytes(4, "big") + message)


@pytest.mark.parametrize("version", range(3, 8))
@pytest.mark.parametrize("seed", range(4))
def test_requests_are_those_that_the_client_makes(version: int, seed: int) -> None:
    """Byte for byte, whatever the topics, partitions and sizes, and whether the records are bytes or a view."""
    chance = random.Random(seed)
    topics: list[tuple[str, list[tuple[int, Any]]]] = []
    for topic in range(chance.randint(0, 3)):
        batches = [chance.randbytes(chance.choice((0, 1, 70, 5_000))) for _ in range(chance.randint(0, 4))]
        topics.append((f"t{topic}", [(at, memoryview(batch) if at % 2 else batch) for at, batch in enumerate(batches)]))
    name = chance.choice((None, "transaction"))
    plain, parts = (ProduceRequest(name, -1, 15_000, topics) for _ in range(2))
    assert sent(in_parts(parts), version) == sent(plain, version)


async def sender() -> Any:
    """Of a producer that was made and is closed again."""
    producer = plain_producer(KafkaSettings(("127.0.0.1:9",)))
    await producer.stop()
    return producer._sender


def test_our_producers_send_in_parts_and_no_others() -> None:
    """The sender of our producer makes such requests; aiokafka's own class still makes its own."""
    ours = asyncio.run(sender())
    assert ours._send_produce_req.__func__.__globals__["SendProduceReqHandler"] is PartsHandler
    assert type(ours)._send_produce_req.__globals__["SendProduceReqHandler"] is not PartsHandler


def test_a_client_made_otherwise_sends_its_own_way(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Where its requests have other bytes, the log says so once and nothing is swapped."""
    monkeypatch.setattr(produce_seam, "_parts", lambda *_: iter([b"other bytes"]))
    produce_seam._as_expected.cache_clear()
    try:
        assert not any("_send_produce_req" in vars(asyncio.run(sender())) for _ in range(2))
        assert sum("not made as expected" in record.message for record in caplog.records) == 1
    finally:
        monkeypatch.undo()
        produce_seam._as_expected.cache_clear()
