"""Full copies: what was written comes back or is refused, the newest are kept, damaged ones are passed over."""

from __future__ import annotations

import random
import shutil
import uuid
from pathlib import Path

import msgspec
import pytest

from contracts.errors import HistoryError, StateError
from contracts.records import Switch
from feature_store.checkpoint import Manifest
from feature_store.full_copies import KEPT, FullCopies, decode_copy, encode_copy

CHUNKS = {"rows-000000": random.Random(1).randbytes(3_000), "partition": b"\0" * 5_000, "model": b""}


def generation(number: int = 1, **more: object) -> Switch:
    given = {"topic_id": "id-1", "definition": "0123456789abcdef", "fold_version": 1, "from_offset": 40, "epoch": 3}
    return Switch(kind="generation", log="pumps.events", partition=0, generation=number, **(given | more))


def manifest(offset: int, number: int = 1, start: int = 40) -> Manifest:
    return Manifest(
        generation=number,
        offset=offset,
        definition="0123456789abcdef",
        fold_version=1,
        epoch=5,
        counters={"read": offset - start, "gaps": 0, "start_offset": start},
        output_ends={("pumps.scores", 0): 17},
    )


def copies(url: Path | str, begun: Switch | None = None) -> FullCopies:
    return FullCopies(str(url), "pumps", begun or generation())


def test_a_copy_is_read_back_whole() -> None:
    """Manifest and chunks come back equal, and the same ones give the same bytes whatever order they are handed over in."""
    data = encode_copy(manifest(100), CHUNKS)
    copy = decode_copy(data)
    assert copy.chunks == CHUNKS
    assert msgspec.structs.replace(copy.manifest, chunks={}) == manifest(100)
    assert encode_copy(manifest(100), dict(reversed(CHUNKS.items()))) == data
    assert len(data) < 4_000 < sum(map(len, CHUNKS.values())), "zeros are packed"


def test_a_copy_cut_short_is_refused() -> None:
    """Whatever a crash, a full disk or a network leaves of a file, it is not taken for a state."""
    data = encode_copy(manifest(100), CHUNKS)
    for length in range(len(data)):
        with pytest.raises(StateError):
            decode_copy(data[:length])


def test_a_changed_byte_is_noticed() -> None:
    """A flipped bit anywhere either changes nothing that is read back or is refused."""
    data, chance = encode_copy(manifest(100), CHUNKS), random.Random(7)
    refused = 0
    for at in [*range(40), *chance.sample(range(len(data)), 600)]:
        damaged = bytearray(data)
        damaged[at] ^= 1 << chance.randrange(8)
        try:
            assert decode_copy(bytes(damaged)).chunks == CHUNKS
        except StateError:
            refused += 1
    assert refused > 600


@pytest.mark.parametrize("kind", ["directory", "memory"])
def test_the_newest_are_kept(tmp_path: Path, kind: str) -> None:
    """Older copies, those of lower generations and what a killed writer left are taken away; other logs' are not touched."""
    url = str(tmp_path) if kind == "directory" else f"memory://{uuid.uuid4()}"
    other = copies(url, generation(topic_id="id-2"))
    other.write(manifest(9_900), CHUNKS)
    before = copies(url, generation(1))
    before.write(manifest(700), CHUNKS)
    now = copies(url, generation(2))
    now.write(manifest(100, 2), CHUNKS)
    if kind == "directory":
        part = next(tmp_path.rglob("*100.checkpoint")).with_name(".000000000150.checkpoint.123.part")
        part.write_bytes(b"half")
    for offset in (200, 300, 400, 500):
        now.write(manifest(offset, 2), CHUNKS)
    assert now.offsets() == [300, 400, 500]
    assert len(now.offsets()) == KEPT
    assert before.offsets() == []
    assert other.offsets() == [9_900]
    assert kind == "memory" or not part.exists()


def test_damaged_copies_are_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The newest that can be used is taken, the oldest likewise; both lie where the log still goes on, and it is said what was not used."""
    found = copies(tmp_path)
    assert found.newest(0) is None
    for offset in (100, 200, 300):
        found.write(manifest(offset), CHUNKS)
    path = next(tmp_path.rglob("*300.checkpoint"))
    path.write_bytes(path.read_bytes()[:-1])
    newest, oldest = found.newest(100), found.oldest(101)
    assert newest and oldest
    assert (newest.manifest.offset, oldest.manifest.offset) == (200, 200)
    assert newest.chunks == CHUNKS
    assert "000000000300.checkpoint: the file is cut short" in caplog.text
    assert found.newest(201) is None
    next(tmp_path.rglob("*200.checkpoint")).unlink()
    next(tmp_path.rglob("*100.checkpoint")).rename(tmp_path / next(tmp_path.rglob("*100.checkpoint")).with_name("000000000250.checkpoint"))
    assert found.newest(0) is None, "a copy under another offset's name"


@pytest.mark.parametrize("changed", [{"definition": "f" * 16}, {"fold_version": 2}, {"from_offset": 0}])
def test_the_copy_of_another_generation_is_refused(tmp_path: Path, changed: dict[str, object]) -> None:
    """Under the right name but of a generation that began otherwise (`switches` was lost and written anew), it is not used."""
    copies(tmp_path).write(manifest(100), CHUNKS)
    assert copies(tmp_path).newest(0) is not None
    assert copies(tmp_path, generation(**changed)).newest(0) is None


def test_a_history_that_cannot_be_reached_is_an_error(tmp_path: Path) -> None:
    """It is not taken for one without copies: a generation would begin anew where a state is kept."""
    copies(tmp_path).write(manifest(100), CHUNKS)
    path = next(tmp_path.rglob("*.checkpoint"))
    path.unlink()
    path.mkdir()
    with pytest.raises(HistoryError, match="see to it that the history can be reached"):
        copies(tmp_path).read(100)
    loop = path.parent.parent
    shutil.rmtree(loop)
    loop.symlink_to(loop)
    with pytest.raises(HistoryError, match="cannot be listed"):
        copies(tmp_path).newest(0)
