"""What a loss is: which labels it takes, its value for each sample, and how these become one number."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ...autograd import Tensor, no_grad
from ...autograd import functional as F
from ...errors import InvalidArgument, shown
from .. import arguments
from ..basics.arrays import Sizes, as_numbers, one_rank, same_length
from ..basics.names import snake_case
from ..configs import Configured
from ..fitting.weighting import beside
from ..policies import of_arrays
from ..utils import refuse_bad

MEAN = "sum_over_batch_size"
MEANS = (MEAN, "mean")
REDUCTIONS = (*MEANS, "mean_with_sample_weight", "sum", "none")


class Loss(Configured):
    """Base of all losses; ``loss(y_true, y_pred)`` is a number, or a tensor where y_pred is one.

    A loss of your own defines ``call(y_true, y_pred)``, of tensors: what it returns, usually one value per sample, is
    weighted and averaged.

    Parameters
    ----------
    name : str, optional
    reduction : {"sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none"} or None
        How the values of a batch become one: the first two are the mean, of the values times their weights; the third
        divides by the sum of the weights. With "none", or None, a call gives all values; training takes their sum.
    dtype : dtype, optional
        What is computed in, by default the dtype of the outputs, of outputs of 16 bits float32.

    Examples
    --------
    >>> class Cubes(Loss):
    ...     def call(self, y_true, y_pred):
    ...         return (y_pred - y_true) ** 3
    >>> Cubes()([1.0, 2.0], [2.0, 4.0])
    4.5
    >>> Cubes()([1.0, 2.0], [2.0, 4.0], sample_weight=[1, 0.5])
    2.5
    """

    compares_numbers = False
    """Whether labels are numbers like the outputs, of which one may stand for all outputs of a sample."""
    activation: str | None = None
    """The activation whose output the loss takes, and that training folds into it."""
    family = "losses"
    name = "loss"
    reduction = MEAN
    dtype: np.dtype | None = None

    def __init_subclass__(cls, **keywords: Any) -> None:
        """What computes something else has no fused mean, and takes the outputs as they are."""
        super().__init_subclass__(**keywords)
        if "call" in vars(cls) and "mean" not in vars(cls):
            cls.mean, cls.activation = Loss.mean, None  # type: ignore[method-assign]

    def __init__(self, name: str | None = None, reduction: str | None = MEAN, dtype: Any = None) -> None:
        own = type(self).__name__ if self.name == "loss" else self.name
        self.name = own if name is None else arguments.text(self, "name", name) or own
        reduction = "none" if reduction is None else reduction
        self.reduction = arguments.choice(self, "reduction", reduction, REDUCTIONS)
        self.dtype = None if dtype is None else arguments.dtype(self, "dtype", dtype, "f")

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        if isinstance(y_pred, Tensor):
            labels = self.prepare(y_true, y_pred.shape, "y_true") if not _on_device(y_true) else y_true.data
            return self._reduced(y_pred, labels, sample_weight)
        y_true, y_pred = operands(self, y_true, y_pred)
        with no_grad():
            found = self._reduced(Tensor(y_pred), y_true, sample_weight)
        return found.numpy() if found.ndim else float(found.values)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The loss of each sample, or of the batch, of tensors."""
        raise NotImplementedError(f"{type(self).__name__} does not define call(y_true, y_pred)")

    def prepare(self, y: Any, shape: tuple[int | None, ...], name: str = "y") -> np.ndarray:
        """Check all labels against outputs of `shape`, and bring them to the form `tensor` takes batches of."""
        return as_numbers(y, name)

    def tensor(self, y_pred: Tensor, y_true: Any, weights: Any = None) -> Tensor:
        """The loss of a batch, differentiable: of prepared labels, and a weight for each sample or each value."""
        found = self._reduced(y_pred, y_true, weights)
        return found.sum() if found.ndim else found

    def values(self, y_pred: Tensor, y_true: Any) -> Tensor:
        """The loss of each sample of a batch."""
        true, pred = one_rank(y_true.shape, y_pred.shape)
        y_true = y_true if true == y_true.shape else y_true.reshape(true)
        y_pred = y_pred if pred == y_pred.shape else y_pred.reshape(pred)
        loss = arguments.result_of("losses.get", "the loss", self.call, Tensor(y_true), y_pred)
        if not isinstance(loss, Tensor):
            raise InvalidArgument(
                f"the loss {shown(self.name)} returned {type(loss).__name__}; it must return a tensor"
            )
        return loss

    def mean(self, y_pred: Tensor, y_true: Any) -> Tensor:
        """The mean of `values`; where there is a kernel for it, in one pass."""
        loss = self.values(y_pred, y_true)
        return loss.mean() if loss.ndim else loss

    def on_logits(self) -> Loss:
        """The same loss, taken of what goes into `activation`."""
        return self

    def label_dtype(self, y: np.ndarray) -> np.dtype:
        """The dtype that prepared labels have on a GPU."""
        return y.dtype

    def _reduced(self, y_pred: Tensor, y_true: Any, weights: Any) -> Tensor:
        wanted = of_arrays(y_pred.dtype) if self.dtype is None else self.dtype
        if y_pred.dtype != wanted:
            y_pred = F.astype(y_pred, dtype=wanted)
        if weights is None and self.reduction != "none":
            return self.values(y_pred, y_true).sum() if self.reduction == "sum" else self.mean(y_pred, y_true)
        return weighted(self.values(y_pred, y_true), weights, self.reduction, self.name)


