"""Every public function, given anything that NumPy, SciPy and Python have: it returns what it returns for plain arrays
of the same numbers, to the bit, or refuses both alike. (Other tests compare plain arrays with the textbook.)

More by hand: `GRADSTEP_CASES=20 pytest tests/errors/test_any_input.py` draws twenty times as many cases.
"""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable
from dataclasses import is_dataclass
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import gradstep
from helpers.problems import cases
from helpers.results import parts

REFUSALS = (TypeError, ValueError, MemoryError)

REAL = ["?", "b", "B", "h", "H", "i", "I", "l", "L", "e", "f", "d", "g", ">f8", ">f4", "<f2", ">i4", ">u2"]
NOT_REAL = ["F", "D", "O", "U3", "S2", "M8[s]", "m8[s]", "V3"]
SPECIAL = [0.0, -0.0, 1.0, np.nan, np.inf, -np.inf, 5e-324, -1e-308, 1e308, -1e308, 3.4e38, 745.2, -745.2, 0.5]
LAYOUTS = [
    "C",
    "F",
    "strided",
    "reversed",
    "repeated",
    "misaligned",
    "read-only",
    "field",
    "list",
    "masked",
    "wild bools",
]

Outcome = tuple[str, Any]


# --- arrays -----------------------------------------------------------------------------------------------------------


@st.composite
def arrays(draw: st.DrawFn, shape: tuple[int, ...], labels: int = 0) -> tuple[Any, Any]:
    """Numbers in some form, and the same numbers as a plain array; None instead of it if they must be refused.

    `labels` are the codes 0 … labels - 1.
    """
    dtype = np.dtype(draw(st.sampled_from(REAL * 4 + NOT_REAL)))
    layout = draw(st.sampled_from(LAYOUTS + ["C"] * 4))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    numbers = random.integers(0, labels, shape).astype(float) if labels else random.normal(size=shape)
    if draw(st.integers(0, 4)) == 0:
        numbers = np.where(random.random(shape) < 0.3, random.choice(SPECIAL, shape), numbers)
    with np.errstate(all="ignore"):
        if dtype.kind in "biu":
            numbers = np.nan_to_num(np.clip(numbers * (1 if labels else 3), -100, 100))
            numbers = abs(numbers) if dtype.kind in "bu" else numbers
        values = np.zeros(shape, dtype) if dtype.kind in "VM" else np.asarray(numbers).astype(dtype)
    given_, plain = in_layout(values, layout, random)
    if plain is None or plain.dtype.kind not in "biuf":
        return given_, None
    with np.errstate(over="ignore"):
        return given_, np.ascontiguousarray(plain, np.float32 if is_single(plain.dtype) else np.float64).reshape(
            plain.shape
        )


def is_single(dtype: np.dtype[Any]) -> bool:
    return dtype.kind == "f" and dtype.itemsize == 4


def in_layout(values: Any, layout: str, random: np.random.Generator) -> tuple[Any, Any]:
    """The values in that layout, and the same as a plain array; None instead of it if they must be refused."""
    match layout:
        case "F":
            return np.array(values, order="F"), values
        case "strided" if values.ndim:
            wide = np.zeros((*values.shape[:-1], 2 * values.shape[-1]), values.dtype)
            wide[..., ::2] = values
            return wide[..., ::2], values
        case "reversed":
            back = (slice(None, None, -1),) * values.ndim
            turned = np.array(values[back], order="C")[back]
            return turned, np.asarray(turned)  # with no dimension, `turned` is a scalar or the object
        case "repeated" if values.ndim and values.shape[0]:
            return np.broadcast_to(values[0], values.shape), np.broadcast_to(values[0], values.shape)
        case "misaligned" if values.size and values.dtype.kind != "O":
            memory = np.zeros(values.nbytes + 1, np.uint8)
            view = memory[1:].view(values.dtype).reshape(values.shape)
            view[...] = values
            return view, values
        case "read-only":
            values.flags.writeable = False
            return values, values
        case "field":
            records = np.zeros(values.shape, [("before", "u1"), ("field", values.dtype), ("after", "u2")])
            records["field"] = values
            return records["field"], values
        case "list":
            plain = values.tolist()
            # The elements of an array of objects, as a list, are a list of numbers.
            return plain, np.asarray(plain) if values.dtype.kind in "biufO" or not values.size else None
        case "masked":
            return np.ma.masked_array(values, np.zeros(values.shape, bool)), None
        case "wild bools":
            bytes_ = random.integers(0, 256, values.shape).astype(np.uint8)
            return np.asarray(bytes_).view(bool), np.asarray(bytes_ != 0)
    return values, values


