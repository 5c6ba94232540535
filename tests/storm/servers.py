"""The storm's servers: brokers and stores that can be ended and come back, and the proxies before them."""

from __future__ import annotations

import random
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from contracts.settings import KafkaSettings, Servers
from streamgauge.local_stack import LocalStack, free_port
from tests.apache_kafka import PROPERTIES, ApacheKafka
from tests.apache_kafka_cluster import ApacheKafkaCluster
from tests.storm import stores
from tests.storm.settings import Setting
from tests.tcp_proxy import TcpProxy

PROXIED = """
listeners=PLAINTEXT://127.0.0.1:{{port}},PROXIED://127.0.0.1:{inside},CONTROLLER://127.0.0.1:{{controller}}
advertised.listeners=PLAINTEXT://127.0.0.1:{{port}},PROXIED://127.0.0.1:{outside}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
"""


def proxied_properties() -> tuple[TcpProxy, str]:
    """A link, and settings of an Apache Kafka that tells whoever comes by the link to stay on it."""
    inside = free_port()
    link = TcpProxy(inside)
    kept = [line for line in PROPERTIES.splitlines() if not line.startswith("listeners=")]
    return link, "\n".join(kept) + PROXIED.format(inside=inside, outside=link.port)


class StormServers:
    """Context manager: `servers` are what the storm itself asks, `for_fleet` what its processes use; the same but for proxies."""

    servers: Servers
    for_fleet: Servers
    store: stores.Store

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.broker: ApacheKafka | None = None
        self.brokers: ApacheKafkaCluster | None = None
        self.kafka_link: TcpProxy | None = None
        self.redis_link: TcpProxy | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            directory = Path(tempfile.mkdtemp(prefix="storm-store-"))
            stack.callback(shutil.rmtree, directory, ignore_errors=True)
            self.store = stores.STORES[self.setting.redis](directory)
            stack.callback(lambda: [node.kill() for node in self.store.nodes()])
            kafka = self._start_kafka(stack)
            self.servers = stack.enter_context(LocalStack(kafka=kafka, redis=self.store.url)).servers
            self.for_fleet = self._through_links(stack) if self.setting.network else self.servers
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def _start_kafka(self, stack: ExitStack) -> KafkaSettings | None:
        if self.setting.kafka == "embedded":
            return None
        if self.setting.kafka == "apache3":
            self.brokers = stack.enter_context(ApacheKafkaCluster())
            return self.brokers.settings
        properties = PROPERTIES
        if self.setting.network:
            link, properties = proxied_properties()
            self.kafka_link = stack.enter_context(link)
        self.broker = stack.enter_context(ApacheKafka(properties))
        return self.broker.settings

    def _through_links(self, stack: ExitStack) -> Servers:
        assert self.kafka_link is not None
        self.redis_link = stack.enter_context(TcpProxy(self.store.primaries()[0].port))
        return Servers(KafkaSettings.parse(f"127.0.0.1:{self.kafka_link.port}"), f"redis://127.0.0.1:{self.redis_link.port}")

    def restart_store(self, kill: bool, chance: random.Random, forget: bool = False) -> None:
        """Ends one server of the store and starts it again on its append-only file; `forget`: on nothing."""
        stores.restart(self.store, kill, forget, chance)

    def flush(self) -> None:
        """Everything in the store is gone."""
        stores.flush(self.store)

    def restart_broker(self, kill: bool) -> None:
        """Ends Apache Kafka and starts it again on the same log."""
        assert self.broker is not None
        self.broker.restart(kill)
