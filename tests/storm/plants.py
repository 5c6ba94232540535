"""The plants under the storm: one feed with a target, so that every fold of the project is at work; and other definitions of it."""

from __future__ import annotations

from pathlib import Path

from contracts.definition import Feed
from contracts.plant import load_plant

PARTITIONS = 4  # as many as there are workers at most, so that each has one
DEVICES = tuple(f"device-{n:02d}" for n in range(24))
SETTINGS = {
    "fields": '[Number("heat", low=-40, high=150), Number("load"), Number("pieces", counter=True), Category("mode")]',
    "windows": '["1m", "10m"]',
    "season": '"20m"',
    "anomaly": '"half-space-trees"',
    "learn": '"online"',
}
VARIANTS: dict[str, dict[str, str]] = {
    "a window more": {"windows": '["1m", "10m", "30m"]'},
    "a field more": {"fields": SETTINGS["fields"].replace("]", ', Number("draught", low=0)]')},
    "a field less": {"fields": SETTINGS["fields"].replace(' Number("load"),', "")},
    "another anomaly model": {"anomaly": '"river.anomaly.HalfSpaceTrees"'},
    "a model that does not learn": {"learn": '"frozen"'},
}
"""Other definitions of the feed: the settings that differ."""
PLANT = """
from streamgauge import Category, Feed, Number, Regression

storm = Feed(
    "{name}",
    entity="device",
    time="at",
    fields={fields},
    windows={windows},
    lateness="30s",
    season={season},
    partitions={partitions},
    max_entities=7,
    false_alarms_per_week=1000,
    anomaly={anomaly},
    target=Regression("wear"),
    learn={learn},
    label_delay="1m",
    archive="raw",
)
"""


def write_plant(path: Path, name: str, variant: str = "") -> tuple[Path, Feed]:
    """Writes a plant file whose feed has this name; whole at once, since the watcher looks for plant files beside the first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    begun = path.with_suffix(".begun")
    begun.write_text(PLANT.format(name=name, partitions=PARTITIONS, **SETTINGS | VARIANTS.get(variant, {})))
    begun.replace(path)
    (feed,) = load_plant(path)
    return path, feed