def copied(value: Any) -> Any:
    return value.copy() if hasattr(value, "copy") else value


def same(value: Any, other: Any) -> bool:
    if is_dataclass(value):
        return type(value) is type(other) and all(map(same, parts(value), parts(other)))
    if isinstance(value, tuple):
        return type(value) is type(other) and len(value) == len(other) and all(map(same, value, other))
    if isinstance(value, np.ndarray | np.generic | float):
        a, b = np.asarray(value), np.asarray(other)
        if a.dtype != b.dtype or a.shape != b.shape:
            return False
        signs = (np.signbit(x) & ~np.isnan(x) for x in (a, b))  # the sign of a NaN means nothing
        return bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") and np.array_equal(*signs))
    return bool(value == other)


def outcome(call: Callable[..., Any], *arguments: Any) -> Outcome:
    """The result or the refusal. The test fails by any other exception, such as a panic."""
    try:
        return "result", call(*arguments)
    except REFUSALS as error:
        return "refused", error


def check(call: Callable[..., Any], given_: list[Any], plain: list[Any]) -> None:
    """Assert that both calls have the same outcome, and that no argument is changed."""
    before = [copied(value) for value in given_]
    got = outcome(call, *given_)
    for value, was in zip(given_, before, strict=True):
        if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
            assert np.array_equal(np.asarray(value), np.asarray(was), equal_nan=value.dtype.kind == "f"), (
                "input was modified"
            )
    if any(value is None for value in plain):
        assert got[0] == "refused", f"what is not an array of real numbers was taken: {got}"
        return
    want = outcome(call, *plain)
    assert got[0] == want[0], (got, want)
    if got[0] == "result":
        assert same(got[1], want[1]), (got, want)
    else:
        assert type(got[1]) is type(want[1]), (got, want)


# --- formulas ---------------------------------------------------------------------------------------------------------

SHAPES = st.lists(st.integers(0, 19), min_size=0, max_size=3).map(tuple)


@settings(max_examples=cases(300))
@given(data=st.data(), name=st.sampled_from(["sigmoid", "sigmoid_derivative", "log_sigmoid", "softmax"]))
def test_elementwise(data: st.DataObject, name: str) -> None:
    z, plain = data.draw(arrays(data.draw(SHAPES)))
    # A list of numbers is an array of the type that NumPy gives it.
    check(getattr(gradstep, name), [z], [plain])


@settings(max_examples=cases(200))
@given(data=st.data())
def test_cross_entropy(data: st.DataObject) -> None:
    shape = data.draw(SHAPES)
    y, plain_y = data.draw(arrays(shape, labels=2))
    p, plain_p = data.draw(arrays(shape if data.draw(st.integers(0, 5)) else data.draw(SHAPES), labels=2))
    check(gradstep.cross_entropy, [y, p], [plain_y, plain_p])


FORMULAS: dict[str, Callable[..., Any]] = {
    "decision_function": lambda X, y, weights: gradstep.decision_function(X, weights, 0.25),
    "predict_proba": lambda X, y, weights: gradstep.predict_proba(X, weights, 0.25),
    "loss": lambda X, y, weights: gradstep.loss(X, y, weights, 0.25),
    "gradient": lambda X, y, weights: gradstep.gradient(X, y, weights, 0.25),
    "loss_gradient": lambda X, y, weights: gradstep.loss_gradient(X, y, weights, 0.25),
    "weighted": lambda X, y, weights: gradstep.loss_gradient(X, y, weights, 0.25, sample_weight=y),
    "gradient_step": lambda X, y, weights: gradstep.gradient_step(X, y, weights, 0.25, 0.5, reduction="sum"),
    "hessian": lambda X, y, weights: gradstep.hessian(X, weights, 0.25),
    "covariance": lambda X, y, weights: gradstep.covariance(X, weights, 0.25),
    "explain": lambda X, y, weights: gradstep.explain(weights, 0.75, weights, 0.25, 0.5),
    "trainer": lambda X, y, weights: gradstep.Trainer(0.5, 2, batch_size=3).fit(X, y, weights),
    "points": lambda X, y, weights: gradstep.Trainer(0.5, 2, batch_size=1, l2=0.1).fit(X, y, weights),
    "show": lambda X, y, weights: shown(gradstep.Trainer(0.5, 2, batch_size=3).fit(X, y, weights), X, y),
    "fit": lambda X, y, weights: optimum(X, y, l2=0.5, weights=weights, bias=0.25, max_passes=30),
    "fit_many": lambda X, y, weights: optima(X, y, l2=[0.5, 0.1], weights=[weights] * 2, max_passes=30),
    "path": lambda X, y, weights: found(gradstep.path(X, y, n=3, ratio=0.1, max_passes=30)),
    "gd": lambda X, y, weights: optimum(X, y, l2=0.5, weights=weights, solver="gd", max_passes=30),
}


