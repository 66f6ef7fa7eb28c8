"""Metrics of right and wrong decisions: counted at thresholds, or for each class."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import InvalidArgument
from .. import arguments
from ..basics.arrays import matched
from ..fitting.weighting import beside
from .base import Metric

Counts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


class _AtThresholds(Metric):
    """What metrics share that count true and false positives and negatives at thresholds.

    A prediction is positive where it is larger than the threshold, a label where it is not 0.
    """

    _single = True  # whether the result is a number, not one for each threshold

    def __init__(self, thresholds: Any, class_id: Any, top_k: Any, name: str | None, dtype: Any) -> None:
        super().__init__(name, dtype)
        several = isinstance(thresholds, (list, tuple)) or (isinstance(thresholds, np.ndarray) and thresholds.ndim > 0)
        given = thresholds if several else [0.5 if thresholds is None else thresholds]
        self._at = np.array([arguments.real(self, "thresholds", t, finite=False) for t in given], np.float64)
        self._order = np.argsort(self._at, kind="stable")
        self._single = not several
        self.class_id = None if class_id is None else arguments.whole(self, "class_id", class_id, 0)
        self.top_k = None if top_k is None else arguments.whole(self, "top_k", top_k, 1)
        self.reset_state()

    def reset_state(self) -> None:
        super().reset_state()
        self._hits = self._alarms = self._misses = self._rejections = np.zeros(len(self._at))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take in a batch: labels 0 and 1, and outputs of the same shape."""
        true, pred = matched(y_true, y_pred, self.name)
        if self.top_k is not None:
            pred = _only_largest(pred, self.top_k)
        weights = np.ones(true.shape) if sample_weight is None else _spread(sample_weight, true)
        if self.class_id is not None:
            if self.class_id >= true.shape[-1]:
                raise InvalidArgument(
                    f"`{type(self).__name__}`: class_id is {self.class_id} but y_pred has {pred.shape}"
                )
            true, pred, weights = (a[..., self.class_id] for a in (true, pred, weights))
        found = counted(true.reshape(-1), pred.reshape(-1), weights.reshape(-1), self._at[self._order])
        back = np.argsort(self._order)
        hits, alarms, misses, rejections = (counts[back] for counts in found)
        self._hits, self._alarms = self._hits + hits, self._alarms + alarms
        self._misses, self._rejections = self._misses + misses, self._rejections + rejections

    def _told(self, values: np.ndarray) -> Any:
        return float(values[0]) if self._single else values


def counted(true: np.ndarray, pred: np.ndarray, weights: np.ndarray, thresholds: np.ndarray) -> Counts:
    """True positives, false positives, false negatives and true negatives at ascending thresholds."""
    above = np.searchsorted(thresholds, pred.astype(np.float64), side="left")  # thresholds that are smaller
    above = np.where(np.isnan(pred), 0, above)
    positive = true.astype(bool)
    sums = [np.bincount(above[chosen], weights[chosen], len(thresholds) + 1) for chosen in (positive, ~positive)]
    (hits, alarms) = (s[::-1].cumsum()[::-1][1:] for s in sums)
    return hits, alarms, sums[0].sum() - hits, sums[1].sum() - alarms


def _only_largest(pred: np.ndarray, k: int) -> np.ndarray:
    """Outputs, of which all but the k largest of a row are -inf."""
    kept = np.argsort(-pred, axis=-1, kind="stable")[..., :k]
    found = np.full(pred.shape, -np.inf)
    np.put_along_axis(found, kept, np.take_along_axis(pred, kept, -1), -1)
    return found


def _spread(sample_weight: Any, like: np.ndarray) -> np.ndarray:
    return np.broadcast_to(beside(sample_weight, like.shape, np.zeros(1)), like.shape)


def ratio(a: Any, b: Any) -> Any:
    """a/b, and 0 where b is 0."""
    return np.divide(a, b, out=np.zeros(np.broadcast(a, b).shape), where=np.asarray(b) != 0)


