"""What the state of a Python model may consist of, and how it stands in bytes. Nothing here is ever unpickled.

A state is a graph: values, and objects that values refer to by number. Little-endian::

    "SGSC", u16 version, u32 texts, u32 objects          header
    u32 length, UTF-8                                    each text, in the order of first use
    value                                                the root
    object                                               each object, in the order of first reference, breadth first

A *value* is a tag and what follows: none, true, false, an integer of 64 bits or a longer one, a double, a text's number,
bytes, a numpy scalar, an allowed constant's name, or an object's number. An *object* is a list, tuple, dict, set, deque,
array, generator of random numbers, or an instance of an allowed class with exactly the attributes named here. Shared
references and cycles are kept, dicts keep their order, sets are sorted: the same state gives the same bytes.
"""

from __future__ import annotations

import struct
from importlib import import_module
from typing import Any

import numpy as np

MAGIC = b"SGSC"
VERSION = 1
HEADER = struct.Struct("<4sHII")
LENGTH = struct.Struct("<I")
LONG = struct.Struct("<q")
DOUBLE = struct.Struct("<d")
RANDOM = struct.Struct("<625IBd")  # Mersenne twister: 624 words and a position; whether a normal is kept back, and which

MAX_BYTES = 16 << 20  # a checkpoint holds one such state for each partition; without a bound a state could fill the store
MAX_OBJECTS = 200_000  # an empty object is 5 bytes here and up to 760 in memory: this bounds what bytes can blow up to
MAX_DEPTH = 100  # references from the root; deeper is no model of ours, and comparing or freeing it could end the stack
MAX_DIMENSIONS = 8
MAX_INTEGER_BYTES = 1024  # longer integers take quadratic time to print
MAX_DEQUE = 1 << 40

# Tags of values.
NONE, TRUE, FALSE, INTEGER, LONGER, FLOAT, TEXT, BYTES, SCALAR, CONSTANT, OBJECT, KEY_TUPLE = b"NTFIJDSBYCOK"
# Tags of objects.
LIST, TUPLE, DICT, ORDERED_DICT, COUNTER, DEFAULT_DICT, SET, FROZEN_SET, DEQUE, ARRAY, RANDOM_STATE, VECTOR_DICT, INSTANCE = (
    b"ltdocfszqarvi"
)

DTYPES = tuple(np.dtype(code) for code in ("?", "<i1", "<i2", "<i4", "<i8", "<u1", "<u2", "<u4", "<u8", "<f4", "<f8"))
FACTORIES: tuple[Any, ...] = (None, int, float, list, dict, set, str)  # of defaultdicts

_GENERALISED_LINEAR = frozenset(
    {"optimizer", "loss", "l1", "l2", "intercept", "intercept_init", "intercept_lr", "clip_gradient", "initializer", "_weights", "_y_name"}
)
# Classes by qualified name, each with the attributes that an instance has in the pinned version of river.
CLASSES: dict[str, frozenset[str]] = {
    "river.anomaly.loda.LODA": frozenset({"n_bins", "n_random_cuts", "seed", "rng", "features_", "projections_", "histograms_"}),
    "river.anomaly.lof.LocalOutlierFactor": frozenset({"n_neighbors", "engine", "_nn"}),
    "river.anomaly.svm.OneClassSVM": _GENERALISED_LINEAR | {"nu"},
    "river.linear_model.lin_reg.LinearRegression": _GENERALISED_LINEAR,
    "river.linear_model.log_reg.LogisticRegression": _GENERALISED_LINEAR,
    "river.naive_bayes.gaussian.GaussianNB": frozenset({"class_counts", "gaussians"}),
    "river.neighbors.knn_classifier.KNNClassifier": frozenset(
        {"n_neighbors", "engine", "weighted", "cleanup_every", "classes", "softmax", "_cleanup_counter", "_nn"}
    ),
    "river.neighbors.knn_regressor.KNNRegressor": frozenset({"n_neighbors", "engine", "aggregation_method", "_nn"}),
    "river.neighbors.lazy.LazySearch": frozenset({"window_size", "min_distance_keep", "dist_func", "window"}),
    "river.optim.initializers.Zeros": frozenset({"value"}),
    "river.optim.losses.Hinge": frozenset({"threshold"}),
    "river.optim.losses.Log": frozenset({"weight_neg", "weight_pos"}),
    "river.optim.losses.Squared": frozenset(),
    "river.optim.schedulers.Constant": frozenset({"learning_rate"}),
    "river.optim.sgd.SGD": frozenset({"lr", "n_iterations"}),
    "river.preprocessing.scale.StandardScaler": frozenset({"counts", "means", "vars", "window_size", "with_std"}),
    "river.proba.gaussian.Gaussian": frozenset({"seed", "_rng", "_var"}),
    "river.sketch.histogram.Bin": frozenset({"left", "right", "count"}),
    "river.sketch.histogram.Histogram": frozenset({"data", "max_bins", "n"}),
    "river.stats.mean.Mean": frozenset({"n", "_mean"}),
    "river.stats.var.Var": frozenset({"ddof", "mean", "_S"}),
}
VECTOR_DICT_CLASS = "river._river_rust.vectordict.VectorDict"
# Functions that a state may point at; a name stands for one of them and for nothing else.
CONSTANTS = ("river.utils.vectordict.euclidean_distance_tuple",)


def resolve(name: str) -> Any:
    """The class or function of an allowed name; river is imported only where a state needs it."""
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(module), attribute)


def qualified_name(kind: type) -> str:
    """The name under which a class may be allowed."""
    return f"{kind.__module__}.{kind.__qualname__}"
