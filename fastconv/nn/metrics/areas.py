"""The area under a curve of rates over thresholds."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import InvalidArgument
from .. import arguments
from ..basics.arrays import matched
from ..fitting.weighting import beside
from .base import Metric
from .confusion import counted, ratio

CLOSE = 1e-7  # how far the first and last thresholds are beyond 0 and 1


class AUC(Metric):
    """Area under the curve of sensitivity over false alarms ("ROC"), or of precision over recall ("PR").

    Parameters
    ----------
    num_thresholds : int
        How many points of the curve are looked at.
    curve : {"ROC", "PR"}
    summation_method : {"interpolation", "minoring", "majoring"}
        Trapezoids (for "PR" Davis & Goadrich's interpolation, 2006), or rectangles below or above the curve.
    name : str, optional
    dtype : dtype, optional
    thresholds : list of float, optional
        From 0 to 1, in place of `num_thresholds` even ones.
    multi_label : bool
        Whether columns are labels of their own, whose areas are averaged.
    num_labels : int, optional
    label_weights : list of float, optional
        What the areas of the columns count.
    from_logits : bool
        Whether a sigmoid is yet to be applied.

    Examples
    --------
    >>> metric = AUC(num_thresholds=3)
    >>> metric.update_state([0, 0, 1, 1], [0, 0.5, 0.3, 0.9])
    >>> metric.result()
    0.75
    """

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: Any = None,
        thresholds: Any = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Any = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__("auc" if name is None else name, dtype)
        if thresholds is None:
            n = arguments.whole(self, "num_thresholds", num_thresholds, 2, 1_000_000)
            inner = np.arange(1, n - 1) / (n - 1)
        else:
            given = arguments.items(self, "thresholds", thresholds, "a list of numbers from 0 to 1")
            inner = np.sort([arguments.real(self, "thresholds", t, 0, 1) for t in given])
        self.num_thresholds, self.thresholds = len(inner) + 2, thresholds
        self._at = np.concatenate([[-CLOSE], inner, [1 + CLOSE]])
        self.curve = arguments.choice(self, "curve", curve, ("ROC", "PR"))
        self.summation_method = arguments.choice(
            self, "summation_method", summation_method, ("interpolation", "minoring", "majoring")
        )
        self.multi_label = arguments.flag(self, "multi_label", multi_label)
        self.num_labels = None if num_labels is None else arguments.size(self, "num_labels", num_labels)
        self.label_weights = label_weights
        if label_weights is not None:
            expected = "a list of numbers, one for each label"
            items = arguments.items(self, "label_weights", label_weights, expected)
            self.label_weights = [arguments.real(self, "label_weights", item, 0) for item in items]
        self.from_logits = arguments.flag(self, "from_logits", from_logits)
        self.reset_state()

    def reset_state(self) -> None:
        super().reset_state()
        self._counts: Any = None  # (4, thresholds, labels)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take in a batch: labels 0 and 1, and outputs of the same shape."""
        true, pred = matched(y_true, y_pred, self.name)
        if self.from_logits:
            pred = 1 / (1 + np.exp(-pred.astype(np.float64)))
        weights = np.ones(true.shape)
        if sample_weight is not None:
            weights = weights * beside(sample_weight, true.shape, weights)
        columns = true.shape[-1] if self.multi_label else 1
        given = len(self.label_weights) if self.label_weights is not None else self.num_labels
        if self.multi_label and (true.ndim != 2 or (given is not None and given != columns)):
            raise InvalidArgument(
                f"`AUC`: y_true has shape {true.shape}; expected a row of {given or 'all'} labels for each sample"
            )
        labels = [a.reshape(-1, columns).T for a in (true, pred, weights)]
        each = [np.stack(counted(t, p, w, self._at)) for t, p, w in zip(*labels, strict=True)]
        found = np.stack(each, axis=-1)
        self._counts = found if self._counts is None else self._counts + found

    def result(self) -> Any:
        """The area, from 0 to 1."""
        if self._counts is None:
            return 0.0
        areas = self._areas(*self._counts)
        return float(np.average(areas, weights=self.label_weights if self.multi_label else None))

    def _areas(self, hits: np.ndarray, alarms: np.ndarray, misses: np.ndarray, rejections: np.ndarray) -> np.ndarray:
        """The area of each label."""
        recall = ratio(hits, hits + misses)
        if self.curve == "ROC":
            x, y = ratio(alarms, alarms + rejections), recall
        elif self.summation_method == "interpolation":
            return _interpolated(hits, alarms, misses)
        else:
            x, y = recall, ratio(hits, hits + alarms)
        heights = {
            "interpolation": (y[:-1] + y[1:]) / 2,
            "minoring": np.minimum(y[:-1], y[1:]),
            "majoring": np.maximum(y[:-1], y[1:]),
        }[self.summation_method]
        return ((x[:-1] - x[1:]) * heights).sum(axis=0)


def _interpolated(hits: np.ndarray, alarms: np.ndarray, misses: np.ndarray) -> np.ndarray:
    """The area under precision over recall, between points as true and false positives grow evenly there."""
    positives = hits + alarms
    slope = ratio(hits[:-1] - hits[1:], np.maximum(positives[:-1] - positives[1:], 0))
    start = hits[1:] - slope * positives[1:]
    both = (positives[:-1] > 0) & (positives[1:] > 0)
    growth = np.where(both, ratio(positives[:-1], np.maximum(positives[1:], 0)), 1.0)
    steps = slope * (hits[:-1] - hits[1:] + start * np.log(growth))
    return ratio(steps, np.maximum(hits[1:] + misses[1:], 0)).sum(axis=0)
