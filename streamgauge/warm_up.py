"""Runs every kernel once on a few records, so that numba has compiled it and put it into its cache."""

from __future__ import annotations

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from contracts.definition import Category, Feed, Number, Regression
from stream_processors.end_with_parent import end_with_parent


def compile_everything() -> None:
    """What follows, in two processes: the fold's kernels call one another, and take longer than all others together."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), end_with_parent) as pool:
        beside = pool.submit(_warm_up_beside)
        _warm_up_fold()
        beside.result()


def warm_up() -> None:
    """Compiles what a worker, a backtest and a verification run."""
    _warm_up_fold()
    _warm_up_learning()


def _warm_up_beside() -> None:
    _warm_up_learning()
    warm_up_simulator()


def _warm_up_fold() -> None:
    from stream_processors.decoding.batches import raw_batch
    from stream_processors.joiner.score_heads import score_heads
    from stream_processors.record_sources import source_of, sources_of
    from stream_processors.runner.batch_consumer import batch_consumer_class
    from stream_processors.runner.encoded_batch import encodes
    from stream_processors.stream_fold.fold import StreamFold

    batch_consumer_class()
    encodes()
    sources_of(raw_batch([0], [-1], [None], [b"{}"]), "warm/1/0/")
    source_of(b"{}", "warm/1/0/")
    feed = Feed("warm", entity="e", time="t", fields=[Number("x"), Number("y"), Category("c")], target=Regression("z"))
    list(score_heads(feed, raw_batch([0], [-1], [None], [b"{}"])))
    fold = StreamFold(feed, 0, 1)
    values: list[bytes | None] = [
        json.dumps({"e": "a", "t": 1_767_225_600 + i, "x": i / 7, "y": 1.5, "c": "on"}).encode() for i in range(8)
    ]
    fold.fold(raw_batch(list(range(8)), [-1] * 8, [b"a"] * 8, values))
    fold.everything_served()
    StreamFold(feed, 0, 1).restore(fold.changed_chunks())


def _warm_up_learning() -> None:
    """Predictions, online models and the tests that compare versions: compiled only now, a worker would stand still at its first model."""
    import numpy as np

    from contracts.columns import read_only
    from contracts.definition import Classification
    from contracts.records import FeatureReference
    from feature_store.feature_plan import feature_names
    from online_model import paired_test, risk_test, skew
    from online_model.online_predictor import CompiledPredictor, load_snapshot, make_online_predictor
    from online_model.predictor import predict
    from stream_processors.stream_fold.predictions import in_share

    for target in (Regression("y"), Classification("y", classes=["a", "b"]), Classification("y", classes=["a", "b", "c"])):
        feed = Feed("warm", entity="e", time="t", fields=[Number("x")], target=target)
        vectors, value = np.ones((2, len(feature_names(feed)))), np.eye(feed.outputs)[0]
        model = make_online_predictor(feed)
        model.learn(vectors[0], value)
        served = load_snapshot(feed, *model.snapshot())
        assert isinstance(served, CompiledPredictor)
        served.predict(vectors[0])
        predict(served.predictor, vectors)
        _, state = skew.new_skew_state(feed, {"x_last": FeatureReference(missing=0.0, edges=[0.0], shares=[0.5, 0.5])})
        skew.update(state, read_only(vectors[0]), True, skew.block_us(feed), 0, 0)
        skew.feature_wealth(state, 0)
        skew.feature_psi(state, 0)
    in_share(np.zeros(1, np.uint64), np.uint64(0), 0.5)
    risk_test.update(risk_test.new_risk_test(), 1.0, 0, 0)
    pair = paired_test.new_paired_test()
    paired_test.reset(pair, False)
    paired_test.update(pair, 1.0, 1.0)
    paired_test.decided(pair, paired_test.LEVEL)
    paired_test.compare(pair)


def warm_up_simulator() -> None:
    """Compiles what the simulator and the demo run besides."""
    from contracts.durations import DAY, MINUTE
    from producers.pump_fleet import pump_fleet
    from producers.simulator import Simulation

    end = 1_790_000_000_000_000
    for _ in Simulation(pump_fleet(1, end - 2 * DAY, end), 1, end - 2 * DAY, end).run(end - 2 * DAY + MINUTE):
        pass
