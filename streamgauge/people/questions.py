"""Which spans a person is asked about next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from contracts.definition import Feed
from contracts.durations import WEEK
from contracts.records import Remark
from feature_store.known_entities import Heard
from online_model.raised import Raised
from streamgauge.people.spans import Span, Spans
from streamgauge.people.verdicts import Verdicts

AT_ONCE = 5  # spans of one question; more look like work, and are not answered
REMEMBERED = WEEK  # of event time; of older spans people know no longer whether they were fine


def questions(
    feed: Feed, remarks: Iterable[Remark], raised: Mapping[str, Raised], entities: Mapping[str, Heard], by: str, most: int = AT_ONCE
) -> list[Span]:
    """Spans without an alarm that are not settled and that `by` has said nothing of, in the order of their chances.

    The order does not depend on anybody's answers; the same records give everybody the same spans.
    """
    opinions = Verdicts(feed, remarks).spans
    settled = opinions.settled
    drawn = Spans(feed.name, entities, raised.values()).drawn(REMEMBERED)
    return [span for span in drawn if span not in settled and by not in opinions.heard(span)][:most]
