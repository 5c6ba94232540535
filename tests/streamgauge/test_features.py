"""What `streamgauge features` prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import redis

from contracts.settings import Servers
from feature_store.feature_table import EntityFeatures, FeatureValue, Worth
from feature_store.redis_layout import DIRECTORY_ENTRY, directory_keys
from streamgauge.commands.features import _show
from tests.streamgauge.commands_in_process import command


def test_brackets_in_a_name_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """A device's name that looks like markup of the terminal library stands in the table as it is, read or never seen."""
    known = EntityFeatures("[red]pump-1[/red]", 1, 1, 1, 0, 0, 0, {"x_last": FeatureValue(1.5, Worth.FRESH)})
    unknown = EntityFeatures("line[/a]", None, None, None, None, None, None, {"x_last": FeatureValue(float("nan"), Worth.NEVER_SEEN)})
    _show("pumps", [known, unknown])
    out = capsys.readouterr().out
    assert "[red]pump-1[/red]" in out
    assert "line[/a]" in out
    assert "never seen" in out


def test_without_an_entity_some_are_listed(stack: Servers, tmp_path: Path) -> None:
    """Their number, at most twenty names, and the command that reads the first; before any reading, what must run."""
    plant = tmp_path / "plant.py"
    plant.write_text('from streamgauge import Feed, Number\nfans = Feed("listed-fans", entity="fan", time="ts", fields=[Number("flow")])\n')
    asked = ["features", str(plant), "--redis", stack.redis]
    empty = command(asked)
    assert (empty.code, empty.out) == (0, "listed-fans: 0 entities\n")
    assert f"streamgauge worker {plant}" in empty.err
    with redis.Redis.from_url(stack.redis) as client:
        client.hset(directory_keys("listed-fans").entries, mapping={f"fan {n:04}": DIRECTORY_ENTRY.pack(0, 1, 0) for n in range(1_000)})
    done = command(asked)
    assert done.code == 0
    assert done.out.startswith("listed-fans: 1,000 entities, some of them: fan ")
    assert done.out.count("fan ") == 20
    assert f"streamgauge features {plant} 'fan " in done.err
    found = json.loads(command([*asked, "--json"]).out)["feeds"]["listed-fans"]
    assert (found["count"], len(found["entities"])) == (1_000, 20)
