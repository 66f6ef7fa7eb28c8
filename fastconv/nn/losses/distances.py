"""Losses of numbers: how far outputs are from labels."""

from __future__ import annotations

import math
from typing import Any

from ...autograd import Tensor
from ...autograd import functional as F
from .. import arguments
from .base import MEAN, OfNumbers

EPSILON = 1e-7


class MeanSquaredError(OfNumbers):
    """Mean of (y_pred - y_true)**2."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return F.mean(_square(y_pred - y_true), axis=-1)

    def mean(self, y_pred: Tensor, y_true: Any) -> Tensor:
        return F.mean_squared_error(y_pred, target=y_true.astype(y_pred.dtype, copy=False))


class MeanAbsoluteError(OfNumbers):
    """Mean of abs(y_pred - y_true)."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return F.mean(F.absolute(y_pred - y_true), axis=-1)

    def mean(self, y_pred: Tensor, y_true: Any) -> Tensor:
        return F.mean_absolute_error(y_pred, target=y_true.astype(y_pred.dtype, copy=False))


class MeanAbsolutePercentageError(OfNumbers):
    """100 times the mean of abs((y_true - y_pred)/y_true), whose divisor is at least 1e-7.

    Examples
    --------
    >>> MeanAbsolutePercentageError()([[2.0, 4.0]], [[1.0, 5.0]])
    37.5
    """

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return 100 * F.mean(F.absolute((y_true - y_pred) / F.maximum(F.absolute(y_true), EPSILON)), axis=-1)


class MeanSquaredLogarithmicError(OfNumbers):
    """Mean of (log(1 + y_true) - log(1 + y_pred))**2, of numbers of at least 1e-7."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        true, pred = (F.log(F.maximum(y, EPSILON) + 1) for y in (y_true, y_pred))
        return F.mean(_square(true - pred), axis=-1)


class Huber(OfNumbers):
    """Half of the squared error up to `delta`, and beyond as steep as there (Huber 1964).

    Parameters
    ----------
    delta : float
    reduction, name, dtype
        As for `Loss`.

    Examples
    --------
    >>> Huber()([[0.0, 0.0]], [[0.5, 3.0]])  # the mean of 0.125 and 2.5
    1.3125
    """

    def __init__(
        self, delta: float = 1.0, reduction: str | None = MEAN, name: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__(reduction, name, dtype)
        self.delta = arguments.real(self, "delta", delta, above=0)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        error = F.absolute(y_pred - y_true)
        far = self.delta * error - self.delta**2 / 2
        return F.mean(F.where(error.values <= self.delta, _square(error) * 0.5, far), axis=-1)


class LogCosh(OfNumbers):
    """Mean of log(cosh(y_pred - y_true))."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        error = F.absolute(y_pred - y_true)
        return F.mean(error + F.log(1 + F.exp(error * -2)) - math.log(2), axis=-1)


class CosineSimilarity(OfNumbers):
    """-sum(y_true * y_pred), of vectors of length 1: from -1, the same direction, to 1.

    Parameters
    ----------
    axis : int
        That of the vectors.
    reduction, name, dtype
        As for `Loss`.

    Examples
    --------
    >>> CosineSimilarity()([[0.0, 2.0]], [[0.0, 1.0]])
    -1.0
    """

    def __init__(
        self, axis: int = -1, reduction: str | None = MEAN, name: str | None = None, dtype: Any = None
    ) -> None:
        super().__init__(reduction, name, dtype)
        self.axis = arguments.axis(self, "axis", axis)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        true, pred = (y / self._length(y) for y in (y_true, y_pred))
        return -F.sum(true * pred, axis=self.axis)

    def _length(self, y: Tensor) -> Tensor:
        return F.sqrt(F.maximum(F.sum(_square(y), axis=self.axis, keepdims=True), EPSILON**2))


class Poisson(OfNumbers):
    """Mean of y_pred - y_true*log(y_pred), for counts y_true and their expected values."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return F.mean(y_pred - y_true * F.log(y_pred + EPSILON), axis=-1)


class Hinge(OfNumbers):
    """Mean of max(1 - y_true*y_pred, 0), for labels -1 and 1; labels 0 and 1 are taken as these."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return F.mean(_margins(y_true, y_pred), axis=-1)


class SquaredHinge(OfNumbers):
    """Mean of max(1 - y_true*y_pred, 0)**2, for labels as those of `Hinge`."""

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        return F.mean(_square(_margins(y_true, y_pred)), axis=-1)


class CategoricalHinge(OfNumbers):
    """max(1 + the largest output of another class - that of the label's, 0), for rows with a single 1.

    Examples
    --------
    >>> CategoricalHinge()([[0, 1, 0]], [[0.5, 0.25, 0.0]])
    1.25
    """

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        own = F.sum(y_true * y_pred, axis=-1)
        return F.maximum(F.max((1 - y_true) * y_pred, axis=-1) - own + 1, 0.0)


class _Overlap(OfNumbers):
    """What the losses of overlapping regions share: one value for a batch, or for each place of other axes."""

    def __init__(
        self, reduction: str | None = MEAN, name: str | None = None, axis: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(reduction, name, dtype)
        self.axis = arguments.axes(self, "axis", axis)


class Dice(_Overlap):
    """1 - 2*sum(y_true*y_pred) / (sum(y_true) + sum(y_pred)), for shares from 0 to 1.

    Parameters
    ----------
    axis : int or tuple of int, optional
        What is summed; by default all, the samples too.
    reduction, name, dtype
        As for `Loss`.

    Examples
    --------
    >>> round(Dice()([[1.0, 0.0]], [[1.0, 1.0]]), 4)
    0.3333
    """

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        common, true, pred = (F.sum(y, axis=self.axis) for y in (y_true * y_pred, y_true, y_pred))
        return 1 - 2 * common / (true + pred + EPSILON)


class Tversky(_Overlap):
    """`Dice` with weights of its own for what only one has (Salehi et al. 2017, arXiv:1706.05721).

    1 - common/(common + alpha*a + beta*b), a and b being the sums of y_true*(1 - y_pred) and y_pred*(1 - y_true).

    Parameters
    ----------
    alpha, beta : float
    axis, reduction, name, dtype
        As for `Dice`.
    """

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = MEAN,
        name: str | None = None,
        axis: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, axis, dtype)
        self.alpha, self.beta = (arguments.real(self, n, v, 0) for n, v in (("alpha", alpha), ("beta", beta)))

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        parts = y_true * y_pred, (1 - y_pred) * y_true, (1 - y_true) * y_pred
        common, missed, added = (F.sum(part, axis=self.axis) for part in parts)
        return 1 - common / (common + missed * self.alpha + added * self.beta + EPSILON)


def _square(x: Tensor) -> Tensor:
    return x * x


def _margins(y_true: Tensor, y_pred: Tensor) -> Tensor:
    labels = y_true.values
    if bool(((labels == 0) | (labels == 1)).all()):
        labels = (labels * 2 - 1).astype(y_pred.dtype, copy=False)
    return F.maximum(1 - y_pred * labels, 0.0)
