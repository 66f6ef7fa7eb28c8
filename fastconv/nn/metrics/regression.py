"""Metrics of numbers, beside the means of losses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ...errors import InvalidArgument
from .. import arguments
from ..basics.arrays import as_numbers, matched
from ..fitting.weighting import beside
from .base import MeanMetricWrapper, Metric, _Average


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> np.ndarray:
    """Cosine of the angle between labels and outputs along an axis: 1 is the same direction.

    Examples
    --------
    >>> cosine_similarity([[0.0, 2.0]], [[0.0, 1.0]])
    array([1.])
    """
    true, pred = _floats(y_true, y_pred, "cosine_similarity", axis)
    lengths = [np.sqrt(np.maximum(np.square(y).sum(axis=axis), 1e-14)) for y in (true, pred)]
    return (true * pred).sum(axis=axis) / (lengths[0] * lengths[1])


def pearson_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> np.ndarray:
    """Correlation of labels and outputs along an axis.

    Examples
    --------
    >>> pearson_correlation([[0.0, 1.0, 2.0]], [[1.0, 3.0, 5.0]]).round(6)
    array([1.])
    """
    true, pred = (y - y.mean(axis=axis, keepdims=True) for y in _floats(y_true, y_pred, "pearson_correlation", axis))
    with np.errstate(invalid="ignore", divide="ignore"):
        return (true * pred).mean(axis=axis) / (true.std(axis=axis) * pred.std(axis=axis))


class RootMeanSquaredError(_Average):
    """Root of the mean of (y_pred - y_true)**2.

    Examples
    --------
    >>> metric = RootMeanSquaredError()
    >>> metric.update_state([[0.0, 0.0]], [[3.0, 4.0]])
    >>> round(metric.result() ** 2, 6)
    12.5
    """

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take in a batch."""
        true, pred = _floats(y_true, y_pred, self.name)
        self._take(np.square(pred - true), sample_weight)

    def result(self) -> Any:
        """The root of the mean."""
        return math.sqrt(super().result())


class R2Score(Metric):
    """1 - sum((y_true - y_pred)**2) / sum((y_true - mean(y_true))**2), of each output: 1 is perfect, 0 the mean.

    Parameters
    ----------
    class_aggregation : {"uniform_average", "variance_weighted_average"} or None
        How the scores of several outputs become one; None leaves them apart.
    num_regressors : int
        Number of inputs that the score is adjusted for.
    name : str, optional
    dtype : dtype, optional
    """

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__("r2_score" if name is None else name, dtype)
        known = ("uniform_average", "variance_weighted_average")
        if class_aggregation is not None:
            arguments.choice(self, "class_aggregation", class_aggregation, known)
        self.class_aggregation = class_aggregation
        self.num_regressors = arguments.whole(self, "num_regressors", num_regressors, 0)
        self.reset_state()

    def reset_state(self) -> None:
        self._sums: Any = 0.0  # of the weights, labels, their squares, and squared errors, each by output
        self._samples = 0

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take in a batch of (N, outputs)."""
        true, pred = _floats(y_true, y_pred, self.name)
        if true.ndim != 2:
            raise InvalidArgument(f"R2Score needs a row of outputs for each sample; got {pred.shape}")
        weights = np.ones(true.shape)
        if sample_weight is not None:
            weights = weights * beside(sample_weight, true.shape, true)
        parts = weights, weights * true, weights * true**2, weights * (true - pred) ** 2
        self._sums = self._sums + np.stack([part.sum(axis=0) for part in parts])
        self._samples += true.size

    def result(self) -> Any:
        """The score, or one for each output."""
        if not self._samples:
            return 0.0
        count, total, squares, errors = self._sums
        with np.errstate(invalid="ignore", divide="ignore"):
            variation = squares - total**2 / count
            scores = 1 - errors / variation
        scores = np.where(np.isinf(scores), 0.0, scores)
        if self.class_aggregation == "uniform_average":
            scores = scores.mean()
        elif self.class_aggregation == "variance_weighted_average":
            scores = (scores * variation).sum() / variation.sum()
        if self.num_regressors and self._samples > self.num_regressors + 1:
            left = (self._samples - 1) / (self._samples - self.num_regressors - 1)
            scores = 1 - (1 - scores) * left
        return scores if np.ndim(scores) else float(scores)


class _OfAxis(MeanMetricWrapper):
    """What means of values along an axis share."""

    _of: Any

    def __init__(self, name: str | None = None, dtype: Any = None, axis: int = -1) -> None:
        self.axis = arguments.axis(self, "axis", axis)
        super().__init__(type(self)._of, name, dtype, axis=self.axis)


class CosineSimilarity(_OfAxis):
    """Running mean of `cosine_similarity`."""

    _of = staticmethod(cosine_similarity)


class PearsonCorrelation(_OfAxis):
    """Running mean of `pearson_correlation`."""

    _of = staticmethod(pearson_correlation)


def _floats(y_true: Any, y_pred: Any, what: str, axis: Any = -1) -> tuple[np.ndarray, np.ndarray]:
    true, pred = matched(y_true, y_pred, what)
    arguments.check_axes(what, "axis", arguments.axis(what, "axis", axis), true.shape)
    return np.asarray(as_numbers(true, "y_true"), np.float64), np.asarray(pred, np.float64)
