"""What a storm runs on."""

from __future__ import annotations

from typing import NamedTuple


class Setting(NamedTuple):
    """Servers of one storm.

    kafka: ``apache`` (one broker), ``apache3`` (three, everything kept three times) or ``embedded``.
    redis: ``one`` (with an append-only file), ``sentinel`` (primary, replica and a Sentinel) or ``cluster`` (three masters).
    network: whether workers, archiver and trainer reach both through proxies that can be slow, deaf or rude.
    """

    kafka: str = "apache"
    redis: str = "one"
    network: bool = False

    @property
    def name(self) -> str:
        """For people."""
        return "-".join([self.kafka, *([self.redis] if self.redis != "one" else []), *(["network"] if self.network else [])])

    @property
    def transactions(self) -> bool:
        """Whether the broker has them."""
        return self.kafka != "embedded"


SETTINGS = {
    found.name: found
    for found in (
        Setting(),
        Setting("embedded"),
        Setting(redis="sentinel"),
        Setting(redis="cluster"),
        Setting("apache3"),
        Setting(network=True),
    )
}
