"""A column of texts of which many are the same: each distinct one once, and a code a row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from producers.signals import I64

Objects = NDArray[np.object_]


class CodedTexts(Sequence[str]):
    """n texts.

    Args:
        code: (n,) index into `texts`.
        texts: the distinct texts.
    """

    def __init__(self, code: I64, texts: Sequence[str]) -> None:
        self._code = code
        self._texts = texts

    def __len__(self) -> int:
        return len(self._code)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> CodedTexts: ...
    def __getitem__(self, at: int | slice) -> str | CodedTexts:
        return CodedTexts(self._code[at], self._texts) if isinstance(at, slice) else self._texts[int(self._code[at])]

    def __iter__(self) -> Iterator[str]:
        return map(self._texts.__getitem__, self._code.tolist())

    def changed(self, change: Callable[[str], str | None]) -> Objects:
        """(n,) what `change` makes of each text; it is asked once for each distinct one."""
        texts = np.empty(len(self._texts), object)
        texts[:] = list(map(change, self._texts))
        return texts[self._code]
