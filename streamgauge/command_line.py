"""The command line: `streamgauge COMMAND`. A command's module is imported only when it is called, so that help is quick."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any

import click

from contracts.errors import StreamgaugeError

COMMANDS = {
    "init": "Write a plant file from CSV or Parquet data.",
    "check": "Print what a plant costs: topics, features, bytes, alarm budget.",
    "up": "Start a local broker and store, and with a plant all its workers.",
    "worker": "Fold a plant's feeds: features, scores, evidence, alerts.",
    "trainer": "Train a model for every retrain request.",
    "models": "List and compare the prediction models' versions; promote, roll back, split, export.",
    "archive": "Write the history to Parquet.",
    "simulate": "Send made-up events, with faults where asked.",
    "replay": "Send the rows of files as events.",
    "features": "Read entities' features from the store.",
    "alerts": "Read a feed's incidents.",
    "label": "Confirm or dismiss an incident, tag it, or say what was missed.",
    "dead-letters": "Read what was not folded, and why; send it again.",
    "status": "Print counters and lag of every partition.",
    "verify": "Fold the log again and compare every output.",
    "migrate": "Fold what is recorded with a new definition, and cut over to it.",
    "metrics": "Measure predictions on the labels that came, and alarms on people's verdicts.",
    "backtest": "Run the folds over files, with no broker and no store.",
    "backfill": "Load history, or what came late, into the Parquet history.",
    "demo": "Run everything on this machine and compare what was planted with what was found.",
    "compile": "Compile the kernels ahead of their first use.",
    "schemas": "Write the JSON Schemas of all records.",
}


class LazyGroup(click.Group):
    """A group whose commands are the modules ``streamgauge.commands.<name>``, each with a click command `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None where there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"streamgauge.commands.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; a name that is none is answered with the nearest there is."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            import difflib

            near = difflib.get_close_matches(name, COMMANDS, 1)
            ctx.fail(f"no command '{name}'; {f'did you mean {near[0]}?' if near else 'see streamgauge --help'}")
        return super().resolve_command(ctx, args)


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from streamgauge import __version__

        click.echo(f"streamgauge {__version__}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Print the version and exit.")
def cli() -> None:
    """Online features, anomaly scores, drift and alarms for sensor feeds on Kafka.

    Kafka and Redis are found by --kafka and --redis, or STREAMGAUGE_KAFKA and STREAMGAUGE_REDIS, or on localhost; up starts its own.
    """


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code: 1 with one sentence on stderr for what went wrong, 130 when interrupted.

    A path that a person named and that cannot be read or written is such a sentence too; any other OSError is raised.
    """
    try:
        result: Any = cli.main(args=None if arguments is None else list(arguments), prog_name="streamgauge", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return 130
    except StreamgaugeError as error:
        click.echo(f"Error: {error}", err=True)
        return 1
    except BrokenPipeError:
        # whoever read our output, such as head, has enough
        sys.stderr.close()
        return 0
    except OSError as error:
        if error.filename is None:
            raise
        click.echo(f"Error: {error.filename}: {error.strerror}; name another path, or mend this one", err=True)
        return 1
    except Exception as error:
        if not _is_of_kafka(error):
            raise
        click.echo(f"Error: Kafka failed ({error}); look at the broker, then try again", err=True)
        return 1
    return result if isinstance(result, int) else 0


def _is_of_kafka(error: Exception) -> bool:
    """Whether one of the clients raised it; they are not imported for that, since help would be slow."""
    modules = (sys.modules.get(name) for name in ("kafka.errors", "aiokafka.errors"))
    return any(isinstance(error, module.KafkaError) for module in modules if module is not None)


def main() -> None:
    """Entry point of the console script."""
    sys.exit(run())
