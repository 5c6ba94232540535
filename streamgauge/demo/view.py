"""The live view: rates, lag, counters, freshness, and incidents as they open; plain lines where there is no terminal."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from contracts.event_time import format_event_time

LINE_SECONDS = 10.0  # between two lines where there is no terminal
NEWEST = 8  # incidents shown


class View:
    """Shows how the run is going; use it as a context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None
        self._message = ""
        self._before: tuple[float, int] | None = None
        self._rate = 0.0
        self._line_at = 0.0
        self.incidents: list[str] = []

    def __enter__(self) -> View:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def say(self, message: str) -> None:
        """A step has begun."""
        self._message = message
        if self._live:
            self._live.update(Text(message))
        else:
            self._console.print(message, highlight=False)

    def watch(self, statuses: dict[str, dict[str, Any]], event_time: int) -> None:
        """New figures."""
        now, folded = time.monotonic(), sum(status["totals"]["read"] for status in statuses.values())
        if self._before is not None and now > self._before[0]:
            self._rate += 0.5 * ((folded - self._before[1]) / (now - self._before[0]) - self._rate)
        self._before = (now, folded)
        if self._live:
            self._live.update(Group(Text(self._message), self._table(statuses, event_time), *map(Text, self.incidents[-NEWEST:])))
        elif now - self._line_at > LINE_SECONDS:
            self._line_at = now
            lag = sum(status["totals"]["lag"] for status in statuses.values())
            figures = f"{folded:,} records folded, {self._rate:,.0f}/s, lag {lag:,}, {len(self.incidents)} incidents"
            self._console.print(f"  {format_event_time(event_time)[:16]}  {figures}", highlight=False)

    def _table(self, statuses: dict[str, dict[str, Any]], event_time: int) -> Table:
        table = Table(title=f"event time {format_event_time(event_time)[:16]} · {self._rate:,.0f} records/s", title_justify="left")
        table.add_column("feed")
        columns = ("read", "folded", "duplicate", "late", "dead_lettered", "lag")
        for column in columns:
            table.add_column(column.replace("_", " "), justify="right")
        table.add_column("balanced")
        for name, status in statuses.items():
            table.add_row(name, *(f"{status['totals'][column]:,}" for column in columns), "yes" if status["balanced"] else "[red]no[/]")
        return table
