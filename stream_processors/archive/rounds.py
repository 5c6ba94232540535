"""How the archiver reads: in rounds, with a pause after one that brought little."""

from __future__ import annotations

import asyncio

WAIT_MS = 500
FEW = 5_000  # records of a round, some megabytes; after one with fewer the next waits
PAUSE_SECONDS = 0.25  # a round for each few records that trickle in costs more than the records


async def pause(stopping: asyncio.Event, seconds: float = PAUSE_SECONDS) -> None:
    """Waits, unless told to stop."""
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return
