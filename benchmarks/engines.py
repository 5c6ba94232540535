"""The engines side by side: how each is started, what its row leaves out, and one round of it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.job import bench_feed
from benchmarks.peers import environments, kafka_streams
from benchmarks.processes import Rate, Sample, WarmUp, rate
from benchmarks.servers import BenchServers, client_core
from stream_processors.topics import ensure_topics
from streamgauge.local_stack import Child, free_port

ROOT = Path(__file__).parents[1]
PEERS = Path(__file__).parent / "peers"
LOOK_SECONDS = 0.1  # between two looks; processor times have 10 ms steps
GRACE_SECONDS = 15.0  # to leave the group: a member that is killed holds nobody up, since each round has a group of its own
FIRST_SECONDS = 120.0  # to the first event: some 5 s; the rest is for a machine shared with other work
WARM_SECONDS = 300.0  # to the end of the warm-up: some 25 s where it is long
PATIENCE = 1.5  # on a machine of its own a client is busy all the time
MAY_BE_CUT = 0.995  # of the events: beyond, the last batches of four partitions end one after the other


class Engine(NamedTuple):
    """How a client is started, and what its row says of it."""

    name: str
    title: str
    left_out: str  # in its favour
    command: Callable[[Path, str], tuple[Sequence[str], Mapping[str, str]]]  # (directory, run) -> command, environment
    warm_up: WarmUp
    counts_closed_windows: bool = False


def _script(name: str, python: Callable[[], Path], **environment: str) -> Callable[[Path, str], tuple[Sequence[str], Mapping[str, str]]]:
    return lambda _directory, _run: ([str(python()), str(PEERS / f"{name}_app.py")], environment)


def _streamgauge(log_vectors: str) -> Callable[[Path, str], tuple[Sequence[str], Mapping[str, str]]]:
    def command(directory: Path, run: str) -> tuple[Sequence[str], Mapping[str, str]]:
        plant = directory / "plant.py"
        plant.write_text(f'from benchmarks.job import bench_feed\n\nfeed = bench_feed("{run}", "{EVENTS}", "{log_vectors}")\n')
        arguments = ["-m", "streamgauge", "worker", str(plant), "--web-port", str(free_port())]
        return [sys.executable, *arguments], {"PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}

    return command


def _with_archive(directory: Path, run: str) -> tuple[Sequence[str], Mapping[str, str]]:
    _, environment = _streamgauge("all")(directory, run)
    arguments = ["-m", "benchmarks.with_archive", str(directory / "plant.py"), str(free_port()), str(directory / "history")]
    return [sys.executable, *arguments], environment


EVENTS = "bench.events"
NO_DRIFT = "drift statistics"
STARTED = WarmUp(3.0)
COMPILED = WarmUp(20.0)  # seen to fall from 130 to 20 µs an event in these: the JVM compiles what is hot, bit by bit
CLOSING = WarmUp(3.0, 150_000)  # events: windows begin to close 90 s of event time after the first
ENGINES = (
    Engine(
        "streamgauge", "streamgauge worker, exactly once", "nothing: each score record bears its vector, too", _streamgauge("all"), STARTED
    ),
    Engine(
        "faust",
        "Faust: agent, hopping table, river",
        f"{NO_DRIFT}; Redis once in 100 ms, the newest vectors only",
        _script("faust", lambda: Path(sys.executable)),
        STARTED,
    ),
    Engine(
        "quix",
        "Quix Streams: hopping window, river",
        f"{NO_DRIFT}; Redis at checkpoints of 5 s",
        _script("quix", lambda: environments.python_of("quix")),
        STARTED,
    ),
    Engine(
        "bytewax",
        "Bytewax: sliding window, river",
        f"{NO_DRIFT}; vector and score for each closed window, a tenth as many as events; no recovery",
        _script("bytewax", lambda: environments.python_of("bytewax")),
        CLOSING,
        counts_closed_windows=True,
    ),
    Engine(
        "kafka_streams",
        "Kafka Streams, at least once: hopping window in memory, trees in Java",
        f"{NO_DRIFT}; the changelog sees one update of many; Redis once in 100 ms",
        kafka_streams.command("at_least_once"),
        COMPILED,
    ),
)
MORE_ENGINES = (
    Engine(
        "bytewax_by_hand",
        "Bytewax: tiles by hand in a stateful map, river",
        f"{NO_DRIFT}; no recovery",
        _script("bytewax", lambda: environments.python_of("bytewax"), BENCH_STATE="by-hand"),
        STARTED,
    ),
    Engine(
        "kafka_streams_eos",
        "Kafka Streams, exactly_once_v2: the same",
        f"{NO_DRIFT}; Redis once in 100 ms, whatever is committed",
        kafka_streams.command("exactly_once_v2"),
        COMPILED,
    ),
    Engine("streamgauge_archive", "streamgauge worker and archive", "nothing: Parquet history, too", _with_archive, STARTED),
    Engine(
        "streamgauge_no_vectors", 'streamgauge worker, log_vectors="none"', "the vector in the score record", _streamgauge("none"), STARTED
    ),
)


def run_round(engine: Engine, servers: BenchServers, number: int, total: int, seconds: float) -> Rate:
    """Starts an engine anew on all events and measures it for so long, or until the events are through.

    Raises:
        RuntimeError: it ended, or nothing came through; its last words are in the message.
    """
    run = f"{engine.name.replace('_', '-')}-{number}"
    directory = servers.directory / run
    directory.mkdir()
    scores = f"{run}.scores"
    if engine.name.startswith("streamgauge"):
        ensure_topics(bench_feed(run, EVENTS), servers.servers.kafka)
    else:
        servers.make_topic(scores)
    command, environment = engine.command(directory, run)
    environment = dict(environment) | servers.servers.environment | peer_environment(servers, directory, run, scores)
    child = Child(run, ["taskset", "-c", str(client_core()), *command], directory, GRACE_SECONDS, environment, directory)

    def done() -> int:
        return progress(directory) if engine.counts_closed_windows else servers.records(scores)

    try:
        samples = watch(child, servers, done, total, engine.warm_up, seconds)
        return rate(samples, engine.warm_up, int(total * MAY_BE_CUT))
    except (RuntimeError, ValueError) as error:
        raise RuntimeError(f"{engine.title}: {error}\n{child.log_tail()[-2000:]}") from error
    finally:
        child.stop()
        servers.clear(run)


def watch(child: Child, servers: BenchServers, done: Callable[[], int], total: int, warm_up: WarmUp, seconds: float) -> list[Sample]:
    """Looks at a client until it has used `seconds` of processor time beyond its warm-up, or is through with all.

    A client that waits more than it works is looked at for PATIENCE times as long by the clock.
    """
    samples: list[Sample] = []
    begun, warm = time.monotonic(), None
    while True:
        if child.poll() is not None:
            raise RuntimeError("it ended by itself")
        count, now = done(), time.monotonic()
        if count:
            samples.append(servers.sample(now, count, child.pid))
            warm = warm or (samples[-1] if warm_up.over(samples[0], samples[-1]) else None)
        if warm is None and now - begun > (WARM_SECONDS if count else FIRST_SECONDS):
            raise RuntimeError(f"not warm after {now - begun:.0f} s: {count:,} events are through")
        if count >= total or (warm and (samples[-1].client - warm.client > seconds or now - warm.at > PATIENCE * seconds)):
            return samples
        time.sleep(LOOK_SECONDS)


def peer_environment(servers: BenchServers, directory: Path, run: str, scores: str) -> dict[str, str]:
    """What benchmarks/peers/setting.py and GaugeJob.java read."""
    return {
        "BENCH_KAFKA": servers.servers.kafka.servers[0],
        "BENCH_REDIS_PORT": str(servers.redis_port),
        "BENCH_EVENTS": EVENTS,
        "BENCH_SCORES": scores,
        "BENCH_RUN": run,
        "BENCH_DIRECTORY": str(directory),
    }


def progress(directory: Path) -> int:
    """Events that a peer says it has read."""
    path = directory / "progress"
    return int.from_bytes(path.read_bytes()[:8], "little") if path.exists() else 0


def versions() -> dict[str, str]:
    """Versions of the peers, from what pins them."""
    pinned: dict[str, str] = {}
    for name, package in (("quix", "quixstreams"), ("bytewax", "bytewax"), ("feast", "feast")):
        path = PEERS / "requirements" / f"{name}.txt"
        lines = path.read_text().splitlines() if path.exists() else []
        pinned[package] = next((line.partition("==")[2] for line in lines if line.startswith(f"{package}==")), "")
    java = subprocess.run(["java", "-version"], capture_output=True, text=True).stderr.splitlines()
    return pinned | {"java": java[0] if java else "", "kafka_streams": kafka_streams.version()}
