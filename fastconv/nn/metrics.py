"""What is measured beside the loss: functions (y_true, y_pred) with one value per sample, and their running means."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..errors import InvalidArgument, shown
from . import arguments
from .names import find
from .utils import class_numbers


def categorical_accuracy(y_true: Any, y_pred: Any) -> np.ndarray:
    """1 where the largest output is that of the label's class (rows of probabilities), else 0.

    Examples
    --------
    >>> categorical_accuracy([[0, 1], [1, 0]], [[0.2, 0.8], [0.3, 0.7]])
    array([1., 0.])
    """
    y_true, y_pred = _same_shape(*_pair("categorical_accuracy", y_true, y_pred, classes=True))
    return (np.argmax(y_true, axis=-1) == np.argmax(y_pred, axis=-1)).astype(np.float64)


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> np.ndarray:
    """1 where the largest output is that of the class number, else 0."""
    y_true, y_pred = _pair("sparse_categorical_accuracy", y_true, y_pred, classes=True)
    return (_labels(y_true, y_pred) == np.argmax(y_pred, axis=-1)).astype(np.float64)


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> np.ndarray:
    """Share of a row's outputs that are on the label's side of the threshold."""
    y_true, y_pred = _same_shape(*_pair("binary_accuracy", y_true, y_pred))
    threshold = arguments.real("binary_accuracy", "threshold", threshold)
    hits = (y_true > 0.5) == (y_pred > threshold)
    return _rows(hits)


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> np.ndarray:
    """1 where the label's class is among the k largest outputs (rows of probabilities), else 0."""
    y_true, y_pred = _same_shape(*_pair("top_k_categorical_accuracy", y_true, y_pred, classes=True))
    return sparse_top_k_categorical_accuracy(np.argmax(y_true, axis=-1), y_pred, k)


def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> np.ndarray:
    """1 where fewer than k outputs are larger than that of the class number, else 0.

    Examples
    --------
    >>> sparse_top_k_categorical_accuracy([2, 2], [[0.1, 0.5, 0.4], [0.4, 0.5, 0.1]], k=2)
    array([1., 0.])
    """
    y_true, y_pred = _pair("sparse_top_k_categorical_accuracy", y_true, y_pred, classes=True)
    k = arguments.whole("sparse_top_k_categorical_accuracy", "k", k, 1)
    own = np.take_along_axis(y_pred, _labels(y_true, y_pred)[..., None], axis=-1)
    return (((y_pred > own).sum(axis=-1) < k) & np.isfinite(own[..., 0])).astype(np.float64)


def squared_error(y_true: Any, y_pred: Any) -> np.ndarray:
    """Mean of (y_pred - y_true)**2 over each sample."""
    y_true, y_pred = _same_shape(*_pair("squared_error", y_true, y_pred))
    return _rows(np.square(y_pred.astype(np.float64) - y_true))


def absolute_error(y_true: Any, y_pred: Any) -> np.ndarray:
    """Mean of abs(y_pred - y_true) over each sample."""
    y_true, y_pred = _same_shape(*_pair("absolute_error", y_true, y_pred))
    return _rows(np.abs(y_pred.astype(np.float64) - y_true))


def confusion_matrix(y_true: Any, y_pred: Any, num_classes: int | None = None) -> np.ndarray:
    """How often label i was taken for class j.

    Parameters
    ----------
    y_true, y_pred : array_like
        Class numbers (N,), or rows of probabilities (N, K), of which the largest counts.
    num_classes : int, optional
        By default the largest number + 1.

    Returns
    -------
    ndarray of int64, (num_classes, num_classes)
        Rows are labels, columns predictions.

    Examples
    --------
    >>> confusion_matrix([0, 1, 1], [0, 1, 0])
    array([[1, 0],
           [1, 1]])
    """
    if num_classes is not None:
        num_classes = arguments.size("confusion_matrix", "num_classes", num_classes)
    true, pred = _classes(y_true, "y_true", num_classes), _classes(y_pred, "y_pred", num_classes)
    if len(true) != len(pred):
        raise InvalidArgument(f"y_true has {len(true)} samples but y_pred has {len(pred)}")
    K = num_classes or int(max(true.max(initial=-1), pred.max(initial=-1))) + 1
    try:
        return np.bincount(true * K + pred, minlength=K * K).reshape(K, K)
    except (MemoryError, ValueError) as error:
        raise InvalidArgument(f"a matrix of {K:,} by {K:,} classes does not fit into memory: {error}") from error


def _classes(y: Any, name: str, num_classes: int | None) -> np.ndarray:
    y = arguments.host_array("confusion_matrix", name, y)
    if y.ndim == 2 and y.shape[1] > 1:
        y = y.argmax(axis=1)
    return class_numbers(y.reshape(-1), num_classes, name)


