"""The bytes of a fixed small stream, on this processor, without FMA and AVX2, and on a generic one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stream_processors.stream_fold.fold import FOLD_VERSION
from tests.stream_processors.stream_fold.golden import FEED, GOLDEN, digests, golden_log, libm_digest
from tests.stream_processors.stream_fold.streams import fold_in_cuts

# Names of glibc from 2.33 on, then those before; what a version does not know it passes over.
NO_FMA = "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX512F,-AVX2_Usable,-FMA_Usable,-FMA4_Usable,-AVX512F_Usable"
MODULE = "tests.stream_processors.stream_fold.golden"


def in_a_process(**environment: str) -> dict[str, object]:
    """What the module prints under other variables."""
    done = subprocess.run(
        [sys.executable, "-m", MODULE], env=os.environ | environment, capture_output=True, text=True, check=False, timeout=400
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def test_the_golden_stream_reaches_everything():
    """Evictions, every outcome, impossible values, evidence of several sources, with what ADWIN found, and alerts are in the digests."""
    folded = fold_in_cuts(FEED, golden_log(), [])
    names = ("folded", "duplicate", "late", "dead_lettered", "out_of_order", "impossible", "evicted")
    assert min(folded.counters[name] for name in names) > 10, folded.counters
    sources = {json.loads(item.value).get("source") for item in folded.records["evidence"]}
    assert len(sources) >= 3, sources
    assert any(json.loads(item.value).get("adwin") for item in folded.records["evidence"])
    assert "records alerts" in digests()


def test_the_bytes_are_those_put_down():
    """A change of any output byte fails here until it is put down on purpose, with a raised FOLD_VERSION."""
    golden = json.loads(GOLDEN.read_text())
    assert digests() == golden["digests"], f"bytes have changed; if on purpose, raise FOLD_VERSION and run: python -m {MODULE} --write"
    assert golden["fold version"] == FOLD_VERSION


def test_the_bytes_do_not_come_from_libm():
    """With glibc's FMA and AVX2 paths hidden its exp and sin differ in last bits, and the digests do not."""
    found = in_a_process(GLIBC_TUNABLES=NO_FMA)
    assert found["digests"] == digests()
    if " fma " in Path("/proc/cpuinfo").read_text():
        assert found["libm"] != libm_digest(), "glibc has hidden nothing: the comparison above says nothing"


@pytest.mark.slow
def test_the_bytes_do_not_come_from_the_processor():
    """Kernels compiled for a generic processor, numpy without its vector paths and glibc without FMA give the same bytes."""
    found = in_a_process(
        NUMBA_CPU_NAME="generic",
        NUMBA_CPU_FEATURES="",
        NPY_DISABLE_CPU_FEATURES="X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
        GLIBC_TUNABLES=NO_FMA,
    )
    assert found["digests"] == digests()
