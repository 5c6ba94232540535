"""One sentence a technician can act on, for every incident."""

from __future__ import annotations

from typing import NamedTuple

from contracts.definition import Feed, Number, Regression
from contracts.event_time import format_event_time
from contracts.records import Sample


class Subject(NamedTuple):
    """What a sentence is about."""

    kind: str
    entity: str | None
    field: str | None
    since: int  # µs
    now: int  # µs
    reference: Sample | None = None
    current: Sample | None = None
    affected: int = 1  # entities of a common cause
    entities: int = 1  # of the feed
    idle: tuple[int, ...] = ()  # partitions
    leading: tuple[str, ...] = ()  # what contributes most, in the words of its source
    drifting: tuple[str, ...] = ()  # of a changed concept: open incidents of the data, which may be the reason


def sentence(feed: Feed, subject: Subject) -> str:
    """Who, what, since when, how much, and what to look at first.

    >>> pumps = Feed("pumps", entity="pump", time="ts", fields=[Number("temperature", unit="degC")])
    >>> stuck = Subject("stuck", "pump-07", "temperature", 43_380_000_000, 45_000_000_000, current=Sample(n=41, mean=20.0, std=0.0))
    >>> sentence(pumps, stuck)
    'pump-07: temperature has been stuck at 20 degC since 12:03 UTC (41 readings); check the sensor and its wiring.'
    """
    since = f"since {moment(subject.since, subject.now)}"
    if subject.idle:
        partitions = ", ".join(str(p) for p in subject.idle[:8]) + (" and more" if len(subject.idle) > 8 else "")
        noun = "Partition" if len(subject.idle) == 1 else "Partitions"
        verb = "has" if len(subject.idle) == 1 else "have"
        return f"{noun} {partitions} of {feed.name} {verb} received nothing {since}; check the gateway and the producers."
    if subject.affected > 1 or (subject.entity is None and subject.entities > 1 and subject.affected > 0):
        return _of_many(feed, subject, since)
    return _of_one(feed, subject, since)


def resolved_sentence(feed: Feed, subject: Subject, reason: str, merged: bool) -> str:
    """What an incident's end says; a `merged` one goes on as part of a common cause."""
    since = f"since {moment(subject.since, subject.now)}"
    what = f"{subject.kind} of {subject.field}" if subject.field else subject.kind
    if merged:
        return f"{_who(feed, subject)}: {what} {since} is part of one cause across {plural(feed)}."
    return f"{_who(feed, subject)}: {what} {since} has ended: {reason}."


def moment(time: int, now: int) -> str:
    """Hours and minutes; with the date where it is not today's."""
    text = format_event_time(time)
    day, clock = text[:10], text[11:16]
    return f"{clock} UTC" if format_event_time(now)[:10] == day else f"{day} {clock} UTC"


def number(value: float, scale: float) -> str:
    """A number with two digits of what matters: the scale of the difference to tell.

    >>> number(3.14159, 0.7), number(1234.5, 40.0), number(0.00012345, 0.00001)
    ('3.14', '1234', '0.000123')
    """
    if value != value or abs(value) > 1e15:
        return f"{value:.3g}"
    size, decimals = abs(scale) or abs(value), 0
    while size and size < 10.0 and decimals < 12:
        size *= 10.0
        decimals += 1
    text = f"{value:.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _who(feed: Feed, subject: Subject) -> str:
    if subject.entity is not None:
        return subject.entity
    return f"{subject.affected} of {subject.entities} {plural(feed)}" if subject.affected > 1 else feed.name


def plural(feed: Feed) -> str:
    """What several entities of the feed are called: "pumps" for the entity field "pump" or "pump_id"."""
    noun = feed.entity.lower().replace("_", " ").removesuffix("id").rstrip(" .-")
    return f"{noun}s" if noun and noun[-1].isalpha() and not noun.endswith("s") else noun or "entities"


def _with_unit(feed: Feed, field: str | None, text: str) -> str:
    for item in (*feed.fields, feed.target):
        if isinstance(item, (Number, Regression)) and item.name == field and item.unit:
            return f"{text} {item.unit}"
    return text


def _scattered(subject: Subject) -> bool:
    """Whether the spread changed and the mean did not."""
    reference, current = subject.reference, subject.current
    if reference is None or current is None or abs(current.mean - reference.mean) >= 0.5 * reference.std:
        return False
    return current.std > 1.5 * reference.std or current.std < 0.67 * reference.std


def _change(subject: Subject) -> str:
    reference, current = subject.reference, subject.current
    if reference is None or current is None or reference.mean == current.mean:
        return "different from before"
    if _scattered(subject):
        return f"{'more' if current.std > reference.std else 'less'} scattered than before"
    return f"{'higher' if current.mean > reference.mean else 'lower'} than before"


def _means(feed: Feed, subject: Subject) -> str:
    reference, current = subject.reference, subject.current
    if reference is None or current is None:
        return ""
    if _scattered(subject):
        scale = current.std - reference.std
        old = _with_unit(feed, subject.field, number(reference.std, scale))
        return f": a standard deviation of {number(current.std, scale)} instead of {old}"
    scale = (current.mean - reference.mean) or reference.std
    return f": {number(current.mean, scale)} instead of {_with_unit(feed, subject.field, number(reference.mean, scale))}"


