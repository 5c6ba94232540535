"""The demo: everything on this machine, with planted faults, and what was found beside what was planted."""
