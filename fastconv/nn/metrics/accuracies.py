"""What is measured of outputs by themselves: functions (y_true, y_pred) with one value per sample."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...errors import InvalidArgument
from ...memory import check_room
from .. import arguments
from ..basics.arrays import as_numbers, matched, same_length
from ..utils import class_numbers


def categorical_accuracy(y_true: Any, y_pred: Any) -> np.ndarray:
    """1 where the largest output is that of the label's class (rows of probabilities), else 0.

    Examples
    --------
    >>> categorical_accuracy([[0, 1], [1, 0]], [[0.2, 0.8], [0.3, 0.7]])
    array([1., 0.])
    """
    y_true, y_pred = _rows_of_classes(y_true, y_pred, "categorical_accuracy")
    return (np.argmax(y_true, axis=-1) == np.argmax(y_pred, axis=-1)).astype(np.float64)


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> np.ndarray:
    """1 where the largest output is that of the class number, else 0."""
    y_pred = _classes_of(y_pred)
    return (_labels(y_true, y_pred) == np.argmax(y_pred, axis=-1)).astype(np.float64)


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> np.ndarray:
    """Share of a row's outputs that are on the label's side of the threshold."""
    y_true, y_pred = matched(y_true, y_pred, "binary_accuracy")
    threshold = arguments.real("binary_accuracy", "threshold", threshold)
    hits = (y_true > 0.5) == (y_pred > threshold)
    return _rows(hits)


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> np.ndarray:
    """1 where the label's class is among the k largest outputs (rows of probabilities), else 0."""
    y_true, y_pred = _rows_of_classes(y_true, y_pred, "top_k_categorical_accuracy")
    return sparse_top_k_categorical_accuracy(np.argmax(y_true, axis=-1), y_pred, k)


def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> np.ndarray:
    """1 where fewer than k outputs are larger than that of the class number, else 0.

    Examples
    --------
    >>> sparse_top_k_categorical_accuracy([2, 2], [[0.1, 0.5, 0.4], [0.4, 0.5, 0.1]], k=2)
    array([1., 0.])
    """
    y_pred = _classes_of(y_pred)
    k = arguments.whole("sparse_top_k_categorical_accuracy", "k", k, 1)
    own = np.take_along_axis(y_pred, _labels(y_true, y_pred)[..., None], axis=-1)
    return (((y_pred > own).sum(axis=-1) < k) & np.isfinite(own[..., 0])).astype(np.float64)


def accuracy(y_true: Any, y_pred: Any) -> np.ndarray:
    """Share of a sample's outputs that equal its labels."""
    y_true, y_pred = matched(y_true, y_pred, "accuracy")
    return _rows(y_true == y_pred)


def squared_error(y_true: Any, y_pred: Any) -> np.ndarray:
    """Mean of (y_pred - y_true)**2 over each sample."""
    y_true, y_pred = matched(y_true, y_pred, "squared_error")
    return _rows(np.square(np.asarray(y_pred, np.float64) - y_true))


def absolute_error(y_true: Any, y_pred: Any) -> np.ndarray:
    """Mean of abs(y_pred - y_true) over each sample."""
    y_true, y_pred = matched(y_true, y_pred, "absolute_error")
    return _rows(np.abs(np.asarray(y_pred, np.float64) - y_true))


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
    same_length(true, pred)
    K = num_classes or int(max(true.max(initial=-1), pred.max(initial=-1))) + 1
    check_room(8 * K * K, f"a matrix of {K:,} by {K:,} classes")
    return np.bincount(true * K + pred, minlength=K * K).reshape(K, K)


def _classes(y: Any, name: str, num_classes: int | None) -> np.ndarray:
    y = arguments.host_array(None, name, y)
    if y.ndim == 2 and y.shape[1] > 1:
        y = y.argmax(axis=1)
    return class_numbers(y.reshape(-1), num_classes, name)


def _labels(y_true: Any, y_pred: np.ndarray) -> np.ndarray:
    """Class numbers, one for each row of outputs."""
    labels = arguments.host_array(None, "y_true", y_true)
    if labels.shape == (*y_pred.shape[:-1], 1):
        labels = labels[..., 0]
    if labels.shape != y_pred.shape[:-1]:
        raise InvalidArgument(
            f"y_true has shape {labels.shape} but y_pred has {y_pred.shape}; expected one class number for each row of "
            f"outputs, {y_pred.shape[:-1]}"
        )
    return class_numbers(labels, y_pred.shape[-1], "y_true")


def _rows_of_classes(y_true: Any, y_pred: Any, what: str) -> tuple[np.ndarray, np.ndarray]:
    y_true, y_pred = arguments.host_array(None, "y_true", y_true), _classes_of(y_pred)
    if y_true.shape != y_pred.shape:
        raise InvalidArgument(
            f"{what} needs a number for each class: y_true has shape {y_true.shape} but y_pred has {y_pred.shape}; for "
            f"class numbers use sparse_{what}"
        )
    return y_true, y_pred


def _classes_of(y_pred: Any) -> np.ndarray:
    """Outputs, whose last axis is that of the classes."""
    y_pred = as_numbers(y_pred, "y_pred")
    if y_pred.shape[-1] == 0:
        raise InvalidArgument(f"y_pred has shape {y_pred.shape}; expected an output for at least one class")
    return y_pred


def _rows(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), math.prod(values.shape[1:])).mean(axis=1)


def accuracy_for(y_true: tuple[int, ...], y_pred: tuple[int, ...]) -> Callable[..., Any]:
    """What "accuracy" means for labels and outputs of these shapes.

    >>> [accuracy_for(*shapes).__name__ for shapes in (((8,), (8, 1)), ((8,), (8, 3)), ((8, 3), (8, 3)))]
    ['binary_accuracy', 'sparse_categorical_accuracy', 'categorical_accuracy']
    """
    if len(y_pred) < 2 or y_pred[-1] == 1:
        return binary_accuracy
    return sparse_categorical_accuracy if _are_numbers(y_true, y_pred) else categorical_accuracy


def top_k_accuracy_for(y_true: tuple[int, ...], y_pred: tuple[int, ...]) -> Callable[..., Any]:
    """What "top_k_accuracy" means for labels and outputs of these shapes."""
    return sparse_top_k_categorical_accuracy if _are_numbers(y_true, y_pred) else top_k_categorical_accuracy


def _are_numbers(y_true: tuple[int, ...], y_pred: tuple[int, ...]) -> bool:
    """Whether labels are class numbers, not rows with a number for each class."""
    return len(y_true) < len(y_pred) or (y_true[-1] == 1 and y_pred[-1] > 1)
