"""What a definition refuses, each with a sentence."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.definition import Classification, Feed, Number, Regression
from contracts.durations import parse_duration
from contracts.errors import DefinitionError


def feed(**settings: Any) -> Feed:
    return Feed("pumps", entity="pump", time="ts", fields=[Number("x")], **settings)


@pytest.mark.parametrize("name", ["", "100%", 'say "id"', 7])
def test_an_id_is_named_as_fields_are(name: object) -> None:
    """Its name stands in the JSON that replay writes, and in the keys that the parser looks for."""
    with pytest.raises(DefinitionError, match="id is named"):
        feed(id=name)
    assert feed(id="reading").id == "reading"


@pytest.mark.parametrize("target", [Regression("reading"), Classification("reading", ["a", "b"])])
def test_a_target_has_a_name_of_its_own(target: Regression | Classification) -> None:
    """What is predicted is nothing that events state, their id included."""
    with pytest.raises(DefinitionError, match="also a field"):
        feed(id="reading", target=target)


@pytest.mark.parametrize("text", ["101000w", "9" * 30 + "w", "9" * 400 + "d"])
def test_a_duration_beyond_all_time_is_a_sentence(text: str) -> None:
    """It would overflow the integers of kernels, or Python's own."""
    with pytest.raises(DefinitionError, match=r"lateness.*longer than"):
        feed(lateness=text)
    assert parse_duration("5200w") == 5200 * 7 * 86_400_000_000


def test_what_is_archived_is_no_part_of_the_hash() -> None:
    """To begin an archive opens no generation; another word than the two is refused."""
    assert feed(archive="raw").hash == feed().hash != feed(seed=2).hash
    with pytest.raises(DefinitionError, match="choose from scores, raw"):
        feed(archive="all")
