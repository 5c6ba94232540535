"""Workers, readers and commands on Redis Sentinel and on a cluster of three masters, which fail over and forget."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest
import redis
from aiokafka import TopicPartition

from contracts.definition import Feed
from contracts.outage import Outage
from contracts.settings import Servers
from contracts.topics import events_topic
from feature_store.partition_store import PartitionStore
from feature_store.readers import AsyncFeatureReader, FeatureReader
from feature_store.redis_connection import async_client, sync_client
from feature_store.redis_layout import directory_keys, partition_keys
from stream_processors.runner.fold_service import FoldService
from stream_processors.runner.metrics import WorkerMetrics
from stream_processors.waiting import wait_for_redis
from streamgauge.commands.options import resolve_servers
from tests.feature_store.served import FEED, NOW, blobs
from tests.feature_store.test_redis_outage import WELL, assert_stored, one_of_each
from tests.redis_topologies import SERVICE, Cluster, Watched, running, wait_for
from tests.stream_processors.runner.places import fresh_feed, send, shell
from tests.stream_processors.runner.test_fold_service import LOG, assert_whole, eventually, part

pytestmark = [pytest.mark.integration, pytest.mark.kafka]
ALL = len(LOG.values)


@pytest.fixture
def watched() -> Iterator[Watched]:
    with running(Watched) as found:
        yield found


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with running(Cluster) as found:
        yield found


async def folded_through(servers: Servers, feed: Feed, trouble) -> None:
    """A worker folds half of the log, the trouble comes, it folds the rest: nothing is lost, doubled or changed."""
    await asyncio.to_thread(send, servers, feed, part(0, 600))
    service = FoldService([feed], servers, feed.name, WorkerMetrics())
    await service.start()
    try:
        place = TopicPartition(events_topic(feed), 0)
        await eventually(lambda: place in service.runners and service.ready)
        runner = service.runners[place]
        await eventually(lambda: runner.progress.read == 600 and not runner.changed)
        await trouble(service)
        await eventually(lambda: runner.progress.read == ALL and not runner.changed and service.ready)
        assert service.runners[place] is runner, "nothing was taken again"
        vectors = runner.fold.everything_served().entities
    finally:
        await service.stop()
    async with shell(servers, feed) as after:
        await assert_whole(after)
        assert set(await after.redis.hkeys(directory_keys(feed.name).entries)) == set(vectors)
    names = [entity.decode() for entity in vectors]
    with FeatureReader(servers.redis, feed) as reader:
        table = reader.read(names)
    async with AsyncFeatureReader(servers.redis, feed) as other:
        assert (await other.read(names)).offset.tolist() == table.offset.tolist()
    assert min(table.offset) >= 0


def test_an_owner_sees_that_a_failover_lost_the_last_seconds(watched: Watched) -> None:
    """What the replica never got is written again by the owner, vector, directory and checkpoint."""

    async def scenario() -> None:
        client = await async_client(watched.url)
        store = PartitionStore(client, "pumps", 0, outage=Outage("Redis", logging.getLogger("test")))
        await store.take(1)
        assert await one_of_each(store, 5) == WELL
        watched.cut_off_the_replica()
        assert await one_of_each(store, 6) == WELL
        lost = asyncio.to_thread(watched.fail_over)
        served, _ = await asyncio.gather(store.serve(1, [b"a"], blobs([7])), lost)
        assert served.forgot or (await store.serve(1, [b"a"], blobs([7]))).forgot
        for _ in range(3):
            said = await one_of_each(store, 7)
        assert said == WELL
        await assert_stored(redis.asyncio.Redis(port=watched.replica.port), 7)
        await client.aclose()

    asyncio.run(scenario())


def test_a_worker_goes_on_through_a_failover_that_lost_the_last_seconds(stack: Servers, watched: Watched) -> None:
    """It follows the Sentinels to the new primary, writes anew what that one lacks, and a clean fold says same."""
    feed = fresh_feed("failover")
    servers = Servers(stack.kafka, watched.url)

    async def trouble(service: FoldService) -> None:
        watched.cut_off_the_replica()
        await asyncio.to_thread(send, servers, feed, part(600, 900))
        (runner,) = [r for p, r in service.runners.items() if p.topic == events_topic(feed)]
        await eventually(lambda: runner.progress.read == 900 and not runner.changed)
        await asyncio.to_thread(watched.fail_over)
        await asyncio.to_thread(send, servers, feed, part(900, ALL))

    asyncio.run(folded_through(servers, feed, trouble))


def test_an_old_primary_that_comes_back_is_no_primary(watched: Watched) -> None:
    """A connection to a demoted server is given up for the one that the Sentinels name now."""

    async def scenario() -> None:
        client = await async_client(watched.url)
        store = PartitionStore(client, "pumps", 0, outage=Outage("Redis", logging.getLogger("test")))
        await store.take(1)
        assert await one_of_each(store, 5) == WELL
        ask = watched.sentinel.client()
        await asyncio.to_thread(wait_for, lambda: bool(ask.execute_command("SENTINEL", "FAILOVER", SERVICE)))
        offset = 5
        while watched.primary.client().info("replication")["role"] == "master":  # it takes writes that are lost with its rank
            offset += 1
            await one_of_each(store, offset)
            await asyncio.sleep(0.05)
        for _ in range(3):
            said = await one_of_each(store, offset)
        assert said == WELL
        assert watched.replica.client().info("replication")["role"] == "master"
        await assert_stored(redis.asyncio.Redis(port=watched.replica.port), offset)
        await client.aclose()

    asyncio.run(scenario())


@pytest.mark.parametrize("named", ["all", "one node"])
def test_a_worker_folds_on_a_cluster(stack: Servers, cluster: Cluster, named: str) -> None:
    """Partition and directory stand on different nodes; each that dies and comes back empty is filled again."""
    feed = fresh_feed("cluster")
    url = cluster.url if named == "all" else f"redis://127.0.0.1:{cluster.masters[0].port}"
    servers = Servers(stack.kafka, url)

    async def trouble(service: FoldService) -> None:
        for key in (partition_keys(feed.name, 0).fence, directory_keys(feed.name).entries):
            node = cluster.master_of(key)
            await asyncio.to_thread(node.kill)
            await asyncio.to_thread(send, servers, feed, part(600, 900) if b":0}" in key else part(900, ALL))
            await eventually(lambda: bool(service.redis.reason))
            await asyncio.to_thread(node.start)
            await asyncio.to_thread(cluster.wait_until_whole)
            await eventually(lambda: service.ready)

    asyncio.run(folded_through(servers, feed, trouble))


def test_a_read_of_a_cluster_is_one_round_trip_a_node(cluster: Cluster) -> None:
    """Entities of many partitions, on three nodes, come in one MGET a partition, sent together."""

    async def serve_all() -> None:
        client = await async_client(cluster.url)
        for partition in range(12):
            store = PartitionStore(client, FEED.name, partition)
            await store.take(1)
            entity = f"pump-{partition}".encode()
            await store.serve_directory(1, [(entity, NOW)])
            await store.serve(1, [entity], blobs([partition]))
        await client.aclose()

    asyncio.run(serve_all())
    nodes = {cluster.master_of(partition_keys(FEED.name, partition).fence).port for partition in range(12)}
    assert len(nodes) == 3
    names = [f"pump-{partition}" for partition in range(12)]
    for url in (cluster.url, f"redis://127.0.0.1:{cluster.masters[1].port}"):
        with FeatureReader(url, FEED) as reader:
            assert reader.read(names).offset.tolist() == list(range(12))

    async def read() -> list[int]:
        async with AsyncFeatureReader(cluster.url, FEED) as reader:
            return (await reader.read(names)).offset.tolist()

    assert asyncio.run(read()) == list(range(12))


def test_addresses_of_both_are_taken_everywhere(watched: Watched, cluster: Cluster) -> None:
    """Options, waiting and clients know them; what nobody answers ends in a sentence that shows no password."""
    for url in (watched.url, cluster.url):
        assert resolve_servers("localhost", url).redis == url
        wait_for_redis(url, 5)
        with sync_client(url) as client:
            assert client.ping()
    for url in ("redis+sentinel://:secret@127.0.0.1:1/nobody", "redis+cluster://:secret@127.0.0.1:1"):
        with pytest.raises(Exception, match=r"does not answer|did not answer") as told:
            asyncio.run(async_client(url))
        assert "secret" not in str(told.value)
