"""The faults, by name: each is done to a storm amid its traffic and returns when the storm has got over it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.storm import change_faults, kafka_faults, load_faults, log_faults, network_faults, redis_faults, worker_faults
from tests.storm.steps import Step

if TYPE_CHECKING:
    from tests.storm.storm import Storm

FAULTS: dict[str, Callable[[Storm, Step], None]] = {
    "kill": worker_faults.kill,
    "kill-two": worker_faults.kill_two,
    "kill-again": worker_faults.kill_again,
    "kill-at": worker_faults.kill_at,
    "join": worker_faults.join,
    "leave": worker_faults.leave,
    "roll": worker_faults.roll,
    "zombie": worker_faults.zombie,
    "zombie-at": worker_faults.zombie_at,
    "kill-others": worker_faults.kill_others,
    "broker-kill": kafka_faults.broker_kill,
    "broker-restart": kafka_faults.broker_restart,
    "one-lost": kafka_faults.one_lost,
    "leader-moved": kafka_faults.leader_moved,
    "coordinator-moved": kafka_faults.coordinator_moved,
    "coordinator-lost": kafka_faults.coordinator_lost,
    "store-kill": redis_faults.store_kill,
    "store-restart": redis_faults.store_restart,
    "store-empty": redis_faults.store_empty,
    "flush": redis_faults.flush,
    "flush-kill": redis_faults.flush_kill,
    "cut": redis_faults.cut,
    "failover": redis_faults.failover,
    "failover-kill": redis_faults.failover_kill,
    "store-full": redis_faults.store_full,
    "store-busy": redis_faults.store_busy,
    "script-kill": redis_faults.script_kill,
    "store-gone": redis_faults.store_gone,
    "flip-bit": redis_faults.flip_bit,
    "partitions-added": log_faults.partitions_added,
    "head-deleted": log_faults.head_deleted,
    "topic-recreated": log_faults.topic_recreated,
    "end-cut": log_faults.end_cut,
    "definition-changed": change_faults.definition_changed,
    "upgraded": change_faults.upgraded,
    "migrated": change_faults.migrated,
    "surge": load_faults.surge,
    "hot-key": load_faults.hot_key,
    **{f"{server}-{what}": network_faults.of_link(server, what) for server in network_faults.SERVERS for what in network_faults.TROUBLES},
}
