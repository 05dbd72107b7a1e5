"""A fitted estimator as a model of ONNX (extra ``onnx``)."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradstep._arrays import Array
from gradstep._native import __version__

OPSET, IR = 18, 8
"""Of 2023: what readers of ONNX have known since."""


def model(weights: Array, bias: Array, classes: Array) -> Any:
    """The model that gives the label and the probabilities of rows; weights of shape (1, n), or (K, n) for K classes.

    It computes in the dtype of the weights. Labels are strings, or integers of 64 bits, or floats.

    Raises
    ------
    ImportError
        Without onnx.
    """
    try:
        from onnx import TensorProto, checker, helper, numpy_helper
    except ModuleNotFoundError as error:
        raise ImportError("to_onnx needs onnx 1.16 or newer: pip install 'gradstep[onnx]'") from error

    kinds = {"b": np.int64, "i": np.int64, "u": np.int64, "f": np.float64}
    labels = classes.astype(kinds.get(classes.dtype.kind, object))
    label_type = {"i": TensorProto.INT64, "f": TensorProto.DOUBLE}.get(labels.dtype.kind, TensorProto.STRING)
    number_type = TensorProto.FLOAT if weights.dtype == np.float32 else TensorProto.DOUBLE
    constants = {"weights": weights.T, "bias": bias, "classes": labels}
    nodes: list[tuple[str, list[str], str, dict[str, Any]]]
    nodes = [("MatMul", ["X", "weights"], "products", {}), ("Add", ["products", "bias"], "scores", {})]
    if len(classes) == 2:
        constants |= {"zero": np.zeros((), weights.dtype), "columns": np.array([1])}
        nodes += [
            ("Neg", ["scores"], "negative", {}),
            ("Sigmoid", ["negative"], "first", {}),
            ("Sigmoid", ["scores"], "second", {}),
            ("Concat", ["first", "second"], "probabilities", {"axis": 1}),
            ("Squeeze", ["scores", "columns"], "score", {}),
            ("Greater", ["score", "zero"], "positive", {}),
            ("Cast", ["positive"], "code", {"to": TensorProto.INT64}),
        ]
    else:
        nodes += [
            ("Softmax", ["scores"], "probabilities", {"axis": 1}),
            ("ArgMax", ["scores"], "code", {"axis": 1, "keepdims": 0}),
        ]
    nodes.append(("Gather", ["classes", "code"], "label", {}))
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, [output], **options) for kind, inputs, output, options in nodes],
        "LogisticRegression",
        [helper.make_tensor_value_info("X", number_type, [None, weights.shape[1]])],
        [
            helper.make_tensor_value_info("label", label_type, [None]),
            helper.make_tensor_value_info("probabilities", number_type, [None, len(classes)]),
        ],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in constants.items()],
    )
    made = helper.make_model(
        graph,
        producer_name="gradstep",
        producer_version=__version__,
        ir_version=IR,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    checker.check_model(made, full_check=True)
    return made
