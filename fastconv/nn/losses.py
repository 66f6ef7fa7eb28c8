"""Losses: what training makes small. A class per loss, and a function per loss that gives one value per sample.

A loss knows which labels it takes (`prepare`), its value as a tensor (`tensor`), and, where the last activation can be
folded into it, the loss on the logits (`on_logits`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any, ClassVar

import numpy as np

from ..autograd import Tensor, no_grad
from ..autograd import functional as F
from ..errors import InvalidArgument, shown
from ..ops import devices
from . import arguments
from .arrays import Sizes, as_numbers, one_rank, same_length
from .configs import Configured, resolved
from .names import find
from .utils import class_numbers, refuse_bad, to_categorical


class Loss(Configured):
    """Base of all losses; ``loss(y_true, y_pred)`` is a number.

    A loss of your own defines ``call(y_true, y_pred)``, of tensors: what it returns, usually one value per sample, is
    averaged.

    Parameters
    ----------
    name : str, optional
    reduction : {"sum_over_batch_size", "mean", "sum"}
        How the values of a batch become one: the first two are the mean.

    Examples
    --------
    >>> class Cubes(Loss):
    ...     def call(self, y_true, y_pred):
    ...         return (y_pred - y_true) ** 3
    >>> Cubes()([1.0, 2.0], [2.0, 4.0])
    4.5
    """

    family = "losses"
    fixed: ClassVar[Mapping[str, Any]] = {"dtype": "float32", "axis": -1}
    name = "loss"
    activation: str | None = None
    """The activation whose output the loss takes, and that training folds into it."""
    reduction = "sum_over_batch_size"

    def __init__(self, name: str | None = None, reduction: str = "sum_over_batch_size") -> None:
        own = type(self).__name__ if self.name == "loss" else self.name
        self.name = own if name is None else arguments.text(self, "name", name) or own
        find("reduction", reduction, dict.fromkeys(("sum_over_batch_size", "mean", "sum")))
        self.reduction = reduction

    def __call__(self, y_true: Any, y_pred: Any) -> float:
        y_true, y_pred = _operands(self, y_true, y_pred)
        with no_grad():
            return float(self.tensor(Tensor(y_pred), y_true).values)

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The loss of each sample, or of the batch, of tensors."""
        raise NotImplementedError(f"{type(self).__name__} does not define call(y_true, y_pred)")

    def prepare(self, y: Any, shape: tuple[int | None, ...], name: str = "y") -> np.ndarray:
        """Check all labels against outputs of `shape`, and bring them to the form `tensor` takes batches of."""
        return as_numbers(y, name)

    def tensor(self, y_pred: Tensor, y_true: Any) -> Tensor:
        """Mean loss over a batch, differentiable."""
        true, pred = one_rank(y_true.shape, y_pred.shape)
        y_true = y_true if true == y_true.shape else y_true.reshape(true)
        y_pred = y_pred if pred == y_pred.shape else y_pred.reshape(pred)
        loss = arguments.result_of("losses.get", "the loss", self.call, Tensor(y_true), y_pred)
        if not isinstance(loss, Tensor):
            raise InvalidArgument(
                f"the loss {shown(self.name)} returned {type(loss).__name__}; it must return a tensor"
            )
        if loss.ndim == 0:
            return loss
        return loss.sum() if self.reduction == "sum" else loss.mean()

    def on_logits(self) -> Loss:
        """The same loss, taken of what goes into `activation`."""
        return self

    def label_dtype(self, y: np.ndarray) -> np.dtype:
        """The dtype that prepared labels have on a GPU."""
        return y.dtype


class OfNumbers(Loss):
    """What the losses below share: their labels become numbers of the outputs' dtype."""

    def label_dtype(self, y: np.ndarray) -> np.dtype:
        return np.dtype(np.float32)


class Crossentropy(OfNumbers):
    """What the losses of probabilities share: training takes them of what goes into the last activation."""

    of = "softmax"  # what makes the probabilities

    def __init__(self, from_logits: bool = False) -> None:
        self.from_logits = arguments.flag(self, "from_logits", from_logits)
        self.activation = None if self.from_logits else self.of

    def on_logits(self) -> Loss:
        loss = copy.copy(self)
        loss.from_logits, loss.activation = True, None
        return loss

    def of_rows(self, y_pred: Tensor, target: Any) -> Tensor:
        """Of outputs and labels that are rows with a number for each class."""
        operation = F.softmax_cross_entropy if self.from_logits else F.categorical_cross_entropy
        return operation(y_pred, target=target)


