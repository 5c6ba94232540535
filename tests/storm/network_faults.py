"""Faults of the links between the storm's processes and their servers."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.storm.steps import Step
from tests.tcp_proxy import TcpProxy

if TYPE_CHECKING:
    from tests.storm.storm import Storm

SERVERS = ("redis", "kafka")
SLOW_SECONDS, DELAY_SECONDS = 8.0, 0.15
LOST_SECONDS = {"redis": 8.0, "kafka": 5.0}  # Kafka's: less than the workers' session
DEAD_SECONDS = 8.0  # past the session
CUTS = 6


def of_link(server: str, what: str) -> Callable[[Storm, Step], None]:
    """The fault of one server's link."""

    def fault(storm: Storm, step: Step) -> None:
        link = storm.servers.redis_link if server == "redis" else storm.servers.kafka_link
        assert link is not None
        time.sleep(step.after)
        began = time.monotonic()
        TROUBLES[what](link, server, random.Random(f"link {storm.seed} {step.number}"))
        storm.recovered(began)

    return fault


def _slow(link: TcpProxy, server: str, chance: random.Random) -> None:
    """Every piece of data takes its time."""
    with link.slow(DELAY_SECONDS):
        time.sleep(SLOW_SECONDS)


def _lost(link: TcpProxy, server: str, chance: random.Random) -> None:
    """Nothing passes for some seconds, then all of it."""
    with link.lost():
        time.sleep(LOST_SECONDS[server] * chance.uniform(0.5, 1.0))


def _half_open(link: TcpProxy, server: str, chance: random.Random) -> None:
    """Connections stay open and are never answered again; new ones neither, for some seconds."""
    with link.half_open():
        time.sleep(DEAD_SECONDS)


def _cut_reply(link: TcpProxy, server: str, chance: random.Random) -> None:
    """Connections break within a reply."""
    for _ in range(CUTS):
        link.cut_replies(1)
        time.sleep(chance.uniform(0.2, 0.8))


TROUBLES: dict[str, Callable[[TcpProxy, str, random.Random], None]] = {
    "slow": _slow,
    "lost": _lost,
    "half-open": _half_open,
    "cut-reply": _cut_reply,
}
