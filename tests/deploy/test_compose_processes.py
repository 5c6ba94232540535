"""What docker-compose.yml starts, as processes of this machine: its commands, environment, health checks, in its order."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from kafka import KafkaConsumer

from contracts.settings import Servers
from stream_processors.waiting import wait_for_redis
from streamgauge.local_stack import Child, free_port
from tests.apache_kafka import ApacheKafka
from tests.deploy.compose_file import ROOT, environment_on_host, host_paths, host_ports, kafka_properties, load, on_host, own_services

pytestmark = [pytest.mark.integration, pytest.mark.kafka]

HEALTHY_SECONDS = 120  # the file gives 60 s on a machine of its own; tests share theirs
ALERT_SECONDS = 240  # the simulator sends its two weeks in 60 s; the faults begin after a third of them
LEAST_GRACE = 30.0  # Compose itself gives 10 s; tests share their machine


class Running(NamedTuple):
    """The processes by service, and where their servers are."""

    children: dict[str, Child]
    servers: Servers
    volumes: Path
    ports: dict[str, str]


def eventually(true: Callable[[], bool], seconds: float) -> bool:
    """Ask every 0.2 s until it is true or the time is over."""
    never = threading.Event()
    for _ in range(int(seconds / 0.2)):
        if true():
            return True
        never.wait(0.2)
    return False


# the image has this project and its Python first on PATH
PATH = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """All services of the file that run by default."""
    assert shutil.which("redis-server"), "this test needs redis-server on PATH; .ci/run installs it"
    services, volumes, ports, children = load()["services"], tmp_path_factory.mktemp("volumes"), host_ports(), {}
    for volume in load()["volumes"]:
        (volumes / volume).mkdir()
    with ApacheKafka(kafka_properties(services["kafka"]["environment"])) as broker:
        try:
            port = free_port()
            command = on_host(services["redis"]["command"], services["redis"], volumes, ports)
            children["redis"] = Child("redis", [*command, "--port", str(port)], volumes, grace=5.0, cwd=volumes / "redis")
            servers = Servers(broker.settings, f"redis://127.0.0.1:{port}")
            wait_for_redis(servers.redis)
            all_of_them = Running(children, servers, volumes, ports)
            for name in own_services():
                start(all_of_them, name)
            yield all_of_them
        finally:
            for child in children.values():
                child.ask_to_stop()
            for child in children.values():
                child.stop()


def start(running: Running, name: str) -> None:
    """Start a service of the project once those of the project that it depends on are healthy."""
    service = own_services()[name]
    for other in service.get("depends_on", ()):
        if other in own_services():
            assert eventually(lambda other=other: is_healthy(running, other), HEALTHY_SECONDS), other
    environment = environment_on_host(service, running.servers, running.ports)
    words = on_host(service["command"], service, running.volumes, running.ports)
    place = Path(host_paths(service, running.volumes)[service["working_dir"]])
    grace = max(LEAST_GRACE, float(service.get("stop_grace_period", "0s").removesuffix("s")))
    running.children[name] = Child(name, words, running.volumes, grace, environment=environment | PATH, cwd=place)


def is_healthy(running: Running, name: str) -> bool:
    """Whether the service's own health check, as it stands in the file, succeeds now; fails where its process has ended."""
    service, child = own_services()[name], running.children[name]
    assert child.poll() is None, f"{name} ended:\n{child.log_tail()}"
    check = on_host(service["healthcheck"]["test"][1:], service, running.volumes, running.ports)
    environment = environment_on_host(service, running.servers, running.ports)
    return subprocess.run(check, env=os.environ | environment | PATH, capture_output=True).returncode == 0


def from_mlflow(running: Running, path: str, host: str) -> dict[str, Any] | None:
    """What MLflow's server answers to one who calls it by this name; None where there is no such thing."""
    address = f"http://127.0.0.1:{running.ports['5000']}/api/2.0/mlflow/{path}"
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers={"Host": host}), timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code not in (404, 400):  # 400: the model is there, its alias not yet
            raise
        return None


@pytest.mark.parametrize("name", list(own_services()))
def test_a_service_becomes_healthy(running: Running, name: str) -> None:
    """The health check of the service succeeds while its process runs."""
    assert eventually(lambda: is_healthy(running, name), HEALTHY_SECONDS), running.children[name].log_tail()


def test_redis_runs_by_its_file(running: Running) -> None:
    """redis-server takes deploy/redis.conf: it never evicts and keeps an append-only file."""
    import redis

    with redis.Redis.from_url(running.servers.redis) as client:
        assert client.config_get("maxmemory-policy", "appendonly") == {"maxmemory-policy": "noeviction", "appendonly": "yes"}


def test_the_alert_consumer_prints_an_incident(running: Running) -> None:
    """A planted fault comes out of the alert consumer as a JSON line, the same that stands on the topic."""
    log = running.children["alerts"].log_path

    def opened() -> list[dict[str, object]]:
        lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["status"] == "opened"]

    assert eventually(lambda: bool(opened()), ALERT_SECONDS)
    consumer = KafkaConsumer(
        "pumps.alerts", **running.servers.kafka.client_options(), auto_offset_reset="earliest", consumer_timeout_ms=5000
    )
    assert opened()[0] in (json.loads(record.value) for record in consumer)
    consumer.close()


def test_the_archiver_writes_history(running: Running) -> None:
    """Parquet files appear in the archiver's volume."""
    assert eventually(lambda: any((running.volumes / "history").rglob("*.parquet")), ALERT_SECONDS)


def test_a_version_is_trained_and_registered(running: Running) -> None:
    """The simulator's labels become a version, which the MLflow server knows when it is called by its service's name, and keeps."""
    alias = "registered-models/alias?name=pumps&alias=challenger"

    def version() -> dict[str, Any] | None:
        assert running.children["trainer"].poll() is None, running.children["trainer"].log_tail()
        return from_mlflow(running, alias, "mlflow:5000")

    assert eventually(lambda: version() is not None, ALERT_SECONDS), running.children["trainer"].log_tail()
    (tag,) = (tag["value"] for tag in version()["model_version"]["tags"] if tag["key"] == "streamgauge.version")
    consumer = KafkaConsumer(
        "pumps.models", **running.servers.kafka.client_options(), auto_offset_reset="earliest", consumer_timeout_ms=5000
    )
    assert tag in {json.loads(record.value).get("version") for record in consumer}
    consumer.close()
    assert any((running.volumes / "mlflow" / "artifacts").rglob("*.onnx"))


def test_mlflow_answers_to_its_own_names_alone(running: Running) -> None:
    """A request by another name is refused, so the name in the test above is one that had to be allowed."""
    with pytest.raises(urllib.error.HTTPError, match="403"):
        from_mlflow(running, "registered-models/get?name=pumps", "elsewhere:5000")


def test_every_service_ends_at_sigterm(running: Running) -> None:
    """Asked to stop, every process of the project ends by itself within its grace."""
    others = [name for name in own_services() if name != "mlflow"]
    for name in others:
        running.children[name].ask_to_stop()
    codes = {name: running.children[name].stop() for name in (*others, "mlflow")}  # last, as Compose does with what others depend on
    assert all(code in (0, 130, 143) for code in codes.values()), codes
    assert ROOT.exists()
