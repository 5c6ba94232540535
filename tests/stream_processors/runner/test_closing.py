"""Clients of Kafka are closed in one way, which ends nothing but the client."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from stream_processors.runner.clients import stopped

ROOT = Path(__file__).parents[3]
BARE = re.compile(r"await [\w.]*(?:consumer|producer|client|reader|source|tail)\.stop\(\)")


class _TriesAgain:
    """Closes as aiokafka's consumer does whose broker has not answered a fetch: it awaits its own cancelled task."""

    async def stop(self) -> None:
        async def fetch() -> None:
            await asyncio.sleep(60)

        fetching = asyncio.create_task(fetch())
        await asyncio.sleep(0)
        fetching.cancel()
        await fetching


def test_a_client_that_cancels_itself_does_not_cancel_who_closes_it() -> None:
    """A verification beside a broker that did not answer ended with CancelledError, which no `except Exception` sees."""
    asyncio.run(stopped(_TriesAgain()))  # type: ignore[arg-type]


def test_nobody_closes_a_client_in_another_way() -> None:
    """Of the packages that run beside workers; a plain `await consumer.stop()` can raise CancelledError."""
    sources = [path for package in ("stream_processors", "streamgauge", "producers") for path in (ROOT / package).rglob("*.py")]
    assert len(sources) > 100
    bare = [f"{path.relative_to(ROOT)}: {found[0]}" for path in sources for found in BARE.finditer(path.read_text())]
    assert bare == []
