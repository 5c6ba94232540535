"""A reader that polls all through the storm and puts down whatever it sees fall.

``python -m tests.storm.watcher PLANT FILE REDIS`` runs until SIGTERM; a line of JSON in FILE for each fall, the last line sums up.

Beside the keys of each place stands a mark of the watcher's own, which rises at each look. Where it is lower than it was left, or gone,
the store has forgotten what was written since. What may begin anew then: manifests, since a place whose owner died is folded again; and
behind a primary that lacks its last seconds, served values, until their owner writes them anew.

Values are read with every definition that stands in a plant file beside PLANT. Of each generation that follows another, FILE also gets a
line with the last checkpoint before its first.
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

from contracts.definition import Feed
from contracts.errors import StateError, StreamgaugeError
from contracts.plant import load_plant
from contracts.settings import Servers
from feature_store.checkpoint import Manifest, decode_manifest, join_chunks
from feature_store.partition_reader import TRIES
from feature_store.readers import FeatureReader
from feature_store.redis_addresses import CLIENT_ERRORS, make_client
from feature_store.redis_layout import partition_keys
from stream_processors.joiner.joiner_fold import labels_place
from tests.storm.plants import DEVICES

PAUSE_SECONDS = 0.03
MORE_PARTITIONS = 2  # than the definition says may come to be watched
RISING = ("read", "folded", "duplicate", "late", "dead_lettered")
RISING_LABELS = ("read", "duplicate", "joined", "correction", "too_late", "unmatched")  # their `folded` counts those that wait, too
LOOK = """
local mark = redis.call('GET', KEYS[1])
redis.call('SET', KEYS[1], ARGV[1])
return { mark, redis.call('GET', KEYS[2]), redis.call('GET', KEYS[3]) }
"""  # mark, manifest, and the manifest that the storm damaged, at one moment


class Seen:
    """The greatest (generation, offset) of each thing that is watched, and what fell."""

    def __init__(self) -> None:
        self._newest: dict[str, tuple[int, ...]] = {}
        self.falls: list[dict[str, Any]] = []

    def newest(self, what: str) -> tuple[int, ...] | None:
        """As it was last noted."""
        return self._newest.get(what)

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


def mark_key(feed: Feed, place: str) -> bytes:
    """In the slot of the place's own keys."""
    return b"storm:{%s:%s}:mark" % (feed.name.encode(), place.encode())


def damaged_key(feed: Feed, place: str) -> bytes:
    """Where the storm puts down the manifest whose chunks it damaged."""
    return b"storm:{%s:%s}:damaged" % (feed.name.encode(), place.encode())


