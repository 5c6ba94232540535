"""A gateway in front of a real broker that lets no idempotent producer through, as some proxies and older brokers do."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

INIT_PRODUCER_ID = 22  # the Kafka protocol's API key


class RefusingGateway:
    """Passes bytes on, but hangs up on a connection that asks for a producer id.

    The broker must advertise the gateway's port, so that clients come back through it.
    """

    def __init__(self, broker_port: int, listener: socket.socket) -> None:
        self._broker_port = broker_port
        self._listener = listener
        self.refused = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                broker = socket.create_connection(("127.0.0.1", self._broker_port))
            except OSError:  # the broker is not up yet: the client tries again
                client.close()
                continue
            threading.Thread(target=self._requests, args=(client, broker), daemon=True).start()
            threading.Thread(target=self._answers, args=(broker, client), daemon=True).start()

    def _requests(self, client: socket.socket, broker: socket.socket) -> None:
        stream = client.makefile("rb")
        while len(head := stream.read(6)) == 6:
            length, api_key = struct.unpack(">ih", head)
            body = stream.read(length - 2)
            if api_key == INIT_PRODUCER_ID:
                self.refused += 1
                break
            broker.sendall(head + body)
        for end in (client, broker):
            with contextlib.suppress(OSError):  # hung up already
                end.shutdown(socket.SHUT_RDWR)

    def _answers(self, broker: socket.socket, client: socket.socket) -> None:
        try:
            while data := broker.recv(65_536):
                client.sendall(data)
        except OSError:
            return
