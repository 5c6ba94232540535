"""The demo's plant: a fleet of simulated pumps, and the flow of a real water network."""

from producers.pump_fleet import pump_feed
from streamgauge import Feed, Number

pumps = pump_feed()

water = Feed(
    "water",
    entity="station",
    time="time",
    fields=[Number("flow", unit="l/s", low=0, high=500)],
    windows=["6h", "2d"],
    lateness="2h",
    false_alarms_per_week=0.5,
    partitions=1,
    max_age="3h",
)
