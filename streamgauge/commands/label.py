"""``streamgauge label PLANT``: what a person says of an incident, or of a span in which nothing was raised."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from contracts.errors import ServerUnavailable, SettingsError
from streamgauge.commands.options import (
    feed_option,
    json_option,
    kafka_option,
    plant_argument,
    redis_option,
    resolve_feeds,
    resolve_one_feed,
    resolve_servers,
    say,
)

if TYPE_CHECKING:
    from contracts.definition import Feed
    from contracts.records import Label
    from contracts.settings import Servers
    from online_model.raised import Raised

OF_INCIDENTS, OF_SPANS = ("confirm", "dismiss"), ("fine", "missed")
USAGE = (
    "say it as: streamgauge label PLANT INCIDENT confirm|dismiss, or --span ENTITY FROM TO fine|missed, each also with --tag; "
    "--next shows spans to look at"
)


@click.command("label")
@plant_argument
@click.argument("words", nargs=-1, metavar="[INCIDENT] [confirm|dismiss|fine|missed]")
@click.option(
    "--span", type=(str, str, str), metavar="ENTITY FROM TO", help="Speak of these events instead of an incident; FROM ≤ time < TO."
)
@click.option("--next", "ask", is_flag=True, help="Show some spans in which nothing was raised, to be answered with --span.")
@click.option("--tag", "tags", multiple=True, metavar="T", help="Also, or only, tag it; a tag is a slice of: metrics --by tag.")
@click.option("--note", default="", metavar="TEXT", help="Anything else worth knowing.")
@click.option("--by", metavar="NAME", help="Who says so (default: your login name); what one person says later replaces what they said.")
@feed_option
@kafka_option
@redis_option
@json_option
def command(
    plant: Path,
    words: tuple[str, ...],
    span: tuple[str, str, str] | None,
    ask: bool,
    tags: tuple[str, ...],
    note: str,
    by: str | None,
    feed_name: str | None,
    kafka: str | None,
    redis: str | None,
    as_json: bool,
) -> None:
    """Say whether an INCIDENT was one, tag it, or answer for a span in which nothing was raised.

    confirm: something was wrong. dismiss: nothing was. Of a span without an alarm: fine, nothing was wrong there; missed, something
    was wrong and nothing was raised.
    """
    from contracts.records import Label
    from stream_processors.waiting import wait_for_kafka

    servers, name = resolve_servers(kafka, redis), _login_name() if by is None else by
    if ask:
        if words or span or tags:
            raise SettingsError(f"--next only shows what to answer; {USAGE}")
        feed = resolve_one_feed(plant, feed_name)
        wait_for_kafka(servers.kafka, say=say)
        _show_next(feed, servers, name, plant, as_json)
        return
    incident, verdict = _understood(words, span is not None, bool(tags))
    said = Label(tags=list(tags), verdict=verdict, by=name, note=note)  # type: ignore[arg-type]
    feeds = resolve_feeds(plant, feed_name) if span is None else [resolve_one_feed(plant, feed_name)]
    wait_for_kafka(servers.kafka, say=say)
    if span is None:
        _label_incident(feeds, servers, said, incident, plant, as_json)
    else:
        _label_span(feeds[0], servers, said, span, as_json)


def _understood(words: tuple[str, ...], of_span: bool, tagged: bool) -> tuple[str, str | None]:
    """The incident ("" for a span) and the verdict (None for a tag alone)."""
    incident, verdicts = ("", words) if of_span else ("".join(words[:1]), words[1:])
    if bool(incident) == of_span or len(verdicts) > 1 or not (verdicts or tagged):
        raise SettingsError(USAGE)
    allowed = OF_SPANS if of_span else OF_INCIDENTS
    if verdicts and verdicts[0] not in allowed:
        raise SettingsError(f"'{verdicts[0]}' is no verdict on {'a span' if of_span else 'an incident'}: write {' or '.join(allowed)}")
    return incident, verdicts[0] if verdicts else None


def _login_name() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user may have no name
        return ""


def _label_incident(feeds: list[Feed], servers: Servers, said: Label, incident: str, plant: Path, as_json: bool) -> None:
    import msgspec

    from streamgauge.people.on_record import read_raised

    feed = next((feed for feed in feeds if incident.startswith(f"{feed.name}/")), feeds[0])
    known = read_raised(feed, servers)
    if incident not in known:
        raise SettingsError(_unknown(incident, known, feeds, plant))
    entity = known[incident].entity
    _send(feed, servers, entity or feed.name, msgspec.structs.replace(said, incident=incident), as_json)


def _unknown(incident: str, known: Mapping[str, Raised], feeds: list[Feed], plant: Path) -> str:
    import difflib

    near = difflib.get_close_matches(incident, known, 1)
    names = ", ".join(feed.name for feed in feeds)
    return f"{names}: no incident '{incident}'; " + (f"did you mean {near[0]}?" if near else f"see: streamgauge alerts {plant}")


def _label_span(feed: Feed, servers: Servers, said: Label, text: tuple[str, str, str], as_json: bool) -> None:
    import msgspec

    from contracts.event_time import format_event_time, parse_event_time
    from contracts.outcomes import MAX_ENTITY_BYTES
    from streamgauge.people.on_record import read_entities, read_raised
    from streamgauge.people.spans import Span, Spans

    entity, start, end = text[0], parse_event_time(text[1]), parse_event_time(text[2])
    if start is None or end is None or start >= end or not 0 < len(entity.encode()) <= MAX_ENTITY_BYTES:
        raise SettingsError(f"--span {' '.join(text)}: write an entity and two times such as 2026-01-01T08:00:00Z, the earlier one first")
    label = msgspec.structs.replace(said, entity=entity, event_time=format_event_time(start), until=format_event_time(end))
    if said.verdict is not None:
        span = Span(entity, start)
        spans = Spans(feed.name, read_entities(feed, servers, say), read_raised(feed, servers).values())
        if end != span.end or not spans.is_drawn(span):
            raise SettingsError(
                f"nobody is asked about {' '.join(text)}, so an answer would say nothing about the spans that nobody looks at: "
                "answer those of --next, confirm or dismiss an incident, or mark what you know with --tag alone"
            )
    _send(feed, servers, entity, label, as_json)


def _show_next(feed: Feed, servers: Servers, by: str, plant: Path, as_json: bool) -> None:
    import shlex

    import msgspec

    from contracts.event_time import format_event_time
    from stream_processors.remarks_reader import read_remarks
    from streamgauge.people.on_record import read_entities, read_raised
    from streamgauge.people.questions import questions

    spans = questions(feed, read_remarks(feed, servers.kafka).said, read_raised(feed, servers), read_entities(feed, servers, say), by)
    rows = [{"entity": span.entity, "from": format_event_time(span.start), "to": format_event_time(span.end)} for span in spans]
    if as_json:
        click.echo(msgspec.json.encode({"feed": feed.name, "spans": rows}).decode())
        return
    if not rows:
        say(f"{feed.name}: nothing to ask you; spans of eight hours in which nothing was raised come up as they pass")
        return
    say("nothing was raised in these; look at what you know of them, and end each with fine, or with missed if something was wrong")
    for row in rows:
        click.echo(f"streamgauge label {plant} --span {shlex.quote(row['entity'])} {row['from']} {row['to']} fine-or-missed")


def _told(label: Label) -> str:
    about = label.incident or f"{label.entity}, {label.event_time} to {label.until}"
    words = [label.verdict or "", f"tagged {', '.join(label.tags)}" if label.tags else "", f"by {label.by}" if label.by else ""]
    return f"{about}: {', '.join(word for word in words if word)}"


def _send(feed: Feed, servers: Servers, key: str, label: Label, as_json: bool) -> None:
    """Puts the label on its topic; keyed by entity, so that labels of one incident or span keep their order."""
    import msgspec

    from contracts.topics import topic_name
    from producers.sender import Sender

    topic, record = topic_name(feed, "labels"), msgspec.json.encode(label)
    with Sender(servers.kafka) as sender:
        sender.send(topic, [key.encode()], [record])
        sender.flush()
    if sender.failed:
        raise ServerUnavailable(f"{topic}: Kafka did not take the label ({sender.last_error}); nothing was recorded, so say it again")
    click.echo(record.decode() if as_json else _told(label))