class CategoricalCrossentropy(Crossentropy):
    """-sum(y_true * log(y_pred)), for rows of probabilities.

    Parameters
    ----------
    from_logits : bool
        Whether y_pred are logits, to which softmax is yet to be applied.
    label_smoothing : float
        Share of each label that is spread evenly over all classes.

    Examples
    --------
    >>> round(CategoricalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]]), 4)
    0.6931
    """

    name = "categorical_crossentropy"

    def __init__(self, from_logits: bool = False, label_smoothing: float = 0.0) -> None:
        super().__init__(from_logits)
        self.label_smoothing = arguments.real(self, "label_smoothing", label_smoothing, 0, 1)

    def prepare(self, y: Any, shape: tuple[int | None, ...], name: str = "y") -> np.ndarray:
        y = as_numbers(y, name)
        if y.shape[1:] != shape[1:]:
            raise InvalidArgument(
                f"{name} has shape {y.shape} but {self.name} needs {('N', *shape[1:])}: one probability per class; for "
                f"class numbers use fastconv.nn.utils.to_categorical or sparse_categorical_crossentropy"
            )
        _refuse_outside(y, name)
        return y

    def tensor(self, y_pred: Tensor, y_true: np.ndarray) -> Tensor:
        y_true = y_true.astype(y_pred.dtype, copy=False)
        if self.label_smoothing:
            even = self.label_smoothing / y_true.shape[-1]
            y_true = (y_true * (1 - self.label_smoothing) + even).astype(y_pred.dtype, copy=False)
        return self.of_rows(y_pred, y_true)


class SparseCategoricalCrossentropy(Crossentropy):
    """-log(y_pred[y_true]), for class numbers y_true.

    Parameters
    ----------
    from_logits : bool
        Whether y_pred are logits, to which softmax is yet to be applied.

    Examples
    --------
    >>> round(SparseCategoricalCrossentropy()([1], [[0.5, 0.5]]), 4)
    0.6931
    """

    name = "sparse_categorical_crossentropy"

    def prepare(self, y: Any, shape: tuple[int | None, ...], name: str = "y") -> np.ndarray:
        y = as_numbers(y, name)
        if y.ndim == len(shape) and y.shape[-1] == 1:
            y = y[..., 0]
        if y.ndim != len(shape) - 1 or y.shape[1:] != shape[1:-1]:
            raise InvalidArgument(
                f"{name} has shape {y.shape} but {self.name} needs {('N', *shape[1:-1])}: one class number per row; "
                f"for rows of probabilities use categorical_crossentropy"
            )
        return class_numbers(y, shape[-1], name)

    def label_dtype(self, y: np.ndarray) -> np.dtype:
        return np.dtype(np.int32)

    def tensor(self, y_pred: Tensor, y_true: Any) -> Tensor:
        return self.of_rows(y_pred, _one_hot(y_true, y_pred))


class BinaryCrossentropy(Crossentropy):
    """-y_true*log(y_pred) - (1 - y_true)*log(1 - y_pred), mean over the last axis.

    Parameters
    ----------
    from_logits : bool
        Whether y_pred are logits, to which sigmoid is yet to be applied.
    """

    name = "binary_crossentropy"
    of = "sigmoid"

    def prepare(self, y: Any, shape: tuple[int | None, ...], name: str = "y") -> np.ndarray:
        y = _same_shape(as_numbers(y, name), shape, name, self.name)
        _refuse_outside(y, name)
        return y

    def tensor(self, y_pred: Tensor, y_true: np.ndarray) -> Tensor:
        return F.binary_cross_entropy(y_pred, target=y_true, from_logits=self.from_logits)


class MeanSquaredError(OfNumbers):
    """Mean of (y_pred - y_true)**2."""

    name = "mean_squared_error"

    def prepare(self, y: Any, shape: tuple[int | None, ...], name: str = "y") -> np.ndarray:
        y = _same_shape(as_numbers(y, name), shape, name, self.name)
        refuse_bad(y, ~np.isfinite(y), name, "finite")
        return y

    def tensor(self, y_pred: Tensor, y_true: np.ndarray) -> Tensor:
        return F.mean_squared_error(y_pred, target=y_true.astype(y_pred.dtype, copy=False))


class MeanAbsoluteError(MeanSquaredError):
    """Mean of abs(y_pred - y_true)."""

    name = "mean_absolute_error"

    def tensor(self, y_pred: Tensor, y_true: np.ndarray) -> Tensor:
        return F.mean_absolute_error(y_pred, target=y_true.astype(y_pred.dtype, copy=False))