def _pair(owner: str, y_true: Any, y_pred: Any, classes: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Labels and outputs as arrays; with `classes` the outputs' last axis is that of the classes."""
    y_true, y_pred = arguments.host_array(owner, "y_true", y_true), arguments.host_array(owner, "y_pred", y_pred)
    for name, y in (("y_true", y_true), ("y_pred", y_pred)):
        if y.ndim == 0:
            raise InvalidArgument(f"`{owner}`: {name} is one number; expected an array, one row per sample")
    if classes and y_pred.shape[-1] == 0:
        raise InvalidArgument(f"`{owner}`: y_pred has shape {y_pred.shape}; expected at least one class")
    return y_true, y_pred


def _same_shape(y_true: np.ndarray, y_pred: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both with one shape; (N,) and (N, 1) mean the same."""
    if y_true.shape != y_pred.shape and {y_true.ndim, y_pred.ndim} == {1, 2} and y_true.size == y_pred.size:
        y_true = y_true.reshape(y_pred.shape)
    if y_true.shape != y_pred.shape:
        raise InvalidArgument(f"y_true has shape {y_true.shape} but y_pred has {y_pred.shape}; they must be the same")
    return y_true, y_pred


def _labels(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
        y_true = y_true[..., 0]
    if y_true.shape != y_pred.shape[:-1]:
        raise InvalidArgument(
            f"y_true has shape {y_true.shape} but y_pred has {y_pred.shape}; expected one class number per row"
        )
    return class_numbers(y_true, y_pred.shape[-1], "y_true")


def _rows(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), math.prod(values.shape[1:])).mean(axis=1)


class Metric:
    """The mean of a per-sample function over everything since `reset_state`.

    Examples
    --------
    >>> metric = Metric(categorical_accuracy)
    >>> metric.update_state([[0, 1]], [[0.2, 0.8]])
    >>> metric.update_state([[0, 1]], [[0.8, 0.2]])
    >>> metric.result()
    0.5
    """

    def __init__(self, function: Callable[..., Any], name: str | None = None) -> None:
        self.function = arguments.function(self, "function", function, ("y_true", "y_pred"))
        own = str(getattr(function, "__name__", "metric"))
        self.name: str = own if name is None else arguments.text(self, "name", name) or own
        self.reset_state()

    def reset_state(self) -> None:
        """Forget everything."""
        self.total, self.count = 0.0, 0

    def update_state(self, y_true: Any, y_pred: Any) -> None:
        """Take in a batch."""
        values = arguments.result_of(self, "function", self.function, y_true, y_pred)
        values = arguments.host_array(self, f"what {shown(self.name)} returned", values).astype(np.float64, copy=False)
        if values.ndim == 0:  # a function that gives one number for the batch
            shape = arguments.host_array(self, "y_pred", y_pred).shape
            values = np.full(shape[0] if shape else 1, float(values))
        self.total += float(values.sum())
        self.count += values.size

    def result(self) -> float:
        """The mean."""
        return self.total / self.count if self.count else 0.0


NUMBERS: dict[str, Callable[..., Any]] = {"k": arguments.size, "threshold": arguments.real}


def _metric(class_name: str, function: Callable[..., Any], name: str, **parameters: Any) -> type[Metric]:
    def __init__(self: Metric, *values: Any, name: str = name, **keywords: Any) -> None:
        given = {**parameters, **dict(zip(parameters, values, strict=False)), **keywords}
        if set(given) != set(parameters) or len(values) > len(parameters):
            raise InvalidArgument(
                f"{class_name} takes {', '.join([*parameters, 'name'])}; got {shown(values)} {shown(keywords)}"
            )
        given = {key: NUMBERS[key](self, key, value) for key, value in given.items()}
        Metric.__init__(self, partial(function, **given) if given else function, name)

    doc = f"Running mean of `{function.__name__}`."
    return type(class_name, (Metric,), {"__init__": __init__, "__doc__": doc, "__module__": __name__})


CategoricalAccuracy = _metric("CategoricalAccuracy", categorical_accuracy, "categorical_accuracy")
SparseCategoricalAccuracy = _metric(
    "SparseCategoricalAccuracy", sparse_categorical_accuracy, "sparse_categorical_accuracy"
)
BinaryAccuracy = _metric("BinaryAccuracy", binary_accuracy, "binary_accuracy", threshold=0.5)
TopKCategoricalAccuracy = _metric(
    "TopKCategoricalAccuracy", top_k_categorical_accuracy, "top_k_categorical_accuracy", k=5
)
SparseTopKCategoricalAccuracy = _metric(
    "SparseTopKCategoricalAccuracy", sparse_top_k_categorical_accuracy, "sparse_top_k_categorical_accuracy", k=5
)
MeanSquaredError = _metric("MeanSquaredError", squared_error, "mean_squared_error")
MeanAbsoluteError = _metric("MeanAbsoluteError", absolute_error, "mean_absolute_error")

_ACCURACY = {
    "categorical_crossentropy": categorical_accuracy,
    "sparse_categorical_crossentropy": sparse_categorical_accuracy,
    "binary_crossentropy": binary_accuracy,
}
_TOP_K = {"sparse_categorical_crossentropy": sparse_top_k_categorical_accuracy}
KNOWN: dict[str, Any] = {
    "accuracy": None,
    "acc": None,
    "top_k_accuracy": None,
    "categorical_accuracy": categorical_accuracy,
    "sparse_categorical_accuracy": sparse_categorical_accuracy,
    "binary_accuracy": binary_accuracy,
    "top_k_categorical_accuracy": top_k_categorical_accuracy,
    "sparse_top_k_categorical_accuracy": sparse_top_k_categorical_accuracy,
    "mse": squared_error,
    "mean_squared_error": squared_error,
    "mae": absolute_error,
    "mean_absolute_error": absolute_error,
}


def get(identifier: Any, loss: str = "") -> Metric:
    """A metric from a name, a function (y_true, y_pred) or an object; "accuracy" means what suits the loss."""
    if isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Metric):
        return arguments.result_of("metrics.get", "identifier", identifier)
    if callable(identifier):
        return Metric(identifier)
    function = find("metric", identifier, KNOWN)
    arguments.text("metrics.get", "loss", loss)
    if identifier in ("accuracy", "acc"):
        function = _ACCURACY.get(loss, categorical_accuracy)
    elif identifier == "top_k_accuracy":
        function = _TOP_K.get(loss, top_k_categorical_accuracy)
    return Metric(function, identifier)
