"""The seam over aiokafka's producer: a request for a megabyte of records is put together once, where aiokafka copies it eight times.

aiokafka encodes a request from within, and each level copies all that is in it. Here the request of one sender encodes to its
parts, which are joined when the connection puts the size before them. What is sent, retried and answered stays aiokafka's.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from importlib.metadata import version
from types import MethodType
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.producer.sender import Sender, SendProduceReqHandler
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.types import Array, Bytes, Int32, Schema

from contracts.errors import StreamgaugeError
from stream_processors.runner.bound_anew import bound_anew

log = logging.getLogger("streamgauge.runner")


class Message:
    """Parts of a message, header included; joined behind its size."""

    def __init__(self, parts: list[bytes]) -> None:
        self._parts = parts

    def __len__(self) -> int:
        return sum(map(len, self._parts))

    def __radd__(self, size: bytes) -> bytes:
        return b"".join((size, *self._parts))


class Body:
    """Parts of a request, which its header is put before."""

    def __init__(self, parts: list[bytes]) -> None:
        self._parts = parts

    def __radd__(self, header: bytes) -> Message:
        return Message([header, *self._parts])


def _parts(kind: Any, value: Any) -> Iterator[bytes]:
    """What `kind.encode(value)` joins, the bytes of records as they are."""
    if isinstance(kind, Schema):
        for field, item in zip(kind.fields, value, strict=True):
            yield from _parts(field, item)
    elif isinstance(kind, Array) and value is not None:
        yield Int32.encode(len(value))
        for item in value:
            yield from _parts(kind.array_of, item)
    elif kind is Bytes and value is not None:
        yield Int32.encode(len(value))
        yield value
    else:
        yield kind.encode(value)


@functools.cache
def _in_parts(kind: Any) -> Any:
    """The class of a version of the request, encoded to its parts."""

    def encode(self: Any) -> Body:
        return Body(list(_parts(self.SCHEMA, [self.__dict__[name] for name in self.SCHEMA.names])))

    return type(kind.__name__, (kind,), {"encode": encode})


def in_parts(request: ProduceRequest) -> ProduceRequest:
    """The request, which will be encoded to its parts."""
    build = request.build
    request.build = lambda kind: build(_in_parts(kind))
    return request


class PartsHandler(SendProduceReqHandler):  # type: ignore[misc]
    """Sends a request in parts."""

    def create_request(self) -> ProduceRequest:
        """The same request."""
        return in_parts(super().create_request())


def send_in_parts(producer: AIOKafkaProducer) -> AIOKafkaProducer:
    """The producer, whose records are copied once; left as it is where aiokafka is not made as expected, which the log says once."""
    if _as_expected():
        sending = bound_anew(Sender._send_produce_req, SendProduceReqHandler=PartsHandler)
        producer._sender._send_produce_req = MethodType(sending, producer._sender)
    return producer


@functools.cache
def _as_expected() -> bool:
    try:
        _check()
    except Exception as error:  # whatever a changed client makes of it
        message = "aiokafka %s is not made as expected (%s): it puts requests together itself, which costs 0.3 µs a record"
        log.warning(message, version("aiokafka"), error)
        return False
    return True


def _check() -> None:
    """Encodes a request of every version both ways.

    Raises:
        StreamgaugeError: the bytes differ, or a producer is put together otherwise.
        ValueError: as `bound_anew`.
    """
    bound_anew(Sender._send_produce_req, SendProduceReqHandler=PartsHandler)
    if "_sender" not in AIOKafkaProducer.__init__.__code__.co_names:
        raise StreamgaugeError("a producer has no sender of that name")
    topics = [("a", [(0, b"first"), (7, memoryview(b"second"))]), ("b", [(1, b"")])]
    for number in range(len(ProduceRequest._CLASSES)):
        name = None if number < 3 else "transaction"  # before version 3 there are none
        plain, parts = (ProduceRequest(name, -1, 1_000, topics) for _ in range(2))
        struct, ours = (request.prepare({0: (number, number)}) for request in (plain, in_parts(parts)))
        header = struct.build_request_header(correlation_id=5, client_id="check").encode()
        message = header + ours.encode()
        if header + struct.encode() != b"" + message or len(message) != len(header + struct.encode()):
            raise StreamgaugeError(f"requests of version {number} have other bytes")
        if (ours.API_KEY, ours.API_VERSION, ours.RESPONSE_TYPE) != (struct.API_KEY, struct.API_VERSION, struct.RESPONSE_TYPE):
            raise StreamgaugeError(f"requests of version {number} have other answers")
