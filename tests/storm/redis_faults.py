"""Faults of Redis: it ends and comes back, forgets, fails over, is full, busy or gone; a bit of what it keeps is flipped."""

from __future__ import annotations

import random
import time
import urllib.request
from typing import TYPE_CHECKING

import redis

from feature_store.checkpoint import decode_manifest
from feature_store.redis_layout import partition_keys
from tests.storm import stores
from tests.storm.steps import Step
from tests.storm.stores import WatchedStore
from tests.storm.watcher import damaged_key, store_names

if TYPE_CHECKING:
    from tests.storm.storm import Storm

LAG_SECONDS = 2.0  # of writes that the new primary lacks
GONE_SECONDS = 60.0
FULL_SECONDS = 5.0
BUSY_SECONDS = 2.0
GROWTH_BYTES = 30_000_000  # of a worker that waits: its clients' buffers, and what the allocator keeps of one more batch
SPIN_SECONDS = 0.3  # that a slowed script spends before its first write, when it can be killed
KILLED_SECONDS = 6.0


def store_kill(storm: Storm, step: Step) -> None:
    """SIGKILL to redis-server; it comes back with its append-only file."""
    _restart_store(storm, step, kill=True)


def store_restart(storm: Storm, step: Step) -> None:
    """redis-server is stopped in order and comes back with its append-only file."""
    _restart_store(storm, step, kill=False)


def store_empty(storm: Storm, step: Step) -> None:
    """redis-server, or one master of a cluster, is killed and comes back with nothing."""
    _restart_store(storm, step, kill=True, forget=True)


def _restart_store(storm: Storm, step: Step, kill: bool, forget: bool = False) -> None:
    time.sleep(step.after)
    began = time.monotonic()
    storm.servers.restart_store(kill, random.Random(f"store {storm.seed} {step.number}"), forget)
    storm.tally.store_restarts += 1
    storm.recovered(began)


def flush(storm: Storm, step: Step) -> None:
    """The store is emptied while workers run."""
    time.sleep(step.after)
    began = time.monotonic()
    storm.servers.flush()
    storm.tally.flushes += 1
    storm.recovered(began)


def flush_kill(storm: Storm, step: Step) -> None:
    """The store is emptied and all workers die, so that nobody is left who could write the state again."""
    time.sleep(step.after)
    began = time.monotonic()
    _lose_all(storm)
    storm.servers.flush()
    storm.tally.flushes += 1
    _begin_again(storm)
    storm.recovered(began)


def _lose_all(storm: Storm) -> None:
    while storm.fleet.workers:
        storm.fleet.lose(storm.fleet.workers[0])
        storm.tally.kills += 1


def _begin_again(storm: Storm) -> None:
    for _ in range(2):
        storm.fleet.start_worker()
    storm.tally.rebalances += 2


def cut(storm: Storm, step: Step) -> None:
    """Every connection to the store is cut, five times at random moments."""
    chance = random.Random(f"cut {storm.seed} {step.number}")
    began = time.monotonic()
    for _ in range(5):
        time.sleep(chance.uniform(0.05, 0.6))
        stores.cut_connections(storm.servers.store)
    storm.recovered(began)


def failover(storm: Storm, step: Step) -> None:
    """The primary dies, and the replica that takes its place lacks the last seconds; workers live on."""
    began = _fail_over(storm, step)
    storm.recovered(began)
    _join_again(storm)


def failover_kill(storm: Storm, step: Step) -> None:
    """The same, and all workers die with the primary: nobody knows any more what the new one lacks."""
    began = _fail_over(storm, step, lose_all=True)
    storm.recovered(began)
    _join_again(storm)


def _fail_over(storm: Storm, step: Step, lose_all: bool = False) -> float:
    store = storm.servers.store
    assert isinstance(store, WatchedStore)
    store.wait_until_watched()
    time.sleep(step.after / 2)
    store.cut_off_the_replica()
    time.sleep(LAG_SECONDS)
    began = time.monotonic()
    if lose_all:
        _lose_all(storm)
    store.fail_over()
    storm.tally.failovers += 1
    if lose_all:
        _begin_again(storm)
    return began


