"""A random generator for each part of a simulation, so that adding a part leaves the numbers of the others alone."""

from __future__ import annotations

import hashlib

import numpy as np


def part_generator(seed: int, part: str) -> np.random.Generator:
    """The PCG64 generator of the part named `part` under `seed` (0 or more)."""
    words = np.frombuffer(hashlib.sha256(part.encode()).digest(), np.uint32)
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, *words.tolist()])))
