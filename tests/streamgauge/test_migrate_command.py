"""`streamgauge migrate OLD NEW` as a person calls it: what it prints, in words and as JSON, and that a dry run changes nothing."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from contracts.plant import load_plant
from contracts.settings import Servers
from tests.stream_processors.runner.places import own_store, send, shell
from tests.stream_processors.runner.test_take import COUNT, LOG
from tests.streamgauge.commands_in_process import command

pytestmark = pytest.mark.integration
PLANT = """
from streamgauge import Category, Feed, Number

pumps = Feed(
    "migrate-command", entity="pump", time="ts", fields=[Number("heat", low=0, high=90), Number("flow"), Category("mode")],
    windows=WINDOWS, lateness="30s", partitions=1, season="5m", archive="raw",
)
"""


def test_the_command_tells_what_differs_and_cuts_over(stack: Servers, tmp_path: Path) -> None:
    """First dry, then in earnest; a second time nothing is left to migrate, and the exit code says so."""
    old, new = tmp_path / "old.py", tmp_path / "new.py"
    old.write_text(PLANT.replace("WINDOWS", '["1m", "5m"]'))
    new.write_text(PLANT.replace("WINDOWS", '["1m", "5m", "2h"]'))
    (feed,) = load_plant(old)
    send(stack, feed, LOG)

    async def fold(servers: Servers) -> None:
        async with shell(servers, feed) as worker:
            runner = await worker.take()
            await worker.fold(runner)
            await runner.release()

    with own_store(stack) as own:
        asyncio.run(fold(own))
        arguments = ["migrate", str(old), str(new), "--history", str(tmp_path / "history")]
        dry = command([*arguments, "--dry-run", "--json"], own)
        assert dry.code == 0, dry.err
        told = json.loads(dry.out)
        assert (told["feed"], told["places"]) == (feed.name, [])
        assert not (tmp_path / "history").exists()
        done = command(arguments, own)
        assert done.code == 0, done.err
        assert f"partition 0: generation 2 goes on at offset {COUNT:,} with the state of all offsets from 0 on" in done.out
        assert f"{told['both']} incidents alike, {len(told['only_old'])} only with the old definition" in done.out
        assert f"start: streamgauge worker {new}" in done.out
        again = command(arguments, own)
        assert again.code == 1
        assert "is folded with the new definition already" in again.err
