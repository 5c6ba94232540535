"""Logs for people on a terminal, or one JSON object a line for machines."""

from __future__ import annotations

import logging
import sys

import structlog

REPEAT_SECONDS = 30.0  # a client of a broker that is gone says so a hundred times a second
CLIENTS = ("aiokafka", "kafka", "mode", "faust")


class ClientsOnce(logging.Filter):
    """Lets through what a client library says once in REPEAT_SECONDS; the project's own lines always."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        if record.name.partition(".")[0] not in CLIENTS:
            return True
        line = (record.name, record.getMessage())
        self._said = {known: at for known, at in self._said.items() if record.created - at < REPEAT_SECONDS}
        if line in self._said:
            return False
        self._said[line] = record.created
        return True


def kafka_errors_in_a_line(record: logging.LogRecord) -> bool:
    """Tells without a trace of a client's inner parts which error of Kafka it has met: whoever called it is told as well, and acts on it.

    aiokafka ends all that a fenced producer still had in hand by futures of its own, for which nobody waits any more: that is no error.
    """
    error = record.exc_info[1] if record.exc_info else None
    source = record.name.partition(".")[0]
    if source not in ("asyncio", "aiokafka", "kafka") or type(error).__module__ not in ("aiokafka.errors", "kafka.errors"):
        return True
    said, _, _ = record.getMessage().partition("\n")
    record.msg, record.args, record.exc_info = "%s: %r", (said, error), None
    if said.startswith("Future exception was never retrieved"):
        record.levelno, record.levelname = logging.INFO, "INFO"
    return record.levelno >= logging.getLogger().level


def set_up_logs(level: str, as_json: bool) -> None:
    """Sends everything, libraries included, to stderr through one renderer."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, structlog.processors.format_exc_info, last],
        )
    )
    root = logging.getLogger()
    handler.addFilter(kafka_errors_in_a_line)
    handler.addFilter(ClientsOnce())
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("aiokafka", "kafka", "faust", "mode", "aiohttp"):
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))
