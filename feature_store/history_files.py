"""The files of the Parquet history: how they are named, cut, listed and written whole, under any fsspec URL.

``<url>/<feed>/scores/revision-0/generation-1/partition-0/000000010000.parquet`` holds the scores of the source offsets
10,000 ≤ offset < 20,000 of that generation and partition, all of them and no other: a file's bytes do not depend on who
wrote it when. Logs as they stand (events, labels, …) are at ``<url>/<feed>/<log>/<topic id>/partition-0/…``, cut by their own
offsets; the topic's id keeps a log that was created anew apart from the one before. ``…parquet.open`` holds the beginning of a
cut that is not over yet, and says in its footer how far it goes.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import fsspec
import msgspec

from contracts.errors import HistoryError, SettingsError
from contracts.settings import public_url
from contracts.unreadable import UNREADABLE

CUT = 10_000
"""Source offsets of a file. More would hold too much of each partition in memory until the cut is reached (10,000 rows of
100 features are 8 MB), fewer would make files whose footers are larger than their rows."""

NO_TOPIC_ID = "no-topic-id"  # the directory of logs on brokers that give topics no ids
DEFAULT_URL = "history"
VARIABLE = "STREAMGAUGE_HISTORY"

_SCORES = re.compile(r"revision-(\d+)/generation-(\d+)/partition-(\d+)/(\d{12})\.parquet")
_LOG = re.compile(r"(\d{12})\.parquet(\.open)?")
_MARK = re.compile(r"revision-(\d+)/generation-(\d+)/complete\.json")


class ScoreFile(NamedTuple):
    """One file of scores: rows of source offsets first ≤ offset < first + CUT."""

    revision: int
    generation: int
    partition: int
    first: int
    path: str

    @property
    def end(self) -> int:
        """The cut at which the file ends."""
        return self.first + CUT


class LogFile(NamedTuple):
    """One file of a log as it stands, cut by the log's own offsets; an open one does not reach to its cut's end."""

    first: int
    is_open: bool
    path: str


def resolve_history(to: str | None) -> str:
    """The URL given, else STREAMGAUGE_HISTORY, else the directory ``history``."""
    return to or os.environ.get(VARIABLE) or DEFAULT_URL


def configured_history(given: str | None) -> str | None:
    """The URL given, else STREAMGAUGE_HISTORY, else None: a worker keeps copies only where it was told to.

    A directory of its own would be of no use to the other workers that may take its partitions.
    """
    return given or os.environ.get(VARIABLE) or None


def _without(url: str, error: Exception) -> str:
    """The error's words where they do not repeat the URL, which may hold credentials."""
    return type(error).__name__ if url in str(error) else str(error)


def cut_of(offset: int) -> int:
    """First offset of the file that holds `offset`."""
    return offset // CUT * CUT


class HistoryFiles:
    """The files under one URL.

    Raises:
        SettingsError: no such kind of URL, or the package that reads it is not installed.
    """

    def __init__(self, url: str) -> None:
        try:
            self._fs, root = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError) as error:
            where, why = public_url(url), _without(url, error)
            raise SettingsError(f"history at {where}: {why}; write a directory, or a URL that fsspec reads") from error
        self.url = url
        self.shown = public_url(url)  # for messages: an address may hold credentials
        self.root = root.rstrip("/")
        self._local = "file" in ([self._fs.protocol] if isinstance(self._fs.protocol, str) else self._fs.protocol)

    def scores_path(self, feed: str, revision: int, generation: int, partition: int, first: int) -> str:
        """Where the scores of a cut stand."""
        return f"{self.root}/{feed}/scores/revision-{revision}/generation-{generation}/partition-{partition}/{first:012d}.parquet"

    def log_directory(self, feed: str, log: str, topic_id: str | None, partition: int) -> str:
        """Where the files of one partition of a log stand."""
        return f"{self.root}/{feed}/{log}/{topic_id or NO_TOPIC_ID}/partition-{partition}"

    def log_path(self, feed: str, log: str, topic_id: str | None, partition: int, first: int, is_open: bool = False) -> str:
        """Where a cut of a log stands, whole or still open."""
        return f"{self.log_directory(feed, log, topic_id, partition)}/{first:012d}.parquet{'.open' if is_open else ''}"

    def mark_path(self, feed: str, revision: int, generation: int) -> str:
        """Where it is said that a backfill of this revision and generation is complete, and what it was made from."""
        return f"{self.root}/{feed}/scores/revision-{revision}/generation-{generation}/complete.json"

    def scores(self, feed: str) -> list[ScoreFile]:
        """Every file of scores, in the order of revision, generation, partition, offset."""
        found = [(path, _SCORES.fullmatch(name)) for path, name in self._names(f"{feed}/scores")]
        return sorted(ScoreFile(int(m[1]), int(m[2]), int(m[3]), int(m[4]), path) for path, m in found if m)

    def log(self, feed: str, log: str, topic_id: str | None, partition: int) -> list[LogFile]:
        """Every file of one partition of a log, in the order of offsets; of one cut the whole file before the open one."""
        found = [
            (path, _LOG.fullmatch(path.rpartition("/")[2])) for path in self.listed(self.log_directory(feed, log, topic_id, partition))
        ]
        return sorted(LogFile(int(m[1]), bool(m[2]), path) for path, m in found if m)

    def complete(self, feed: str) -> dict[tuple[int, int], Any]:
        """What backfills are complete, by (revision, generation), each with what it was made from."""
        found = [(path, _MARK.fullmatch(name)) for path, name in self._names(f"{feed}/scores")]
        return {(int(match[1]), int(match[2])): self._mark(path) for path, match in found if match}

    def _mark(self, path: str) -> Any:
        try:
            return msgspec.json.decode(self.read(path))
        except UNREADABLE as error:
            raise HistoryError(f"{path} cannot be read ({error}); remove it, and load that revision again") from error

    def read(self, path: str) -> bytes:
        """All bytes of a file."""
        return bytes(self._fs.cat_file(path))

    def open(self, path: str) -> Any:
        """A file for pyarrow to read parts of."""
        return self._fs.open(path, "rb")

    def exists(self, path: str) -> bool:
        """Whether the file is there."""
        self._fs.invalidate_cache()
        return bool(self._fs.exists(path))

    def remove(self, path: str) -> None:
        """Takes a file away, if it is there."""
        if self.exists(path):
            self._fs.rm_file(path)

    def remove_directory(self, path: str) -> None:
        """Takes a directory away with all that is in it, if it is there."""
        if self.exists(path):
            self._fs.rm(path, recursive=True)

    def listed(self, directory: str) -> list[str]:
        """Paths of what is right in a directory, none where there is no such directory.

        Raises:
            HistoryError: it cannot be told.
        """
        self._fs.invalidate_cache()
        try:
            return sorted(self._fs.ls(directory, detail=False))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise HistoryError(f"{directory} cannot be listed ({error}); see to it that the history can be reached") from error

    def write(self, path: str, data: bytes) -> None:
        """Puts a file whole: locally by a rename after its bytes are on the disk, elsewhere by one put."""
        if not self._local:
            self._fs.pipe_file(path, data)
            return
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())  # else a power cut could leave the name without the bytes
            part.replace(target)
        except BaseException:
            part.unlink(missing_ok=True)  # half a file would take the room that a full disk lacks
            raise

    def _names(self, below: str) -> list[tuple[str, str]]:
        """(path, name below that directory) of every file there."""
        self._fs.invalidate_cache()  # another process may have written since
        root = f"{self.root}/{below}"
        return [(path, path[len(root) :].lstrip("/")) for path in self._fs.find(root)]
