import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from contracts.errors import ServerUnavailable
from contracts.settings import KAFKA_VARIABLE, REDIS_VARIABLE, Servers
from stream_processors.waiting import wait_for_kafka, wait_for_redis

UP = [sys.executable, "-m", "streamgauge", "up"]
CLEAN = {name: value for name, value in os.environ.items() if name not in (KAFKA_VARIABLE, REDIS_VARIABLE)}


@pytest.fixture
def running() -> Iterator["subprocess.Popen[str]"]:
    """``streamgauge up`` in a process of its own."""
    with subprocess.Popen(UP, stdout=subprocess.PIPE, text=True, env=CLEAN) as process:
        yield process
        process.kill()


def exported(process: "subprocess.Popen[str]") -> dict[str, str]:
    """What the two export lines say."""
    out: dict[str, str] = {}
    for line in process.stdout:
        if line.startswith("export "):
            name, _, value = shlex.split(line)[1].partition("=")
            out[name] = value
        if len(out) == 2:
            break
    return out


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_prints_where_its_servers_are_and_ends_them(running: "subprocess.Popen[str]", number: int) -> None:
    """The printed lines lead to servers that answer; Ctrl-C and SIGTERM end them, with exit code 0."""
    lines = exported(running)
    servers = Servers.resolve(lines[KAFKA_VARIABLE], lines[REDIS_VARIABLE])
    wait_for_kafka(servers.kafka, 5.0)
    wait_for_redis(servers.redis, 5.0)
    running.send_signal(number)
    assert (running.wait(10), running.stdout.read()) == (0, "ended\n")
    with pytest.raises(ServerUnavailable):
        wait_for_kafka(servers.kafka, 0.1)
    with pytest.raises(ServerUnavailable):
        wait_for_redis(servers.redis, 0.1)
