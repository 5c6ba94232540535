"""Faults of the storm's own processes: killed, stopped, joined, replaced."""

from __future__ import annotations

import random
import signal
import time
from typing import TYPE_CHECKING

from tests.storm.fleet import Process
from tests.storm.steps import Step

if TYPE_CHECKING:
    from tests.storm.storm import Storm

SESSION_SECONDS = 6.0  # of the workers' group
REACH_SECONDS = 30.0  # for an armed worker to start and to come to its seam
MOVE_SECONDS = 12.0  # after which the workers beside it are replaced, where only a rebalance brings it to its seam
MOVED = ("judged", "learnt", "revoked", "releasing")  # the first two need a place of which there is one
ZOMBIE_SECONDS = 8.0  # past the session, so that others have taken the partitions, fold, and have put down a checkpoint


def kill(storm: Storm, step: Step) -> None:
    """SIGKILL at a random moment; another worker is started at once."""
    time.sleep(step.after)
    _lose(storm, step, 1)


def kill_two(storm: Storm, step: Step) -> None:
    """All workers at once."""
    time.sleep(step.after)
    _lose(storm, step, 2)


def kill_again(storm: Storm, step: Step) -> None:
    """Six times one worker, each while what the one before left is still being taken."""
    chance = random.Random(f"again {storm.seed} {step.number}")
    for _ in range(6):
        time.sleep(chance.uniform(0.5, 3.0))
        began = time.monotonic()
        storm.fleet.lose(chance.choice(storm.fleet.workers))
        storm.fleet.start_worker()
        storm.tally.kills += 1
        storm.tally.rebalances += 2
    storm.recovered(began)


def _lose(storm: Storm, step: Step, count: int) -> None:
    chosen = random.Random(f"victims {storm.seed} {step.number}").sample(storm.fleet.workers, count)
    began = time.monotonic()
    for worker in chosen:
        storm.fleet.lose(worker)
    storm.tally.kills += count
    storm.tally.rebalances += 2
    for _ in chosen:
        storm.fleet.start_worker()
    storm.recovered(began)


def kill_at(storm: Storm, step: Step) -> None:
    """More workers join, two at a time, each of which ends itself at its seam."""
    for at in range(0, len(step.seams), 2):
        _kill_at(storm, step, step.seams[at : at + 2])


def _kill_at(storm: Storm, step: Step, seams: tuple[tuple[str, int], ...]) -> None:
    waiting = {name: storm.fleet.start_worker(seam=name, passing=n, seed=f"{storm.seed} {step.number}") for name, n in seams}
    began = started = time.monotonic()
    moving = any(name in MOVED for name in waiting)
    while waiting and time.monotonic() < started + REACH_SECONDS:
        for name in [name for name, worker in waiting.items() if worker.ended]:
            began = time.monotonic()
            storm.tally.struck(name)
            del waiting[name]
        if waiting and moving and time.monotonic() > started + MOVE_SECONDS:
            moving = False
            _replace_all(storm)
        storm.fleet.tend()
        time.sleep(0.05)
    for name, worker in waiting.items():
        storm.tally.never(name)
        began = time.monotonic()
        worker.kill()
    storm.tally.kills += len(seams)
    storm.tally.rebalances += 2 * len(seams)
    storm.recovered(began)


def _replace_all(storm: Storm) -> None:
    """So the armed ones are the oldest members, which are given the places of which there is one."""
    for worker in list(storm.fleet.workers):
        storm.fleet.start_worker()
        storm.fleet.dismiss(worker)
        storm.tally.rebalances += 2


def join(storm: Storm, step: Step) -> None:
    """A third worker, which stays until a `leave`, or until there are four."""
    storm.fleet.start_worker()
    storm.tally.rebalances += 1
    time.sleep(step.after + 4.0)
    if len(storm.fleet.workers) > 3:
        storm.fleet.dismiss(storm.fleet.workers[0])
        storm.tally.rebalances += 1
    storm.recovered(None)


def leave(storm: Storm, step: Step) -> None:
    """A worker is stopped in order; the last but one is followed by another."""
    time.sleep(step.after)
    began = time.monotonic()
    if len(storm.fleet.workers) < 3:
        storm.fleet.start_worker()
    code = storm.fleet.dismiss(storm.fleet.workers[0])
    if code:
        storm.fleet.ended.append(f"a worker that was asked to stop ended with {code}")
    storm.tally.rebalances += 2
    storm.recovered(began)


def roll(storm: Storm, step: Step) -> None:
    """All workers, one after the other."""
    for worker in list(storm.fleet.workers):
        storm.fleet.start_worker()
        time.sleep(step.after)
        storm.fleet.dismiss(worker)
        storm.tally.rebalances += 2
    storm.recovered(None)


def zombie(storm: Storm, step: Step) -> None:
    """A worker is stopped at a random moment past its session, and wakes."""
    time.sleep(step.after)
    _asleep(storm, storm.fleet.workers[0], time.monotonic())


def zombie_at(storm: Storm, step: Step) -> None:
    """A worker that stops itself amid a write, and wakes when others have its partitions."""
    (name, n) = step.seams[0]
    worker = storm.fleet.start_worker(seam=name, passing=n, stop=True)
    storm.fleet.workers.append(worker)
    deadline = time.monotonic() + REACH_SECONDS
    while not worker.stopped and not worker.ended and time.monotonic() < deadline:
        storm.fleet.tend()
        time.sleep(0.02)
    if worker.stopped:
        storm.tally.struck(f"stopped {name}")
    else:
        storm.tally.never(f"stopped {name}")
    storm.tally.rebalances += 1
    _asleep(storm, worker, time.monotonic())
    if worker in storm.fleet.workers:
        storm.fleet.dismiss(worker)


def _asleep(storm: Storm, worker: Process, began: float) -> None:
    worker.signal(signal.SIGSTOP)
    storm.recovered(began)
    time.sleep(max(0.0, began + SESSION_SECONDS + ZOMBIE_SECONDS - time.monotonic()))
    worker.signal(signal.SIGCONT)
    storm.tally.zombies += 1
    storm.tally.rebalances += 2
    time.sleep(3.0)


def kill_others(storm: Storm, step: Step) -> None:
    """Archiver and trainer, at random moments."""
    chance = random.Random(f"others {storm.seed} {step.number}")
    for command in list(storm.fleet.others):
        time.sleep(chance.uniform(0.0, 3.0))
        storm.fleet.others.pop(command).kill()
        storm.tally.kills += 1
        storm.fleet.start_other(command)
    storm.recovered(None)
