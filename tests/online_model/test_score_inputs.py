import numpy as np
from sklearn.metrics import roc_auc_score

from contracts.definition import Category, Feed, Number
from feature_store.feature_columns import feature_names
from online_model.anomaly_model import HalfSpaceTrees
from online_model.score_inputs import score_inputs


def area_with(inputs: int) -> float:
    """Area under the ROC curve where one of so many inputs is 8 deviations off in every tenth vector."""
    rng = np.random.default_rng(3)
    model = HalfSpaceTrees([f"x{i:02d}" for i in range(inputs)], seed=1)
    scores, truth = [], []
    for row in range(3_000):
        vector = np.clip(0.5 + rng.standard_normal(inputs) / 16.0, 0.0, 1.0)
        odd = row > 1_000 and row % 10 == 0
        if odd:
            vector[rng.integers(inputs)] = 1.0
        score = model.score_one(vector)
        if score is not None and row > 1_000:
            scores.append(score)
            truth.append(odd)
        model.learn_one(vector)
    return float(roc_auc_score(truth, scores))


def test_few_inputs_show_what_many_hide():
    """With six inputs the trees tell one unusual value from the rest far better than with sixty."""
    assert area_with(6) > 0.9 > 0.8 > area_with(60)


def test_a_field_is_shown_by_what_says_most_of_it():
    """The inputs are last, rate, z-score, and mean and deviation of the shortest window, of number fields alone."""
    feed = Feed("f", entity="e", time="t", fields=[Number("x"), Category("c")], windows=["1m", "10m"])
    names = feature_names(feed)
    assert sorted(names[at] for at in score_inputs(feed)) == ["x_last", "x_mean_1m", "x_rate", "x_std_1m", "x_zscore"]


def test_without_the_preferred_features_all_are_shown():
    """A definition that chose none of them is scored on its whole vector."""
    feed = Feed("f", entity="e", time="t", fields=[Number("x", features=["max"])], windows=["1m"], time_features=False)
    assert list(score_inputs(feed)) == [0]
