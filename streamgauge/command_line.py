"""The command line: a table of commands, each imported only when it is called, and one way to show an error."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

COMMANDS = {
    "init": "Write a plant file from CSV or Parquet data.",
    "check": "Show what a plant file means and what it costs.",
    "up": "Start a broker and a store on this machine; with a plant also its processes.",
    "worker": "Fold events: validate, compute features, score, watch, judge.",
    "archive": "Write Parquet history from the topics.",
    "simulate": "Send simulated readings with planted faults.",
    "replay": "Send files of readings to Kafka.",
    "features": "Show the newest features of entities.",
    "alerts": "Show incidents as they open, change and end.",
    "dead-letters": "Show records that were not folded, and why; send them again.",
    "status": "Show counters, offsets and lag of every partition.",
    "verify": "Fold the logs again and compare every byte.",
    "backtest": "Run files through the same folds, with no server.",
    "backfill": "Load history, or what came late, into the Parquet history.",
    "demo": "Run everything on this machine with planted faults, and show what was found.",
    "compile": "Compile the kernels now instead of at the first start.",
    "schemas": "Write the JSON Schemas of all topics.",
}


class _Lazy(click.Group):
    """Knows each command's name and sentence without importing it, so that --help is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"streamgauge.commands.{name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="streamgauge")
def cli() -> None:
    """Watch sensor feeds: Kafka in, features in Redis, alarms that keep to a budget."""


def main(arguments: list[str] | None = None) -> Any:
    """Runs a command; an error raised on purpose is one sentence on stderr and exit status 1."""
    try:
        return cli.main(arguments, standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        from contracts.errors import StreamgaugeError

        if not isinstance(error, StreamgaugeError):
            raise
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
