"""What the commands of the benchmarks have in common: a description, and figures written where they are asked for."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any


def figures_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser that knows --json; `description` is the module's own."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures here")
    return parser


def write_figures(found: dict[str, Any], path: Path | None) -> None:
    """Writes the figures, with the folders they stand in; nothing where no path is given."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