@settings(max_examples=cases(1000))
@given(data=st.data(), name=st.sampled_from(sorted(FORMULAS)))
def test_formulas(data: st.DataObject, name: str) -> None:
    m, n = data.draw(st.integers(0, 19)), data.draw(st.integers(0, 19))
    shapes = [(m, n), (m,), (n,)]
    if data.draw(st.integers(0, 4)) == 0:  # sometimes shapes do not fit each other
        shapes[data.draw(st.integers(0, 2))] = data.draw(SHAPES)
    drawn = [data.draw(arrays(shape, labels=2 * (i == 1))) for i, shape in enumerate(shapes)]
    if name in ("decision_function", "predict_proba", "hessian", "covariance", "explain"):
        drawn[1] = (None, np.zeros(1))  # these calls use no labels
    if name == "path":
        drawn[2] = (None, np.zeros(1))  # nor does this one use weights
    if name == "explain":
        drawn[0] = (None, np.zeros(1))  # explain takes the weights for its point, too
    call = FORMULAS[name]
    if name in ("trainer", "points"):
        call = lambda X, y, weights: comparable(FORMULAS[name](X, y, weights))  # noqa: E731
    check(call, [value for value, _ in drawn], [plain for _, plain in drawn])


def shown(descent: Any, X: Any, y: Any) -> str:
    """The page of a descent."""
    page = gradstep.show(descent, X, y, open_browser=False)
    try:
        return page.read_text(encoding="utf-8")
    finally:
        page.unlink()


def optimum(*arguments: Any, **options: Any) -> Any:
    best = gradstep.fit(*arguments, **options)
    return best.weights, best.bias, best.objective


def optima(*arguments: Any, **options: Any) -> Any:
    many = gradstep.fit_many(*arguments, **options)
    return tuple(part for best in many for part in (best.weights, best.bias, best.objective))


def found(path: Any) -> Any:
    return path.strengths, path.weights, path.bias, path.objective, path.deviance_explained


def comparable(fit: Any) -> Any:
    return fit.weights, fit.bias, fit.history, fit.n_epochs, str(fit.stop_reason)


@settings(max_examples=cases(150))
@given(data=st.data(), name=st.sampled_from(["predict_proba", "loss_gradient", "fit"]))
def test_several_classes(data: st.DataObject, name: str) -> None:
    m, n, K = data.draw(st.integers(1, 19)), data.draw(st.integers(1, 9)), data.draw(st.integers(2, 4))
    X, plain_X = data.draw(arrays((m, n)))
    y, plain_y = data.draw(arrays((m,), labels=K))
    W, plain_W = data.draw(arrays((K, n) if data.draw(st.integers(0, 4)) else data.draw(SHAPES)))
    call: dict[str, Callable[..., Any]] = {
        "predict_proba": lambda X, y, W: gradstep.predict_proba(X, W, np.zeros(K)),
        "loss_gradient": lambda X, y, W: gradstep.loss_gradient(X, y, W, np.zeros(K)),
        "fit": lambda X, y, W: optimum(X, y, l2=0.5, max_passes=20),
    }
    given_, plain = [X, y, W], [plain_X, plain_y, plain_W]
    if name == "fit":
        given_[2] = plain[2] = np.zeros(1)  # this call uses no weights
    if name == "predict_proba":
        given_[1] = plain[1] = np.zeros(1)
    check(call[name], given_, plain)


