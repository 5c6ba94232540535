"""What the runner needs of a fold, and what a fold hands out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from contracts.columns import RawBatch
from online_model.placement import Placement


class OutRecord(NamedTuple):
    """One record for a topic, complete: these bytes are what a replay compares."""

    offset: int  # of the source record; with the topic and `n` it is the record's id
    n: int
    partition: int
    key: bytes | None
    value: bytes
    headers: Sequence[tuple[str, bytes]] = ()


class Outputs(NamedTuple):
    """What a batch came to. `records` by topic kind, each in the order of ids; `served` newest vectors by entity."""

    records: Mapping[str, Sequence[OutRecord]] = MappingProxyType({})
    entities: Sequence[bytes] = ()
    vectors: Sequence[bytes] = ()
    created: Sequence[tuple[bytes, int]] = ()  # (entity, event time) of entities that the directory does not know yet


def joined(first: Outputs, then: Outputs) -> Outputs:
    """The outputs of two consecutive batches, as one batch would have given them but for values served twice."""
    kinds = dict.fromkeys([*first.records, *then.records])
    records = {kind: [*first.records.get(kind, ()), *then.records.get(kind, ())] for kind in kinds}
    return Outputs(records, [*first.entities, *then.entities], [*first.vectors, *then.vectors], [*first.created, *then.created])


class LogFold(ABC):
    """fold(state, batch) -> state, outputs: a pure function of one partition's log; no I/O, no clock."""

    version: int  # of the fold: outputs of two versions may differ, and verify compares within one

    @abstractmethod
    def fold(self, batch: RawBatch) -> Outputs:
        """Folds consecutive records. How a log is cut into batches changes no byte of the outputs or the state."""

    @abstractmethod
    def changed_chunks(self) -> dict[str, bytes]:
        """Parts of the state that changed since the last call, by name, none above 1 MB."""

    @abstractmethod
    def all_chunks(self) -> dict[str, bytes]:
        """Every part of the state; the next `changed_chunks` hands out what it would have handed out without this."""

    @abstractmethod
    def restore(self, chunks: Mapping[str, bytes]) -> None:
        """Puts back a state from all of its chunks.

        Raises:
            StateError: a chunk is missing or does not fit the definition.
        """

    @abstractmethod
    def counters(self) -> dict[str, int]:
        """folded, duplicate, late, dead_lettered, and whatever else is counted since the generation began."""

    @abstractmethod
    def clock(self) -> tuple[int, float]:
        """(greatest event time folded in µs, −1 before the first; usual step of it in µs)."""

    def forget_handed_out(self) -> None:  # noqa: B027 — a fold that hands out everything each time has nothing to forget
        """Makes the next `changed_chunks` hand out everything."""

    def place_models(self, from_offset: int, placement: Placement) -> None:  # noqa: B027 — most folds predict nothing
        """From the record at `from_offset` on these versions predict. Called in the order of offsets, before that record is folded."""

    def everything_served(self) -> Outputs:
        """All newest vectors and directory entries, for a store that forgot them."""
        return Outputs()
