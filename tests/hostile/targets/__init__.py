"""All targets by name."""

from __future__ import annotations

from collections.abc import Callable

from tests.hostile.target import Target
from tests.hostile.targets.events import EVENT_TARGETS
from tests.hostile.targets.files import FILE_TARGETS
from tests.hostile.targets.folds import FOLD_TARGETS
from tests.hostile.targets.pages import PAGE_TARGETS
from tests.hostile.targets.records import RECORD_TARGETS
from tests.hostile.targets.redis_values import REDIS_TARGETS
from tests.hostile.targets.states import STATE_TARGETS
from tests.hostile.targets.structures import STRUCTURE_TARGETS

TARGETS: dict[str, Callable[[], Target]] = {
    made.name: made
    for made in [
        *EVENT_TARGETS,
        *RECORD_TARGETS,
        *FOLD_TARGETS,
        *STATE_TARGETS,
        *FILE_TARGETS,
        *REDIS_TARGETS,
        *STRUCTURE_TARGETS,
        *PAGE_TARGETS,
    ]
}