class Watcher:
    """Polls manifests with their counters, every device's features, and one whole checkpoint a time.

    Args:
        may_lag: a replica may take the primary's place without the last seconds.
        plants: where plant files of the feed's other definitions may come to stand.
    """

    def __init__(self, feed: Feed, client: Any, may_lag: bool = False, plants: Path | None = None) -> None:
        self.seen = Seen()
        self.begun: list[dict[str, Any]] = []  # generations that follow others
        self.polls = self.forgot = 0
        self._client, self._may_lag = client, may_lag
        self._readers = {feed.hash: FeatureReader(client, feed)}
        self._plants, self._known = plants, set[Path]()
        added = range(feed.partitions, feed.partitions + MORE_PARTITIONS)
        self._places = [*store_names(feed), *map(str, added), *map(labels_place, added)]
        self._marks = dict.fromkeys(self._places, 0)  # as they were left
        self._feed = feed
        self._broken: dict[str, str] = {}  # checkpoints that could not be used, each told once
        self._damaged: dict[str, bytes] = {}  # manifests, by the storm itself

    def poll(self) -> None:
        """One look."""
        self._look()
        self._look_for_definitions()
        tables = [reader.read(DEVICES) for reader in self._readers.values()]
        self._look()  # what was read stood there before the mark that is set now
        for table in tables:
            for device, generation, offset, partition in zip(DEVICES, table.generation, table.offset, table.partition, strict=True):
                if offset >= 0:
                    self.seen.note(f"entity of {partition}: {device}", (int(generation), int(offset)))
        self._look_at_checkpoint(self._places[self.polls % len(self._places)])
        self.polls += 1

    def _look_for_definitions(self) -> None:
        for path in self._plants.glob("*/*.py") if self._plants else ():
            if path not in self._known:
                self._known.add(path)
                (feed,) = load_plant(path)
                self._readers.setdefault(feed.hash, FeatureReader(self._client, feed))

    def _look(self) -> None:
        """At marks and manifests."""
        with self._client.pipeline(transaction=False) as pipeline:
            for place in self._places:
                keys = (mark_key(self._feed, place), partition_keys(self._feed.name, place).manifest, damaged_key(self._feed, place))
                pipeline.eval(LOOK, len(keys), *keys, self._marks[place] + 1)
            found = pipeline.execute()
        for place, (mark, manifest, damaged) in zip(self._places, found, strict=True):
            if self._marks[place] and int(mark or 0) < self._marks[place]:
                self._store_forgot(place, mark is not None)
            self._marks[place] += 1
            if damaged and damaged != self._damaged.get(place):
                self._damaged[place] = damaged
                self.seen.forget(f"manifest {place}:")
            if manifest is not None:
                self._note_manifest(place, manifest)

    def _note_begun(self, place: str, manifest: Manifest, before: tuple[int, ...]) -> None:
        """The store keeps the manifest before the newest, so none is missed that came between two looks."""
        stored = self._client.get(partition_keys(self._feed.name, place).previous)
        kept = decode_manifest(stored) if stored else None
        if kept is not None and kept.generation < manifest.generation:
            before = max(before, (kept.generation, kept.offset))
        self.begun.append({"begun": place, "generation": manifest.generation, "before": before})

    def _store_forgot(self, place: str, only_lags: bool) -> None:
        self.forgot += 1
        self.seen.forget(f"manifest {place}:")
        if only_lags and self._may_lag:
            self.seen.forget(f"entity of {place}:")

    def _look_at_checkpoint(self, place: str) -> None:
        """Whoever took the place now would have to find it whole."""
        keys = partition_keys(self._feed.name, place)
        why = ""
        for _ in range(TRIES):
            stored = self._client.get(keys.manifest)
            if stored is None or stored == self._damaged.get(place):
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
        before = self.seen.newest(f"manifest {place}:")
        if before is not None and before[0] < manifest.generation:
            self._note_begun(place, manifest, before)
        self.seen.note(f"manifest {place}:", (manifest.generation, manifest.offset))
        counters: Mapping[str, int] = manifest.counters
        for name in RISING_LABELS if place.startswith("labels") else RISING:
            if name in counters:
                self.seen.note(f"manifest {place}: counter {name}", (manifest.generation, counters[name]))


def watch(plant: Path, url: str, may_lag: bool, out: TextIO, ended: threading.Event) -> None:
    """Polls until told to end; a store that does not answer is asked again."""
    [feed] = load_plant(plant)
    beside = plant.parent.parent  # each in a directory of its own: a plant file's name is also that of the workers' group
    watcher: Watcher | None = None
    outages, told = 0, 0
    while not ended.wait(PAUSE_SECONDS):
        try:
            watcher = watcher or Watcher(feed, make_client(url, socket_timeout=2.0, socket_connect_timeout=2.0), may_lag, beside)
            watcher.poll()
        except (StreamgaugeError, *CLIENT_ERRORS):
            outages += 1
        if watcher is None:
            continue
        for line in (*watcher.seen.falls[told:], *watcher.begun):
            out.write(json.dumps(line) + "\n")
            out.flush()
        told = len(watcher.seen.falls)
        watcher.begun.clear()
    sums = {"polls": watcher.polls, "forgot": watcher.forgot} if watcher else {"polls": 0, "forgot": 0}
    out.write(json.dumps(sums | {"outages": outages}) + "\n")


if __name__ == "__main__":
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with Path(sys.argv[2]).open("a") as told_to:
        watch(Path(sys.argv[1]), Servers.resolve().redis, sys.argv[3] == "sentinel", told_to, stop)
