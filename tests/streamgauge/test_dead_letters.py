"""What `streamgauge dead-letters` prints, on a real broker."""

from __future__ import annotations

import base64
from pathlib import Path

import msgspec
import pytest

from contracts.plant import load_plant
from contracts.records import DeadLetter
from contracts.settings import Servers
from contracts.topics import topic_name
from producers.sender import Sender
from stream_processors.topics import ensure_topics
from tests.streamgauge.commands_in_process import Done, command

pytestmark = pytest.mark.integration
PLANT = 'from streamgauge import Feed, Number\nmills = Feed("letter-mills", entity="mill", time="ts", fields=[Number("flow")])\n'


def letter(n: int, reason: str, field: str | None = None) -> DeadLetter:
    key = base64.b64encode(b"mill-2").decode()
    original = base64.b64encode(f'{{"n":{n}}}'.encode()).decode()
    return DeadLetter(
        id=f"letter-{n}", reason=reason, field=field, topic="letter-mills.events", partition=n % 4, offset=n, kafka_time=1_000 + n,
        length=9, sha256="0" * 64, key=key, original=original, truncated=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def plant(stack: Servers, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty letters over four partitions: each third for its key, the rest for a field's type."""
    path = tmp_path_factory.mktemp("letters") / "plant.py"
    path.write_text(PLANT)
    (feed,) = load_plant(path)
    ensure_topics(feed, stack.kafka)
    letters = [letter(n, "type", "flow") if n % 3 else letter(n, "key") for n in range(30)]
    with Sender(stack.kafka) as sender:
        sender.send(topic_name(feed, "dead-letters"), [f"{n}".encode() for n in range(30)], [msgspec.json.encode(item) for item in letters])
        sender.flush()
    return path


def run(plant: Path, stack: Servers, *options: str) -> Done:
    done = command(["dead-letters", str(plant), *options], stack, redis=False)
    assert done.code in (0, 1), done.err
    return done


def numbers(lines: list[str]) -> list[int]:
    return [int(line.rpartition('"n":')[2].rstrip("}")) for line in lines]


def test_counts_come_first_and_the_newest_twenty_after(plant: Path, stack: Servers) -> None:
    """The newest by time over all partitions, the last at the end, and how to see the rest."""
    done = run(plant, stack)
    first, *lines = done.out.splitlines()
    assert first == "letter-mills: 30 dead letters: 20 type, 10 key"
    assert numbers(lines) == list(range(10, 30))
    assert "the newest 20 of 30; --all" in done.err


def test_one_reason_or_all(plant: Path, stack: Servers) -> None:
    """--reason leaves out the others, also as JSON; --all prints every one; a reason that none has is answered with those there are."""
    lines = run(plant, stack, "--reason", "key").out.splitlines()[1:]
    assert numbers(lines) == list(range(0, 30, 3))
    assert lines[1] == 'letter-mills.events/3 offset 3: key, keyed mill-2  {"n":3}'
    assert numbers(run(plant, stack, "--all").out.splitlines()[1:]) == list(range(30))
    assert len(run(plant, stack, "--json").out.splitlines()) == 30
    assert len(run(plant, stack, "--json", "--reason", "type").out.splitlines()) == 20
    assert "choose from key, type" in run(plant, stack, "--reason", "late").err
    assert "leave --reason out" in run(plant, stack, "--redrive", "--reason", "key").err
