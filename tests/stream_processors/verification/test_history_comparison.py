"""Which files of a history a verification compares, with no server: the archiver's cuts are written here and compared there."""

from __future__ import annotations

from pathlib import Path

from contracts.records import Switch
from contracts.topics import events_topic
from feature_store.history_files import HistoryFiles
from stream_processors.archive.score_cuts import Generation, ScoreCuts
from stream_processors.archive.score_cuts import Place as ArchivedPlace
from stream_processors.archive.score_decoding import decode_scores, vector_of
from stream_processors.runner.place import Place
from stream_processors.verification.history_comparison import HistoryComparison
from tests.stream_processors.scores_log import events, fold_scores, make_feed

COUNT, BEGINS = 20_500, 8_731


def test_a_migrated_generation_is_compared_from_its_first_output_on(tmp_path: Path) -> None:
    """Its state is folded from before its first output: what the fold gives until then stands in no file, and should not."""
    feed, files = make_feed("migrated"), HistoryFiles(str(tmp_path))
    scores = fold_scores(feed, events(COUNT), generation=2)
    archived = [score for score in scores if score.offset >= BEGINS]
    vectors = [vector_of(score.headers) for score in archived]
    rows = decode_scores(feed, [score.value for score in archived], vectors, [score.offset for score in archived])
    cuts = ScoreCuts(feed, 0, files, {2: Generation(feed.hash, BEGINS)}, ArchivedPlace(0, 0), whole=True)
    cuts.take(rows)
    assert cuts.written == 2
    born = Switch(
        kind="generation", log=events_topic(feed), partition=0, generation=2, from_offset=BEGINS, state_from=0, definition=feed.hash
    )
    comparison = HistoryComparison(Place(feed, "events", 0), born, files, files.scores(feed.name), BEGINS, COUNT)
    comparison.expect(scores)
    comparison.finish()
    assert (comparison.same, comparison.differences) == (2, [])