# --- sparse matrices --------------------------------------------------------------------------------------------------


@settings(max_examples=cases(300))
@given(data=st.data())
def test_broken_sparse_matrices(data: st.DataObject) -> None:
    """They are refused exactly if positions lead out of the arrays or the matrix; else they equal the dense matrix."""
    m, n = data.draw(st.integers(1, 12)), data.draw(st.integers(1, 12))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    dense = random.integers(-3, 4, (m, n)) * (random.random((m, n)) < 0.4) / 4
    make = data.draw(st.sampled_from([scipy.sparse.csr_array, scipy.sparse.csc_matrix, scipy.sparse.csr_matrix]))
    X = make(dense.astype(data.draw(st.sampled_from([np.float32, np.float64]))))
    index = data.draw(st.sampled_from([np.int32, np.int64]))
    X.indices, X.indptr = X.indices.astype(index), X.indptr.astype(index)
    for _ in range(data.draw(st.integers(0, 2))):
        part = data.draw(st.sampled_from(["indices", "indptr"]))
        array = getattr(X, part)
        assume(len(array))
        array[data.draw(st.integers(0, len(array) - 1))] = data.draw(
            st.integers(-2, 14) | st.sampled_from([np.iinfo(index).min, np.iinfo(index).max])
        )
    y, weights = random.integers(0, 2, m).astype(float), random.integers(-4, 5, n) / 8
    got = [outcome(call, X, y, weights) for call in SPARSE]
    entries = stored(X)
    if entries is None:
        assert [kind for kind, _ in got] == ["refused"] * len(SPARSE)
        return
    want = [outcome(call, entries, y, weights) for call in SPARSE]
    for (kind, result), (wanted, expected) in zip(got, want, strict=True):
        assert kind == wanted, (result, expected)
        for part, other in zip(result, expected, strict=True):
            # At most thirteen terms are added in another order: some roundings of numbers no larger than 12·0.75.
            np.testing.assert_allclose(part, other, rtol=0, atol=200 * np.finfo(X.dtype).eps)


def stored(X: Any) -> Any:
    """The dense matrix, or None where there is none. (SciPy's own conversion may crash.)"""
    dense = np.zeros(X.shape, X.dtype)
    by_major = dense if X.format == "csr" else dense.T
    starts = X.indptr.tolist()
    if starts[0] != 0 or sorted(starts) != starts or starts[-1] > len(X.indices):
        return None
    for row, first, end in zip(by_major, starts, starts[1:], strict=False):
        for column, value in zip(X.indices[first:end].tolist(), X.data[first:end], strict=True):
            if not 0 <= column < len(row):
                return None
            row[column] += value
    return dense


SPARSE: list[Callable[..., Any]] = [
    lambda X, y, weights: (gradstep.predict_proba(X, weights.astype(X.dtype)),),
    lambda X, y, weights: tuple(gradstep.loss_gradient(X, y, weights.astype(X.dtype))),
    lambda X, y, weights: (gradstep.Trainer(0.5, 1, batch_size=2).fit(X, y).weights,),
]


# --- options ----------------------------------------------------------------------------------------------------------

ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(-2, 5),
    st.floats(),
    st.sampled_from(
        ["", "auto", "gd", "lbfgs", "mean", "sum", "sigmoid", "step", "\0", "σ", b"auto", 1j, (), [], {}, object]
    ),
    st.sampled_from(
        [np.float32(0.5), np.int64(3), np.array(2), np.array([1, 2]), np.array("auto"), np.ma.masked, np.nan]
    ),
)

TRAINER_OPTIONS = sorted(set(inspect.signature(gradstep.Trainer).parameters))
PATH_OPTIONS = sorted(set(inspect.signature(gradstep.path).parameters) - {"X", "y"})
FIT_OPTIONS = sorted(set(inspect.signature(gradstep.fit).parameters) - {"X", "y", "callback"})

X, Y = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 3.0]]), np.array([0, 1, 0, 1])


