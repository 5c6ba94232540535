"""Which retrain requests are trained: a function of the requests, their answers and the examples' offsets alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from contracts.ids import parse_id
from contracts.records import Answer

FINAL = ("trained", "in_progress", "too_soon", "too_little", "failed")
TRIED = ("trained", "too_little", "failed")  # outcomes of requests whose data was looked at
MOST_DOUBLINGS = 6  # of the pause after one failure upon another: 64 label delays
MOST_PAUSE = 86_400_000_000  # µs; longer than a day only where labels take longer
LEAST_EXAMPLES = 250  # offsets; fewer cannot leave 200 rows to train on beside those held out
MAX_EXAMPLES = 10_000  # the newest are used: some 10 s of one core at 100 features, 20 MB in memory
MOST_STARTS = 5  # of one request: a training that ends its process each time would else be begun for ever


class Finished(NamedTuple):
    """A request that has been tried."""

    event_time: int  # of the request, µs
    outcome: str


def final_answer(answers: Sequence[Answer]) -> Answer | None:
    """The first answer that is final."""
    return next((answer for answer in answers if answer.outcome in FINAL), None)


def asked_by_learner(request: str) -> bool:
    """Whether the request of this id is the learner's, for a first model.

    It comes once, when there are examples enough, and its clock is that of the labels: days behind the judge's where history is sent.
    Refused as too soon after a request that came before any label, it would leave the feed without a model for good.
    """
    try:
        return parse_id(request).partition == "examples"
    except ValueError:
        return False


def pause_after(finished: Sequence[Finished], label_delay: int) -> int:
    """µs of event time after the last request tried, in which another is too soon: a label delay, twice as long with each failure.

    Before a label delay has passed no label of what came after the last request can have come.
    """
    failures = 0
    while failures < min(len(finished), MOST_DOUBLINGS) and finished[-1 - failures].outcome != "trained":
        failures += 1
    return min(label_delay << failures, max(label_delay, MOST_PAUSE))


def refusal(event_time: int, finished: Sequence[Finished], label_delay: int, examples: int) -> tuple[str, str] | None:
    """(outcome, reason) of a request that is not trained, `finished` being those tried before it, in order; None where it is.

    One that is older than the last tried is not too soon after it: it has waited for labels of its change, which that one may have lacked.
    """
    waited = event_time - finished[-1].event_time if finished else -1
    if 0 <= waited < (pause := pause_after(finished, label_delay)):
        return (
            "too_soon",
            f"{waited / 1e6:.0f} s of event time after a request that ended as {finished[-1].outcome}; {pause / 1e6:.0f} s must pass",
        )
    if examples < LEAST_EXAMPLES:
        return "too_little", f"{examples} examples; {LEAST_EXAMPLES} are needed"
    return None
