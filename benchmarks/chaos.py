"""A storm of faults over real workers and real servers, and what it has cost: nothing, or it says what.

All that it does follows from the seed that it prints; a step is repeated by its number.

    python -m benchmarks.chaos --seed 7 --steps 12 --kafka apache --redis sentinel --json chaos.json
    python -m benchmarks.chaos --seed 7 --long --json chaos.json

With --json the file is written after every step; the same command goes on where it ends. --long goes through all settings, one after
another; its steps are numbered on through them.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.machine import versions
from tests.storm.settings import SETTINGS, Setting
from tests.storm.steps import LAST, deck, plan
from tests.storm.storm import Storm
from tests.storm.tally import Tally

ROUND = 25  # steps on the same servers: a log that grows for hours would be folded again after every step
MOST_FAILED = 10  # steps after which a run has nothing new to say
LONG = (("apache-sentinel", 4), ("apache3", 5), ("apache-network", 5), ("apache-cluster", 5), ("embedded", 1), ("apache", 5))
"""Settings, and how often each goes through its deck: every fault comes five times or more."""


class Part(NamedTuple):
    """Steps first ≤ number < end of a run, on one setting."""

    setting: Setting
    first: int
    end: int


def main() -> int:
    """Runs steps `--first` to `--first` + `--steps`; exit 1 where anything was lost, doubled, changed or fell."""
    options = _options()
    parts = long_run(options.seed) if options.long else [Part(Setting(options.kafka, options.redis, options.network), 0, sys.maxsize)]
    tally, at, record = Tally(), options.first, _Record(options.json, options.seed, _named(options, parts))
    if found := record.read():
        tally, at = found
        print(f"going on at step {at}", flush=True)
    last = parts[-1].end if options.steps is None else options.first + options.steps
    print(f"seed {options.seed}, steps {at} to {last - 1}, {_named(options, parts)}", flush=True)
    options.until = time.monotonic() + 60.0 * options.minutes
    for part in parts:
        end = min(part.end, last)
        while at < end and not _over(options) and len(tally.failed) <= (0 if options.stop else MOST_FAILED):
            at = _round(options, part, tally, at, end, record)
    print(json.dumps(tally.report() | {"seed": options.seed}, indent=2))
    return 0 if tally.clean and not tally.failed else 1


def long_run(seed: int) -> list[Part]:
    """All settings, numbered on from one to the next."""
    parts, at = [], 0
    for name, turns in LONG:
        steps = turns * len(deck(seed, 0, SETTINGS[name]))
        parts.append(Part(SETTINGS[name], at, at + steps))
        at += steps
    return parts


def _named(options: argparse.Namespace, parts: Sequence[Part]) -> str:
    """What steps of a number are, besides the seed."""
    return " ".join(["+".join(part.setting.name for part in parts), *options.only])


def _round(options: argparse.Namespace, part: Part, tally: Tally, at: int, end: int, record: _Record) -> int:
    """Steps on one set of servers, up to `end` or to the first that fails or must be the last; returns the step to go on with."""
    seed, setting = options.seed, part.setting
    end = min(end, part.first + ((at - part.first) // ROUND + 1) * ROUND)
    try:
        with Storm(seed, setting, _say, options.without, not options.workers_only, f"storm-{seed}-{at}") as storm:
            asked = False
            while not asked or (storm.tally.clean and at < end and not _over(options)):
                if asked:
                    storm.tally = Tally()
                step = plan(seed, at - part.first, setting, options.only)._replace(number=at)
                try:
                    storm.do(step)
                    _tell_ended(storm)
                    last = step.kind in LAST or at + 1 == end or _over(options)
                    asked = last or (at + 1) % options.judged == 0
                    if asked:
                        storm.ask()
                except BaseException:
                    tally.add(storm.tally)
                    raise
                at += 1
                if not asked:
                    continue
                tally.add(storm.tally)
                storm.keep = not storm.tally.clean
                if storm.keep:
                    tally.failed.append(at - 1)
                record.write(tally, at)
                if last:
                    break
    except Exception:
        traceback.print_exc()
        tally.failed.append(at)
        at += 1
        record.write(tally, at)
    return at


def _over(options: argparse.Namespace) -> bool:
    return time.monotonic() > float(options.until)


def _tell_ended(storm: Storm) -> None:
    for words in storm.fleet.ended:
        first, *_, last = words.splitlines()
        print(f"  {first[:200]} … {last[:300]}", flush=True)
    storm.fleet.ended.clear()


class _Record:
    """The figures so far, in a file that a later run goes on from."""

    def __init__(self, path: Path | None, seed: int, settings: str) -> None:
        self._path, self._seed, self._settings = path, seed, settings
        self._before, self._began = 0.0, time.monotonic()

    def read(self) -> tuple[Tally, int] | None:
        """Tally and next step; None where nothing can be gone on with."""
        if self._path is None or not self._path.exists():
            return None
        found = json.loads(self._path.read_text())
        if (found["seed"], found["settings"]) != (self._seed, self._settings):
            return None
        self._before = found["minutes"]
        return Tally(**found["tally"]), found["next_step"]

    def write(self, tally: Tally, next_step: int) -> None:
        """Replaces the file."""
        if self._path is not None:
            minutes = round(self._before + (time.monotonic() - self._began) / 60, 1)
            told: dict[str, Any] = {"seed": self._seed, "settings": self._settings, "next_step": next_step, "minutes": minutes}
            told |= {"versions": versions(), "tally": asdict(tally)}
            self._path.write_text(json.dumps(tally.report() | told, indent=2) + "\n")


def _say(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first step")
    parser.add_argument("--steps", type=int, help="how many; else all of a long run, and without end of another")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="after which no step begins")
    parser.add_argument(
        "--kafka", choices=("apache", "apache3", "embedded"), default="apache", help="one broker, three, or the embedded one"
    )
    parser.add_argument(
        "--redis", choices=("one", "sentinel", "cluster"), default="one", help="a server, a pair with Sentinel, three masters"
    )
    parser.add_argument("--network", action="store_true", help="through proxies that can be slow, deaf or rude")
    parser.add_argument("--long", action="store_true", help="all settings in turn")
    parser.add_argument("--only", nargs="*", default=[], metavar="FAULT", help="steps of these kinds: tests/storm/faults.py")
    parser.add_argument("--judged", type=int, default=1, metavar="N", help="only every N-th step is followed by the question what it cost")
    parser.add_argument("--json", type=Path, help="where the figures go; a run with the same file goes on")
    parser.add_argument("--without", nargs="*", default=[], help="mechanisms that are turned off: tests/storm/mechanisms.py")
    parser.add_argument("--workers-only", action="store_true", help="no archiver and no trainer")
    parser.add_argument("--stop", action="store_true", help="stop at the first fault")
    options = parser.parse_args()
    if not options.long and Setting(options.kafka, options.redis, options.network) not in SETTINGS.values():
        parser.error(f"there are storms on {', '.join(SETTINGS)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
