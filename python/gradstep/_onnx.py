"""Fitted estimators as models of ONNX (extra ``onnx``), and as parts of pipelines that skl2onnx converts."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradstep._arrays import Array
from gradstep._native import __version__

OPSET, IR = 18, 8
"""The versions of ONNX's operators and of its file format. Both are of 2023; readers of ONNX have known them since."""


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

    nodes, constants = _graph(weights, bias, classes)
    labels = constants["classes"]
    label_type = {"i": TensorProto.INT64, "f": TensorProto.DOUBLE}.get(labels.dtype.kind, TensorProto.STRING)
    number_type = TensorProto.FLOAT if weights.dtype == np.float32 else TensorProto.DOUBLE
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


def _graph(weights: Array, bias: Array, classes: Array) -> tuple[list[tuple[str, list[str], str, dict[str, Any]]], Any]:
    """The nodes from "X" to "label" and "probabilities", as (operator, inputs, output, attributes); and constants."""
    kinds = {"b": np.int64, "i": np.int64, "u": np.int64, "f": np.float64}
    constants = {"weights": weights.T, "bias": bias, "classes": classes.astype(kinds.get(classes.dtype.kind, object))}
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
            ("Cast", ["positive"], "code", {"to": _INT64}),
        ]
    else:
        nodes += [
            ("Softmax", ["scores"], "probabilities", {"axis": 1}),
            ("ArgMax", ["scores"], "code", {"axis": 1, "keepdims": 0}),
        ]
    nodes.append(("Gather", ["classes", "code"], "label", {}))
    return nodes, constants


_INT64 = 7
"""onnx.TensorProto.INT64"""


def register_skl2onnx() -> None:
    """Let skl2onnx convert `LogisticRegression` and `LogisticRegressionCV`, also as steps of pipelines.

    Call it once, before ``skl2onnx.to_onnx``. The options "zipmap", "output_class_labels" and "nocl" of that function
    are those for scikit-learn's classifiers.

    Raises
    ------
    ImportError
        Without skl2onnx.

    Examples
    --------
    >>> import skl2onnx
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> gradstep.register_skl2onnx()
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> steps = make_pipeline(StandardScaler(), gradstep.LogisticRegression()).fit(X, ["no", "yes", "no", "yes"])
    >>> [output.name for output in skl2onnx.to_onnx(steps, X[:1], options={"zipmap": False}).graph.output]
    ['label', 'probabilities']
    """
    try:
        import skl2onnx
        from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
    except ModuleNotFoundError as error:
        raise ImportError("register_skl2onnx needs skl2onnx: pip install skl2onnx") from error
    from gradstep import LogisticRegression, LogisticRegressionCV

    options = {"zipmap": [True, False, "columns"], "output_class_labels": [False, True], "nocl": [False, True]}
    for estimator in (LogisticRegression, LogisticRegressionCV):
        name = f"Gradstep{estimator.__name__}"
        skl2onnx.update_registered_converter(
            estimator, name, calculate_linear_classifier_output_shapes, _convert, options=options
        )


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Add the nodes of a fitted estimator to the graph that skl2onnx makes."""
    from onnx import TensorProto
    from skl2onnx.common.data_types import guess_proto_type
    from skl2onnx.common.utils_classifier import get_label_classes

    number_type = guess_proto_type(operator.outputs[1].type)
    dtype = np.float32 if number_type == TensorProto.FLOAT else np.float64
    estimator = operator.raw_operator
    weights, bias = (array.astype(dtype) for array in (estimator._dense_coefficients(), estimator.intercept_))
    classes = np.asarray(get_label_classes(scope, estimator))
    if classes.dtype.kind == "f":  # skl2onnx makes integers of them, as they are whole numbers
        classes = classes.astype(np.int64)
    nodes, constants = _graph(weights, bias, classes)
    names: dict[str, str] = {"label": operator.outputs[0].full_name, "probabilities": operator.outputs[1].full_name}

    def own(name: str) -> str:
        if name not in names:
            names[name] = scope.get_unique_variable_name(f"gradstep_{name}")
        return names[name]

    types = {"i": TensorProto.INT64, "f": number_type}
    for name, array in constants.items():
        of_strings = [str(value).encode() for value in array.flat] if array.dtype == object else None
        kind = types.get(array.dtype.kind, TensorProto.STRING)
        container.add_initializer(own(name), kind, list(array.shape), of_strings or array.ravel().tolist())
    steps = [("Cast", [operator.inputs[0].full_name], "X", {"to": number_type}), *nodes]
    for kind, inputs, output, attributes in steps:
        own_inputs = inputs if output == "X" else [own(name) for name in inputs]
        container.add_node(
            kind, own_inputs, [own(output)], op_domain="", op_version=13, name=scope.get_unique_operator_name(kind),
            **attributes,
        )  # fmt: skip
