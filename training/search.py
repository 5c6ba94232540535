"""The bounded search: the best of a stated number of candidates over time-ordered folds, judged on what none of them has seen."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from contracts.definition import Feed
from contracts.errors import ModelError
from contracts.records import FeatureReference
from feature_store.feature_columns import feature_names
from online_model.losses import LEAST
from online_model.online_predictor import COMPILED, design_columns
from online_model.predictor_bytes import predictor_from_bytes
from training.candidate import RARE, Candidate, Fitted, fit
from training.clocks import within_reach
from training.folds import known_rows, time_folds
from training.held_out import held_out_metrics
from training.reference import feature_references
from training.relearnt import Relearnt, predict_served, relearn
from training.selection import SELECTIONS
from training.training_set import TooLittle, TrainingSet

F64 = NDArray[np.float64]

BUDGET = 13  # candidates; 10,000 examples of 100 features then take some 10 s of one core
FOLDS = 2
HELD_OUT = 0.2  # of the rows since the change
LEAST_ROWS = 200  # known before the held-out rows; fewer give an error that says nothing about the next week
INTERVAL = 0.9  # of the absolute held-out errors lie within the half width
MOST_DIFFERENCE = 1e-9  # of what is served from the library's own prediction, as a share of 1 + its size


class Tried(NamedTuple):
    """A candidate and its mean loss over the folds."""

    candidate: Candidate
    loss: float


class Trained(NamedTuple):
    """The best model, fitted anew to all rows of its window, and what was measured before that on the held-out rows."""

    family: str
    state: bytes  # what `family` reads
    parameters: dict[str, str]
    metrics: dict[str, float]
    half_width: float | None  # of a number's 90 % interval
    reference: dict[str, FeatureReference]
    tried: list[Tried]
    held_out: tuple[F64, F64]  # (m, outputs) truths and predictions, for plots


class Split(NamedTuple):
    """The newest rows, from `held` on, judge what is trained on the rows before `known`, which had their label by then."""

    held: int
    known: int


def held_out_split(event_times: NDArray[np.int64], changed: int, label_delay: int) -> Split | None:
    """The split of rows in rising order of event time, changed since row `changed`; None where too few are left to train on."""
    n = len(event_times)
    held = n - int((n - changed) * HELD_OUT)
    known = known_rows(event_times, held, label_delay) if held < n else 0
    return Split(held, known) if known - changed >= LEAST_ROWS else None


def change_can_be_learnt(examples: TrainingSet, label_delay: int) -> bool:
    """Whether LEAST_ROWS rows since the change were known before each fold, the first included.

    With fewer the folds cannot tell what is learnt of the time after the change from what fits its first hour by chance: trees over
    all rows, which took the hour of day for the change, had the least loss there and were as wrong as the old model by the evening.
    """
    split = held_out_split(examples.event_times, examples.changed_from, label_delay)
    if split is None:
        return False
    folds = time_folds(examples.event_times[: split.known], examples.changed_from, split.known, FOLDS, label_delay)
    return len(folds) == FOLDS and folds[0].train_end - examples.changed_from >= LEAST_ROWS


def train(feed: Feed, examples: TrainingSet, budget: int = BUDGET) -> Trained:
    """The best model for a feed with a target; the same examples give the same bytes on one processor type and lock file.

    Raises:
        TooLittle: fewer than LEAST_ROWS rows had their label when the held-out ones came, or they are all alike.
        ModelError: what would be served does not predict what the model that was trained does.
    """
    with threadpool_limits(1):  # sums over threads would follow the number of cores
        return _Search(feed, examples).run(budget)


class _Search:
    def __init__(self, feed: Feed, examples: TrainingSet) -> None:
        self.feed, self.examples = feed, examples
        self.source, self.equals = design_columns(feed)
        n = len(examples.event_times)
        self.changed, self.held, self.known = 0, n, 0
        for changed in dict.fromkeys((examples.changed_from, 0)):
            split = held_out_split(examples.event_times, changed, feed.label_delay_us)
            if split is not None:
                self.changed, self.held, self.known = changed, split.held, split.known
                break
        else:
            raise TooLittle(f"{n} examples; {LEAST_ROWS} must have their label, {feed.label_delay} late, before the newest fifth begins")
        gap = feed.label_delay_us
        self.folds = time_folds(examples.event_times[: self.known], self.changed, self.known, FOLDS, gap)

    def run(self, budget: int) -> Trained:
        tried: dict[Candidate, float] = {}
        for stage in (self._first, self._around):
            for candidate in stage(tried):
                if candidate not in tried and len(tried) < budget:
                    tried[candidate] = self._loss(candidate)
        best = min(tried, key=lambda candidate: tried[candidate])
        if not np.isfinite(tried[best]):
            raise TooLittle(f"{self.known} examples of one class, or without a feature that varies: there is nothing to learn from them")
        return self._judged(best, [Tried(candidate, loss) for candidate, loss in tried.items()])

    def _first(self, _: dict[Candidate, float]) -> list[Candidate]:
        """Each family on each window; the online model on what came since the change alone, for it has learnt the rest already.

        A linear model of few rows needs its features chosen to be worth its place beside trees, which know nothing of hours that
        they have not seen: so it is also tried with them.
        """
        windows = ("changed", "all") if self.changed else ("all",)
        families = (Candidate(), Candidate(selection="univariate"), Candidate(family="boosting", strength=15.0))
        found = [c._replace(window=w) for w in windows for c in families]  # type: ignore[arg-type]
        return found + [Candidate("changed", "relearnt")] * bool(self.changed)

    def _around(self, tried: dict[Candidate, float]) -> list[Candidate]:
        """The best so far with one setting changed at a time; the online model has none to change."""
        best = min((c for c in tried if c.family != "relearnt"), key=lambda candidate: tried[candidate])
        truths = self.examples.values[: self.known]
        weighted = [best._replace(weighted=True)] if truths.shape[1] > 1 and float(truths.mean(axis=0).min()) < RARE else []
        strengths = (100.0,) if best.family == "linear" else (31.0, 7.0)
        return weighted + [best._replace(selection=s) for s in SELECTIONS[1:]] + [best._replace(strength=s) for s in strengths]

    def _fit(self, candidate: Candidate, end: int) -> Fitted | Relearnt | None:
        start = self.changed if candidate.window == "changed" else 0
        if end <= start:
            return None
        vectors, values = self.examples.vectors[start:end], self.examples.values[start:end]
        if candidate.family == "relearnt":
            return relearn(self.feed, vectors, values)
        span = int(self.examples.event_times[end - 1] - self.examples.event_times[start])
        usable = within_reach(self.feed, self.source, span)
        return fit(candidate, vectors, values, self.source[usable], self.equals[usable])

    def _loss(self, candidate: Candidate) -> float:
        losses = []
        for fold in self.folds:
            fitted = self._fit(candidate, fold.train_end)
            if fitted is not None:
                rows = slice(fold.test_start, fold.test_end)
                losses.append(mean_loss(self.examples.values[rows], fitted.original(self.examples.vectors[rows])))
            else:
                losses.append(np.inf)
        return float(np.mean(losses)) if losses else np.inf

    def _judged(self, best: Candidate, tried: list[Tried]) -> Trained:
        examples, end = self.examples, len(self.examples.event_times)
        truths, vectors = examples.values[self.held :], examples.vectors[self.held :]
        judged, final = self._fit(best, self.known), self._fit(best, end)
        assert judged is not None and final is not None  # its folds had what it needs
        predicted = predict_served(self.feed, *judged.served(), vectors)
        metrics = held_out_metrics(truths, predicted) | {"held_out": float(len(truths)), "trained_on": float(end)}
        family, state = final.served()
        metrics["conversion_difference"] = self._check(final, family, state, vectors)
        width = float(np.quantile(np.abs(predicted - truths), INTERVAL)) if truths.shape[1] == 1 else None
        rows = examples.vectors[self.changed if best.window == "changed" else 0 :]
        used = self._used(family, state)
        names = feature_names(self.feed)
        parameters = best.parameters() | ({"model": self.feed.online_model} if best.family == "relearnt" else {})
        parameters |= {"features": str(len(used)), "candidates": str(len(tried))}
        reference = feature_references(rows, [(place, names[place]) for place in used])
        return Trained(family, state, parameters, metrics, width, reference, tried, (truths, predicted))

    def _used(self, family: str, state: bytes) -> list[int]:
        """Places in the vector that a model reads."""
        dimension = self.examples.vectors.shape[1]
        if family != COMPILED:
            return list(range(dimension))
        return sorted(set(predictor_from_bytes(state, dimension, self.feed.outputs).source.tolist()))

    def _check(self, fitted: Fitted | Relearnt, family: str, state: bytes, vectors: F64) -> float:
        """Largest difference between what is served and the library's own model over vectors (m, features)."""
        original = fitted.original(vectors)
        difference = np.abs(predict_served(self.feed, family, state, vectors) - original)
        if not bool(np.all(difference <= MOST_DIFFERENCE * (1.0 + np.abs(original)))):
            raise ModelError(
                f"the model as it is served differs from the one trained by {difference.max():g}; report this with the definition"
            )
        return float(difference.max())


def mean_loss(truths: F64, predicted: F64) -> float:
    """Mean of online_model/losses.py over rows (n, outputs): absolute error of a number, log loss of classes."""
    if truths.shape[1] == 1:
        return float(np.mean(np.abs(truths - predicted)))
    return float(np.mean(-np.log(np.clip(predicted[truths.argmax(axis=1)[:, None] == np.arange(truths.shape[1])], LEAST, 1.0))))


def environment() -> dict[str, Any]:
    """Versions that decide the bytes of a model."""
    from importlib.metadata import version

    return {name: version(name) for name in ("numpy", "scipy", "scikit-learn")}
