"""A storm of faults over real workers and real servers, and what it has cost: nothing, or it says what.

All that it does follows from the seed that it prints; a step is repeated by its number.

    python -m benchmarks.chaos --seed 7 --steps 12 --kafka apache --json chaos.json

With --json the file is written after every step; the same command goes on where it ends.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.machine import versions
from tests.storm.steps import plan
from tests.storm.storm import Storm
from tests.storm.tally import Tally

ROUND = 25  # steps on the same servers: a log that grows for hours would be folded again after every step
MOST_FAILED = 10  # steps after which a run has nothing new to say


def main() -> int:
    """Runs steps `--first` to `--first` + `--steps`; exit 1 where anything was lost, doubled, changed or fell."""
    options = _options()
    tally, at, record = Tally(), options.first, _Record(options.json, options.seed, options.kafka)
    if found := record.read():
        tally, at = found
        print(f"going on at step {at}", flush=True)
    end = options.first + options.steps
    print(f"seed {options.seed}, steps {at} to {end - 1}, {options.kafka}", flush=True)
    options.until = time.monotonic() + 60.0 * options.minutes
    while at < end and time.monotonic() < options.until and len(tally.failed) <= (0 if options.stop else MOST_FAILED):
        at = _round(options, tally, at, min(end, (at // ROUND + 1) * ROUND), record)
    print(json.dumps(tally.report() | {"seed": options.seed}, indent=2))
    return 0 if tally.clean and not tally.failed else 1


def _round(options: argparse.Namespace, tally: Tally, at: int, end: int, record: _Record) -> int:
    """Steps on one set of servers, up to `end` or to the first that fails; returns the step to go on with."""
    try:
        with Storm(options.seed, options.kafka, _say, options.without, not options.workers_only, f"storm-{options.seed}-{at}") as storm:
            while at < end and time.monotonic() < options.until:
                storm.tally = Tally()
                try:
                    storm.step(plan(options.seed, at, options.kafka))
                finally:
                    tally.add(storm.tally)
                _tell_ended(storm)
                at += 1
                if not storm.tally.clean:
                    tally.failed.append(at - 1)
                    storm.keep = True
                    break
                record.write(tally, at)
    except Exception:
        traceback.print_exc()
        tally.failed.append(at)
        at += 1
    record.write(tally, at)
    return at


def _tell_ended(storm: Storm) -> None:
    for words in storm.fleet.ended:
        first, *_, last = words.splitlines()
        print(f"  {first[:200]} … {last[:300]}", flush=True)
    storm.fleet.ended.clear()


class _Record:
    """The figures so far, in a file that a later run goes on from."""

    def __init__(self, path: Path | None, seed: int, kafka: str) -> None:
        self._path, self._seed, self._kafka = path, seed, kafka

    def read(self) -> tuple[Tally, int] | None:
        """Tally and next step; None where nothing can be gone on with."""
        if self._path is None or not self._path.exists():
            return None
        found = json.loads(self._path.read_text())
        if (found["seed"], found["kafka"]) != (self._seed, self._kafka):
            return None
        return Tally(**found["tally"]), found["next_step"]

    def write(self, tally: Tally, next_step: int) -> None:
        """Replaces the file."""
        if self._path is not None:
            told: dict[str, Any] = {"seed": self._seed, "kafka": self._kafka, "next_step": next_step, "versions": versions()}
            self._path.write_text(json.dumps(tally.report() | told | {"tally": asdict(tally)}, indent=2) + "\n")


def _say(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first step")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="after which no step begins")
    parser.add_argument("--kafka", choices=("apache", "embedded"), default="apache")
    parser.add_argument("--json", type=Path, help="where the figures go; a run with the same file goes on")
    parser.add_argument("--without", nargs="*", default=[], help="mechanisms that are turned off: tests/storm/mechanisms.py")
    parser.add_argument("--workers-only", action="store_true", help="no archiver and no trainer")
    parser.add_argument("--stop", action="store_true", help="stop at the first fault")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