def _join_again(storm: Storm) -> None:
    assert isinstance(storm.servers.store, WatchedStore)
    storm.servers.store.join_again()


def store_full(storm: Storm, step: Step) -> None:
    """`maxmemory` is reached, and nothing may be evicted; then there is room again."""
    time.sleep(step.after)
    began = time.monotonic()
    stores.limit_memory(storm.servers.store, limited=True)
    time.sleep(FULL_SECONDS)
    stores.limit_memory(storm.servers.store, limited=False)
    storm.recovered(began)


def store_busy(storm: Storm, step: Step) -> None:
    """A stranger's script holds the server until it is killed, three times."""
    began = time.monotonic()
    for _ in range(3):
        time.sleep(step.after / 3)
        stores.keep_busy(storm.servers.store, BUSY_SECONDS)
    storm.recovered(began)


def script_kill(storm: Storm, step: Step) -> None:
    """The workers' own scripts are killed as they run, whenever they can be: in a worker whose script is slow to begin."""
    worker = storm.fleet.start_worker(slow_script=SPIN_SECONDS)
    storm.tally.rebalances += 2
    killed, (node, *_) = 0, storm.servers.store.primaries()
    deadline = time.monotonic() + 30.0
    with node.client() as client:
        client.config_set("busy-reply-threshold", 20)
        while time.monotonic() < deadline and killed < 5:
            try:
                client.script_kill()
                killed += 1
            except redis.RedisError:  # nothing runs, or it has written
                time.sleep(0.01)
        stores.be_patient(client)
    began = time.monotonic()
    worker.kill()
    assert killed, "no script of the worker was killed"
    storm.tally.kills += 1
    storm.recovered(began)


def store_gone(storm: Storm, step: Step) -> None:
    """Gone for a minute: the workers wait, their memory does not grow, the lag is told, and nothing is skipped."""
    time.sleep(step.after)
    storm.recovered(None)
    (node, *_) = storm.servers.store.primaries()
    before = {worker.name: worker.resident for worker in storm.fleet.workers}
    node.kill()
    began = time.monotonic()
    time.sleep(GONE_SECONDS)
    for worker in storm.fleet.workers:
        grown = worker.resident - before[worker.name]
        assert grown < GROWTH_BYTES, f"{worker.name} grew by {grown} bytes while Redis was gone"
    pages = [_page(worker.web_port, "metrics/") for worker in storm.fleet.workers]
    lags = [float(line.rpartition(" ")[2]) for page in pages for line in page.splitlines() if line.startswith("streamgauge_lag{")]
    assert max(lags, default=0.0) > 0, "no worker tells its lag while Redis is gone"
    node.start()
    storm.tally.store_restarts += 1
    storm.recovered(began)


def _page(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5.0) as answer:
        return str(answer.read().decode())


def flip_bit(storm: Storm, step: Step) -> None:
    """All workers die, and in the newest checkpoint of every place one bit changes: the one before is used."""
    chance = random.Random(f"bit {storm.seed} {step.number}")
    time.sleep(step.after + 6.0)  # so that there are two checkpoints
    began = time.monotonic()
    _lose_all(storm)
    flipped = sum(_flip(storm, place, chance) for place in store_names(storm.feed))
    assert flipped, "there was no checkpoint to damage"
    _begin_again(storm)
    storm.recovered(began)


def _flip(storm: Storm, place: str, chance: random.Random) -> bool:
    keys = partition_keys(storm.feed.name, place)
    with storm.servers.store.master_of(keys.manifest).client() as client:
        stored, before = client.mget(keys.manifest, keys.previous)
        if stored is None or before is None:
            return False
        newest, kept = decode_manifest(stored), set(decode_manifest(before).part_ids)
        own = [part for part in newest.part_ids if part not in kept]  # a chunk of both would leave nothing to go back to
        if not own:
            return False
        key = keys.chunk + chance.choice(own).encode()
        data = bytearray(client.get(key))
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        client.set(damaged_key(storm.feed, place), stored)  # the watcher is told: readers of checkpoints are to find it
        client.set(key, bytes(data))
        return True
