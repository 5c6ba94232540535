"""A reader that polls all through the storm and puts down whatever it sees fall.

``python -m tests.storm.watcher PLANT FILE`` runs until SIGTERM; a line of JSON in FILE for each fall, the last line sums up.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import redis

from contracts.definition import Feed
from contracts.errors import StateError, StreamgaugeError
from contracts.plant import load_plant
from contracts.settings import Servers
from feature_store.checkpoint import Manifest, decode_manifest, join_chunks
from feature_store.partition_reader import TRIES
from feature_store.readers import FeatureReader
from feature_store.redis_layout import partition_keys
from stream_processors.joiner.joiner_fold import labels_place
from tests.storm.plants import DEVICES

PAUSE_SECONDS = 0.02
MARK = b"storm:mark"  # what the watcher itself wrote last: lower or gone, the store has forgotten
RISING = ("read", "folded", "duplicate", "late", "dead_lettered")
RISING_LABELS = ("read", "duplicate", "joined", "correction", "too_late", "unmatched")  # their `folded` counts those that wait, too


class Seen:
    """The greatest (generation, offset) of each thing that is watched, and what fell."""

    def __init__(self) -> None:
        self._newest: dict[str, tuple[int, ...]] = {}
        self.falls: list[dict[str, Any]] = []

    def note(self, what: str, value: tuple[int, ...]) -> None:
        """Compares with what was seen before; each fall counts once."""
        before = self._newest.get(what, value)
        if value < before:
            self.falls.append({"what": what, "from": before, "to": value, "at": time.time()})
        self._newest[what] = value

    def forget(self, prefix: str) -> None:
        """What begins so may begin anew."""
        self._newest = {what: value for what, value in self._newest.items() if not what.startswith(prefix)}


def store_names(feed: Feed) -> list[str]:
    """Of every place of the feed."""
    labels = [labels_place(p) for p in range(feed.partitions)]
    return [*map(str, range(feed.partitions)), "evidence", "examples", *labels]


class Watcher:
    """Polls manifests with their counters, every device's features, and one whole checkpoint a time."""

    def __init__(self, feed: Feed, client: redis.Redis) -> None:
        self.seen = Seen()
        self.polls = self.forgot = 0
        self._client = client
        self._reader = FeatureReader(client, feed)
        self._places = store_names(feed)
        self._keys = [partition_keys(feed.name, place).manifest for place in self._places]
        self._mark = 0
        self._feed = feed
        self._broken: dict[str, str] = {}  # checkpoints that could not be used, each told once

    def poll(self) -> None:
        """One look."""
        with self._client.pipeline(transaction=True) as pipeline:
            pipeline.get(MARK).mget(self._keys).set(MARK, self._mark + 1)
            mark, stored, _ = pipeline.execute()
        if self._mark and int(mark or 0) < self._mark:
            self.forgot += 1
            self.seen.forget("manifest")
        self._mark += 1
        for place, manifest in zip(self._places, stored, strict=True):
            if manifest is not None:
                self._note_manifest(place, manifest)
        table = self._reader.read(DEVICES)
        for device, generation, offset, partition in zip(DEVICES, table.generation, table.offset, table.partition, strict=True):
            if offset >= 0:
                self.seen.note(f"entity {device} of {partition}", (int(generation), int(offset)))
        self._look_at_checkpoint(self._places[self.polls % len(self._places)])
        self.polls += 1

    def _look_at_checkpoint(self, place: str) -> None:
        """Whoever took the place now would have to find it whole."""
        keys = partition_keys(self._feed.name, place)
        why = ""
        for _ in range(TRIES):
            stored = self._client.get(keys.manifest)
            if stored is None:
                return
            try:
                manifest = decode_manifest(stored)
                ids = manifest.part_ids
                join_chunks(manifest, dict(zip(ids, self._client.mget([keys.chunk + name.encode() for name in ids]), strict=True)))
            except StateError as error:  # or its owner has flipped between the two calls
                why = str(error)
            else:
                return
        if why and why != self._broken.get(place):
            self._broken[place] = why
            self.seen.falls.append({"what": f"checkpoint {place}", "why": why, "at": time.time()})

    def _note_manifest(self, place: str, stored: bytes) -> None:
        try:
            manifest: Manifest = decode_manifest(stored)
        except StateError as error:
            self.seen.falls.append({"what": f"manifest {place}", "why": str(error)})
            return
        self.seen.note(f"manifest {place}", (manifest.generation, manifest.offset))
        counters: Mapping[str, int] = manifest.counters
        for name in RISING_LABELS if place.startswith("labels") else RISING:
            if name in counters:
                self.seen.note(f"manifest {place} counter {name}", (manifest.generation, counters[name]))


def watch(feed: Feed, url: str, out: TextIO, ended: threading.Event) -> None:
    """Polls until told to end; a store that does not answer is asked again."""
    client = redis.Redis.from_url(url, socket_timeout=2.0, socket_connect_timeout=2.0)
    watcher, outages, told = Watcher(feed, client), 0, 0
    while not ended.wait(PAUSE_SECONDS):
        try:
            watcher.poll()
        except (redis.RedisError, OSError, StreamgaugeError):
            outages += 1
        for fall in watcher.seen.falls[told:]:
            out.write(json.dumps(fall) + "\n")
            out.flush()
        told = len(watcher.seen.falls)
    out.write(json.dumps({"polls": watcher.polls, "outages": outages, "forgot": watcher.forgot}) + "\n")


if __name__ == "__main__":
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    [watched] = load_plant(Path(sys.argv[1]))
    with Path(sys.argv[2]).open("a") as told_to:
        watch(watched, Servers.resolve().redis, told_to, stop)
