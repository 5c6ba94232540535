"""What an older version wrote is read: states go on, or are left for a new generation; what a newer one writes is refused in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from crc32c import crc32c

from contracts.errors import StateError
from contracts.record_reader import RecordReader
from contracts.records import TOPIC_RECORDS
from feature_store.checkpoint import FORMAT, decode_manifest, encode_manifest
from feature_store.full_copies import MAGIC, decode_copy
from stream_processors.stream_fold.fold import FOLD_VERSION, StreamFold
from tests.stream_processors.kept.writer import AT, DIRECTORY, folded_on
from tests.stream_processors.stream_fold.golden import FEED

COPIES = sorted(DIRECTORY.glob("*.checkpoint"))
NEWEST = DIRECTORY / f"fold-{FOLD_VERSION}.checkpoint"


def kept(copy: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in copy.with_suffix(".jsonl").read_text().splitlines()]


def test_the_present_version_has_been_kept() -> None:
    """A raised FOLD_VERSION puts its own files down beside the older ones: python -m tests.stream_processors.kept.writer."""
    assert NEWEST in COPIES


@pytest.mark.parametrize("copy", COPIES, ids=lambda path: path.stem)
def test_a_kept_checkpoint_is_read(copy: Path) -> None:
    """Its manifest says of which version and definition it is, which is what a worker decides by; every chunk is whole."""
    found = decode_copy(copy.read_bytes())
    assert (found.manifest.offset, found.manifest.generation, found.manifest.definition) == (AT, 1, FEED.hash)
    assert f"fold-{found.manifest.fold_version}" == copy.stem
    assert found.manifest.output_ends == {("golden.scores", 0): 1_900, ("golden.evidence", 0): 12}
    assert decode_manifest(encode_manifest(found.manifest)) == found.manifest


def test_a_kept_state_of_this_fold_version_goes_on() -> None:
    """With it the next records give the bytes that the version which wrote it gave, and serve its vectors."""
    fold = StreamFold(FEED, 0, 1)
    fold.restore(decode_copy(NEWEST.read_bytes()).chunks)
    records, vectors = folded_on(fold)
    lines = kept(NEWEST)
    for kind in ("scores", "dead-letters"):
        assert [value.decode() for value in records[kind]] == [line["value"] for line in lines if line["topic"] == kind]
    assert {key.decode(): vector.hex() for key, vector in vectors.items()} == {
        line["entity"]: line["value"] for line in lines if not line["topic"]
    }


@pytest.mark.parametrize("copy", COPIES, ids=lambda path: path.stem)
def test_kept_records_are_read(copy: Path) -> None:
    """One of each kind on every topic is the record that it was: written again it has no value less."""
    records = [line for line in kept(copy) if line["topic"]]
    assert {line["topic"] for line in records} == set(TOPIC_RECORDS)
    for line in records:
        read = RecordReader[Any](TOPIC_RECORDS[line["topic"]]).read(line["value"].encode())
        assert read is not None, line
        assert json.loads(line["value"]).items() <= json.loads(msgspec.json.encode(read)).items()


def test_what_a_newer_version_writes_is_refused_in_words() -> None:
    """A manifest of an unknown format, and a copy of another layout, each with checksums that fit."""
    stored = encode_manifest(decode_copy(NEWEST.read_bytes()).manifest)
    text = stored.partition(b" ")[2].replace(b'"format":%d' % FORMAT, b'"format":%d' % (FORMAT + 1))
    with pytest.raises(StateError, match=rf"format {FORMAT + 1}, this version reads {FORMAT}; use the one that wrote it"):
        decode_manifest(b"%08x %s" % (crc32c(text), text))
    with pytest.raises(StateError, match="no full copy of this version"):
        decode_copy(NEWEST.read_bytes().replace(MAGIC, b"SGCOPY2\n", 1))
