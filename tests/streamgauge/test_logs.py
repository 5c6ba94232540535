"""What the log makes of errors that libraries leave behind."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Iterator

import pytest
from aiokafka.errors import ProducerFenced, UnknownError

from streamgauge.logs import set_up_logs


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def left_behind(error: Exception) -> None:
    """A future of a loop that ends with an error for which nobody asks."""

    async def scenario() -> None:
        asyncio.get_running_loop().create_future().set_exception(error)
        gc.collect()

    asyncio.run(scenario())


def test_an_error_of_kafka_that_nobody_waits_for_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """What aiokafka leaves of a fenced producer alarms nobody, and is not lost either."""
    set_up_logs("info", as_json=False)
    left_behind(ProducerFenced("another owner"))
    (line,) = capsys.readouterr().err.splitlines()
    assert "[info" in line and "Future exception was never retrieved: ProducerFenced('another owner')" in line


def test_what_a_client_met_is_told_without_its_inner_parts(capsys: pytest.CaptureFixture[str]) -> None:
    """An error that aiokafka writes with a trace keeps its level and its name; of what runs here the trace stays."""
    set_up_logs("warning", as_json=False)
    for name in ("aiokafka.producer.sender", "streamgauge.worker"):
        try:
            raise UnknownError
        except UnknownError:
            logging.getLogger(name).exception("Unexpected error in sender routine")
    line, *ours = capsys.readouterr().err.splitlines()
    assert "[error" in line and "Unexpected error in sender routine: UnknownError" in line
    assert any(found.startswith("Traceback") for found in ours)


def test_it_is_not_told_where_only_warnings_are(capsys: pytest.CaptureFixture[str]) -> None:
    """The line is an info, whatever asyncio made of it."""
    set_up_logs("warning", as_json=False)
    left_behind(ProducerFenced("another owner"))
    assert capsys.readouterr().err == ""


def test_every_other_error_keeps_its_trace(capsys: pytest.CaptureFixture[str]) -> None:
    """An error of our own in a future that nobody looks at is a fault, and is told as one."""
    set_up_logs("warning", as_json=False)
    left_behind(ValueError("ours"))
    told = capsys.readouterr().err
    assert "Future exception was never retrieved" in told and "ValueError: ours" in told
