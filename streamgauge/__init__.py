"""streamgauge: streaming ingestion and online monitoring of sensor feeds."""

from contracts.definition import Category, Classification, Correlation, Difference, Feed, Number, Ratio, Regression
from contracts.errors import StreamgaugeError

__all__ = ["Category", "Classification", "Correlation", "Difference", "Feed", "Number", "Ratio", "Regression", "StreamgaugeError"]
__version__ = "0.1.0"
