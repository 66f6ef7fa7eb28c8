"""Metrics that count for each class: F scores, and how regions of pictures overlap."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import InvalidArgument
from .. import arguments
from ..basics.arrays import host_pair, matched
from ..fitting.weighting import beside
from ..utils import class_numbers
from .base import Metric
from .confusion import ratio


class FBetaScore(Metric):
    """(1 + beta**2) * precision * recall / (beta**2 * precision + recall), of each class.

    Parameters
    ----------
    average : {"micro", "macro", "weighted"}, optional
        Of all decisions together, the mean over classes, or that weighted by their frequency; by default one for each.
    beta : float
        How much recall counts beside precision.
    threshold : float, optional
        What an output must be larger than to be positive; by default the largest of a row is.
    name : str, optional
    dtype : dtype, optional
    """

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__("fbeta_score" if name is None else name, dtype)
        self.average = average
        if average is not None:
            arguments.choice(self, "average", average, ("micro", "macro", "weighted"))
        self.beta = arguments.real(self, "beta", beta, above=0)
        self.threshold = None if threshold is None else arguments.real(self, "threshold", threshold)
        self.reset_state()

    def reset_state(self) -> None:
        super().reset_state()
        self._counts: Any = None  # hits, false alarms, misses, and labels, by class

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take in a batch: rows of labels 0 and 1, and of outputs."""
        true, pred = matched(y_true, y_pred, self.name)
        if true.ndim != 2:
            raise InvalidArgument(f"{self.name} needs a row of outputs for each sample; got {pred.shape}")
        if self.threshold is None:
            chosen = np.zeros(pred.shape)
            chosen[np.arange(len(pred)), pred.argmax(axis=1)] = 1
            chosen[pred.max(axis=1) == 0] = 0
        else:
            chosen = (pred > self.threshold).astype(np.float64)
        weights = np.ones(true.shape)
        if sample_weight is not None:
            weights = weights * beside(sample_weight, true.shape, weights)
        parts = chosen * true, chosen * (1 - true), (1 - chosen) * true, true
        axis = None if self.average == "micro" else 0
        found = np.stack([(part * weights).sum(axis=axis) for part in parts])
        self._counts = found if self._counts is None else self._counts + found

    def result(self) -> Any:
        """The score, or one for each class."""
        if self._counts is None:
            return 0.0
        hits, alarms, misses, labels = self._counts
        precision, recall = ratio(hits, hits + alarms), ratio(hits, hits + misses)
        scores = ratio((1 + self.beta**2) * precision * recall, self.beta**2 * precision + recall)
        if self.average == "weighted":
            return float((scores * ratio(labels, labels.sum())).sum())
        return float(scores.mean()) if self.average is not None else scores


class F1Score(FBetaScore):
    """2 * precision * recall / (precision + recall), of each class.

    Parameters
    ----------
    average, threshold, name, dtype
        As for `FBetaScore`.

    Examples
    --------
    >>> metric = F1Score(average="macro")
    >>> metric.update_state([[1, 0], [1, 0], [0, 1]], [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])
    >>> round(metric.result(), 4)
    0.6667
    """

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, "f1_score" if name is None else name, dtype)


class IoU(Metric):
    """Intersection over union of what is of a class and what was taken for it, averaged over some classes.

    Parameters
    ----------
    num_classes : int
    target_class_ids : list of int
    name : str, optional
    dtype : dtype, optional
    ignore_class : int, optional
        Places with this label count nothing.
    sparse_y_true, sparse_y_pred : bool
        Whether labels and outputs are class numbers; else rows, of which the largest counts.
    axis : int
        That of the classes of such rows.

    Examples
    --------
    >>> metric = IoU(2, target_class_ids=[0])
    >>> metric.update_state([0, 0, 1, 1], [0, 1, 0, 1])
    >>> round(metric.result(), 4)
    0.3333
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Any,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(name, dtype)
        self.num_classes = arguments.size(self, "num_classes", num_classes)
        ids = arguments.items(self, "target_class_ids", target_class_ids, "a list of class numbers")
        self.target_class_ids = [arguments.whole(self, "target_class_ids", i, 0, self.num_classes - 1) for i in ids]
        self.ignore_class = None if ignore_class is None else arguments.whole(self, "ignore_class", ignore_class)
        self.sparse_y_true = arguments.flag(self, "sparse_y_true", sparse_y_true)
        self.sparse_y_pred = arguments.flag(self, "sparse_y_pred", sparse_y_pred)
        self.axis = arguments.axis(self, "axis", axis)
        self.total_cm = self.add_weight((self.num_classes, self.num_classes))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take in a batch."""
        true, pred = host_pair(y_true, y_pred)
        true = true if self.sparse_y_true else true.argmax(axis=self.axis)
        pred = pred if self.sparse_y_pred else pred.argmax(axis=self.axis)
        if true.size != pred.size:
            raise InvalidArgument(f"{self.name} got labels {true.shape} for predictions {pred.shape}")
        weights = np.ones(true.shape)
        if sample_weight is not None:
            weights = weights * beside(sample_weight, true.shape, weights)
        true, pred, weights = true.reshape(-1), pred.reshape(-1), weights.reshape(-1)
        if self.ignore_class is not None:
            counted = true != self.ignore_class
            true, pred, weights = true[counted], pred[counted], weights[counted]
        K = self.num_classes
        places = class_numbers(true, K, "y_true") * K + class_numbers(pred, K, "y_pred")
        self.total_cm.assign_add(np.bincount(places, weights, K * K).reshape(K, K))

    def result(self) -> Any:
        """The mean over the classes that were seen."""
        matrix = self.total_cm.numpy()
        common = np.diag(matrix)
        union = matrix.sum(axis=0) + matrix.sum(axis=1) - common
        common, union = common[self.target_class_ids], union[self.target_class_ids]
        seen = np.count_nonzero(union)
        return float(ratio(common, union).sum() / seen) if seen else 0.0


class MeanIoU(IoU):
    """`IoU` averaged over all classes.

    Parameters
    ----------
    num_classes, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis
        As for `IoU`.
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        all_of_them = range(arguments.size(self, "num_classes", num_classes))
        super().__init__(num_classes, all_of_them, name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)


class OneHotIoU(IoU):
    """`IoU` of labels that are rows with a single 1.

    Parameters
    ----------
    num_classes, target_class_ids, name, dtype, ignore_class, sparse_y_pred, axis
        As for `IoU`.
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Any,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis)


class OneHotMeanIoU(MeanIoU):
    """`MeanIoU` of labels that are rows with a single 1.

    Parameters
    ----------
    num_classes, name, dtype, ignore_class, sparse_y_pred, axis
        As for `IoU`.
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: Any = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, name, dtype, ignore_class, False, sparse_y_pred, axis)


class BinaryIoU(IoU):
    """`IoU` of two classes: outputs of at least `threshold` are of class 1.

    Parameters
    ----------
    target_class_ids : list of int
    threshold : float
    name : str, optional
    dtype : dtype, optional
    """

    def __init__(
        self,
        target_class_ids: Any = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = arguments.real(self, "threshold", threshold)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take in a batch: labels 0 and 1, and outputs."""
        _, pred = host_pair(y_true, y_pred)
        super().update_state(y_true, (pred >= self.threshold).astype(np.int64), sample_weight)
