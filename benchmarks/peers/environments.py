"""A Python environment for each peer that needs one, made at the first use and kept in a cache folder.

`requirements/<name>.txt` pins every version; an environment is named after that file's content, so a change makes a new one.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "streamgauge" / "peers"
INSTALL_SECONDS = 900  # Feast's 600 MB on a slow line; a hang must not hold the benchmark for ever


def python_of(name: str, say: Callable[[str], None] = print) -> Path:
    """The interpreter of a peer's environment.

    Raises:
        RuntimeError: pip could not install what the requirements name; its last words are in the message.
    """
    requirements = HERE / "requirements" / f"{name}.txt"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    home = CACHE / f"{name}-{version}-{digest([requirements])}"
    python, ready = home / "bin" / "python", home / "ready"
    if ready.exists():
        return python
    say(f"installing {name} into {home}")
    try:
        _run([sys.executable, "-m", "venv", str(home)])
        _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(requirements)])
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise
    ready.touch()
    return python


def digest(files: list[Path]) -> str:
    """A short name for the content of files."""
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:12]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:4])} … failed:\n{done.stdout[-1500:]}{done.stderr[-1500:]}")
