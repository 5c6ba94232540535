"""Certificates made for a test by openssl: an authority, a server's for 127.0.0.1, and a client's."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

DAYS = "2"


class Certificates(NamedTuple):
    """PEM files. `server` holds key and certificate in one, as Kafka reads them; Redis and clients take them apart."""

    authority: Path
    server: Path
    server_key: Path
    server_certificate: Path
    client_key: Path
    client_certificate: Path
    stranger: Path  # another authority, which has signed nothing of this


def make_certificates(directory: Path, client: str) -> Certificates:
    """All of them, the client's with the common name `client`."""
    authority = _authority(directory, "authority")
    server = _signed(directory, "server", "localhost", authority)
    whole = directory / "server.pem"
    whole.write_text(server[0].read_text() + server[1].read_text())
    return Certificates(
        authority[1], whole, *server, *_signed(directory, "client", client, authority), _authority(directory, "stranger")[1]
    )


def _authority(directory: Path, name: str) -> tuple[Path, Path]:
    key, certificate = directory / f"{name}.key", directory / f"{name}.crt"
    _openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", DAYS, "-subj", f"/CN={name}", "-keyout", key, "-out", certificate)
    return key, certificate


def _signed(directory: Path, name: str, common_name: str, authority: tuple[Path, Path]) -> tuple[Path, Path]:
    key, request, certificate, extra = (directory / f"{name}.{kind}" for kind in ("key", "csr", "crt", "ext"))
    extra.write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    _openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={common_name}", "-keyout", key, "-out", request)
    signer = ("-CAkey", authority[0], "-CA", authority[1], "-CAcreateserial")
    _openssl("x509", "-req", "-in", request, *signer, "-days", DAYS, "-extfile", extra, "-out", certificate)
    return key, certificate


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=60)
