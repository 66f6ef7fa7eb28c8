"""Losses of probabilities: training takes them of what goes into the last activation, where that makes these."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np

from ...autograd import Tensor
from ...autograd import functional as F
from ...errors import InvalidArgument
from ...ops import devices
from .. import arguments
from ..basics.arrays import as_numbers
from ..fitting.weighting import beside
from ..policies import of_arrays
from ..utils import class_numbers, to_categorical
from .base import MEAN, MEANS, Loss, OfNumbers, refuse_outside, same_shape

EPSILON = 1e-7  # how far probabilities are kept from 0 and 1


class _Crossentropy(OfNumbers):
    """What the losses of probabilities share."""

    compares_numbers = False
    of: str | None = "softmax"  # what makes the probabilities

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "call" in vars(cls) and "mean" not in vars(cls):
            cls.of = None

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = MEAN,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        self.from_logits = arguments.flag(self, "from_logits", from_logits)
        self.label_smoothing = arguments.real(self, "label_smoothing", label_smoothing, 0, 1)
        self.axis = arguments.axis(self, "axis", axis)
        self.activation = None if self.from_logits or self.axis != -1 else self.of

    def on_logits(self) -> Loss:
        loss = copy.copy(self)
        loss.from_logits, loss.activation = True, None
        return loss

    def _classes_last(self, y_pred: Tensor) -> Tensor:
        """Outputs whose last axis is that of the classes."""
        if self.axis in (-1, y_pred.ndim - 1):
            return y_pred
        arguments.check_axes(self, "axis", self.axis, y_pred.shape)
        axis = self.axis % y_pred.ndim
        return F.transpose(y_pred, axes=(*(a for a in range(y_pred.ndim) if a != axis), axis))

    def _smoothed(self, y_true: Any, even: float, dtype: np.dtype) -> Any:
        """Labels of a dtype, of which a share is the number `even`."""
        y_true = y_true.astype(dtype, copy=False)
        if not self.label_smoothing:
            return y_true
        return (y_true * (1 - self.label_smoothing) + self.label_smoothing * even).astype(dtype, copy=False)


class CategoricalCrossentropy(_Crossentropy):
    """-sum(y_true * log(y_pred)), for rows of probabilities.

    Parameters
    ----------
    from_logits : bool
        Whether y_pred are logits, to which softmax is yet to be applied.
    label_smoothing : float
        Share of each label that is spread evenly over all classes.
    axis : int
        That of the classes.
    reduction, name, dtype
        As for `Loss`.

    Examples
    --------
    >>> round(CategoricalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]]), 4)
    0.6931
    """

    def prepare(self, y: Any, shape: tuple[int | None, ...], name: str = "y") -> np.ndarray:
        y = as_numbers(y, name)
        if y.shape[1:] != shape[1:]:
            raise InvalidArgument(
                f"{name} has shape {y.shape} but {self.name} needs {('N', *shape[1:])}: one probability per class; for "
                f"class numbers use fastconv.nn.utils.to_categorical or sparse_categorical_crossentropy"
            )
        refuse_outside(y, name)
        return y

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        logits, target = self._rows(y_true.values, y_pred)
        return _of_rows(_logarithms(logits, self.from_logits), target)

    def mean(self, y_pred: Tensor, y_true: Any) -> Tensor:
        return _mean_of_rows(*self._rows(y_true, y_pred), self.from_logits)

    def _rows(self, y_true: Any, y_pred: Tensor) -> tuple[Tensor, Any]:
        moved, labels = self._classes_last(y_pred), y_true
        if moved is not y_pred:
            labels = np.moveaxis(y_true, self.axis, -1)
        return moved, self._smoothed(labels, 1 / labels.shape[-1], y_pred.dtype)


class SparseCategoricalCrossentropy(_Crossentropy):
    """-log(y_pred[y_true]), for class numbers y_true.

    Parameters
    ----------
    from_logits : bool
        Whether y_pred are logits, to which softmax is yet to be applied.
    ignore_class : int, optional
        Places with this label, such as 255 or -1, count nothing; the mean is that of the others.
    axis : int
        That of the classes.
    reduction, name, dtype
        As for `Loss`.

    Examples
    --------
    >>> round(SparseCategoricalCrossentropy()([1], [[0.5, 0.5]]), 4)
    0.6931
    """

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = MEAN,
        axis: int = -1,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(from_logits, 0.0, axis, reduction, name, dtype)
        self.ignore_class = None if ignore_class is None else arguments.whole(self, "ignore_class", ignore_class)

    def prepare(self, y: Any, shape: tuple[int | None, ...], name: str = "y") -> np.ndarray:
        y = as_numbers(y, name)
        axis = self.axis % len(shape) if -len(shape) <= self.axis < len(shape) else -1
        places = (*shape[:axis], *shape[axis + 1 :]) if axis >= 0 else shape
        if y.ndim == len(shape) and y.shape[axis] == 1:
            y = np.squeeze(y, axis)
        if y.ndim != len(shape) - 1 or y.shape[1:] != places[1:]:
            raise InvalidArgument(
                f"{name} has shape {y.shape} but {self.name} needs {('N', *places[1:])}: one class number per row; "
                f"for rows of probabilities use categorical_crossentropy"
            )
        ignored = None if self.ignore_class is None else y == self.ignore_class
        if ignored is None:
            return class_numbers(y, shape[axis], name)
        class_numbers(np.where(ignored, 0, y), shape[axis], name)
        return y.astype(np.int64)

    def label_dtype(self, y: np.ndarray) -> np.dtype:
        return np.dtype(np.int32)

    def values(self, y_pred: Tensor, y_true: Any) -> Tensor:
        return self.call(Tensor(y_true), y_pred)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        y_pred, labels = self._classes_last(y_pred), y_true.values
        if self.ignore_class is not None:
            labels = labels * (labels != self.ignore_class)
        return _of_rows(_logarithms(y_pred, self.from_logits), _one_hot(labels, y_pred))

    def mean(self, y_pred: Tensor, y_true: Any) -> Tensor:
        y_pred = self._classes_last(y_pred)
        if self.from_logits and isinstance(y_true, np.ndarray) and y_true.shape == y_pred.shape[:-1]:
            return F.softmax_cross_entropy(y_pred, target=y_true.astype(np.int64, copy=False))
        return _mean_of_rows(y_pred, _one_hot(y_true, y_pred), self.from_logits)

    def _reduced(self, y_pred: Tensor, y_true: Any, weights: Any) -> Tensor:
        if self.ignore_class is not None:
            counted = (y_true != self.ignore_class).astype(of_arrays(y_pred.dtype))
            weights = counted if weights is None else beside(weights, counted.shape, counted) * counted
            if self.reduction in MEANS:
                weights = weights * (counted.size / max(1, int(counted.sum())))
        return super()._reduced(y_pred, y_true, weights)


class BinaryCrossentropy(_Crossentropy):
    """-y_true*log(y_pred) - (1 - y_true)*log(1 - y_pred), mean over the last axis.

    Parameters
    ----------
    from_logits : bool
        Whether y_pred are logits, to which sigmoid is yet to be applied.
    label_smoothing : float
        Share of each label that is 1/2.
    axis : int
        What the mean of a sample is taken over.
    reduction, name, dtype
        As for `Loss`.
    """

    of: str | None = "sigmoid"

    def prepare(self, y: Any, shape: tuple[int | None, ...], name: str = "y") -> np.ndarray:
        y = same_shape(as_numbers(y, name), shape, name, self.name)
        refuse_outside(y, name)
        return y

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        target = self._smoothed(y_true.values, 0.5, y_pred.dtype)
        return F.mean(_of_sides(y_pred, target, self.from_logits), axis=self.axis)

    def mean(self, y_pred: Tensor, y_true: Any) -> Tensor:
        target = self._smoothed(y_true, 0.5, y_pred.dtype) if self.label_smoothing else y_true
        return F.binary_cross_entropy(y_pred, target=target, from_logits=self.from_logits)


class BinaryFocalCrossentropy(BinaryCrossentropy):
    """(1 - p)**gamma times the cross entropy, p being the probability of the label (Lin et al. 2017, arXiv:1708.02002).

    Parameters
    ----------
    apply_class_balancing : bool
        Whether to multiply by alpha where the label is 1 and by 1 - alpha where it is 0.
    alpha, gamma : float
    from_logits, label_smoothing, axis, reduction, name, dtype
        As for `BinaryCrossentropy`.

    Examples
    --------
    >>> round(BinaryFocalCrossentropy(gamma=2)([[1.0]], [[0.5]]), 4)  # log(2) / 4
    0.1733
    """

    of = None

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = MEAN,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(from_logits, label_smoothing, axis, reduction, name, dtype)
        self.apply_class_balancing = arguments.flag(self, "apply_class_balancing", apply_class_balancing)
        self.alpha = arguments.real(self, "alpha", alpha, 0, 1)
        self.gamma = arguments.real(self, "gamma", gamma, 0)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        target = self._smoothed(y_true.values, 0.5, y_pred.dtype)
        p = F.sigmoid(y_pred) if self.from_logits else y_pred
        of_other = p * (1 - target) + (1 - p) * target
        loss = _of_sides(p, target, False) * of_other**self.gamma
        if self.apply_class_balancing:
            loss = loss * (target * self.alpha + (1 - target) * (1 - self.alpha))
        return F.mean(loss, axis=self.axis)


class CategoricalFocalCrossentropy(CategoricalCrossentropy):
    """-alpha * sum((1 - y_pred)**gamma * y_true * log(y_pred)), for rows of probabilities.

    Parameters
    ----------
    alpha : float or list of float
        For all classes, or one for each.
    gamma : float
    from_logits, label_smoothing, axis, reduction, name, dtype
        As for `CategoricalCrossentropy`.
    """

    of = None

    def __init__(
        self,
        alpha: Any = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = MEAN,
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(from_logits, label_smoothing, axis, reduction, name, dtype)
        several = isinstance(alpha, (list, tuple, np.ndarray))
        given = [arguments.real(self, "alpha", a, 0) for a in (alpha if several else [alpha])]
        self.alpha = given if several else given[0]
        self.gamma = arguments.real(self, "gamma", gamma, 0)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        y_pred, target = self._rows(y_true.values, y_pred)
        alpha = np.asarray(self.alpha, y_pred.dtype)
        if alpha.size not in (1, y_pred.shape[-1]):
            raise arguments.wrong(self, "alpha", self.alpha, f"a number, or one for each of {y_pred.shape[-1]} classes")
        p = _clipped(F.softmax(y_pred, axis=-1) if self.from_logits else y_pred, scaled=True)
        return -F.sum(F.log(p) * target * (1 - p) ** self.gamma * alpha, axis=-1)


class CategoricalGeneralizedCrossEntropy(SparseCategoricalCrossentropy):
    """(1 - p**q)/q, p being the probability of the class number y_true (Zhang & Sabuncu 2018, arXiv:1805.07836).

    Parameters
    ----------
    q : float
        Between 0, cross entropy, and 1, the absolute error.
    reduction, name, dtype
        As for `Loss`.
    """

    of = None
    name = "categorical_generalized_cross_entropy"

    def __init__(
        self, q: float = 0.5, reduction: str | None = MEAN, name: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__(reduction=reduction, name=name, dtype=dtype)
        self.q = arguments.real(self, "q", q, above=0, below=1)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        p = F.sum(y_pred * _one_hot(y_true.values, y_pred), axis=-1)
        return (1 - p**self.q) / self.q


class KLDivergence(OfNumbers):
    """sum(y_true * log(y_true / y_pred)), for rows of probabilities."""

    name = "kl_divergence"

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        true, pred = F.clip(y_true, low=EPSILON, high=1), F.clip(y_pred, low=EPSILON, high=1)
        return F.sum(true * F.log(true / pred), axis=-1)


def _clipped(p: Tensor, scaled: bool = False) -> Tensor:
    """Probabilities away from 0 and 1, of rows that sum to 1 with `scaled`."""
    if scaled:
        p = p / F.sum(p, axis=-1, keepdims=True)
    return F.clip(p, low=EPSILON, high=1 - EPSILON)


def _logarithms(y_pred: Tensor, from_logits: bool) -> Tensor:
    """Logarithms of the probabilities that rows of outputs are, or are made to be."""
    return F.log_softmax(y_pred, axis=-1) if from_logits else F.log(_clipped(y_pred, scaled=True))


def _of_rows(logarithms: Tensor, target: Any) -> Tensor:
    return -F.sum(logarithms * target, axis=-1)


def _mean_of_rows(y_pred: Tensor, target: Any, from_logits: bool) -> Tensor:
    operation = F.softmax_cross_entropy if from_logits else F.categorical_cross_entropy
    return operation(y_pred, target=target)


def _of_sides(y_pred: Tensor, target: Any, from_logits: bool) -> Tensor:
    """The cross entropy of each output by itself."""
    if from_logits:
        return F.maximum(y_pred, 0.0) - y_pred * target + F.log(1 + F.exp(-F.absolute(y_pred)))
    p = _clipped(y_pred)
    return -(F.log(p) * target + F.log(1 - p) * (1 - target))


def _one_hot(labels: Any, y_pred: Tensor) -> Any:
    """Class numbers as rows with a single 1, of the outputs' dtype and on their device."""
    if isinstance(labels, np.ndarray):
        rows = to_categorical(labels[..., None], y_pred.shape[-1])
        return rows.reshape(y_pred.shape).astype(y_pred.dtype, copy=False)
    return devices.one_hot(labels, y_pred.shape, y_pred.dtype)
