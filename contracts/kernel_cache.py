"""Where compiled kernels are kept: one directory for each state of the sources.

numba looks only at the file of the function it loads, so after a change to a kernel that it calls, or to a constant that
it uses, it would go on running the old one. The directory's name is a hash of every source that holds kernels and of all
that those import; nothing stale can be found in it.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

PACKAGES = ("contracts", "producers", "feature_store", "online_model", "training", "stream_processors")
VARIABLE = "NUMBA_CACHE_DIR"
_MARK = "streamgauge-kernels-"
_IMPORT = re.compile(rf"^(?:from|import) +((?:{'|'.join(PACKAGES)})[\w.]*)(?: +import +([^\n]*))?", re.MULTILINE)


def use_kernel_cache() -> None:
    """Points numba at the directory of these sources; must run before numba is imported. A directory set already is its parent."""
    chosen = os.environ.get(VARIABLE)
    if chosen and _MARK in chosen:
        return  # inherited from a parent process of the same sources
    parent = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "streamgauge"
    os.environ[VARIABLE] = str(parent / f"{_MARK}{_sources_hash(Path(__file__).resolve().parent.parent)}")


def _sources_hash(root: Path) -> str:
    sources = {path: path.read_bytes() for package in PACKAGES for path in (root / package).rglob("*.py")}
    waiting = [path for path, source in sources.items() if b"njit" in source or b"@kernel" in source]
    counted: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path not in counted:
            counted.add(path)
            waiting += [found for found in _imported(root, sources[path].decode()) if found in sources]
    digest = hashlib.sha256()
    for path in sorted(counted):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + sources[path])
    return digest.hexdigest()[:16]


def _imported(root: Path, source: str) -> list[Path]:
    """Files of the project that a source imports, whether it names the module or what is in it."""
    found = []
    for module, names in _IMPORT.findall(source):
        place = root / module.replace(".", "/")
        found += [place.with_suffix(".py"), place / "__init__.py"]
        found += [place / f"{name.strip().split(' ')[0]}.py" for name in names.strip("() ").split(",")]
    return found
