"""A scenario for any definition: plausible signals within the ranges that it states, and faults asked for by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

from contracts.definition import Classification, Feed, Number
from contracts.durations import MINUTE
from contracts.errors import InputError
from producers.faults import Dropout, Fault, NoiseBurst, RelationDrift, Shift, SpikeBurst, Stuck
from producers.scenario import Scenario
from producers.seeds import part_generator
from producers.signals import Counter, Modes, Noise, Season, Signal
from producers.transport_faults import ClockAhead, Silent, Transport, TransportFault
from producers.truth import Truth

NO_RANGE = (0.0, 100.0)  # where the definition states no range
NOISE_SHARE = 0.02  # of the range: 8 σ spikes and the daily cycle stay inside it
TARGET_MEAN = 10.0  # far enough from 0, at a deviation of about 1, for an error in percent to mean something
TARGET_GAINS = (1.0, 0.5)  # of the first two numbers, a deviation each: one that matters and one that matters less
TARGET_NOISE = 0.1  # what no model can explain
CONCEPT = 0.2  # of the first gain is left: the error grows to several times the noise, as in the demo
SHARES = {"duplicates": 0.01, "disorder": 0.02, "lateness": 0.005, "malformed": 0.0005}

ValueFault = Callable[[str, str, int, int], Fault]

_VALUE_FAULTS: dict[str, ValueFault] = {
    "stuck": lambda field, entity, start, end: Stuck(field, entity, start, end),
    "spike": lambda field, entity, start, end: SpikeBurst(field, entity, start, end),
    "bias": lambda field, entity, start, end: Shift(field, entity, start, end, kind="bias", size=3.0),
    "wear": lambda field, entity, start, end: Shift(field, entity, start, end, kind="wear", size=3.0),
    "noise": lambda field, entity, start, end: NoiseBurst(field, entity, start, end),
    "dropout": lambda field, entity, start, end: Dropout(field, entity, start, end),
    "sudden": lambda field, _, start, end: Shift(field, None, start, end, kind="sudden", size=1.5),
    "gradual": lambda field, _, start, end: Shift(field, None, start, end, kind="gradual", size=1.5),
    "recurring": lambda field, _, start, end: Shift(field, None, start, end, kind="recurring", size=1.5, period=f"{(end - start) // 6}us"),
}
FAULTS = (*_VALUE_FAULTS, "relation", "concept", "silent", "clock_ahead", *SHARES)


def any_feed(feed: Feed, entities: int, cadence_us: int, seed: int, start: int, end: int, faults: Sequence[str] = ()) -> Scenario:
    """A scenario of `entities` devices for a definition.

    Numbers have their mean in the middle of their range (0 to 100 where none is stated), noise of 2 % of the range and a
    daily cycle of twice that; counters count; categories take their stated values, or three made-up ones. A target follows
    the first two numbers that are no counters, noise alone where there are none; classes are the same cut into about equal shares.

    Args:
        cadence_us: event time between two readings of a device, in µs.
        seed: decides entity, field and time of each fault.
        start, end: the simulation's span, in µs of event time; faults take its middle part.
        faults: names out of `FAULTS`, one fault for each mention.

    Raises:
        InputError: a fault is unknown, or one cannot be planted in this feed.
    """
    names = [f"{feed.entity}-{i:0{len(str(entities - 1))}d}" for i in range(entities)]
    signals = [_signal(number) for number in feed.numbers]
    modes = [Modes(c.name, c.values or ("a", "b", "c")) for c in feed.categories]
    chance = part_generator(seed, "any feed")
    values: list[Fault] = []
    transport: list[TransportFault] = []
    shares = dict.fromkeys(SHARES, 0.0)
    plain = [s for s in signals if isinstance(s, Signal)]
    changes_at: int | None = None
    for kind in faults:
        entity = names[int(chance.integers(len(names)))]
        signal = plain[int(chance.integers(len(plain)))] if plain else None
        begin = start + int((0.3 + 0.3 * chance.random()) * (end - start))
        finish = begin + max((end - start) // 10, cadence_us)
        if kind in SHARES:
            shares[kind] = SHARES[kind]
        elif kind == "silent":
            transport.append(Silent(entity, begin, end))
        elif kind == "clock_ahead":
            transport.append(ClockAhead(entity, begin, finish))
        elif signal is None:
            raise InputError(f"fault '{kind}' needs a Number that is no counter, and feed '{feed.name}' has none")
        elif kind == "concept":
            if feed.target is None:
                raise InputError(f"fault 'concept' changes what the target follows, and feed '{feed.name}' has none; give it a target")
            changes_at = begin
        elif kind == "relation":
            values.append(_relation(plain, signal, begin, end))
        elif kind in _VALUE_FAULTS:
            values.append(_VALUE_FAULTS[kind](signal.name, entity, begin, finish))
        else:
            raise InputError(f"no fault '{kind}'; choose from {', '.join(FAULTS)}")
    mix = Transport(shares["duplicates"], shares["disorder"], shares["lateness"], shares["malformed"])
    truth = None if feed.target is None else _truth(feed, plain[: len(TARGET_GAINS)], changes_at)
    return Scenario(feed, names, cadence_us, signals, modes, values, mix, transport, truth=truth)


def default_cadence(feed: Feed) -> int:
    """A tile of the shortest window, between 1 s and 10 min and in whole seconds: six readings a window, in µs."""
    return min(max(feed.window_us[0] // 6 // 1_000_000 * 1_000_000, 1_000_000), 10 * MINUTE)


def _signal(number: Number) -> Signal | Counter:
    if number.counter:
        return Counter(number.name, 10.0, wraps_at=1e9 if number.high is None else number.high)
    low, high = number.low, number.high
    if low is None and high is None:
        low, high = NO_RANGE
    elif low is None and high is not None:
        low = min(high - 100.0, 0.0)
    elif high is None and low is not None:
        high = max(low + 100.0, 0.0)
    assert low is not None and high is not None
    sigma = NOISE_SHARE * (high - low)
    return Signal(number.name, (low + high) / 2, Noise(sigma, 0.5), 2 * sigma, [Season("1d", 2 * sigma)], resolution=_resolution(sigma))


def _resolution(sigma: float) -> float:
    """The power of ten at or below a fiftieth of σ, so that equal readings in a row stay rare; at least 1e-9."""
    step = 1e9
    while step > sigma / 50 and step > 1e-9:
        step = float(f"{step / 10:.0e}")
    return step


def _truth(feed: Feed, signals: Sequence[Signal], changes_at: int | None) -> Truth:
    """The target over these signals, each by its deviation over the fleet and a day; a changed concept keeps the mean."""
    assert feed.target is not None
    gains: dict[str, float] = {}
    still, cycle = TARGET_NOISE * TARGET_NOISE, 0.0  # variance without the daily cycles; the cycles' amplitude, all in one phase
    for signal, gain in zip(signals, TARGET_GAINS, strict=False):
        amplitude = sum(season.amplitude for season in signal.seasons)
        own = signal.noise.std * signal.noise.std + signal.spread * signal.spread
        gains[signal.name] = gain / math.sqrt(own + amplitude * amplitude / 2)
        still += gains[signal.name] * gains[signal.name] * own
        cycle += gains[signal.name] * amplitude
    cuts: list[float] = []
    if isinstance(feed.target, Classification):
        cuts = NormalDist(TARGET_MEAN, math.sqrt(still + cycle * cycle / 2)).quantiles(len(feed.target.classes))
    level = {signal.name: signal.level for signal in signals}
    own_level = TARGET_MEAN - sum(gain * level[name] for name, gain in gains.items())
    changed = {} if changes_at is None else {signals[0].name: CONCEPT * gains[signals[0].name]}
    return Truth(feed.target.name, own_level, gains, TARGET_NOISE, changes_at, changed, level, cuts)


def _relation(signals: Sequence[Signal], signal: Signal, start: int, end: int) -> Fault:
    others = [s for s in signals if s is not signal]
    if not others:
        raise InputError("fault 'relation' needs two Numbers that are no counters; add one or leave the fault out")
    return RelationDrift(signal.name, None, start, end, on=others[0].name, change=1.5 * signal.noise.std / others[0].noise.std)
