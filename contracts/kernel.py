"""The decorator of compiled functions that every reading goes through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])


def kernel(error_model: str = "python", allocates: bool = False, inlined: bool = False) -> Callable[[F], F]:
    """Compiled once and kept, with other threads free to run.

    Args:
        error_model: ``numpy`` where a division by zero gives inf or NaN, as in arrays.
        allocates: whether it makes arrays. The others go without numba's reference counts of every array that they touch: with them
            they take a fifth more of a fold's time. They can't return arrays.
        inlined: it becomes a part of its caller: a call hands over every word of every array, and costs more than a short function.
    """
    decorator: Callable[[F], F] = numba.njit(  # type: ignore[call-overload]
        cache=True, nogil=True, error_model=error_model, _nrt=allocates, forceinline=inlined
    )
    return decorator
