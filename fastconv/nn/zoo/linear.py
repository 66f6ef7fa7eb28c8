"""The classifier to compare a network with: a linear function of the pixels, fitted by least squares."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...errors import InvalidArgument
from .. import arguments
from ..utils import class_numbers

BLOCK = 4096  # samples that are multiplied at a time


class LeastSquares:
    """argmax of x W + b, where W and b make the sum of squares of x W + b - onehot(y) smallest.

    Attributes
    ----------
    weights : ndarray, float64 (pixels + 1, classes)
        The last row is b. Where several are best these are the shortest.

    Notes
    -----
    By the normal equations in float64, n p**2 multiplications for n samples of p pixels; values of the Gram matrix
    below 1e-12 of the largest count as nothing.

    Examples
    --------
    >>> x = np.array([[0.0, 1.0], [0.1, 1.2], [1.0, 0.1], [0.9, 0.0]])
    >>> least_squares(x, [0, 0, 1, 1]).accuracy(x, [0, 0, 1, 1])
    1.0
    """

    def __init__(self, weights: np.ndarray) -> None:
        self.weights = weights

    def predict(self, x: Any) -> np.ndarray:
        """The class of each sample."""
        x = _flat("predict", x)
        if x.shape[1] + 1 != len(self.weights):
            raise InvalidArgument(f"x has {x.shape[1]} values a sample; this was fitted to {len(self.weights) - 1}")
        scores = [x[i : i + BLOCK] @ self.weights[:-1] + self.weights[-1] for i in range(0, len(x), BLOCK)]
        return np.concatenate(scores).argmax(axis=1) if scores else np.zeros(0, np.int64)

    def accuracy(self, x: Any, y: Any) -> float:
        """The share of samples whose class is right."""
        y = _labels("accuracy", y, None)
        predicted = self.predict(x)
        if len(predicted) != len(y) or not len(y):
            raise InvalidArgument(f"x has {len(predicted)} samples but y has {len(y)}; expected one label per sample")
        return float(np.mean(predicted == y))


def least_squares(x: Any, y: Any, classes: int | None = None) -> LeastSquares:
    """Fit a linear classifier.

    Parameters
    ----------
    x : array_like (N, ...)
    y : array_like of class numbers (N,) or (N, 1)
    classes : int, optional
        By default the largest number + 1.

    Returns
    -------
    LeastSquares

    Examples
    --------
    >>> least_squares(np.eye(3), [0, 1, 2]).predict(np.eye(3))
    array([0, 1, 2])
    """
    x = _flat("least_squares", x)
    classes = None if classes is None else arguments.size("least_squares", "classes", classes)
    y = _labels("least_squares", y, classes)
    if len(x) != len(y) or not len(y):
        raise InvalidArgument(f"x has {len(x)} samples but y has {len(y)}; expected one label per sample, at least one")
    targets = np.eye(int(y.max()) + 1 if classes is None else classes)
    size = x.shape[1] + 1
    gram, products = np.zeros((size, size)), np.zeros((size, len(targets)))
    for start in range(0, len(x), BLOCK):
        rows = np.concatenate([x[start : start + BLOCK], np.ones((len(x[start : start + BLOCK]), 1))], axis=1)
        gram += rows.T @ rows
        products += rows.T @ targets[y[start : start + BLOCK]]
    values, vectors = np.linalg.eigh(gram)
    kept = values > 1e-12 * values[-1]
    inverse = np.where(kept, 1 / np.where(kept, values, 1), 0)
    return LeastSquares(vectors @ (inverse[:, None] * (vectors.T @ products)))


def _flat(owner: str, x: Any) -> np.ndarray:
    x = arguments.host_array(owner, "x", x)
    if x.ndim < 2:
        raise arguments.wrong(owner, "x", x, "an array of samples, (N, ...)")
    return x.reshape(len(x), math.prod(x.shape[1:]))


def _labels(owner: str, y: Any, classes: int | None) -> np.ndarray:
    return class_numbers(arguments.host_array(owner, "y", y), classes, "y").reshape(-1)
