"""What the group tells a worker, on its way from aiokafka to the fold service."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

if TYPE_CHECKING:
    from stream_processors.runner.fold_service import FoldService


class Rebalance(ConsumerRebalanceListener):  # type: ignore[misc]
    """Hands aiokafka's calls to the service; an error in them must end the worker, not be logged and forgotten.

    Until there is a service, what the group gives is paused and kept for it.
    """

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self._consumer = consumer
        self._service: FoldService | None = None
        self._given: set[TopicPartition] | None = None  # before there was a service

    async def serve(self, service: FoldService) -> None:
        """Tells the service of what was given before, and of everything from here on."""
        self._service, given = service, self._given
        if given is not None:
            await self._guard(service, service.assigned(given))

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Places are taken away, or a rebalance begins."""
        if self._service is None:
            self._given = None
        else:
            await self._guard(self._service, self._service.revoked(revoked))

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """What the group gives from now on."""
        if self._service is None:
            self._given = set(assigned)
            self._consumer.pause(*self._given)
        else:
            await self._guard(self._service, self._service.assigned(assigned))

    async def _guard(self, service: FoldService, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception as error:
            await service.crash(error)
            raise