def _outlying(feed: Feed, subject: Subject) -> str:
    """The sample of an anomaly holds the outlying readings alone; spikes of both signs have a mean that says nothing."""
    means = "" if _scattered(subject) else _means(feed, subject)
    return f": {subject.current.n} readings around {means[2:]}" if subject.current is not None and means else _readings(subject)


def _shares(subject: Subject) -> str:
    """The means of missing and of impossible values are shares of the readings."""
    reference, current = subject.reference, subject.current
    if current is None:
        return ""
    usual = "" if reference is None else f" instead of {number(100.0 * reference.mean, 10.0)} %"
    return f": in {number(100.0 * current.mean, 10.0)} % of readings{usual}"


def _late(subject: Subject) -> str:
    """How often records are late or ahead."""
    return _shares(subject).replace("of readings", "of records")


def _together(subject: Subject) -> str:
    """What of an entity as a whole stands out; its sample is of scores, which say nothing to a technician."""
    return f": most of all {' and '.join(subject.leading)}" if subject.leading else ""


def _misfits(subject: Subject) -> str:
    """What about the records does not fit, and how often."""
    shares = _shares(subject).removeprefix(": ").replace("of readings", "of records")
    said = ", ".join(part for part in (subject.leading[0] if subject.leading else "", shares) if part)
    return f": {said}" if said else ""


def _errors(subject: Subject) -> str:
    """The mean loss before and now."""
    reference, current = subject.reference, subject.current
    if reference is None or current is None:
        return ""
    scale = (current.mean - reference.mean) or reference.mean
    return f": a mean loss of {number(current.mean, scale)} instead of {number(reference.mean, scale)} over {current.n} labels"


def _why_worse(subject: Subject) -> str:
    if subject.drifting:
        return f"the data have changed as well ({', '.join(subject.drifting)}), which may be the reason"
    return "the relation of the readings to the target has changed"


def _value(feed: Feed, subject: Subject) -> str:
    return "one value" if subject.current is None else _with_unit(feed, subject.field, f"{subject.current.mean:.6g}")


def _readings(subject: Subject) -> str:
    return f" ({subject.current.n} readings)" if subject.current is not None and subject.current.n > 0 else ""


def _of_one(feed: Feed, subject: Subject, since: str) -> str:
    who, field = _who(feed, subject), subject.field or "readings"
    verb, has = ("is", "has") if subject.field else ("are", "have")
    text = {
        "drift": f"{field} {verb} {_change(subject)} {since}{_means(feed, subject)}; check the machine and the sensor's calibration",
        "anomaly": f"{field} {has} taken unusual values {since}{_outlying(feed, subject)}; look at the machine"
        if subject.field
        else f"readings taken together are unusual {since}{_together(subject)}; look at the machine",
        "stuck": f"{field} {has} been stuck at {_value(feed, subject)} {since}{_readings(subject)}; check the sensor and its wiring",
        "missing": f"{field} {verb} missing more often than before {since}{_shares(subject)}; check the sensor's connection",
        "range": f"{field} {has} shown impossible values {since}{_shares(subject)}; check the sensor and its supply",
        "silence": f"not heard {since}; check its power and its network",
        "delay": f"records arrive late, or stamped ahead, more often than before {since}{_late(subject)}; "
        "check the network and the device's clock",
        "consistency": f"records no longer fit the definition {since}{_misfits(subject)}; check what was changed in the devices",
        "concept": f"predictions have become worse {since}{_errors(subject)}; {_why_worse(subject)}",
        "prediction": f"predictions of {subject.field or 'the target'} are {_change(subject)} {since}{_means(feed, subject)}; "
        "no reading explains it yet, compare them with what the machine does",
        "skew": f"what is served differs {since} from what the model was trained on{_together(subject)}; check units and devices",
    }[subject.kind]
    return f"{who}: {text}."


def _of_many(feed: Feed, subject: Subject, since: str) -> str:
    whom = f"{subject.affected} of {subject.entities} {plural(feed)}"
    field = subject.field or "readings"
    verb, has = ("is", "has") if subject.field else ("are", "have")
    text = {
        "drift": f"{field} of {whom} {verb} {_change(subject)} {since}{_means(feed, subject)}",
        "anomaly": f"{field} of {whom} {has} taken unusual values {since}{_outlying(feed, subject)}"
        if subject.field
        else f"readings of {whom} taken together are unusual {since}{_together(subject)}",
        "stuck": f"{field} of {whom} {has} been stuck {since}; check what the sensors share, such as a gateway",
        "missing": f"{field} of {whom} {verb} missing more often than before {since}{_shares(subject)}; check the gateway",
        "range": f"{field} of {whom} {has} shown impossible values {since}{_shares(subject)}; check the unit and the gateway",
        "silence": f"{whom} have not been heard {since}; check the network and the gateway",
        "delay": f"records of {whom} arrive late, or stamped ahead, more often than before {since}{_late(subject)}; check the network",
        "consistency": f"records of {whom} no longer fit the definition {since}; check what was changed in the devices",
        "concept": f"predictions for {whom} have become worse {since}{_errors(subject)}; {_why_worse(subject)}",
        "prediction": f"predictions of {subject.field or 'the target'} for {whom} are {_change(subject)} {since}{_means(feed, subject)}",
        "skew": f"what is served of {whom} differs {since} from what the model was trained on{_together(subject)}",
    }[subject.kind]
    return f"{text[0].upper()}{text[1:]}."
