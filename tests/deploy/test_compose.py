import json
import re
from pathlib import Path
from typing import Any

import jsonschema

from contracts.plant import load_plant
from contracts.settings import KAFKA_VARIABLE, REDIS_VARIABLE
from tests.deploy.compose_file import MLFLOW, ROOT, load, own_services

# Out of github.com/compose-spec/compose-go/v2 v2.16.2, schema/compose-spec.json, Apache-2.0, unchanged.
SCHEMA = json.loads((Path(__file__).parent / "compose-spec.json").read_text())


def is_valid(document: dict[str, Any]) -> bool:
    return jsonschema.Draft202012Validator(SCHEMA).is_valid(document)


def test_the_file_is_valid_by_the_compose_specification() -> None:
    """docker-compose.yml keeps to the Compose specification's own JSON schema."""
    jsonschema.Draft202012Validator(SCHEMA).validate(load())


def test_the_schema_would_notice() -> None:
    """The schema refuses a misspelt key, a wrong type and an unknown condition, so the test above says something."""
    for wrong in ({"comand": []}, {"healthcheck": {"test": 5}}, {"depends_on": {"kafka": {"condition": "up"}}}):
        document = load()
        document["services"]["alerts"] = document["services"]["alerts"] | wrong
        assert not is_valid(document), wrong


def test_the_services_are_those_promised() -> None:
    """Kafka, Redis, MLflow, two workers, archiver, simulator, trainer and alert consumer run by default."""
    document = load()
    default = {name for name, service in document["services"].items() if "profiles" not in service}
    assert default == {"kafka", "redis", "mlflow", "worker-1", "worker-2", "archiver", "simulator", "trainer", "alerts"}
    assert "version" not in document


def test_images_are_pinned_and_health_is_checked() -> None:
    """Every image names a full version, every long-running service has a health check, every dependency waits for one."""
    services = load()["services"]
    for name, service in services.items():
        assert re.search(r":\d+\.\d+\.\d+", service["image"]), name
        if "profiles" not in service:
            assert service["healthcheck"]["test"][0] == "CMD", name
        for other, how in service.get("depends_on", {}).items():
            assert how == {"condition": "service_healthy"}
            assert "healthcheck" in services[other]


def test_addresses_come_by_the_environment_alone() -> None:
    """No command names a server, so that the same command runs against any; the trainer alone is told of MLflow."""
    commands = {name: service for name, service in own_services().items() if name != "mlflow"}
    for name, service in commands.items():
        assert set(service["environment"]) == {KAFKA_VARIABLE, REDIS_VARIABLE} | ({MLFLOW} if name == "trainer" else set()), name
        assert not any("kafka" in word or "redis" in word or "mlflow" in word for word in service["command"]), name


def test_the_plant_is_a_definition_that_loads() -> None:
    """The plant that the services run is one that the project takes, and has something to train."""
    assert [(feed.name, feed.outputs) for feed in load_plant(ROOT / "deploy" / "plant" / "plant.py")] == [("pumps", 1)]


def test_only_what_trains_runs_from_the_larger_image() -> None:
    """Trainer and MLflow server have one image, so one locked version; all others have the small one, which no extra is in."""
    for name, service in own_services().items():
        target = "training" if name in ("trainer", "mlflow") else "worker"
        assert service["build"] == {"context": ".", "target": target}, name
        assert service["image"].split(":")[0] == {"training": "streamgauge-training", "worker": "streamgauge"}[target], name
    stages = re.split(r"^FROM ", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    by_name = {match[1]: stage for stage in stages if (match := re.match(r"\S+ AS (\S+)", stage))}
    assert list(by_name) == ["build", "worker", "training"]
    assert "training.txt" not in by_name["worker"]
    assert stages[-1].strip() == "worker", "a build without --target makes the small image"


def test_the_image_is_pinned_small_and_runs_as_a_normal_user() -> None:
    """The Dockerfile names full versions, checks hashes, copies only what exists and is sent, and ends as a normal user."""
    text = (ROOT / "Dockerfile").read_text()
    bases = re.findall(r"^FROM (\S+)", text, re.MULTILINE)
    assert all(re.fullmatch(r"python:3\.11\.\d+-slim-\w+|worker", base) for base in bases)
    assert len(bases) == 4
    assert text.count("install --require-hashes --only-binary :all:") == 3
    assert re.findall(r"^USER (\S+)", text, re.MULTILINE) == ["streamgauge", "root", "streamgauge"]
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        for source in sources.split():
            assert source.split("/")[0] in sent, source
            assert source in ("README.md", "LICENSE") or (ROOT / source).exists(), source
