"""A server that is gone for a while: what is wrong with it and since when is said, tries are paced, and its return is told."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0)  # seconds between tries: longer ones delay the return, shorter ones load a server that comes up
REMIND_SECONDS = 30.0  # an outage that is said once is overlooked in a long log


class Outage:
    """One server as one process sees it. Whoever calls the server notes each failure and each success.

    Args:
        server: its name in messages, such as "Redis".
        log: where it is said.
        meanwhile: awaited before each pause.
    """

    def __init__(self, server: str, log: logging.Logger, meanwhile: Callable[[], Awaitable[None]] | None = None) -> None:
        self.server = server
        self._meanwhile = meanwhile
        self.reason = ""  # empty while the server answers
        self._log = log
        self._since, self._clock = 0.0, ""
        self._said, self._said_at = "", 0.0
        self._tries = 0

    @property
    def seconds(self) -> float:
        """Since when the server is gone; 0 while it answers."""
        return time.monotonic() - self._since if self.reason else 0.0

    @property
    def sentence(self) -> str:
        """What is wrong and since when; empty while the server answers."""
        return f"waiting for {self.server} since {self._clock}: {self.reason}" if self.reason else ""

    def failed(self, error: BaseException | str) -> None:
        """Notes that the server did not do what it was asked; said at once, again when the reason changes, and from time to time."""
        now = time.monotonic()
        if not self.reason:
            self._since, self._clock, self._tries, self._said = now, time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()), 0, ""
        self.reason = str(error).strip() or type(error).__name__
        kind = self.reason.partition("(")[0]  # what stands in brackets, such as a port, may differ at each try
        if kind != self._said or now - self._said_at > REMIND_SECONDS:
            self._said, self._said_at = kind, now
            self._log.warning("%s; nothing is skipped", self.sentence)

    def pause(self, error: BaseException) -> float:
        """Notes a failure; returns the seconds until the next try."""
        self.failed(error)
        self._tries += 1
        return PAUSES[min(self._tries, len(PAUSES)) - 1]

    async def wait(self, error: BaseException) -> None:
        """Notes a failure and waits until the next try is due."""
        seconds = self.pause(error)
        if self._meanwhile is not None:
            await self._meanwhile()
        await asyncio.sleep(seconds)

    def over(self) -> None:
        """Notes that the server did what it was asked."""
        if self.reason:
            self._log.warning("%s is back after %.1f s", self.server, self.seconds)
            self.reason = ""
