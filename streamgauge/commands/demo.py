"""``streamgauge demo``: everything on this machine, with planted faults, and what was found."""

from __future__ import annotations

import json
from pathlib import Path

import click

PLAIN_WIDTH = 160  # of tables where there is no terminal: at 80 every sentence is a column of words


@click.command("demo")
@click.option("--seconds", type=click.IntRange(min=20), default=120, show_default=True, help="Length of the live part.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True, help="Decides what is planted where.")
@click.option("--report", type=click.Path(path_type=Path), help="Write the outcome as JSON.")
@click.option("--no-browser", is_flag=True, help="Changes nothing: the demo opens no page in a browser.")
def command(seconds: int, seed: int, report: Path | None, no_browser: bool) -> None:
    """Start a broker, a store, a worker and an archiver; send days of history and a live part with faults; show what was found."""
    from rich.console import Console

    from streamgauge.demo.report import Report
    from streamgauge.demo.run import Demo
    from streamgauge.demo.view import View

    del no_browser  # there is no page yet; scripts that will not want one can say so today
    console = Console()
    if not console.is_terminal:
        console = Console(width=PLAIN_WIDTH)
    with View(console) as view:
        outcome = Demo(seconds, seed, view.say, view.watch, view.incidents).run()
    found = Report(outcome)
    found.show(console)
    if report:
        report.write_text(json.dumps(found.as_json(), indent=2) + "\n")
        console.print(f"report written to {report}", highlight=False)
