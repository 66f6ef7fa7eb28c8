"""Losses: what training makes small. A class per loss, and a function per loss that gives one value per sample.

A loss knows which labels it takes (`prepare`), its value as a tensor (`tensor`), and, where the last activation can be
folded into it, the loss on the logits (`on_logits`).
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np

from ..autograd import Tensor, no_grad
from ..autograd import functional as F
from ..errors import InvalidArgument, shown
from . import arguments
from .names import find
from .utils import class_numbers, refuse_bad, to_categorical


class Loss:
    """Base of all losses; ``loss(y_true, y_pred)`` is a number."""

    name = "loss"
    activation: str | None = None
    """The activation whose output the loss takes, and that training folds into it."""

    def __call__(self, y_true: Any, y_pred: Any) -> float:
        y_true, y_pred = _pair(self, y_true, y_pred)
        with no_grad():
            return float(self.tensor(Tensor(y_pred), y_true).data)

    def prepare(self, y: Any, shape: tuple[int | None, ...], name: str = "y") -> np.ndarray:
        """Check all labels against outputs of `shape`, and bring them to the form `tensor` takes batches of."""
        raise NotImplementedError

    def tensor(self, y_pred: Tensor, y_true: np.ndarray) -> Tensor:
        """Mean loss over a batch, differentiable."""
        raise NotImplementedError

    def on_logits(self) -> Loss:
        """The same loss, taken of what goes into `activation`."""
        return self

    def label_dtype(self, y: np.ndarray) -> np.dtype:
        """The dtype that prepared labels have on a GPU."""
        return np.dtype(np.float32)


class CategoricalCrossentropy(Loss):
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
        self.from_logits = arguments.flag(self, "from_logits", from_logits)
        self.label_smoothing = arguments.real(self, "label_smoothing", label_smoothing, 0, 1)
        self.activation = None if self.from_logits else "softmax"

    def prepare(self, y: Any, shape: tuple[int | None, ...], name: str = "y") -> np.ndarray:
        y = _numbers(y, name)
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
        operation = F.softmax_cross_entropy if self.from_logits else F.categorical_cross_entropy
        return operation(y_pred, target=y_true)

    def on_logits(self) -> Loss:
        return CategoricalCrossentropy(True, self.label_smoothing)


class SparseCategoricalCrossentropy(Loss):
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

    def __init__(self, from_logits: bool = False) -> None:
        self.from_logits = arguments.flag(self, "from_logits", from_logits)
        self.activation = None if self.from_logits else "softmax"

    def prepare(self, y: Any, shape: tuple[int | None, ...], name: str = "y") -> np.ndarray:
        y = _numbers(y, name)
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
        target = _one_hot(y_true, y_pred)
        operation = F.softmax_cross_entropy if self.from_logits else F.categorical_cross_entropy
        return operation(y_pred, target=target)

    def on_logits(self) -> Loss:
        return SparseCategoricalCrossentropy(True)


class BinaryCrossentropy(Loss):
    """-y_true*log(y_pred) - (1 - y_true)*log(1 - y_pred), mean over the last axis.

    Parameters
    ----------
    from_logits : bool
        Whether y_pred are logits, to which sigmoid is yet to be applied.
    """

    name = "binary_crossentropy"

    def __init__(self, from_logits: bool = False) -> None:
        self.from_logits = arguments.flag(self, "from_logits", from_logits)
        self.activation = None if self.from_logits else "sigmoid"

    def prepare(self, y: Any, shape: tuple[int | None, ...], name: str = "y") -> np.ndarray:
        y = _same_shape(_numbers(y, name), shape, name, self.name)
        _refuse_outside(y, name)
        return y

    def tensor(self, y_pred: Tensor, y_true: np.ndarray) -> Tensor:
        return F.binary_cross_entropy(y_pred, target=y_true, from_logits=self.from_logits)

    def on_logits(self) -> Loss:
        return BinaryCrossentropy(True)


class MeanSquaredError(Loss):
    """Mean of (y_pred - y_true)**2."""

    name = "mean_squared_error"

    def prepare(self, y: Any, shape: tuple[int | None, ...], name: str = "y") -> np.ndarray:
        y = _same_shape(_numbers(y, name), shape, name, self.name)
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
        self.function = arguments.function("losses.get", "identifier", function, ("y_true", "y_pred"))
        self.name = str(getattr(function, "__name__", "loss"))

    def prepare(self, y: Any, shape: tuple[int | None, ...], name: str = "y") -> np.ndarray:
        return _numbers(y, name)

    def label_dtype(self, y: np.ndarray) -> np.dtype:
        return y.dtype

    def tensor(self, y_pred: Tensor, y_true: np.ndarray) -> Tensor:
        loss = arguments.result_of("losses.get", "the loss", self.function, Tensor(y_true), y_pred)
        if not isinstance(loss, Tensor):
            raise InvalidArgument(
                f"the loss {shown(self.name)} returned {type(loss).__name__}; it must return a tensor"
            )
        return loss if loss.size == 1 else loss.mean()


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
KNOWN: dict[str, type[Loss]] = {kind.name: kind for kind in _FUNCTIONS.values()}
KNOWN.update(mse=MeanSquaredError, mae=MeanAbsoluteError)


def get(identifier: Any) -> Loss:
    """A loss from a name, a function or class of this module, an object, or a function (y_true, y_pred) of tensors."""
    if isinstance(identifier, Loss):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Loss):
        return arguments.result_of("losses.get", "identifier", identifier)
    if callable(identifier):
        known = _FUNCTIONS.get(identifier) if isinstance(identifier, FunctionType) else None
        return Custom(identifier) if known is None else known()
    return find("loss", identifier, KNOWN)()


def _per_sample(loss: Loss, y_true: Any, y_pred: Any) -> np.ndarray:
    y_true, y_pred = _pair(loss, y_true, y_pred)
    with no_grad():
        values = [float(loss.tensor(Tensor(y_pred[n : n + 1]), y_true[n : n + 1]).data) for n in range(len(y_pred))]
    return np.array(values, y_pred.dtype)


def _one_hot(labels: Any, y_pred: Tensor) -> Any:
    """Class numbers as rows with a single 1, of the outputs' dtype and on their device."""
    if isinstance(labels, np.ndarray):
        return to_categorical(labels[..., None], y_pred.shape[-1]).astype(y_pred.dtype, copy=False)
    from ..cuda import array, backend, samples

    y = backend.empty(y_pred.shape, y_pred.dtype)
    samples.one_hot(labels.handle, y)
    return array.Array(y)