def weighted(values: Tensor, weights: Any, reduction: str, name: str) -> Tensor:
    """The values of a batch, times their weights, as one number by a reduction, or with "none" as they are."""
    if weights is not None:
        if values.ndim == 0:
            raise InvalidArgument(
                f"the loss {shown(name)} gives one number for the batch, which cannot be weighted sample by sample; "
                "let it return one value for each"
            )
        weights = beside(weights, values.shape, values.values)
        values = F.multiply(values, weights)
    if reduction == "none" or values.ndim == 0:
        return values
    total = values.sum()
    if reduction == "sum":
        return total
    count = values.size if weights is None or reduction in MEANS else float(np.asarray(_host(weights)).sum())
    return F.multiply(total, 1.0 / count) if count else F.multiply(total, 0.0)


def _host(weights: Any) -> Any:
    return weights if isinstance(weights, np.ndarray) else weights.numpy()


def _on_device(value: Any) -> bool:
    return isinstance(value, Tensor) and not isinstance(value.data, np.ndarray)


class OfNumbers(Loss):
    """What the losses of this package share: their labels become numbers of the outputs' dtype."""

    compares_numbers = True

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "name" not in vars(cls) and not cls.__name__.startswith("_"):
            cls.name = snake_case(cls.__name__)

    def __init__(self, reduction: str | None = MEAN, name: str | None = None, dtype: Any = None) -> None:
        super().__init__(name, reduction, dtype)

    def label_dtype(self, y: np.ndarray) -> np.dtype:
        return np.dtype(np.float32)

    def prepare(self, y: Any, shape: tuple[int | None, ...], name: str = "y") -> np.ndarray:
        y = same_shape(as_numbers(y, name), shape, name, self.name)
        refuse_bad(y, ~np.isfinite(y), name, "finite")
        return y

    def values(self, y_pred: Tensor, y_true: Any) -> Tensor:
        return super().values(y_pred, y_true.astype(y_pred.dtype, copy=False))


def operands(loss: Loss, y_true: Any, y_pred: Any) -> tuple[np.ndarray, np.ndarray]:
    """Labels, in the form the loss takes, and outputs, which are floats."""
    y_pred = as_numbers(y_pred, "y_pred")
    y_pred = y_pred if y_pred.dtype.kind == "f" else y_pred.astype(np.float32)
    y_true = loss.prepare(y_true, y_pred.shape, "y_true")
    same_length(y_true, y_pred)
    return y_true, y_pred


def refuse_outside(y: np.ndarray, name: str) -> None:
    """Labels must be shares or probabilities."""
    refuse_bad(y, ~((y >= 0) & (y <= 1)), name, "from 0 to 1")


def same_shape(y: np.ndarray, shape: tuple[int | None, ...], name: str, loss: str) -> np.ndarray:
    """Labels of the outputs' shape; a last axis of size 1 that one of them lacks is added or dropped."""
    own = (*y.shape, *(1,) * len(shape))  # sizes that are not known are those of the labels
    outputs: Sizes = (len(y), *(own[a] if n is None else n for a, n in enumerate(shape) if a))
    at, expected = one_rank(y.shape, outputs)
    if at != expected:
        raise InvalidArgument(
            f"{name} has shape {y.shape} but {loss} needs the shape of the model's output, {('N', *shape[1:])}"
        )
    return y.reshape(outputs)


def function_of(kind: type[Loss]) -> Callable[..., Any]:
    """The loss of each sample as a function (y_true, y_pred, ...) of arrays, or of tensors, which is differentiable."""
    own = [p for p in inspect.signature(kind).parameters.values() if p.name not in ("reduction", "name", "dtype")]

    def function(y_true: Any, y_pred: Any, *values: Any, **options: Any) -> Any:
        loss = arguments.result_of(name, "the options", partial(kind, *values, **options))
        loss.reduction = "none"
        return loss(y_true, y_pred)

    name = kind.name
    given = [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in ("y_true", "y_pred")]
    function.__name__ = function.__qualname__ = name
    function.__module__ = kind.__module__
    function.__doc__ = f"`{kind.__name__}` of each sample: an array, or a tensor where y_pred is one."
    function.__signature__ = inspect.Signature([*given, *own])  # type: ignore[attr-defined]
    return function
