import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from kafka.admin import KafkaAdminClient

from contracts.errors import ServerUnavailable
from contracts.settings import KafkaSettings, Servers
from stream_processors.waiting import wait_for_kafka, wait_for_redis
from streamgauge.local_stack import Child, LocalStack, free_port, store

# A process that starts a stack, tells the pids of the servers, and stays.
HOLDER = """
import sys
from streamgauge.local_stack import LocalStack
with LocalStack() as stack:
    guards = [child.pid for child in stack._children]
    servers = [int(open(f"/proc/{guard}/task/{guard}/children").read()) for guard in guards]
    print(*guards, *servers, flush=True)
    sys.stdin.read()
"""


def gone(pid: int) -> bool:
    """Whether a process has ended (a zombie has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_until(true: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Ask again and again until it is true or the time is over."""
    never = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if true():
            return True
        never.wait(0.02)
    return False


@pytest.fixture
def holder() -> Iterator["subprocess.Popen[str]"]:
    """A process of its own that holds a stack."""
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_both_servers_serve_and_never_evict(stack: Servers) -> None:
    """Inside the block the broker answers and the store keeps what it is given under memory pressure."""
    client = KafkaAdminClient(**stack.kafka.client_options())
    assert client.describe_cluster()["brokers"]
    client.close()
    with redis.Redis.from_url(stack.redis) as store_client:
        assert store_client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_nothing_is_left_behind() -> None:
    """After the block the servers refuse connections and the private directory is gone."""
    with LocalStack() as stack:
        assert stack.directory.stat().st_mode & 0o077 == 0
    assert not stack.directory.exists()
    with pytest.raises(ServerUnavailable):
        wait_for_redis(stack.servers.redis, timeout=0.1)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_servers_end_with_a_killed_parent(holder: "subprocess.Popen[str]", number: int) -> None:
    """kill -9 of the process that holds the stack ends guards and servers."""
    pids = [int(pid) for pid in holder.stdout.readline().split()]
    assert len(pids) == 4
    holder.send_signal(number)
    assert wait_until(lambda: all(map(gone, pids)))


def test_the_servers_end_with_a_killed_guard(holder: "subprocess.Popen[str]") -> None:
    """kill -9 of the guards takes the servers with them: nothing runs unguarded."""
    pids = [int(pid) for pid in holder.stdout.readline().split()]
    for guard in pids[:2]:
        os.kill(guard, signal.SIGKILL)
    assert wait_until(lambda: all(map(gone, pids[2:])))


def test_a_child_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    """A child started by a thread goes on when that thread has ended (a bare death signal would fire here)."""
    started: list[Child] = []
    thread = threading.Thread(target=lambda: started.append(Child("cat", ["sleep", "30"], tmp_path, grace=1.0)))
    thread.start()
    thread.join()
    assert not wait_until(lambda: started[0].poll() is not None, seconds=0.3)
    assert started[0].stop() == 128 + signal.SIGTERM


def test_a_child_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    """After its grace a child that ignores SIGTERM is ended all the same, with its own children."""
    child = Child("deaf", ["bash", "-c", "trap '' TERM; sleep 60 & echo $!; wait; wait"], tmp_path, grace=0.2)
    assert wait_until(lambda: child.log_tail().isdigit())
    grandchild = int(child.log_tail())
    assert child.stop() == 128 + signal.SIGKILL
    assert wait_until(lambda: gone(grandchild))


def test_a_child_tells_how_it_ended(tmp_path: Path) -> None:
    """Exit code, words and a command that does not exist are handed on."""
    failing = Child("failing", [sys.executable, "-c", "print('why'); raise SystemExit(3)"], tmp_path, grace=1.0)
    assert wait_until(lambda: failing.poll() is not None)
    assert (failing.stop(), failing.log_tail()) == (3, "why")
    missing = Child("missing", ["no-such-program"], tmp_path, grace=1.0)
    assert wait_until(lambda: missing.poll() is not None)
    assert (missing.stop(), "cannot run no-such-program" in missing.log_tail()) == (127, True)


