"""Where on `<feed>.scores` to read on: noted beside the files with how far they went, and believed only where that still holds."""

from __future__ import annotations

import msgspec

from contracts.unreadable import UNREADABLE
from feature_store.history_files import HistoryFiles
from stream_processors.archive.score_cuts import Place


class Note(msgspec.Struct):
    """Every record that is in no file while files go up to (generation, cut) comes from `position` on."""

    topic_id: str | None
    generation: int
    cut: int
    position: int


def start_position(
    files: HistoryFiles, feed: str, partition: int, topic_id: str | None, place: Place, first: int, end: int
) -> tuple[int, bool]:
    """(where to begin, whether every record that is in no file comes from there on).

    A note that cannot be read, from when the files went elsewhere than they go now (some were removed, another archiver wrote on), or of
    another topic, is not believed: then the log is read from its first record, and what stands in files is passed over.
    """
    path = note_path(files, feed, partition)
    if files.exists(path):
        note = _read_note(files.read(path))
        if note is not None and note.topic_id == topic_id and (note.generation, note.cut) == place and first <= note.position <= end:
            return note.position, True
    return first, first == 0


def _read_note(data: bytes) -> Note | None:
    try:
        return msgspec.json.decode(data, type=Note)
    except UNREADABLE:
        return None


def note_position(files: HistoryFiles, feed: str, partition: int, topic_id: str | None, place: Place, position: int) -> None:
    """Puts a note in the place of the one before; the files that it speaks of are written."""
    note = Note(topic_id, place.generation, place.cut, position)
    files.write(note_path(files, feed, partition), msgspec.json.encode(note))


def note_path(files: HistoryFiles, feed: str, partition: int) -> str:
    """Where a partition's note stands."""
    return f"{files.root}/{feed}/scores/positions/partition-{partition}.json"
