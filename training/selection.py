"""Which design columns a model is given: all, or the better third by one of three tests."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.feature_selection import RFE, f_classif, f_regression
from sklearn.linear_model import Ridge, RidgeClassifier

from training.bins import Bins

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

SELECTIONS = ("all", "univariate", "importance", "elimination")
KEPT = 1 / 3  # of the columns; fewer make a model that is cheap to explain, and that does not fit noise
LEAST_KEPT = 4
ELIMINATED = 0.25  # of the columns at each step of the recursive elimination: one at a time takes c fits


def select_columns(selection: str, design: F64, target: F64, classes: bool) -> I64:
    """Places of the design columns kept, rising. `target` (n,) holds numbers, or places of classes."""
    columns = design.shape[1]
    kept = max(int(columns * KEPT), min(LEAST_KEPT, columns))
    if selection == "all" or kept == columns:
        return np.arange(columns)
    if selection == "elimination":
        linear = RidgeClassifier() if classes else Ridge()
        return np.flatnonzero(RFE(linear, n_features_to_select=kept, step=ELIMINATED).fit(design, target).support_)
    if selection == "univariate":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of columns that are constant within one class
            worth = np.nan_to_num((f_classif if classes else f_regression)(design, target)[0], nan=0.0, posinf=np.finfo(np.float64).max)
    else:
        worth = split_gains(design, target, classes)
    return np.sort(np.argsort(-worth, kind="stable")[:kept])


def split_gains(design: F64, target: F64, classes: bool) -> F64:
    """Importance (c,): the loss that splits on each column took away in a small boosted ensemble."""
    kind = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    model = kind(max_iter=20, max_leaf_nodes=15, early_stopping=False, random_state=0).fit(Bins(design).place(design), target)
    gains = np.zeros(design.shape[1])
    for tree in (tree for trees in model._predictors for tree in trees):
        inner = tree.nodes[tree.nodes["is_leaf"] == 0]
        np.add.at(gains, inner["feature_idx"], inner["gain"])
    return gains
