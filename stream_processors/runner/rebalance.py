"""What the group tells a worker, on its way from aiokafka to the fold service."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from typing import TYPE_CHECKING

from aiokafka import ConsumerRebalanceListener, TopicPartition

if TYPE_CHECKING:
    from stream_processors.runner.fold_service import FoldService


class Rebalance(ConsumerRebalanceListener):  # type: ignore[misc]
    """Hands aiokafka's calls to the service; an error in them must end the worker, not be logged and forgotten."""

    def __init__(self, service: FoldService) -> None:
        self._service = service

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Places are taken away, or a rebalance begins."""
        await self._guard(self._service.revoked(revoked))

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """What the group gives from now on."""
        await self._guard(self._service.assigned(assigned))

    async def _guard(self, work: Awaitable[None]) -> None:
        try:
            await work
        except Exception as error:
            await self._service.crash(error)
            raise
