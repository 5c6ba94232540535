"""From a definition to the plan and the empty state of its stream fold, and the bytes that it takes."""

from __future__ import annotations

import numpy as np

from contracts.definition import Feed
from feature_store.feature_plan import plan_features
from online_model.cells import plan_cells
from online_model.conformal import plan_conformal
from online_model.delay import plan_delay
from online_model.evidence_buffer import Source
from online_model.input_scale import plan_scale
from online_model.prediction_drift import plan_predictions
from online_model.score_evidence import plan_score_evidence
from online_model.score_inputs import score_inputs
from stream_processors.stream_fold.entity_rows import plan_entity
from stream_processors.stream_fold.fold_kernel import FoldPlan
from stream_processors.stream_fold.partition_state import chunk_rows

VECTOR_EVERY = {"all": 0, "10s": 10_000_000, "none": -1}
COMPILED_ANOMALY = "half-space-trees"


def plan_fold(feed: Feed) -> FoldPlan:
    """Lays out an entity's row part by part."""
    entity = plan_entity(feed.remembered, feed.lateness_us)
    features = plan_features(feed, entity.words)
    inputs = score_inputs(feed)
    scale = plan_scale(features.base + features.words, len(inputs))
    conformal = plan_conformal(scale.base + scale.words)
    cells = plan_cells(feed, conformal.base + conformal.words)
    delay = plan_delay(cells.base + cells.words, feed.season_us)
    score_evidence = plan_score_evidence(feed, delay.base + delay.words, len(inputs))
    prediction = plan_predictions(feed, score_evidence.base + score_evidence.words)
    return FoldPlan(
        entity,
        features,
        inputs,
        scale,
        conformal,
        cells,
        delay,
        score_evidence,
        prediction,
        np.array([-np.inf if n.low is None else n.low for n in feed.numbers], np.float64),
        np.array([np.inf if n.high is None else n.high for n in feed.numbers], np.float64),
        feed.lateness_us,
        feed.clock_tolerance_us,
        feed.season_us,
        feed.tile_us[0],
        feed.window_us[-1],
        VECTOR_EVERY[feed.log_vectors],
        feed.max_entities,
        chunk_rows(prediction.base + prediction.words),
        feed.anomaly == COMPILED_ANOMALY,
    )


def row_words(plan: FoldPlan) -> int:
    """Words of one entity's row."""
    return int(plan.prediction.base + plan.prediction.words)


def statistics_per_entity(plan: FoldPlan) -> dict[str, int]:
    """Source -> running statistics that one record moves; what the budget is split over.

    All are those of the record's entity but for consistency, which is its partition's. Those on the anomaly score and on
    predictions move once a block, and are counted as if they moved with every record.
    """
    counts = {source.name.lower(): int(plan.cells.cells[source]) for source in Source}
    counts["anomaly"] += 1
    counts["silence"] = counts["delay"] = counts["consistency"] = 1
    counts["prediction"] = plan.prediction.cells.fields
    return {name: count for name, count in counts.items() if count}
