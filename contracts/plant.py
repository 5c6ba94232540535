"""A plant: the feeds that one Python file defines."""

from __future__ import annotations

import sys
from pathlib import Path
from runpy import run_path

from contracts.definition import Feed
from contracts.errors import DefinitionError, StreamgaugeError

DATA_SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".pq")  # run as Python, such a file would be told of as a wrong program


def load_plant(path: str | Path) -> list[Feed]:
    """The feeds that a plant file names at its top level, in the file's order.

    The file is the user's own program and is run as such; never load one that came over a wire.

    Raises:
        DefinitionError: no such file, no feed in it, or the file raised; the message names file and line.
    """
    path = Path(path)
    if not path.is_file():
        raise DefinitionError(f"no plant file {path}; write one, or make one from data: streamgauge init DATA -o {path}")
    if path.suffix.lower() in DATA_SUFFIXES:
        raise DefinitionError(f"{path} is data and no definition; write a definition from it: streamgauge init {path} -o plant.py")
    try:
        names = run_path(str(path))
    except DefinitionError as error:
        raise DefinitionError(f"{path}{_line(path)}: {error}") from error
    except StreamgaugeError:
        raise
    except (Exception, SystemExit) as error:
        raise DefinitionError(f"{path}{_line(path)}: {type(error).__name__}: {error}") from error
    feeds = list(dict.fromkeys(value for value in names.values() if isinstance(value, Feed)))
    if not feeds:
        raise DefinitionError(f'{path} defines no feed; write name = Feed("name", entity=…, time=…, fields=[…])')
    for feed in feeds:
        if [f.name for f in feeds].count(feed.name) > 1:
            raise DefinitionError(f"{path}: two feeds are named '{feed.name}'; rename one")
    return feeds


def choose_feeds(feeds: list[Feed], name: str | None) -> list[Feed]:
    """All feeds, or the one that ``--feed NAME`` names; raises DefinitionError with the names there are."""
    if name is None:
        return feeds
    chosen = [f for f in feeds if f.name == name]
    if not chosen:
        raise DefinitionError(f"no feed '{name}' in the plant file; it has {', '.join(f.name for f in feeds)}")
    return chosen


def _line(path: Path) -> str:
    """``:LINE`` of the plant file at which the error being handled arose, where it can be told."""
    error = sys.exc_info()[1]
    if isinstance(error, SyntaxError) and error.lineno:
        return f":{error.lineno}"
    line, trace = "", error.__traceback__ if error else None
    while trace:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = f":{trace.tb_lineno}"
        trace = trace.tb_next
    return line
