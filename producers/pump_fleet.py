"""The demo's fleet: 48 pumps with five sensors each, and one of every fault that a fleet meets."""

from __future__ import annotations

from contracts.definition import Category, Feed, Number, Regression
from contracts.durations import DAY, HOUR, MINUTE, SECOND
from contracts.errors import InputError
from producers.faults import Fault, Shift, SpikeBurst, Stuck
from producers.scenario import Scenario
from producers.seeds import part_generator
from producers.signals import Dependence, Modes, Noise, Season, Signal
from producers.transport_faults import ClockAhead, Silent, Transport
from producers.truth import Truth

PUMPS = 48
CADENCE = 20 * SECOND
SENSORS = ("temperature", "vibration", "pressure", "flow", "current")
RUN_IN = HOUR // 2  # no fault in the live part's first half hour: a viewer sees the fleet at rest first
TRUTH_SCALES = {"flow": 2.2, "pressure": 0.18, "current": 0.62}  # spread of a sensor over the fleet: gains in kW a spread
AFTER = HOUR + 5 * MINUTE  # behind each fault: the hour in which it may be found, and some readings more


def pump_feed() -> Feed:
    """The definition that fits `pump_fleet`."""
    return Feed(
        "pumps",
        entity="pump",
        time="ts",
        fields=[
            Number("temperature", unit="degC", low=-40, high=150),
            Number("vibration", unit="mm/s", low=0, high=100),
            Number("pressure", unit="bar", low=0, high=16),
            Number("flow", unit="m3/h", low=0, high=200),
            Number("current", unit="A", low=0, high=100),
            Category("mode"),
        ],
        windows=["2m", "20m"],
        lateness="1m",
        false_alarms_per_week=1,
        target=Regression("power", unit="kW"),
        label_delay="10m",
        learn="frozen",
    )


def pump_signals() -> list[Signal]:
    """What the sensors read: daily cycles of about two standard deviations of the noise; the current follows the flow."""
    return [
        Signal("temperature", 60.0, Noise(0.8, 0.6), 3.0, [Season("1d", 1.6, 0.6)], modes={"eco": -0.02, "boost": 0.02}),
        Signal("vibration", 2.8, Noise(0.12, 0.3), 0.2, [Season("1d", 0.22, 0.65)], resolution=0.001),
        Signal("pressure", 4.2, Noise(0.06, 0.5), 0.15, [Season("1d", 0.12, 0.4)], resolution=0.001),
        Signal("flow", 32.0, Noise(0.9, 0.7), 1.5, [Season("1d", 1.8, 0.7)], modes={"eco": -0.02, "boost": 0.02}),
        Signal("current", 14.0, Noise(0.2, 0.4), 0.5, depends=[Dependence("flow", 0.2)]),
    ]


def pump_power(drifting: str, changes_at: int) -> Truth:
    """What the pumps draw, by two sensors that do not drift; from `changes_at` on it follows the first of them far less.

    A clogged filter would do that: the sensors read what they always read, and what was learnt from them is wrong.
    """
    first, second = [name for name in TRUTH_SCALES if name != drifting][:2]
    level = {signal.name: signal.level for signal in pump_signals()}
    gains = {first: 1.0 / TRUTH_SCALES[first], second: 0.5 / TRUTH_SCALES[second]}
    own = 7.5 - sum(gain * level[name] for name, gain in gains.items())
    return Truth("power", own, gains, 0.1, changes_at, {first: 0.2 * gains[first]}, {first: level[first]})


def pump_fleet(seed: int, live_start: int, end: int, feed: Feed | None = None) -> Scenario:
    """The fleet with its faults scattered over the live part by `seed`, on different pumps.

    Args:
        seed: decides which pumps, which sensors and when.
        live_start, end: the live part, in µs of event time; at least a day, so that every fault fits with an hour behind it.
        feed: the definition, where another than `pump_feed()` is in use; it must name the same fields.

    Raises:
        InputError: the live part is shorter than a day.
    """
    if end - live_start < DAY:
        raise InputError("the live part must span a day or more of event time; raise the speed or the duration")
    chance = part_generator(seed, "pump fleet")
    pumps = [f"pump-{i:02d}" for i in range(PUMPS)]
    stuck, spike, wear, ahead, silent = (pumps[i] for i in chance.permutation(PUMPS)[:5].tolist())
    sensors = [SENSORS[i] for i in chance.permutation(len(SENSORS)).tolist()]
    span = end - live_start

    def begin(length: int, earliest: int = RUN_IN) -> int:
        latest = span - length - AFTER
        return live_start + earliest + int(chance.random() * (latest - earliest)) // SECOND * SECOND

    stuck_at, spike_at, wear_at = begin(HOUR // 2), begin(10 * MINUTE), begin(6 * HOUR)
    silent_at, ahead_at = begin(4 * HOUR), begin(20 * MINUTE)
    drift_at = begin(0, span * 3 // 4)
    concept_at = live_start + span * 27 // 100 + int(chance.random() * (span // 20)) // SECOND * SECOND
    faults: list[Fault] = [
        Stuck(sensors[0], stuck, stuck_at, stuck_at + HOUR // 2),
        SpikeBurst(sensors[1], spike, spike_at, spike_at + 10 * MINUTE, size=8.0, every=2),
        Shift(sensors[2], wear, wear_at, wear_at + 6 * HOUR, kind="wear", size=3.0),
        Shift(sensors[3], None, drift_at, end, kind="sudden", size=1.5),
    ]
    return Scenario(
        feed or pump_feed(),
        pumps,
        CADENCE,
        pump_signals(),
        [Modes("mode", ["run", "eco", "boost"], mean_stay="12h")],
        faults,
        Transport(duplicates=0.01, disorder=0.02, malformed=0.0005),
        [Silent(silent, silent_at, silent_at + 4 * HOUR), ClockAhead(ahead, ahead_at, ahead_at + 20 * MINUTE)],
        truth=pump_power(sensors[3], concept_at),
    )
