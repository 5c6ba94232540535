"""Which requests are trained, by their times and what came of those before."""

from __future__ import annotations

import pytest

from stream_processors.trainer.policy import LEAST_EXAMPLES, Finished, refusal

DELAY = 600_000_000
BEFORE = [Finished(10 * DELAY, "trained")]


@pytest.mark.parametrize(
    ("event_time", "finished", "outcome"),
    [
        (10 * DELAY, BEFORE, "too_soon"),
        (11 * DELAY - 1, BEFORE, "too_soon"),
        (11 * DELAY, BEFORE, None),
        (10 * DELAY - 1, BEFORE, None),
        (11 * DELAY, [Finished(10 * DELAY, "failed")], "too_soon"),
        (0, [], None),
    ],
)
def test_too_soon_is_said_of_what_follows_within_a_label_delay(event_time: int, finished: list[Finished], outcome: str | None) -> None:
    """Not of an older request, which waited for labels of its change while a younger one was trained without them."""
    refused = refusal(event_time, finished, DELAY, LEAST_EXAMPLES)
    assert (refused[0] if refused else None) == outcome
