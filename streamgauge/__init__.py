"""streamgauge: streaming ingestion and online monitoring of sensor feeds."""

from contracts.definition import Category, Correlation, Difference, Feed, Number, Ratio
from contracts.errors import StreamgaugeError

__all__ = ["Category", "Correlation", "Difference", "Feed", "Number", "Ratio", "StreamgaugeError"]
__version__ = "0.1.0"
