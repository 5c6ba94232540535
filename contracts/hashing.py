"""The 64-bit hash that names entities, category values and contents inside the fold. Part of the bytes: never change it."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray


@numba.njit(cache=True, nogil=True)
def mix(value: np.uint64) -> np.uint64:
    """The finaliser of splitmix64 (Steele, Lea & Flood 2014): every input bit moves every output bit."""
    value = np.uint64(value)
    value ^= value >> np.uint64(30)
    value *= np.uint64(0xBF58476D1CE4E5B9)
    value ^= value >> np.uint64(27)
    value *= np.uint64(0x94D049BB133111EB)
    value ^= value >> np.uint64(31)
    return value


@numba.njit(cache=True, nogil=True)
def hash_bytes(buffer: NDArray[np.uint8], start: int, end: int) -> np.uint64:
    """Hash of buffer[start:end]; never 0, which stands for "none"."""
    state = np.uint64(0x9E3779B97F4A7C15) + np.uint64(end - start)
    word = np.uint64(0)
    filled = 0
    for i in range(start, end):
        word |= np.uint64(buffer[i]) << np.uint64(8 * filled)
        filled += 1
        if filled == 8:
            state = mix(state ^ word) + np.uint64(0x9E3779B97F4A7C15)
            word = np.uint64(0)
            filled = 0
    if filled:
        state = mix(state ^ word) + np.uint64(0x9E3779B97F4A7C15)
    state = mix(state)
    return state if state != 0 else np.uint64(1)


def hash_text(text: str) -> int:
    """`hash_bytes` of a string's UTF-8."""
    buffer = np.frombuffer(text.encode(), np.uint8)
    return int(hash_bytes(buffer, 0, len(buffer)))
