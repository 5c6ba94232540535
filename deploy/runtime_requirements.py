"""Print the part of requirements.lock that some packages need: versions and hashes as locked, without the development tools.

``runtime_requirements.py``: what the project imports at run time. ``runtime_requirements.py --extra EXTRA``: that and what an
extra of pyproject.toml adds. ``runtime_requirements.py NAME…``: what these need.
The lock file says behind each entry, after ``# via``, which entries asked for it; that graph is followed.
"""

import argparse
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


def asked_for(extra: str | None) -> set[str]:
    """Names of the packages that the project itself asks for; raises KeyError for an extra that it has not."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts = project["dependencies"] + (project["optional-dependencies"][extra] if extra else [])
    return {NAME.match(text).group() for text in texts}


def main() -> None:
    """Print the entries."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--extra")
    options = parser.parse_args()
    lock = entries((ROOT / "requirements.lock").read_text())
    for name in closure(lock, set(options.names) or asked_for(options.extra)):
        sys.stdout.write(lock[name] + "\n")


if __name__ == "__main__":
    main()
