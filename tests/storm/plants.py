"""The plant under the storm: one feed with a target, so that every fold of the project is at work."""

from __future__ import annotations

from pathlib import Path

from contracts.definition import Feed
from contracts.plant import load_plant

PARTITIONS = 4  # as many as there are workers at most, so that each has one
DEVICES = tuple(f"device-{n:02d}" for n in range(24))
PLANT = """
from streamgauge import Category, Feed, Number, Regression

storm = Feed(
    "{name}",
    entity="device",
    time="at",
    fields=[Number("heat", low=-40, high=150), Number("load"), Number("pieces", counter=True), Category("mode")],
    windows=["1m", "10m"],
    lateness="30s",
    season="20m",
    partitions={partitions},
    max_entities=7,
    false_alarms_per_week=1000,
    target=Regression("wear"),
    label_delay="1m",
    archive="raw",
)
"""


def write_plant(directory: Path, name: str) -> tuple[Path, Feed]:
    """Writes a plant file whose feed has this name."""
    path = directory / "plant.py"
    path.write_text(PLANT.format(name=name, partitions=PARTITIONS))
    (feed,) = load_plant(path)
    return path, feed
