"""docs/redis-layout.md says what the code does: examples, the reader in plain Python; so do the rights of docs/security.md."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts.definition import Feed, Number
from contracts.errors import Fenced, SettingsError, StateError
from feature_store.checkpoint import Manifest, decode_manifest, describe_part, encode_manifest
from feature_store.feature_plan import feature_names
from feature_store.known_entities import Heard, known_entities
from feature_store.partition_store import PartitionStore
from feature_store.readers import FeatureReader
from feature_store.redis_connection import async_client, sync_client
from feature_store.redis_layout import DIRECTORY_ENTRY, HEADER_BYTES, directory_keys, partition_keys, vector_lifetime_s
from feature_store.served_vector import VectorPacker, definition_word, unpack_vector, vector_columns
from tests.doc_pages import ROOT, blocks
from tests.feature_store.served import FEED, NOW, blobs, serve

PAGE = Path(__file__).parents[2].joinpath("docs", "redis-layout.md").read_text()


def examples(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


VECTOR, ENTRY = (bytes.fromhex(text) for text in examples("hex"))


class _Definition:
    """Stands for a feed whose definition has the example's hash."""

    hash = "0123456789abcdef"


def example_vector(values: list[float]) -> bytes:
    packer = VectorPacker(_Definition(), 2)  # type: ignore[arg-type]
    when = np.array([NOW])
    return packer.pack(np.array([1234]), when, when + 500_000, np.array([2]), np.array([values]))[0]


def test_the_page_shows_the_bytes_of_a_vector() -> None:
    """The worked example is what is packed, and is read back to the numbers in the text."""
    assert example_vector([21.5, np.nan, -3.0]) == VECTOR
    read = unpack_vector(VECTOR)
    assert read[:7] == (2, 1234, NOW, NOW + 500_000, 2, 2, "0123456789abcdef")
    np.testing.assert_array_equal(read.values, [21.5, np.nan, -3.0])


def test_every_nan_is_packed_as_the_same_bytes() -> None:
    """Sign and payload of a NaN, in which processors differ, do not reach the bytes."""
    odd = np.array([0xFFF8000000000123], np.uint64).view(np.float64)[0]
    assert example_vector([21.5, odd, -3.0]) == VECTOR


def test_the_page_shows_the_bytes_of_a_directory_entry() -> None:
    """The worked example is what the writer packs."""
    assert DIRECTORY_ENTRY.pack(3, 2, NOW) == ENTRY


def test_the_page_shows_the_bytes_of_a_manifest() -> None:
    """The worked example is what is encoded, and decodes to the same manifest."""
    manifest = Manifest(
        generation=2,
        offset=1235,
        definition="0123456789abcdef",
        fold_version=1,
        epoch=9,
        counters={"read": 1235},
        output_ends={("pumps.scores", 0): 1235},
        chunks={"partition": [describe_part("9-1-0", b"state")]},
    )
    text = examples("text")[0].strip().encode()
    assert encode_manifest(manifest) == text
    assert decode_manifest(text) == manifest


def test_any_changed_byte_of_a_manifest_is_noticed() -> None:
    """Each single flipped bit, and a cut, raises StateError."""
    text = examples("text")[0].strip().encode()
    for at in range(len(text)):
        changed = bytearray(text)
        changed[at] ^= 1
        with pytest.raises(StateError):
            decode_manifest(bytes(changed))
    with pytest.raises(StateError):
        decode_manifest(text[:-1])


def test_the_page_names_every_key() -> None:
    """Each key of the code stands in the table."""
    for key in (*partition_keys("pumps", 0), *directory_keys("pumps")):
        assert f"`{key.decode()}" in PAGE
    assert "`sg:{pumps:evidence}:" in PAGE
    assert HEADER_BYTES == 48


def test_the_reader_on_the_page_reads_what_a_worker_serves(redis_url: str) -> None:
    """The fifteen lines in plain Python give the values of our own reader."""

    async def fill() -> None:
        client = await async_client(redis_url)
        await serve(client, 3, 1, ["pümp"], blobs([8], value=0.25, partial=1))
        await client.aclose()

    asyncio.run(fill())
    names: dict[str, Any] = {}
    exec(examples("python")[0], names)  # the page's own code
    with sync_client(redis_url) as client:
        found = names["read"](client, "pumps", "pümp")
        assert found == {"offset": 8, "event_time": NOW, "definition": FEED.hash, "partial": 1, "values": (0.25, 0.25, 0.25)}
        assert names["read"](client, "pumps", "nobody") is None
        client.set("sg:{pumps:3}:generation", 2)
        assert names["read"](client, "pumps", "pümp") is None


