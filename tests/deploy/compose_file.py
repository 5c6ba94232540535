"""docker-compose.yml as a test reads it, and what its containers would be on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from contracts.settings import Servers
from streamgauge.local_stack import free_port

ROOT = Path(__file__).parent.parent.parent
COMPOSE = ROOT / "docker-compose.yml"
MLFLOW = "MLFLOW_TRACKING_URI"  # where the trainer finds MLflow
IMAGE_FILES = {"/opt/streamgauge/healthy.py": ROOT / "deploy" / "healthy.py"}  # what the Dockerfile puts there


def load() -> dict[str, Any]:
    """The file with its YAML merges done, as Compose sees it."""
    return yaml.safe_load(COMPOSE.read_text())


def own_services() -> dict[str, Any]:
    """The long-running services out of this project's images: its own commands, and MLflow's server."""
    return {name: s for name, s in load()["services"].items() if "build" in s and "profiles" not in s}


def host_paths(service: dict[str, Any], volumes: Path) -> dict[str, str]:
    """Path on this machine of each mount of a service; named volumes are directories below `volumes`."""
    out = {inside: str(path) for inside, path in IMAGE_FILES.items()}
    for mount in service.get("volumes", ()):
        source, target, *_ = mount.split(":")
        path = ROOT / source if source.startswith(".") else volumes / source
        out[target] = str(path.resolve())
    return out


def on_host(words: list[str], service: dict[str, Any], volumes: Path, ports: dict[str, str]) -> list[str]:
    """A command with the container's paths and ports replaced by this machine's; nothing else is touched."""
    here = host_paths(service, volumes) | ports
    return [here.get(word, word) for word in words]


def environment_on_host(service: dict[str, Any], servers: Servers, ports: dict[str, str]) -> dict[str, str]:
    """The variables of a service with the servers of this machine; none is added."""
    mlflow = {MLFLOW: f"http://127.0.0.1:{ports['5000']}"}
    return {name: (servers.environment | mlflow).get(name, value) for name, value in service["environment"].items()}


def host_ports() -> dict[str, str]:
    """A free port of this machine for each port that a service of the project listens on in its container."""
    published = [port for service in own_services().values() for port in service.get("ports", ())]
    return {port.rpartition(":")[2]: str(free_port()) for port in published}


def kafka_properties(environment: dict[str, Any]) -> str:
    """The properties that the image makes of its environment, with ports and directory to be filled in by ApacheKafka."""
    places = {
        "INSIDE://:9092": "INSIDE://127.0.0.1:{port}",
        "INSIDE://kafka:9092": "INSIDE://127.0.0.1:{port}",
        "OUTSIDE://:29092": "OUTSIDE://127.0.0.1:{outside}",
        "OUTSIDE://localhost:29092": "OUTSIDE://127.0.0.1:{outside}",
        "localhost:9093": "127.0.0.1:{controller}",
        "/var/lib/kafka/data": "{directory}/log",
    }
    lines = []
    for name, value in environment.items():
        if name.startswith("KAFKA_"):
            text = str(value)
            for inside, here in places.items():
                text = text.replace(inside, here)
            lines.append(f"{name.removeprefix('KAFKA_').lower().replace('_', '.')}={text}")
    return "\n".join(lines)
