"""The compiled form as an ONNX graph, written node by node; what leaves the house is float64 from end to end.

Input ``vector`` (n, features), output ``prediction`` (n, outputs). Opset 18 of the standard operators and, for trees, `TreeEnsemble` of
ai.onnx.ml 5, the first that keeps thresholds and leaves in float64: onnxruntime 1.20 or later.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from contracts.errors import ModelError
from online_model.predictor import LEAF, LOGISTIC, SOFTMAX, Predictor, outputs_of, predict

F64 = NDArray[np.float64]
OPSET, ML_OPSET, IR_VERSION = 18, 5, 10
TOLERANCE = 1e-9  # of an exported prediction, as a share of 1 + its size: onnxruntime sums in another order and has its own exp
CHECKED = 1_000  # vectors on which an exported model is compared with the original
_INSTALL = "exporting a model needs the package {}; install it with: pip install 'streamgauge[training]'"


def export_onnx(predictor: Predictor, dimension: int, metadata: dict[str, str]) -> bytes:
    """A serialised ONNX model for vectors (n, dimension); `metadata` is carried in it and holds the model card's facts.

    Raises:
        ModelError: the package onnx is missing.
    """
    try:
        from onnx import TensorProto, checker, helper, numpy_helper
    except ImportError as error:
        raise ModelError(_INSTALL.format("onnx")) from error
    graph = _Graph(helper, numpy_helper)
    design = _design(graph, predictor)
    raw = graph.node("MatMul", [design, graph.constant(np.ascontiguousarray(predictor.coefficients.T))])
    raw = graph.node("Add", [raw, graph.constant(predictor.intercepts)])
    if len(predictor.roots):
        raw = graph.node("Add", [raw, _trees(graph, predictor, design)])
    if predictor.link == LOGISTIC:
        probability = graph.node("Sigmoid", [raw])
        raw = graph.node("Concat", [graph.node("Sub", [graph.constant(np.ones(1)), probability]), probability], axis=1)
    elif predictor.link == SOFTMAX:
        raw = graph.node("Softmax", [raw], axis=1)
    graph.node("Identity", [raw], "prediction")
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "streamgauge",
            [helper.make_tensor_value_info("vector", TensorProto.DOUBLE, ["n", dimension])],
            [helper.make_tensor_value_info("prediction", TensorProto.DOUBLE, ["n", outputs_of(predictor)])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        ir_version=IR_VERSION,
        producer_name="streamgauge",
    )
    helper.set_model_props(model, metadata)
    checker.check_model(model)
    return bytes(model.SerializeToString())


def check_onnx(data: bytes, predictor: Predictor, dimension: int) -> float:
    """Largest difference of onnxruntime's predictions from the compiled form's, over CHECKED vectors (dimension,).

    They are drawn about what the model was trained on, some values missing or one of a category's codes.

    Raises:
        ModelError: onnxruntime is missing, or a prediction differs by more than TOLERANCE.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ModelError(_INSTALL.format("onnxruntime")) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    vectors = _vectors_about(predictor, dimension)
    original = predict(predictor, vectors)
    difference = np.abs(session.run(None, {"vector": vectors})[0] - original)
    if not bool(np.all(difference <= TOLERANCE * (1.0 + np.abs(original)))):
        raise ModelError(f"onnxruntime predicts otherwise than the model that was exported, by up to {difference.max():g}; not exported")
    return float(difference.max(initial=0.0))


def _vectors_about(p: Predictor, dimension: int) -> F64:
    rng = np.random.default_rng(0)
    vectors: F64 = rng.normal(size=(CHECKED, dimension))
    numbers = np.isnan(p.equals)
    vectors[:, p.source[numbers]] = vectors[:, p.source[numbers]] * p.scale[numbers] + p.center[numbers]
    for place, value in zip(p.source[~numbers], p.equals[~numbers], strict=True):
        vectors[rng.uniform(size=CHECKED) < 0.3, place] = value
    vectors[rng.uniform(size=vectors.shape) < 0.05] = np.nan
    return vectors


class _Graph:
    """Nodes and constants, named in the order in which they are added."""

    def __init__(self, helper: Any, numpy_helper: Any) -> None:
        self._helper, self._numpy = helper, numpy_helper
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, array: NDArray[Any]) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(self._numpy.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str | None = None, domain: str = "", **attributes: Any) -> str:
        output = output or f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(self._helper.make_node(kind, inputs, [output], domain=domain, **attributes))
        return output

    def tensor(self, array: NDArray[Any]) -> Any:
        return self._numpy.from_array(array)


def _design(graph: _Graph, p: Predictor) -> str:
    """`design_row` for every row at once."""
    numbers, one_hot = np.isnan(p.equals), np.where(np.isnan(p.equals), 0.0, p.equals)
    x = graph.node("Gather", ["vector", graph.constant(p.source)], axis=1)
    missing = graph.node("Or", [graph.node("IsNaN", [x]), graph.node("IsInf", [x])])
    filled = graph.node("Where", [missing, graph.constant(p.fill), x])
    scaled = graph.node("Div", [graph.node("Sub", [filled, graph.constant(p.center)]), graph.constant(p.scale)])
    bounded = graph.node("Max", [graph.node("Min", [scaled, graph.constant(np.array(p.reach))]), graph.constant(np.array(-p.reach))])
    equal = graph.node("Cast", [graph.node("Equal", [x, graph.constant(one_hot)])], to=11)  # to float64
    return graph.node("Where", [graph.constant(numbers), bounded, equal])


def _trees(graph: _Graph, p: Predictor, design: str) -> str:
    """One TreeEnsemble: inner nodes and leaves are numbered apart in it."""
    inner = p.feature != LEAF
    number = np.where(inner, np.cumsum(inner) - 1, np.cumsum(~inner) - 1)
    output = np.zeros(len(p.feature), np.int64)
    for root, place in zip(p.roots, p.root_output, strict=True):
        output[root:] = place  # roots rise, and a tree's nodes follow its root
    lone = np.flatnonzero(~inner[p.roots])  # trees that are one leaf: an inner node whose two branches are that leaf
    roots, extra = number[p.roots].copy(), np.arange(len(lone)) + int(inner.sum())
    roots[lone] = extra
    lone_leaf = number[p.roots[lone]]
    left, right = p.left[inner], p.right[inner]

    def joined(of_inner: NDArray[Any], of_lone: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([of_inner, of_lone])

    return graph.node(
        "TreeEnsemble",
        [design],
        domain="ai.onnx.ml",
        aggregate_function=1,  # sum
        post_transform=0,
        n_targets=len(p.intercepts),
        tree_roots=roots,
        nodes_featureids=joined(p.feature[inner], np.zeros(len(lone), np.int64)),
        nodes_splits=graph.tensor(joined(p.threshold[inner], np.zeros(len(lone)))),
        nodes_modes=graph.tensor(np.zeros(int(inner.sum()) + len(lone), np.uint8)),  # ≤
        nodes_truenodeids=joined(number[left], lone_leaf),
        nodes_falsenodeids=joined(number[right], lone_leaf),
        nodes_trueleafs=joined((~inner[left]).astype(np.int64), np.ones(len(lone), np.int64)),
        nodes_falseleafs=joined((~inner[right]).astype(np.int64), np.ones(len(lone), np.int64)),
        leaf_targetids=output[~inner],
        leaf_weights=graph.tensor(p.leaf[~inner]),
    )