def test_the_rights_on_the_page_are_enough_and_no_more(redis_url: str) -> None:
    """A worker and a reader with these ACL rights do all they need; a reader cannot write, and the error says what to do."""
    admin = sync_client(redis_url)
    for line in blocks(ROOT / "docs/security.md", "text")[0].text.strip().splitlines():
        admin.execute_command(*line.split())
    worker_url, reader_url = (f"unix://{who}:PASSWORD@{redis_url.removeprefix('unix://')}" for who in ("worker", "reader"))

    async def work(url: str) -> None:
        client = await async_client(url, holds_state="worker" in url)
        try:
            await serve(client, 0, 1, ["a"], blobs([8]))
            store = PartitionStore(client, "pumps", 0)
            for epoch in (2, 3):
                await store.restore(await store.take(epoch))
                for i in range(3):
                    assert (
                        await store.checkpoint(Manifest(generation=1, offset=i, definition="", fold_version=1, epoch=1), {"a": b"%d" % i})
                    ).written
            with pytest.raises(Fenced):
                await store.take(1)
        finally:
            await client.aclose()

    try:
        asyncio.run(work(worker_url))
        with FeatureReader(reader_url, FEED) as reader:
            assert reader.read(["a"]).offset.tolist() == [8]
        assert known_entities(reader_url, FEED) == {"a": Heard(NOW, NOW)}
        with pytest.raises(SettingsError, match=r"lacks a right.*docs/security.md"):
            asyncio.run(work(reader_url))
        with pytest.raises(SettingsError, match=r"refused the credentials"):
            sync_client(reader_url.replace("PASSWORD", "wrong"))
    finally:
        admin.execute_command("ACL", "DELUSER", "worker", "operator", "reader")
        admin.close()


def test_vectors_are_decoded_as_columns_like_one_by_one() -> None:
    """The columnar decoder gives what `unpack_vector` gives, and marks what is absent, foreign or cut."""
    good = blobs([1, 2], value=0.5)
    dimension = len(feature_names(FEED))
    columns = vector_columns([good[0], None, b"SG", good[1], bytes(len(good[0]))], definition_word(FEED.hash), dimension)
    assert columns.readable.tolist() == [True, False, False, True, False]
    assert columns.foreign.tolist() == [False, False, True, False, True]
    for row, blob in ((0, good[0]), (3, good[1])):
        one = unpack_vector(blob)
        assert (columns.offset[row], columns.event_time[row], columns.kafka_time[row]) == (one.offset, one.event_time, one.kafka_time)
        assert columns.values[row].tolist() == one.values.tolist()
    assert np.isnan(columns.values[[1, 2, 4]]).all()


@pytest.mark.parametrize("damaged", [b"", b"XX" + VECTOR[2:], VECTOR[:2] + b"\x02" + VECTOR[3:], VECTOR[:-1], VECTOR + b"\0"])
def test_bytes_that_are_no_vector_are_refused(damaged: bytes) -> None:
    """Another magic, another layout, or another length than the header says raises StateError."""
    with pytest.raises(StateError):
        unpack_vector(damaged)


def test_too_many_values_are_refused_not_wrapped() -> None:
    """The header counts to 65,535; one more is an error, not a small number."""
    with pytest.raises(StateError, match="65535"):
        example_vector([0.0] * 65_536)


def test_a_vector_lives_at_least_as_long_as_the_definition_looks_back() -> None:
    """A week, or twice the longest window or age that the definition names."""
    fields = [Number("level")]
    assert vector_lifetime_s(FEED) == 7 * 86_400
    assert vector_lifetime_s(Feed("water", entity="e", time="t", fields=fields, windows=["30d"])) == 60 * 86_400
    assert vector_lifetime_s(Feed("water", entity="e", time="t", fields=fields, max_age="10d")) == 20 * 86_400