@settings(max_examples=cases(300))
@given(
    options=st.dictionaries(
        st.sampled_from(TRAINER_OPTIONS),
        ANYTHING,
        max_size=4,
    )
)
def test_options_of_a_trainer(options: dict[str, Any]) -> None:
    kind, trainer = outcome(lambda: gradstep.Trainer(**options))
    if kind == "refused":
        assert names_one_of(options, trainer)
    elif trainer.epochs <= 5 or trainer.tol > 0:
        outcome(lambda: trainer.fit(X, Y, callback=lambda epoch, *_: epoch >= 5))


def names_one_of(options: dict[str, Any], error: Exception) -> bool:
    return any(str(error).startswith((f"{name} must ", f"argument '{name}'")) for name in options)


@settings(max_examples=cases(300))
@given(
    options=st.dictionaries(
        st.sampled_from(FIT_OPTIONS),
        ANYTHING,
        max_size=4,
    ),
    classes=st.sampled_from([2, 3]),
)
def test_options_of_fit(options: dict[str, Any], classes: int) -> None:
    y = np.arange(4) % classes
    kind, best = outcome(lambda: gradstep.fit(X, y, **options, callback=lambda iteration: iteration.passes > 50))
    if kind == "refused":
        assert names_one_of(options, best)
    else:
        assert np.isfinite(best.weights).all() and np.isfinite(best.objective)


@settings(max_examples=cases(200))
@given(options=st.dictionaries(st.sampled_from(PATH_OPTIONS), ANYTHING, max_size=4), classes=st.sampled_from([2, 3]))
def test_options_of_a_path(options: dict[str, Any], classes: int) -> None:
    y = [0, 0, 1, classes - 1]
    kind, path = outcome(lambda: gradstep.path(X, y, **{"n": 5, "max_passes": 30, **options}))
    if kind == "refused":
        assert names_one_of({"l1_ratio": None, **options}, path)
    else:
        assert np.isfinite(path.weights).all() and np.isfinite(path.objective).all()


TRAIN_OPTIONS = sorted(set(inspect.signature(gradstep.train).parameters) - {"data", "trainer"})


@settings(max_examples=cases(200))
@given(options=st.dictionaries(st.sampled_from(TRAIN_OPTIONS), ANYTHING, max_size=3))
def test_options_of_training(options: dict[str, Any]) -> None:
    table = {"a": [0.0, 1.0, 2.0, 3.0, 1.5, 2.5], "b": [2, 0, 1, 1, 0, 2], "y": [0, 0, 1, 1, 1, 0]}
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        kind, model = outcome(lambda: gradstep.train(table, **{"l2": 0.1, "max_passes": 30, **options}))
    assert kind == "refused" or np.isfinite(model.weights).all()


@settings(max_examples=cases(200))
@given(data=st.data())
def test_options_of_formulas(data: st.DataObject) -> None:
    option = data.draw(ANYTHING)
    name, call = data.draw(st.sampled_from(sorted(OPTIONS.items())))
    kind, result = outcome(call, option)
    assert kind == "result" or names_one_of({name: option}, result), (name, result)


OPTIONS: dict[str, Callable[[Any], Any]] = {
    "bias": lambda option: gradstep.loss(X, Y, [1.0, 2.0], option),
    "learning_rate": lambda option: gradstep.gradient_step(X, Y, [1.0, 2.0], 0.0, option),
    "reduction": lambda option: gradstep.gradient_step(X, Y, [1.0, 2.0], 0.0, 0.1, reduction=option),
    "n_threads": lambda option: gradstep.predict_proba(X, [1.0, 2.0], n_threads=option),
    "out": lambda option: gradstep.sigmoid(X, out=option),
    "z": lambda option: gradstep.sigmoid(option),
    "X": lambda option: gradstep.loss(option, Y, [1.0, 2.0]),
    "sample_weight": lambda option: gradstep.gradient(X, Y, [1.0, 2.0], sample_weight=option),
}


@pytest.mark.parametrize("name", sorted(set(gradstep.__all__) - {"load", "register_skl2onnx", "show_config"}))
def test_no_public_name_is_left_out(name: str) -> None:
    """Every public function has a test here. Exceptions: scikit-learn's checks test the estimators, and
    cli/test_model_file.py tests `load`; `show_config` and `register_skl2onnx` take no data.
    """
    value = getattr(gradstep, name)
    if callable(value) and name[0].islower():
        with open(__file__, encoding="utf-8") as file:
            assert re.search(rf'gradstep\.{name}\b|"{name}"', file.read())
