"""Progress over the places of a feed: a bar for each, as soon as it is heard of."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


def place_progress() -> Progress:
    """Bars on stderr, so that stdout holds results only."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=Console(stderr=True)
    )


def shown_on(progress: Progress, title: str = "{}") -> Callable[[str, int, int], None]:
    """What is to be told (place, offsets done, offsets in all); `title` names a bar, with {} for the place."""
    tasks: dict[str, TaskID] = {}

    def show(place: str, done: int, total: int) -> None:
        if place not in tasks:
            tasks[place] = progress.add_task(title.format(place), total=total)
        progress.update(tasks[place], completed=done, total=total)

    return show
