"""Starts a command of streamgauge with blows armed, mechanisms turned off and versions raised.

``python -m tests.storm.worker_process '{"kill": "flipped", "passing": 3}' worker plant.py …``
"""

from __future__ import annotations

import json
import signal
import sys

from streamgauge.command_line import main
from tests.storm.mechanisms import newer_fold, slow_script, turn_off
from tests.storm.seams import arm


def prepared(orders: dict[str, object]) -> None:
    """Wraps what the orders name."""
    for name in orders.get("without", []):  # type: ignore[attr-defined]
        turn_off(name)
    for name in orders.get("newer", []):  # type: ignore[attr-defined]
        newer_fold(name)
    if seconds := orders.get("slow_script"):
        slow_script(float(str(seconds)))
    if seam := orders.get("seam"):
        number = signal.SIGSTOP if orders.get("stop") else signal.SIGKILL
        arm(str(seam), int(str(orders["passing"])), number, str(orders.get("seed", "")))


if __name__ == "__main__":
    prepared(json.loads(sys.argv[1]))
    sys.argv = ["streamgauge", *sys.argv[2:]]
    main()
