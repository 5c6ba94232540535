"""Bytes from one buffer into another, inside of kernels."""

from __future__ import annotations

from typing import Any

from numba.core import cgutils, types
from numba.extending import intrinsic

from contracts.columns import U8
from contracts.kernel import kernel


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def _copy(context: Any, target: Any, at: Any, source: Any, start: Any, size: Any) -> Any:
    """memcpy: numba's own loop over bytes looks at each index anew, and is not taken for a copy."""

    def generated(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        to, begin = (context.make_array(signature.args[i])(context, builder, args[i]).data for i in (0, 2))
        cgutils.raw_memcpy(builder, builder.gep(to, [args[1]]), builder.gep(begin, [args[3]]), args[4], 1)  # type: ignore[no-untyped-call]
        return context.get_dummy_value()

    return types.void(target, types.intp, source, types.intp, types.intp), generated


@kernel(inlined=True)
def copy_bytes(source: U8, start: int, end: int, target: U8, at: int) -> int:
    """Puts source[start:end] into `target` from `at` on; returns the position after it, `at` itself where end ≤ start."""
    if end <= start:
        return at
    _copy(target, at, source, start, end - start)  # type: ignore[call-arg]
    return at + end - start
