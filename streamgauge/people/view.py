"""What people said, as tables for a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from streamgauge.people.recall import Recall
from streamgauge.people.share import Share
from streamgauge.people.verdicts import Misses, People, Precision


def show_people(feed: str, found: People) -> None:
    """Prints precision by source, agreement and recall."""
    console = Console()
    if not found.sources:
        console.print(f"{feed}: nothing was raised yet")
    else:
        _show_precisions(console, feed, "source", found.sources)
    if found.tags:
        _show_precisions(console, feed, "tag", found.tags)
    if found.pairs:
        console.print(f"{found.agreeing:,} of {found.pairs:,} pairs of people agree ({found.agreeing / found.pairs:.0%})")
    if found.misses is None:
        console.print("misses are not known: answer some spans of streamgauge label --next", markup=False)
    else:
        _show_misses(console, found.misses)
    if found.unknown:
        console.print(
            f"{len(found.unknown):,} verdicts are about incidents that were never raised: {', '.join(found.unknown[:3])}", markup=False
        )
    if found.unreadable:
        console.print(f"{found.unreadable:,} labels could not be read")


def _show_precisions(console: Console, feed: str, by: str, items: list[Precision]) -> None:
    table = Table(title=f"{feed}: alarms by {by}", title_justify="left")
    for column in (by, "incidents", "settled", "disputed", "confirmed", "precision (95 %)"):
        table.add_column(column, justify="left" if column == by else "right")
    for item in items:
        row = (item.raised, item.confirmed.of, item.disputed, item.confirmed.yes)
        table.add_row(escape(item.source), *(f"{number:,}" for number in row), _share(item.confirmed))
    console.print(table)


def _show_misses(console: Console, misses: Misses) -> None:
    spans = f"{misses.spans.raised:,} spans with an alarm and {misses.spans.quiet:,} without"
    console.print(f"missed in {misses.missed.yes:,} of {misses.missed.of:,} answered spans without an alarm: {_share(misses.missed)}")
    console.print(f"recall over {spans}: {_recall(misses.recall)}")
    if misses.disputed or misses.not_drawn:
        console.print(f"not counted: {misses.disputed:,} disputed, {misses.not_drawn:,} that nobody is asked about")


def _share(share: Share) -> str:
    return "–" if share.share is None else f"{share.share:.0%} ({share.low:.0%} to {share.high:.0%})"


def _recall(recall: Recall) -> str:
    return "–" if recall.recall is None else f"{recall.recall:.0%} ({recall.low:.0%} to {recall.high:.0%})"
