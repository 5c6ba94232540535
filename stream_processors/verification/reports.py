"""What a verification of one place comes to."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

Say = Callable[[str, int, int], None]  # (place, offsets folded, offsets in all)


class PlaceReport(NamedTuple):
    """What was compared of one place."""

    place: str
    generation: int
    first: int  # source offsets first ≤ offset < end were folded again
    end: int
    compared: dict[str, int]
    differences: list[str]
    tally: dict[str, dict[str, int]]  # of each output: lost, changed, extra, repeated; of files, state and examples: changed
    from_copy: bool = False  # not from the generation's birth, but from a full copy of the state before `first`
