"""Bytes from one buffer into another, inside of kernels."""

from __future__ import annotations

import numba

from contracts.columns import U8


@numba.njit(cache=True, nogil=True, inline="always")
def copy_bytes(source: U8, start: int, end: int, target: U8, at: int) -> int:
    """Puts source[start:end] into `target` from `at` on; returns the position after it, `at` itself where end ≤ start."""
    for i in range(start, end):
        target[at] = source[i]
        at += 1
    return at
