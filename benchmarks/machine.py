"""What a measurement was made with."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version


def versions() -> dict[str, object]:
    """Versions of what decides the figures, and how many cores there are."""
    names = ("numpy", "numba", "scipy", "pandas", "river")
    return {name: version(name) for name in names} | {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count() or 1,
    }
