"""The Kafka Streams peer: jars out of Maven Central and compiled sources, kept in the cache folder."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.peers.environments import CACHE, digest

HERE = Path(__file__).parent
POM = HERE / "pom.xml"
FETCH_SECONDS = 600  # RocksDB's jar alone has 60 MB
# heap and collector as one core wants them; a larger heap than used and no resizing while it is measured
JAVA = ("-Xms1g", "-Xmx1g", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")


def classpath() -> str:
    """Jars and compiled classes; made at the first call.

    Raises:
        RuntimeError: Maven or javac failed; their words are in the message.
    """
    sources = sorted(HERE.glob("*.java"))
    home = CACHE / f"kafka_streams-{digest([POM, *sources])}"
    kept = home / "classpath"
    if not kept.exists():
        classes = home / "classes"
        classes.mkdir(parents=True, exist_ok=True)
        jars = home / "jars"
        _run(["mvn", "-B", "-q", "-f", str(POM), "dependency:build-classpath", f"-Dmdep.outputFile={jars}"])
        _run(["javac", "-cp", jars.read_text().strip(), "-d", str(classes), *map(str, sources)])
        kept.write_text(f"{classes}:{jars.read_text().strip()}")
    return kept.read_text()


def command(guarantee: str) -> Callable[[Path, str], tuple[Sequence[str], Mapping[str, str]]]:
    """How the job is started under a processing guarantee of Kafka Streams."""
    return lambda _directory, _run: (["java", *JAVA, "-cp", classpath(), "GaugeJob"], {"BENCH_GUARANTEE": guarantee})


def version() -> str:
    """Of Kafka Streams, as pinned."""
    found = re.search(r"kafka-streams</artifactId>\s*<version>([^<]+)", POM.read_text())
    return found[1] if found else ""


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_SECONDS)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
