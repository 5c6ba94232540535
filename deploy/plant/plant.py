"""The plant that docker-compose.yml runs: put your own feeds here."""

from streamgauge import Category, Feed, Number, Regression

pumps = Feed(
    "pumps",
    entity="pump",
    time="ts",
    fields=[
        Number("temperature", unit="degC", low=-40, high=150),
        Number("vibration", unit="mm/s", low=0, high=100),
        Number("pressure", unit="bar", low=0, high=40),
        Category("mode"),
    ],
    windows=["1m", "10m"],
    lateness="30s",
    false_alarms_per_week=1,
    target=Regression("power", unit="kW"),
    label_delay="10m",
    learn="frozen",  # every version comes from the trainer
)
