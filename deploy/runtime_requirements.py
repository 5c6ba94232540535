"""Print the part of requirements.lock that some packages need: versions and hashes as locked, without the development tools.

``runtime_requirements.py``: what the project imports at run time. ``runtime_requirements.py NAME…``: what these need.
The lock file says behind each entry, after ``# via``, which entries asked for it; that graph is followed.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def normalised(name: str) -> str:
    """The one spelling of a package's name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def entries(lock: str) -> dict[str, str]:
    """Text of each locked package, by name; one locked in several versions for several Pythons has them all."""
    out: dict[str, str] = {}
    for block in re.split(r"\n(?=[A-Za-z0-9])", lock.strip()):
        if name := NAME.match(block):
            key = normalised(name.group())
            out[key] = f"{out[key]}\n{block}" if key in out else block
    return out


def asked_by(entry: str) -> set[str]:
    """Names behind ``# via`` of an entry."""
    comments = re.findall(r"^ *#(?: +via)? +(\S+)", entry, re.MULTILINE)
    return {normalised(name) for name in comments if name != "via"}


def closure(lock: dict[str, str], wanted: set[str]) -> list[str]:
    """The wanted packages and all that they need, in the lock's order; raises KeyError for one that is not locked."""
    found: set[str] = set()
    fresh = {normalised(name) for name in wanted}
    while fresh:
        for name in fresh:
            lock[name]
        found |= fresh
        fresh = {name for name, entry in lock.items() if name not in found and asked_by(entry) & found}
    return [name for name in lock if name in found]


def main(wanted: set[str]) -> None:
    """Print the entries."""
    if not wanted:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        wanted = {NAME.match(text).group() for text in project["dependencies"]}
    lock = entries((ROOT / "requirements.lock").read_text())
    for name in closure(lock, wanted):
        sys.stdout.write(lock[name] + "\n")


if __name__ == "__main__":
    main(set(sys.argv[1:]))
