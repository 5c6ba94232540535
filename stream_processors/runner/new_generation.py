"""When a place begins a new generation, and why."""

from __future__ import annotations

from typing import NamedTuple

from feature_store.checkpoint import Checkpoint
from stream_processors.runner.place import Place
from stream_processors.runner.switch_log import Recorded

FIRST_START = "first start"
DEFINITION_CHANGED = "definition or fold changed"


class LogBounds(NamedTuple):
    """First and next offset of a partition, and its topic's id where the broker gives one.

    is_cut: its end was seen to be gone, also where it has grown since.
    """

    start: int
    end: int
    topic_id: str | None
    is_cut: bool = False


def why_new_generation(place: Place, version: int, found: Recorded | None, checkpoint: Checkpoint | None, bounds: LogBounds) -> str:
    """The cause of a new generation, or "" where the state of the last one can be gone on with."""
    if found is None:
        return FIRST_START
    switch = found.switch
    stored = checkpoint.manifest.offset if checkpoint and checkpoint.manifest.generation == switch.generation else None
    if is_another(switch.topic_id, bounds.topic_id):
        return "topic recreated"
    if bounds.is_cut or (stored is not None and stored > bounds.end):
        return "log ends before the stored offset"
    if switch.definition != place.feed.hash or switch.fold_version != version:
        return DEFINITION_CHANGED
    # a migrated state cannot be folded again here: its outputs begin later than itself, and its log may be archived only
    if stored is None and (switch.state_from is not None or switch.from_offset < bounds.start):
        return "state lost beyond recovery"
    if stored is None and switch.from_offset > bounds.end:
        return "log ends before the generation began"
    return ""


def is_another(one: str | None, other: str | None) -> bool:
    """Whether two ids are of different topics; not known where the broker gives no ids."""
    return one is not None and other is not None and one != other
