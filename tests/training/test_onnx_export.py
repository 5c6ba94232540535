from __future__ import annotations

import numpy as np
import onnx
import pytest

from contracts.errors import ModelError
from online_model.predictor import Predictor
from tests.online_model.predictors import random_predictor
from training.onnx_export import check_onnx, export_onnx


@pytest.mark.parametrize("outputs", [1, 2, 3])
@pytest.mark.parametrize("trees", [0, 1, 12])
def test_onnxruntime_predicts_what_the_compiled_form_does(outputs: int, trees: int) -> None:
    """For random models with one-hot columns, missing values and trees of any shape, single leaves included."""
    for seed in range(5):
        predictor = random_predictor(np.random.default_rng(seed), 7, outputs, trees)
        data = export_onnx(predictor, 7, {"feed": "lines"})
        assert check_onnx(data, predictor, 7) < 1e-9
        assert onnx.load_from_string(data).metadata_props[0].value == "lines"


def test_an_export_that_predicts_otherwise_is_refused() -> None:
    """A threshold moved after the export is found."""
    predictor: Predictor = random_predictor(np.random.default_rng(1), 7, 1, 12)
    data = export_onnx(predictor, 7, {})
    with pytest.raises(ModelError, match="not exported"):
        check_onnx(data, predictor._replace(intercepts=predictor.intercepts + 1e-6), 7)
