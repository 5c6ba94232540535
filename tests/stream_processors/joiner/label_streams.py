"""Random scores with labels of all kinds."""

from __future__ import annotations

import random

from stream_processors.archive.score_decoding import ScoreRecord
from tests.stream_processors.joiner.joining import MINUTE, SECOND, START, score


def stream(seed: int, apart: bool = True) -> tuple[list[ScoreRecord], list[dict[str, object]]]:
    """Scores of two partitions, a tenth out of order; labels of all kinds, some repeated, corrected, early or of nothing.

    `apart`: intervals have entities of their own and overlap only where they are repeated; else which of two labels ends
    first depends on when an interval closes.
    """
    draw = random.Random(seed)
    scores: list[ScoreRecord] = []
    for partition in range(2):
        offset = 0
        for i in range(40):
            for entity in (f"point-{partition}", f"span-{partition}"):
                late = draw.randrange(20) * SECOND if draw.random() < 0.1 else 0
                offset += draw.choice([1, 1, 1, 2])
                scores.append(score(entity, START + i * SECOND - late, offset, partition))
        for entity in (f"point-{partition}", f"span-{partition}"):
            offset += 1
            scores.append(score(entity, START + 10 * MINUTE, offset, partition))
    points = [s for s in scores if s.score.entity.startswith("point")]
    labels: list[dict[str, object]] = []
    for _ in range(60):
        what, chosen = draw.random(), draw.choice(points)
        value = draw.randrange(3)
        if what < 0.35:
            labels.append({"score": chosen.score.id, "value": value})
        elif what < 0.7:
            labels.append({"entity": chosen.score.entity, "event_time": chosen.score.event_time, "value": value})
        elif what < 0.9:
            start, until = (
                START + edge * SECOND for edge in draw.choice([(0, 10), (10, 25), (25, 40), (45, 50)] + [(5, 30)] * (not apart))
            )
            name = "span" if apart else draw.choice(["span", "point"])
            labels.append({"entity": f"{name}-{draw.randrange(2)}", "event_time": start, "until": until, "value": value})
        else:
            labels.append({"entity": chosen.score.entity, "event_time": START + draw.randrange(10**6, 10**7) * 3 + 1, "value": value})
    return scores, labels
