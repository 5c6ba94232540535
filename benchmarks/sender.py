"""How many records a second one sender delivers to the embedded broker, and what the simulator makes of them.

python -m benchmarks.sender [--records N] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

from contracts.durations import DAY
from contracts.topics import events_topic
from producers.pump_fleet import pump_feed, pump_fleet
from producers.sender import Sender
from producers.simulator import Simulation
from stream_processors.topics import ensure_topics
from streamgauge.local_stack import LocalStack

START = 1_767_225_600_000_000
REPEATS = 3


def main() -> None:
    """Simulate records once, send them three times, print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    scenario = pump_fleet(1, START, START + 2 * DAY)
    next(Simulation(scenario, 1, START, START + DAY).run())  # compiles the kernels
    keys: list[bytes] = []
    values: list[bytes] = []
    began = time.perf_counter()
    for batch in Simulation(scenario, 1, START, START + 30 * DAY).run():
        keys += batch.keys
        values += batch.values
        if len(keys) >= options.records:
            break
    simulated = len(keys) / (time.perf_counter() - began)
    rates, costs, idempotent = [], [], False
    with LocalStack() as stack, Sender(stack.servers.kafka) as sender:
        ensure_topics(pump_feed(), stack.servers.kafka)
        for _ in range(REPEATS):
            wall, cpu = time.perf_counter(), time.process_time()
            sender.send(events_topic(pump_feed()), keys, values)
            sender.flush()
            rates.append(len(keys) / (time.perf_counter() - wall))
            costs.append((time.process_time() - cpu) / len(keys) * 1e6)
        assert (sender.delivered, sender.failed) == (REPEATS * len(keys), 0)
        idempotent = sender.idempotent
    result = {
        "sender": {
            "records": len(keys),
            "bytes_per_value": round(sum(map(len, values)) / len(values), 1),
            "records_per_s": round(statistics.median(rates)),
            "cpu_us_per_record": round(statistics.median(costs), 2),
            "idempotent": idempotent,
        },
        "simulator": {"events_per_s": round(simulated)},
    }
    text = json.dumps(result, indent=2)
    print(text)
    if options.json:
        options.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
