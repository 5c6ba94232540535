"""Which sources name the directory of compiled kernels."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.kernel_cache import _sources_hash

KERNELS = {
    "contracts/decorated.py": "@kernel()\ndef f(x): return x",
    "stream_processors/compiled.py": "from online_model.imported import CONSTANT\n@numba.njit(cache=True)\ndef f(x): return x",
    "online_model/imported.py": "CONSTANT = 1",
}
PLAIN = "training/plain.py"


@pytest.mark.parametrize("changed", [*KERNELS, PLAIN])
def test_a_changed_kernel_is_compiled_anew(tmp_path: Path, changed: str) -> None:
    """A file with kernels, however they are declared, and one that they import give another directory; any other file does not."""
    for name, source in (KERNELS | {PLAIN: "VALUE = 1"}).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(source)
    before = _sources_hash(tmp_path)
    (tmp_path / changed).write_text((tmp_path / changed).read_text() + "  # changed")
    assert (_sources_hash(tmp_path) == before) == (changed == PLAIN)
