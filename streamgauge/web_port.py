"""The socket that a worker's pages are served on, held from the start: two workers that begin together do not pick the same port."""

from __future__ import annotations

import errno
import socket

from contracts.errors import SettingsError

DEFAULT_PORT = 6066
TRIES = 100  # workers of one machine; more taken ports in a row are no accident, and the search must end


def listen_for_pages(bind: str, port: int | None) -> socket.socket:
    """A socket that listens on `port`; on the first free one from DEFAULT_PORT on where none is named.

    Raises:
        SettingsError: the named port is taken, or the address is none of this machine; the message has the fix.
    """
    if port is None:
        return _first_free(bind)
    try:
        return _listen(bind, port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise SettingsError(_no_address(bind, port, error)) from error
        with _first_free(bind) as free:
            fix = f"name a free one, such as --web-port {free.getsockname()[1]}, or leave --web-port out to take the next free one"
        raise SettingsError(f"port {port} of --web-port is taken by another program; {fix}") from error


def _first_free(bind: str) -> socket.socket:
    for port in range(DEFAULT_PORT, DEFAULT_PORT + TRIES):
        try:
            return _listen(bind, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise SettingsError(_no_address(bind, port, error)) from error
    raise SettingsError(f"ports {DEFAULT_PORT} to {DEFAULT_PORT + TRIES - 1} are all taken; name a free one with --web-port")


def _listen(bind: str, port: int) -> socket.socket:
    return socket.create_server((bind, port), family=socket.AF_INET6 if ":" in bind else socket.AF_INET)


def _no_address(bind: str, port: int, error: OSError) -> str:
    return f"pages cannot be served on {bind} port {port} ({error.strerror}); name another with --web-bind and --web-port"