class Custom(Loss):
    """A user's function (y_true, y_pred) of tensors; the mean of what it returns is the loss."""

    def __init__(self, function: Callable[..., Any]) -> None:
        function = arguments.function("losses.get", "identifier", function, ("y_true", "y_pred"))
        super().__init__(str(getattr(function, "__name__", "loss")))
        self.call = function  # type: ignore[method-assign]


def categorical_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False) -> np.ndarray:
    """-sum(y_true * log(y_pred)) of each row.

    Examples
    --------
    >>> categorical_crossentropy([[0.0, 1.0]], [[0.5, 0.5]]).round(4)
    array([0.6931])
    """
    return _per_sample(CategoricalCrossentropy(from_logits), y_true, y_pred)


def sparse_categorical_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False) -> np.ndarray:
    """-log(y_pred[y_true]) of each row, for class numbers y_true."""
    return _per_sample(SparseCategoricalCrossentropy(from_logits), y_true, y_pred)


def binary_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False) -> np.ndarray:
    """Mean of -y_true*log(y_pred) - (1 - y_true)*log(1 - y_pred) of each row."""
    return _per_sample(BinaryCrossentropy(from_logits), y_true, y_pred)


def mean_squared_error(y_true: Any, y_pred: Any) -> np.ndarray:
    """Mean of (y_pred - y_true)**2 of each row."""
    return _per_sample(MeanSquaredError(), y_true, y_pred)


def mean_absolute_error(y_true: Any, y_pred: Any) -> np.ndarray:
    """Mean of abs(y_pred - y_true) of each row."""
    return _per_sample(MeanAbsoluteError(), y_true, y_pred)


_FUNCTIONS: dict[Any, type[Loss]] = {
    categorical_crossentropy: CategoricalCrossentropy,
    sparse_categorical_crossentropy: SparseCategoricalCrossentropy,
    binary_crossentropy: BinaryCrossentropy,
    mean_squared_error: MeanSquaredError,
    mean_absolute_error: MeanAbsoluteError,
}
mse, mae = mean_squared_error, mean_absolute_error
KNOWN = {kind.name: kind for kind in _FUNCTIONS.values()} | {"mse": MeanSquaredError, "mae": MeanAbsoluteError}


def get(identifier: Any) -> Loss:
    """A loss from a name, a function or class of this module, an object, or a function (y_true, y_pred) of tensors."""
    identifier = resolved(identifier)
    if isinstance(identifier, Loss):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Loss):
        return arguments.result_of("losses.get", "identifier", identifier)
    if callable(identifier):
        known = _FUNCTIONS.get(identifier) if isinstance(identifier, FunctionType) else None
        return Custom(identifier) if known is None else known()
    return find("loss", identifier, KNOWN)()


def _per_sample(loss: Loss, y_true: Any, y_pred: Any) -> np.ndarray:
    y_true, y_pred = _operands(loss, y_true, y_pred)
    with no_grad():
        values = [float(loss.tensor(Tensor(y_pred[n : n + 1]), y_true[n : n + 1]).values) for n in range(len(y_pred))]
    return np.array(values, y_pred.dtype)


def _operands(loss: Loss, y_true: Any, y_pred: Any) -> tuple[np.ndarray, np.ndarray]:
    """Labels, in the form the loss takes, and outputs, which are floats."""
    y_pred = as_numbers(y_pred, "y_pred")
    y_pred = y_pred if y_pred.dtype.kind == "f" else y_pred.astype(np.float32)
    y_true = loss.prepare(y_true, y_pred.shape, "y_true")
    same_length(y_true, y_pred)
    return y_true, y_pred


def _one_hot(labels: Any, y_pred: Tensor) -> Any:
    """Class numbers as rows with a single 1, of the outputs' dtype and on their device."""
    if isinstance(labels, np.ndarray):
        return to_categorical(labels[..., None], y_pred.shape[-1]).astype(y_pred.dtype, copy=False)
    return devices.one_hot(labels, y_pred.shape, y_pred.dtype)


def _refuse_outside(y: np.ndarray, name: str) -> None:
    refuse_bad(y, ~((y >= 0) & (y <= 1)), name, "from 0 to 1")


def _same_shape(y: np.ndarray, shape: tuple[int | None, ...], name: str, loss: str) -> np.ndarray:
    """Labels of the outputs' shape; a last axis of size 1 that one of them lacks is added or dropped."""
    outputs: Sizes = (len(y), *(n or 0 for n in shape[1:]))
    at, expected = one_rank(y.shape, outputs)
    if at != expected:
        raise InvalidArgument(
            f"{name} has shape {y.shape} but {loss} needs the shape of the model's output, {('N', *shape[1:])}"
        )
    return y.reshape(outputs)
