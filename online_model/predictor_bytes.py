"""The compiled form of a model to bytes and back, in a format of our own: nothing is unpickled, and hostile bytes give a StateError.

Little-endian: magic ``SGPR``, uint16 version, uint16 link, uint32 design columns c, raw numbers r, nodes m, trees t, double reach; then
the arrays of `Predictor` in its order (places and nodes int64, numbers float64) in C order.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.errors import StateError
from online_model.predictor import IDENTITY, LARGEST, LEAF, LOGISTIC, SOFTMAX, Predictor, outputs_of

_HEADER = struct.Struct("<4s2H4Id")
_MAGIC = b"SGPR"
_VERSION = 1
_WHOLE = {"source", "feature", "left", "right", "roots", "root_output"}  # the other arrays hold float64
ARRAYS = tuple(name for name in Predictor._fields if name not in ("link", "reach"))
_FIX = "train or restore the model anew"


def predictor_to_bytes(predictor: Predictor) -> bytes:
    """The same model gives the same bytes: 40 a design column, 8 a coefficient, 40 a node."""
    sizes = (len(predictor.source), len(predictor.intercepts), len(predictor.feature), len(predictor.roots))
    header = _HEADER.pack(_MAGIC, _VERSION, predictor.link, *sizes, predictor.reach)
    return header + b"".join(getattr(predictor, name).astype("<i8" if name in _WHOLE else "<f8").tobytes() for name in ARRAYS)


def predictor_from_bytes(data: bytes, dimension: int, outputs: int) -> Predictor:
    """The model that `predictor_to_bytes` wrote, for vectors (dimension,) and predictions (outputs,).

    Raises:
        StateError: anything else; also a model that would read outside of the vector, walk in a circle, or not stay finite.
    """
    if len(data) < _HEADER.size:
        raise StateError(f"a predictor of {len(data)} bytes has no header; {_FIX}")
    magic, version, link, columns, raws, nodes, trees, reach = _HEADER.unpack_from(data)
    if magic != _MAGIC or version != _VERSION:
        raise StateError(f"a predictor's bytes begin with {magic!r} version {version}, not {_MAGIC!r} version {_VERSION}; {_FIX}")
    expected = _HEADER.size + 8 * (5 * columns + raws * columns + raws + 5 * nodes + 2 * trees)
    if len(data) != expected:
        raise StateError(f"a predictor of {columns} columns, {raws} raw numbers and {nodes} nodes takes {expected} bytes, not {len(data)}")
    shapes = {"coefficients": (raws, columns), "intercepts": (raws,), "roots": (trees,), "root_output": (trees,)}
    shapes |= dict.fromkeys(("feature", "threshold", "left", "right", "leaf"), (nodes,))
    arrays: dict[str, NDArray[Any]] = {}
    at = _HEADER.size
    for name in ARRAYS:
        shape = shapes.get(name, (columns,))
        count = int(np.prod(shape, dtype=np.int64))
        kind = "<i8" if name in _WHOLE else "<f8"
        arrays[name] = np.frombuffer(data, kind, count, at).reshape(shape).astype(np.int64 if name in _WHOLE else np.float64)
        at += 8 * count
    predictor = Predictor(**arrays, link=link, reach=reach)
    check_predictor(predictor, dimension, outputs)
    return predictor


def check_predictor(predictor: Predictor, dimension: int, outputs: int) -> None:
    """Raises StateError where a prediction would read outside of its arrays, not end, or not be finite."""
    p = predictor
    if p.link not in (IDENTITY, LOGISTIC, SOFTMAX) or (p.link == LOGISTIC and len(p.intercepts) != 1) or outputs_of(p) != outputs:
        raise StateError(f"a predictor with link {p.link} and {len(p.intercepts)} raw numbers does not give {outputs} outputs; {_FIX}")
    if not _within(p.source, 0, dimension):
        raise StateError(f"a predictor reads beyond the {dimension} numbers of a vector; {_FIX}")
    numbers = (
        np.array(p.reach),
        p.fill,
        p.center,
        p.coefficients,
        p.intercepts,
        p.threshold,
        p.leaf,
        p.scale,
        p.equals[~np.isnan(p.equals)],
    )
    if not all(bool(np.all(np.abs(array) <= LARGEST)) for array in numbers) or not (p.reach > 0.0 and np.all(p.scale > 0.0)):
        raise StateError(f"a predictor has a number that is not finite or is above {LARGEST:g}, or a scale or reach not above 0; {_FIX}")
    own = np.arange(len(p.feature))
    inner = p.feature != LEAF
    for child in (p.left[inner], p.right[inner]):
        if not _within(child, 0, len(p.feature)) or not bool(np.all(child > own[inner])):
            raise StateError(f"a predictor's tree has a child that does not stand after its parent; {_FIX}")
    if not _within(p.feature[inner], 0, len(p.source)) or not _within(p.roots, 0, len(p.feature)):
        raise StateError(f"a predictor's tree begins beyond its {len(p.feature)} nodes or looks beyond {len(p.source)} columns; {_FIX}")
    if not _within(p.root_output, 0, len(p.intercepts)):
        raise StateError(f"a predictor's tree adds to a raw number beyond {len(p.intercepts)}; {_FIX}")


def _within(places: NDArray[np.int64], least: int, end: int) -> bool:
    return bool(np.all((places >= least) & (places < end)))
