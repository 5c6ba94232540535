"""Health of one service of docker-compose.yml; exit 0 when it works. Imports nothing heavy: it runs every few seconds.

``healthy.py answers PORT PATH``: the page, such as the worker's /ready/ and MLflow's /health, answers with 200.
``healthy.py connected``: this container holds a connection to Kafka (named by STREAMGAUGE_KAFKA).
"""

import os
import re
import sys
import urllib.request
from pathlib import Path

ESTABLISHED = "01"  # column st of /proc/net/tcp, include/net/tcp_states.h
SECONDS = 3  # a page that takes longer is no sign of health


def answers(port: str, path: str) -> bool:
    """Whether the page answers with 200."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{int(port)}{path}", timeout=SECONDS) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def connected() -> bool:
    """Whether a TCP connection to one of Kafka's ports stands."""
    ports = {int(port) for port in re.findall(r":(\d+)", os.environ["STREAMGAUGE_KAFKA"])} or {9092}
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        for line in table.read_text().splitlines()[1:] if table.exists() else []:
            _, _, remote, state, *_ = line.split()
            if state == ESTABLISHED and int(remote.rpartition(":")[2], 16) in ports:
                return True
    return False


if __name__ == "__main__":
    sys.exit(not (answers(*sys.argv[2:]) if sys.argv[1] == "answers" else connected()))
