"""The baselines against an oracle that keeps all labels; what is known when; eviction; bytes."""

from __future__ import annotations

import random

import numpy as np
import pytest

from contracts.errors import StateError
from online_model.baselines import HOUR, KEPT, Baselines

MINUTE, DELAY = 60_000_000, 10 * 60_000_000


def numbers(*values: float) -> np.ndarray:
    return np.array(values, np.float64)


class Oracle:
    """All labels, looked through anew for each prediction."""

    def __init__(self, outputs: int) -> None:
        self.outputs = outputs
        self.labels: list[tuple[str, int, np.ndarray]] = []
        self.asked, self.right = 0, 0

    def known(self, entity: str, time: int) -> np.ndarray | None:
        """Of the labels old enough, the newest; thinned as stated: of each eighth of the delay only the newest label counts."""
        eighth, best = DELAY // 8, None
        newest: dict[int, tuple[int, np.ndarray]] = {}
        for name, at, value in self.labels:
            if name == entity and (at // eighth not in newest or at >= newest[at // eighth][0]):
                newest[at // eighth] = (at, value)
        for slot in sorted(newest)[-KEPT:]:
            if newest[slot][0] <= time - DELAY:
                best = newest[slot][1]
        return best

    def all(self) -> np.ndarray:
        values = [value for _, _, value in self.labels]
        if self.outputs > 1:
            return (np.sum([*values, np.ones(self.outputs)], axis=0)) / (len(values) + self.outputs)
        return np.mean(values, axis=0) if values else numbers(np.nan)

    def predict(self, entity: str, time: int) -> tuple[np.ndarray, np.ndarray]:
        same = [value for name, at, value in self.labels if name == entity and at // HOUR % 24 == time // HOUR % 24]
        known = self.known(entity, time)
        if self.outputs == 1:
            return (self.all() if known is None else known), (np.mean(same, axis=0) if same else self.all())
        right = (self.right + 1) / (self.asked + 2)
        last = self.all() if known is None else np.where(known == 1.0, right, (1 - right) / (self.outputs - 1))
        return last, (np.sum([*same, self.all()], axis=0) / (len(same) + 1)) if same else self.all()

    def learn(self, entity: str, time: int, value: np.ndarray) -> None:
        known = self.known(entity, time)
        if known is not None:
            self.asked += 1
            self.right += int(np.argmax(known) == np.argmax(value))
        self.labels.append((entity, time, value))


def stream(outputs: int, n: int, seed: int) -> list[tuple[str, int, np.ndarray]]:
    """Labels of three entities over two days, now and then out of order."""
    rng = np.random.default_rng(seed)
    times = np.cumsum(rng.integers(1, 12 * MINUTE, n)) - (rng.uniform(size=n) < 0.1) * 5 * MINUTE + 40 * HOUR
    values = rng.normal(50.0, 5.0, (n, 1)) if outputs == 1 else np.eye(outputs)[np.cumsum(rng.uniform(size=n) < 0.3) % outputs]
    return [(f"pump-{rng.integers(3)}", int(t), v) for t, v in zip(times, values, strict=True)]


@pytest.mark.parametrize("outputs", [1, 2, 4])
def test_predictions_are_the_oracles(outputs: int) -> None:
    """Each prediction, made before its label is taken in, is what a look through all labels gives."""
    baselines, oracle = Baselines(outputs, DELAY, 100), Oracle(outputs)
    for entity, time, value in stream(outputs, 500, outputs):
        for mine, theirs in zip(baselines.predict(entity, time), oracle.predict(entity, time), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-12)
            assert outputs == 1 or abs(mine.sum() - 1.0) < 1e-12
        baselines.learn(entity, time, value)
        oracle.learn(entity, time, value)


def test_what_is_known_when() -> None:
    """A label younger than the delay was not known yet when the prediction was made; one of another entity never is."""
    baselines = Baselines(1, DELAY, 10)
    assert np.isnan(baselines.predict("a", 0)[0][0])
    baselines.learn("a", 0, numbers(1.0))
    baselines.learn("a", 9 * MINUTE, numbers(2.0))
    assert baselines.predict("a", 9 * MINUTE)[0].tolist() == [1.5]
    assert baselines.predict("a", 10 * MINUTE)[0].tolist() == [1.0]
    assert baselines.predict("a", 19 * MINUTE)[0].tolist() == [2.0]
    assert baselines.predict("b", 19 * MINUTE)[0].tolist() == [1.5]


@pytest.mark.parametrize("outputs", [1, 3])
def test_corrections_replace(outputs: int) -> None:
    """After a correction the baselines predict as if the later value had come at first."""
    corrected, right = Baselines(outputs, DELAY, 10), Baselines(outputs, DELAY, 10)
    first, later = (numbers(4.0), numbers(8.0)) if outputs == 1 else (np.eye(3)[0], np.eye(3)[2])
    corrected.learn("a", HOUR, first)
    corrected.learn("a", HOUR, later, previous=first)
    right.learn("a", HOUR, later)
    for mine, theirs in zip(corrected.predict("a", HOUR + DELAY), right.predict("a", HOUR + DELAY), strict=True):
        np.testing.assert_allclose(mine, theirs)
    corrected.learn("unknown", HOUR, later, previous=first)


def test_a_correction_of_what_is_not_remembered_changes_nothing() -> None:
    """Where the label corrected was never taken in, or forgotten with its entity, probabilities stay shares and numbers stay."""
    first, later = np.eye(2)[1], np.eye(2)[0]
    classes = Baselines(2, 0, 1)
    classes.learn("b", HOUR, first)
    classes.learn("a", HOUR, later)  # "b" is forgotten
    classes.learn("b", HOUR, first)
    for _ in range(3):  # the newest of "a" was never here
        classes.learn("b", HOUR + 1, later, previous=first)
    for prediction in classes.predict("b", 2 * HOUR) + classes.predict("b", HOUR + 2) + classes.predict("unknown", HOUR):
        assert prediction.min() > 0.0
        assert abs(prediction.sum() - 1.0) < 1e-12
    number = Baselines(1, 0, 1)
    number.learn("a", HOUR, numbers(9.0), previous=numbers(4.0))
    number.learn("a", HOUR, numbers(5.0))
    assert [prediction.tolist() for prediction in number.predict("a", HOUR + 1)] == [[5.0], [5.0]]
    assert number.predict("unknown", HOUR)[0].tolist() == [5.0]


def test_entities_are_bounded() -> None:
    """At the cap the entity longest without a label gives way; the others keep what they know."""
    baselines = Baselines(1, 0, 3)
    for number, entity in enumerate(("a", "b", "c", "a", "d")):
        baselines.learn(entity, number * MINUTE, numbers(float(number)))
    last = {entity: baselines.predict(entity, HOUR - 1)[0][0] for entity in "abcd"}
    assert last == {"a": 3.0, "b": 2.0, "c": 2.0, "d": 4.0}  # b is forgotten: the mean of all labels
    sizes = []
    for number in range(2000):
        baselines.learn(f"entity-{number}", number, numbers(1.0))
        if number in (100, 1999):
            sizes.append(len(baselines.to_bytes()))
    assert sizes[1] <= sizes[0] + 10
    assert Baselines(20, 0, 10**9)._entities < 2000


@pytest.mark.parametrize("outputs", [1, 3])
def test_bytes_mid_stream(outputs: int) -> None:
    """Saved and restored at any point, the baselines go on with the same predictions and the same bytes."""
    labels = stream(outputs, 300, 9)
    for cut in (0, 1, 50, 250):
        baselines = Baselines(outputs, DELAY, 2)
        for label in labels[:cut]:
            baselines.learn(*label)
        restored = Baselines(outputs, DELAY, 2).from_bytes(baselines.to_bytes())
        for entity, time, value in labels[cut:]:
            for mine, theirs in zip(baselines.predict(entity, time), restored.predict(entity, time), strict=True):
                assert mine.tobytes() == theirs.tobytes()
            baselines.learn(entity, time, value)
            restored.learn(entity, time, value)
        assert restored.to_bytes() == baselines.to_bytes()


def test_damaged_bytes() -> None:
    """Bytes of other settings are a StateError; altered ones are, or give baselines that predict and learn."""
    baselines = Baselines(1, DELAY, 5)
    labels = stream(1, 60, 3)
    for label in labels:
        baselines.learn(*label)
    data = baselines.to_bytes()
    for other in (Baselines(2, DELAY, 5), Baselines(1, 0, 5), Baselines(1, DELAY, 6)):
        with pytest.raises(StateError):
            other.from_bytes(data)
    rng = random.Random(4)
    for _ in range(300):
        hostile = bytearray(data)
        hostile[rng.randrange(len(hostile))] = rng.choice((rng.randrange(256), *b"NTFID"))
        try:
            restored = Baselines(1, DELAY, 5).from_bytes(bytes(hostile))
        except StateError:
            continue
        restored.predict("pump-0", labels[-1][1])
        restored.learn("pump-9", labels[-1][1], numbers(1.0))
