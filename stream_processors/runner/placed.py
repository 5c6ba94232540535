"""Which models a place's newest switch has put in place."""

from __future__ import annotations

from typing import NamedTuple

from contracts.records import Rollout


class Placed(NamedTuple):
    """What that switch says."""

    from_offset: int = 0
    version: str | None = None
    challenger: str | None = None
    share: float = 0.0

    def shows(self, rollout: Rollout) -> bool:
        """Whether nothing would change."""
        return (self.version, self.challenger, self.share) == (rollout.champion, rollout.challenger, rollout.share)
