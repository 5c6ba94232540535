"""The note that says whether kernels are compiled already."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.kernel_cache import VARIABLE
from streamgauge.compiled import is_compiled, note_compiled


def test_kernels_are_compiled_for_one_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was compiled for one kind of processor says nothing of another, nor do other sources' kernels."""
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert not is_compiled()
    note_compiled()
    assert is_compiled()
    monkeypatch.setenv("NUMBA_CPU_NAME", "another")
    assert not is_compiled()
    monkeypatch.delenv("NUMBA_CPU_NAME")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "other-sources"))
    assert not is_compiled()


def test_a_cache_that_takes_no_note_keeps_no_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker without a cache compiles at each start; it must not fail at the note."""
    (tmp_path / "file").touch()
    monkeypatch.setenv(VARIABLE, str(tmp_path / "file"))
    note_compiled()
    assert not is_compiled()
