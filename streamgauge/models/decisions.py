"""A person's decision: put on `<feed>.examples`, and answered by the learner on `<feed>.models`."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable

import msgspec

from contracts.errors import ModelError, ServerUnavailable
from contracts.ids import RecordId, parse_id
from contracts.records import Decision, Rollout
from stream_processors.models_log import Models
from stream_processors.trainer.logs import FeedLogs

WAIT_SECONDS = 60.0  # for the learner: it folds what stands before the decision first, some 20,000 examples a second
TELL_SECONDS = 5.0  # between two lines that say what is waited for


def decide(logs: FeedLogs, models: Models, decision: Decision, say: Callable[[str], None]) -> Rollout:
    """Puts a decision on the record and waits for what the learner makes of it.

    Args:
        logs: of the feed.
        models: what stands on `<feed>.models` already; a version that is not there is refused before anything is written.
        say: takes a line for people while this waits.

    Returns:
        The rollout after the decision, whose `why`, `by` and `when` are the decision's.

    Raises:
        ModelError: there is no such version, or the learner has refused the decision; the message says why.
        ServerUnavailable: Kafka did not take the decision, or no learner answered within WAIT_SECONDS.
    """
    feed, known = logs.feed.name, list(dict.fromkeys(name.partition(".")[0] for name in models.snapshots))
    if decision.action != "rollback" and decision.version not in known:
        hint = f"; revisions are learnt on, so name {whole}" if (whole := decision.version.partition(".")[0]) in known else ""
        raise ModelError(f"feed '{feed}' has no version '{decision.version}'; it has {', '.join(known) or 'none yet'}{hint}")
    _, first = logs.bounds("models")
    offset = logs.append("examples", msgspec.json.encode(decision))
    began = told = time.monotonic()
    for record in logs.follow("models", first, began + WAIT_SECONDS):
        if record is not None and (answer := models.take(record.value)) and _answers(answer, offset, decision):
            assert isinstance(answer, Rollout)
            if answer.stage == "refused":
                raise ModelError(f"feed '{feed}': {answer.why}")
            return answer
        if (now := time.monotonic()) >= told + TELL_SECONDS:
            told = now
            say(f"the decision stands on {feed}.examples; waiting for the learner, {now - began:.0f} of {WAIT_SECONDS:.0f} s")
    raise ServerUnavailable(
        f"no learner has answered within {WAIT_SECONDS:.0f} s. The decision stands on {feed}.examples at offset {offset} and takes effect "
        "once the learner has come to it: see that a worker runs (streamgauge status); what became of it shows: streamgauge models list"
    )


def _answers(record: object, offset: int, decision: Decision) -> bool:
    """Whether a record is the rollout that follows from the decision, and not that of a version that had to make way for it."""
    if not isinstance(record, Rollout) or (record.by, record.when) != (decision.by, decision.when):
        return False
    place = parse_id(record.id)
    return (place.partition, place.offset) == ("examples", offset)


def decision_id(feed: str, by: str, when: int) -> str:
    """The id of what a person decided at a moment (µs), so that a repeat of the record is known as one."""
    return str(RecordId(feed, 0, "people", when, "decision", zlib.crc32(by.encode())))


def placed(rollout: Rollout) -> str:
    """A sentence: who serves now, and who runs beside."""
    serving = f"{rollout.champion} serves" if rollout.champion else "no version serves"
    if rollout.challenger is None:
        return f"{serving}, and nothing runs beside it"
    if rollout.share > 0.0:
        return f"{serving}, and {rollout.challenger} does for {rollout.share:.3g} of the entities"
    return f"{serving}, and {rollout.challenger} predicts beside it"