def test_a_server_that_ends_by_itself_is_told() -> None:
    """check() names the server that ended and its exit code."""
    with LocalStack() as stack:
        stack.check()
        with redis.Redis.from_url(stack.servers.redis) as client:
            client.shutdown(nosave=True)

        def ended() -> bool:
            try:
                stack.check()
            except ServerUnavailable as error:
                return "embedded store ended with exit code 0" in str(error) and str(stack.directory / "store.log") in str(error)
            return False

        assert wait_until(ended)
    assert (stack.directory / "store.log").exists(), "what ended by itself leaves its log"
    shutil.rmtree(stack.directory)


def test_the_wheels_server_takes_the_place_of_a_missing_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a redis-server on PATH the store is the valkey-server of the wheel, and it serves."""
    monkeypatch.setattr(store.shutil, "which", lambda name: None)
    with LocalStack() as stack, redis.Redis.from_url(stack.servers.redis) as client:
        assert client.info("server")["server_name"] == "valkey"


def test_waiting_for_kafka_says_so_once_and_gives_up() -> None:
    """One message while waiting, then an error that names the server, the place, the reason and the fix."""
    said: list[str] = []
    address = f"localhost:{free_port()}"
    expected = rf"Kafka at {address} did not answer within 0.3 s \(.*refused\); start one with: streamgauge up"
    with pytest.raises(ServerUnavailable, match=expected):
        wait_for_kafka(KafkaSettings.parse(address), 0.3, say=said.append)
    assert len(said) == 1
    assert said[0].startswith(f"waiting up to 0.3 s for Kafka at {address}")
    assert "start one with: streamgauge up" in said[0], "the fix comes first, not only after the wait"


def test_a_named_server_that_is_gone_is_told_with_the_way_to_have_ones_own() -> None:
    """A stale address says at the first refusal what to unset, and not to start what is being started."""

    class Told(Exception):
        pass

    def say(message: str) -> None:
        raise Told(message)

    with pytest.raises(Told, match=r"refused.*unset STREAMGAUGE_KAFKA"):
        LocalStack(KafkaSettings.parse(f"127.0.0.1:{free_port()}"), say=say).__enter__()


@pytest.mark.parametrize("scheme", ["kafka", "kafka+ssl", "kafka+sasl", "kafka+sasl+ssl"])
def test_waiting_gives_up_on_a_server_that_never_answers(scheme: str) -> None:
    """A port that takes connections and says nothing is given up in time whatever the protocol, with a hint at security."""
    with socket.create_server(("127.0.0.1", 0)) as silent_server:
        address = f"{scheme}://{'user:pw@' if 'sasl' in scheme else ''}127.0.0.1:{silent_server.getsockname()[1]}"
        with pytest.raises(ServerUnavailable, match=r"no.* answer; does the address name its security rightly"):
            wait_for_kafka(KafkaSettings.parse(address), 0.5)


def test_waiting_for_redis_hides_the_password() -> None:
    """The error names the address without its credentials."""
    with pytest.raises(ServerUnavailable, match=r"Redis at redis://localhost:\d+ did not answer") as caught:
        wait_for_redis(f"redis://user:secret@localhost:{free_port()}", timeout=0.2)
    assert "secret" not in str(caught.value)


def test_waiting_ends_when_the_server_comes_up() -> None:
    """A server that starts while one waits for it is found."""
    port = free_port()
    said: list[str] = []
    with LocalStack() as stack:
        directory = stack.directory
        starter: list[Child] = []

        def say(message: str) -> None:
            said.append(message)
            starter.append(Child("late", store.store_command(port), directory, store.STORE_GRACE))

        wait_for_redis(f"redis://127.0.0.1:{port}", timeout=10.0, say=say)
        starter[0].stop()
    assert len(said) == 1