def _pair(loss: Loss, y_true: Any, y_pred: Any) -> tuple[np.ndarray, np.ndarray]:
    """Labels and outputs, as many of each, as `Loss.tensor` takes them."""
    y_pred = _numbers(y_pred, "y_pred")
    y_pred = y_pred if y_pred.dtype.kind == "f" else y_pred.astype(np.float32)
    y_true = loss.prepare(y_true, y_pred.shape, "y_true")
    if len(y_true) != len(y_pred):
        raise InvalidArgument(f"y_true has {len(y_true)} samples but y_pred has {len(y_pred)}")
    return y_true, y_pred


def _numbers(y: Any, name: str) -> np.ndarray:
    y = arguments.host_array(None, name, y)
    if y.ndim == 0:
        raise InvalidArgument(
            f"{name} has shape {y.shape} and dtype {y.dtype}; expected an array of numbers, one row per sample"
        )
    return y


def _refuse_outside(y: np.ndarray, name: str) -> None:
    refuse_bad(y, ~((y >= 0) & (y <= 1)), name, "from 0 to 1")


def _same_shape(y: np.ndarray, shape: tuple[int | None, ...], name: str, loss: str) -> np.ndarray:
    if y.ndim == 1 and shape[1:] == (1,):
        y = y[:, None]
    if y.shape[1:] != shape[1:]:
        raise InvalidArgument(
            f"{name} has shape {y.shape} but {loss} needs the shape of the model's output, {('N', *shape[1:])}"
        )
    return y
