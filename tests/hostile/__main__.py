"""``python -m tests.hostile --inputs N --seed S [--target NAME]``: throws hostile input at everything that reads bytes.

Each target runs in a process of its own, which may take 2 GB of memory and a minute without a finished round; `--json FILE`
writes what it came to. A run is repeated by its seed; what breaks says with which `--first`.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.hostile.targets import TARGETS
from tests.hostile.throwing import ROUND, Tally, throw

HANG_SECONDS = 300  # for a round of ROUND inputs at nice 19 beside other work; a hang is then a trace and an end
MEMORY = 3 << 30  # bytes of address space above what the process has when its target is ready
SAY_SECONDS = 30.0


def main() -> int:
    """Exit code 0 where nothing broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="of all targets together, or of the one named")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--target", choices=sorted(TARGETS))
    parser.add_argument("--first", type=int, default=0, help=f"round to begin with; a round is {ROUND} inputs")
    parser.add_argument("--processes", type=int, default=1, help="targets at once")
    parser.add_argument("--json", metavar="FILE")
    given = parser.parse_args()
    if given.target:
        return _one(given.target, given.seed, given.inputs, given.first, given.json)
    return _all(given.seed, given.inputs, given.processes, given.json)


def _all(seed: int, inputs: int, processes: int, file: str | None) -> int:
    shares = sum(made.share for made in TARGETS.values())
    found: dict[str, dict[str, Any]] = {}

    def in_own_process(name: str) -> None:
        count = max(ROUND, round(inputs * TARGETS[name].share / shares))
        command = [sys.executable, "-m", "tests.hostile", "--target", name, "--seed", str(seed), "--inputs", str(count), "--json", "-"]
        run = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        last = (run.stdout.splitlines() or [""])[-1]
        found[name] = json.loads(last) if last.startswith("{") else {"inputs": 0, "broken": [f"{name} ended with {run.returncode}"]}
        print(f"{name:22} {found[name]['inputs']:>9,} inputs, {len(found[name]['broken'])} broken", flush=True)

    with ThreadPoolExecutor(processes) as pool:
        list(pool.map(in_own_process, sorted(TARGETS, key=lambda name: -TARGETS[name].share)))
    total = sum(each["inputs"] for each in found.values())
    broken = [sentence for each in found.values() for sentence in each["broken"]]
    print(f"{total:,} inputs, seed {seed}: {len(broken)} broken")
    for sentence in broken:
        print(sentence)
    if file:
        Path(file).write_text(json.dumps({"seed": seed, "inputs": total, "targets": found}, indent=2))
    return int(bool(broken))


def _one(name: str, seed: int, inputs: int, first: int, file: str | None) -> int:
    said = time.monotonic()

    def each_round(number: int) -> None:
        nonlocal said
        faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
        if number == first:
            size = _address_space()
            resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
        if time.monotonic() - said > SAY_SECONDS:
            said = time.monotonic()
            print(f"{name}: {(number - first) * ROUND:,} of {inputs:,}", file=sys.stderr, flush=True)

    target = TARGETS[name]()
    try:
        tally = throw(target, seed, inputs, first, stop_at_first=False, each_round=each_round)
    finally:
        target.close()
    _report(name, tally, file)
    return int(bool(tally.broken))


def _report(name: str, tally: Tally, file: str | None) -> None:
    for sentence in tally.broken[:20]:
        print(sentence, file=sys.stderr)
    print(f"{name}: {tally.inputs:,} inputs, {tally.refused:,} refused, slowest {tally.slowest * 1000:.0f} ms, {tally.seconds:.0f} s, "
          f"{len(tally.broken)} broken", file=sys.stderr)  # fmt: skip
    text = json.dumps(asdict(tally))
    if file == "-":
        print(text)
    elif file:
        Path(file).write_text(text)


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    sys.exit(main())
