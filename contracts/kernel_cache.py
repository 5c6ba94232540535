"""Where compiled kernels are kept: one directory for each state of the sources.

numba looks only at the file of the function it loads, so after a change to a kernel that it calls it would go on running
the old one. The directory's name is a hash of all sources that hold kernels; nothing stale can be found in it.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

PACKAGES = ("contracts", "producers", "feature_store", "online_model", "stream_processors")
VARIABLE = "NUMBA_CACHE_DIR"
_MARK = "streamgauge-kernels-"


def use_kernel_cache() -> None:
    """Points numba at the directory of these sources; must run before numba is imported. A directory set already is its parent."""
    chosen = os.environ.get(VARIABLE)
    if chosen and _MARK in chosen:
        return  # inherited from a parent process of the same sources
    parent = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "streamgauge"
    os.environ[VARIABLE] = str(parent / f"{_MARK}{_sources_hash()}")


def _sources_hash() -> str:
    digest = hashlib.sha256()
    root = Path(__file__).resolve().parent.parent
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            source = path.read_bytes()
            if b"njit" in source:
                digest.update(str(path.relative_to(root)).encode() + b"\0" + source)
    return digest.hexdigest()[:16]
