"""Whether `warm_up` has compiled these sources' kernels for this processor before: a note beside them says so.

The cache alone does not tell without numba, whose import takes as long as a broker takes to hear of a new worker.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from contracts.kernel_cache import VARIABLE

COMPILERS = ("numba", "llvmlite")
TARGET = ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_OPT")  # of the code; numba keeps each apart
PROCESSOR = ("model name", "flags", "Features", "CPU part")  # lines of Linux's /proc/cpuinfo


def is_compiled() -> bool:
    """False where nothing is known: then it is found out by compiling."""
    return _note().exists()


def note_compiled() -> None:
    """Leaves the note; a directory that takes none keeps no kernels either."""
    with contextlib.suppress(OSError):
        _note().touch()


def _note() -> Path:
    return Path(os.environ[VARIABLE]) / f"compiled-{_target_hash()}"


def _target_hash() -> str:
    compilers = [f"{name} {_version(name)}" for name in COMPILERS]
    target = [f"{name}={os.environ.get(name, '')}" for name in TARGET]
    text = "\n".join([sys.version, platform.machine(), *compilers, *target, *_processor()])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _processor() -> list[str]:
    """What tells processors of one kind from others."""
    try:
        first, _, _ = Path("/proc/cpuinfo").read_text().partition("\n\n")
    except OSError:
        return [platform.processor()]
    return [line for line in first.splitlines() if line.startswith(PROCESSOR)]
