"""Another definition, or another version of the fold, takes over from workers at work: begun anew or migrated, and never mixed."""

from __future__ import annotations

import asyncio
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING

from contracts.definition import Feed
from tests.storm import oracle
from tests.storm.generations import places_of
from tests.storm.mechanisms import FOLDS
from tests.storm.plants import VARIANTS, write_plant
from tests.storm.seams import TAKING
from tests.storm.steps import Step, passing

if TYPE_CHECKING:
    from tests.storm.fleet import Process
    from tests.storm.storm import Storm

REACH_SECONDS = 30.0  # for an armed worker to start and to come to its seam
MIGRATION_SECONDS = 120.0
MIGRATIONS = 3  # a worker that takes a place meanwhile makes one end; it is run again, as it says


def definition_changed(storm: Storm, step: Step) -> None:
    """All processes give way to ones of another definition, of which one dies as it takes over; each other step goes back as well."""
    chance = random.Random(f"definition {storm.seed} {step.number}")
    variant = chance.choice(sorted(VARIANTS))
    before = storm.plant, storm.feed
    storm.say(f"  {variant}")
    _replace(storm, step, *write_plant(_beside(storm, "changed"), storm.name, variant))
    if step.number % 2:
        _replace(storm, step, *before)


def _replace(storm: Storm, step: Step, plant: Path, feed: Feed) -> None:
    chance = random.Random(f"replaced {storm.seed} {step.number} {feed.hash}")
    time.sleep(step.after)
    began = time.monotonic()
    others = _dismiss_others(storm)
    if chance.random() < 0.5:
        _stop_all(storm)
    else:
        _kill_all(storm)
    _goes_over(storm, plant, feed)
    seam = chance.choice(TAKING)
    armed = storm.fleet.start_worker(seam=seam, passing=passing(seam, chance))
    _start_all(storm, others)
    _dies(storm, armed, seam)
    _taken_over(storm, began, places_of(feed, storm.partitions))


def upgraded(storm: Storm, step: Step) -> None:
    """A rolling upgrade to folds of a version that is one higher, and back, one worker after the other; amid each a worker dies."""
    chance = random.Random(f"upgraded {storm.seed} {step.number}")
    logs = chance.choice((["events"], sorted(FOLDS)))
    storm.say(f"  folds of {', '.join(logs)}")
    for newer in (logs, []):
        time.sleep(step.after)
        began = time.monotonic()
        storm.fleet.newer = newer
        storm.definitions[storm.feed.hash] = storm.feed
        _roll(storm, chance, step)
        _taken_over(storm, began, [name for name in places_of(storm.feed, storm.partitions) if _kind(name) in logs])


def _roll(storm: Storm, chance: random.Random, step: Step) -> None:
    """Replaces each worker; one of those that are there by then dies, and what follows it is of the new kind."""
    before = list(storm.fleet.workers)
    dies = chance.randrange(len(before))
    for n, worker in enumerate(before):
        storm.fleet.start_worker()
        time.sleep(step.after)
        if n == dies:
            victim = chance.choice(storm.fleet.workers)
            storm.fleet.lose(victim)
            storm.fleet.start_worker()
            storm.tally.kills += 1
        if worker in storm.fleet.workers:
            storm.fleet.dismiss(worker)
        storm.tally.rebalances += 2
    for worker in storm.fleet.workers[: -len(before)]:
        storm.fleet.dismiss(worker)
    for command in _dismiss_others(storm):
        storm.fleet.start_other(command)


def migrated(storm: Storm, step: Step) -> None:
    """`streamgauge migrate` cuts over beside workers of the old definition, of which one dies; then come those of the new one."""
    chance = random.Random(f"migrated {storm.seed} {step.number}")
    variant = chance.choice(sorted(VARIANTS))
    storm.say(f"  {variant}")
    plant, feed = write_plant(_beside(storm, "migrated"), storm.name, variant)
    time.sleep(step.after)
    began = time.monotonic()
    migration = storm.fleet.start_migration(plant)
    time.sleep(chance.uniform(0.0, 8.0))  # some four seconds pass before it has read its first event
    storm.fleet.lose(chance.choice(storm.fleet.workers))  # no other is started: a supervisor would undo the migration
    storm.tally.kills += 1
    for _ in range(MIGRATIONS):
        if _ended(storm, migration, MIGRATION_SECONDS) == 0:
            break
        migration.kill()
        storm.fleet.ended.append(f"migrate ended with {migration.child.poll()}: {migration.child.log_tail()[-1500:]}")
        migration = storm.fleet.start_migration(plant)
    else:
        raise AssertionError(f"{MIGRATIONS} migrations did not come to their end: {migration.child.log_tail()[-3000:]}")
    others = _dismiss_others(storm)
    _stop_all(storm)
    _goes_over(storm, plant, feed)
    _start_all(storm, others)
    _taken_over(storm, began, places_of(feed, storm.partitions))


def _beside(storm: Storm, name: str) -> Path:
    """A file of the same name, so that its workers are of the same group."""
    return storm.directory / "plants" / name / storm.plant.name


def _kind(name: str) -> str:
    return name.rpartition("/")[0].rpartition(".")[2]


def _stop_all(storm: Storm) -> None:
    for worker in list(storm.fleet.workers):
        storm.fleet.dismiss(worker)
        storm.tally.rebalances += 1


def _kill_all(storm: Storm) -> None:
    for worker in list(storm.fleet.workers):
        storm.fleet.lose(worker)
        storm.tally.kills += 1
        storm.tally.rebalances += 1


def _goes_over(storm: Storm, plant: Path, feed: Feed) -> None:
    """From here on all that is started, asked and judged is of this definition."""
    storm.definitions[storm.feed.hash] = storm.feed
    storm.plant, storm.feed = plant, feed
    storm.fleet.plant = plant


def _dismiss_others(storm: Storm) -> list[str]:
    """Archiver and trainer, where there are any; their commands."""
    commands = list(storm.fleet.others)
    for command in commands:
        storm.fleet.dismiss_other(command)
    return commands


def _start_all(storm: Storm, others: list[str]) -> None:
    for _ in range(2):
        storm.fleet.start_worker()
        storm.tally.rebalances += 1
    for command in others:
        storm.fleet.start_other(command)


def _dies(storm: Storm, armed: Process, seam: str) -> None:
    """Waits for the blow; the armed worker joins with the others, so it has places to take."""
    if _ended(storm, armed, REACH_SECONDS) is not None:
        storm.tally.struck(seam)
    else:
        storm.tally.never(seam)
        armed.kill()
    storm.tally.kills += 1
    storm.tally.rebalances += 2


def _ended(storm: Storm, process: Process, seconds: float) -> int | None:
    """How a process ended; None where it had to be given up."""
    deadline = time.monotonic() + seconds
    while not process.ended and time.monotonic() < deadline:
        storm.fleet.tend()
        time.sleep(0.05)
    return process.child.poll()


def _taken_over(storm: Storm, began: float, places: list[str]) -> None:
    """Waits until each of these places has a checkpoint of the next generation, and what is on the log is served."""
    for name in places:
        storm.generations[name] = storm.generations.get(name, 1) + 1
    storm.recovered(began)

    def begun() -> bool:
        found = asyncio.run(oracle.generations(storm.feed, storm.servers.servers, storm.partitions))
        return all(found[name] >= storm.generations[name] for name in places)

    storm.wait("checkpoints of the generation that follows", begun)