class _Condition(_AtThresholds):
    """Counts of one kind.

    Parameters
    ----------
    thresholds : float or list of float, optional
        0.5 by default.
    name : str, optional
    dtype : dtype, optional
    """

    def __init__(self, thresholds: Any = None, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(thresholds, None, None, name, dtype)
        self.thresholds = thresholds


class TruePositives(_Condition):
    """How many labels that are 1 were predicted so."""

    def result(self) -> Any:
        """The sum of weights."""
        return self._told(self._hits)


class FalsePositives(_Condition):
    """How many labels that are 0 were predicted as 1."""

    def result(self) -> Any:
        """The sum of weights."""
        return self._told(self._alarms)


class TrueNegatives(_Condition):
    """How many labels that are 0 were predicted so."""

    def result(self) -> Any:
        """The sum of weights."""
        return self._told(self._rejections)


class FalseNegatives(_Condition):
    """How many labels that are 1 were predicted as 0."""

    def result(self) -> Any:
        """The sum of weights."""
        return self._told(self._misses)


class _OfPositives(_AtThresholds):
    """Precision and recall.

    Parameters
    ----------
    thresholds : float or list of float, optional
        0.5 by default; with `top_k` none.
    top_k : int, optional
        The k largest outputs of a row are positive.
    class_id : int, optional
        The one class that counts.
    name : str, optional
    dtype : dtype, optional

    Examples
    --------
    >>> metric = Precision()
    >>> metric.update_state([0, 1, 1, 1], [0.9, 0.2, 0.8, 0.7])
    >>> round(metric.result(), 4)
    0.6667
    """

    def __init__(
        self,
        thresholds: Any = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        at = -np.inf if thresholds is None and top_k is not None else thresholds
        super().__init__(at, class_id, top_k, name, dtype)
        self.thresholds = thresholds


class Precision(_OfPositives):
    __doc__ = "Share of right ones among what was predicted as 1." + (_OfPositives.__doc__ or "")[21:]

    def result(self) -> Any:
        """The share."""
        return self._told(ratio(self._hits, self._hits + self._alarms))


class Recall(_OfPositives):
    __doc__ = "Share of what was found among the labels that are 1." + (_OfPositives.__doc__ or "")[21:].replace(
        "Precision()", "Recall()"
    )

    def result(self) -> Any:
        """The share."""
        return self._told(ratio(self._hits, self._hits + self._misses))


class _Best(_AtThresholds):
    """The best of one rate over thresholds at which another is at least so much."""

    def __init__(self, value: Any, num_thresholds: Any, class_id: Any, name: str | None, dtype: Any) -> None:
        n = arguments.whole(self, "num_thresholds", num_thresholds, 1, 1_000_000)
        super().__init__([0.5] if n == 1 else np.linspace(0, 1, n), class_id, None, name, dtype)
        self.num_thresholds = n
        self._least = arguments.real(self, "the first argument", value, 0, 1)

    def _best(self, rate: np.ndarray, constrained: np.ndarray) -> float:
        return float(np.where(constrained >= self._least, rate, 0.0).max(initial=0.0))

    @property
    def _rates(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sensitivity (recall), specificity and precision."""
        return (
            ratio(self._hits, self._hits + self._misses),
            ratio(self._rejections, self._rejections + self._alarms),
            ratio(self._hits, self._hits + self._alarms),
        )


class SensitivityAtSpecificity(_Best):
    """The largest sensitivity (recall) over thresholds at which the specificity is at least so much.

    Parameters
    ----------
    specificity : float
    num_thresholds : int
    class_id : int, optional
    name : str, optional
    dtype : dtype, optional
    """

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(specificity, num_thresholds, class_id, name, dtype)
        self.specificity = self._least

    def result(self) -> Any:
        """The sensitivity."""
        sensitivity, specificity, _ = self._rates
        return self._best(sensitivity, specificity)


class SpecificityAtSensitivity(_Best):
    """The largest specificity over thresholds at which the sensitivity (recall) is at least so much.

    Parameters
    ----------
    sensitivity : float
    num_thresholds : int
    class_id : int, optional
    name : str, optional
    dtype : dtype, optional
    """

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(sensitivity, num_thresholds, class_id, name, dtype)
        self.sensitivity = self._least

    def result(self) -> Any:
        """The specificity."""
        sensitivity, specificity, _ = self._rates
        return self._best(specificity, sensitivity)


class PrecisionAtRecall(_Best):
    """The largest precision over thresholds at which the recall is at least so much.

    Parameters
    ----------
    recall : float
    num_thresholds : int
    class_id : int, optional
    name : str, optional
    dtype : dtype, optional
    """

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(recall, num_thresholds, class_id, name, dtype)
        self.recall = self._least

    def result(self) -> Any:
        """The precision."""
        recall, _, precision = self._rates
        return self._best(precision, recall)


class RecallAtPrecision(_Best):
    """The largest recall over thresholds at which the precision is at least so much.

    Parameters
    ----------
    precision : float
    num_thresholds : int
    class_id : int, optional
    name : str, optional
    dtype : dtype, optional
    """

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(precision, num_thresholds, class_id, name, dtype)
        self.precision = self._least

    def result(self) -> Any:
        """The recall."""
        recall, _, precision = self._rates
        return self._best(recall, precision)
