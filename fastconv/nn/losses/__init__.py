"""Losses: what training makes small. A class per loss, and a function per loss that gives one value per sample.

A loss knows which labels it takes (`prepare`), its values (`call`) and what they come to (`tensor`), and, where the
last activation can be folded into it, the loss on the logits (`on_logits`).
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

from .. import arguments
from ..basics.names import find
from ..configs import resolved
from .base import Loss, function_of
from .distances import (
    CategoricalHinge,
    CosineSimilarity,
    Dice,
    Hinge,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Poisson,
    SquaredHinge,
    Tversky,
)
from .probabilities import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
    KLDivergence,
    SparseCategoricalCrossentropy,
)

binary_crossentropy = function_of(BinaryCrossentropy)
binary_focal_crossentropy = function_of(BinaryFocalCrossentropy)
categorical_crossentropy = function_of(CategoricalCrossentropy)
categorical_focal_crossentropy = function_of(CategoricalFocalCrossentropy)
categorical_generalized_cross_entropy = function_of(CategoricalGeneralizedCrossEntropy)
categorical_hinge = function_of(CategoricalHinge)
cosine_similarity = function_of(CosineSimilarity)
dice = function_of(Dice)
hinge = function_of(Hinge)
huber = function_of(Huber)
kl_divergence = function_of(KLDivergence)
log_cosh = function_of(LogCosh)
mean_absolute_error = function_of(MeanAbsoluteError)
mean_absolute_percentage_error = function_of(MeanAbsolutePercentageError)
mean_squared_error = function_of(MeanSquaredError)
mean_squared_logarithmic_error = function_of(MeanSquaredLogarithmicError)
poisson = function_of(Poisson)
sparse_categorical_crossentropy = function_of(SparseCategoricalCrossentropy)
squared_hinge = function_of(SquaredHinge)
tversky = function_of(Tversky)
mse, mae, mape, msle = (
    mean_squared_error,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_logarithmic_error,
)

_FUNCTIONS: dict[Any, type[Loss]] = {
    binary_crossentropy: BinaryCrossentropy,
    binary_focal_crossentropy: BinaryFocalCrossentropy,
    categorical_crossentropy: CategoricalCrossentropy,
    categorical_focal_crossentropy: CategoricalFocalCrossentropy,
    categorical_generalized_cross_entropy: CategoricalGeneralizedCrossEntropy,
    categorical_hinge: CategoricalHinge,
    cosine_similarity: CosineSimilarity,
    dice: Dice,
    hinge: Hinge,
    huber: Huber,
    kl_divergence: KLDivergence,
    log_cosh: LogCosh,
    mean_absolute_error: MeanAbsoluteError,
    mean_absolute_percentage_error: MeanAbsolutePercentageError,
    mean_squared_error: MeanSquaredError,
    mean_squared_logarithmic_error: MeanSquaredLogarithmicError,
    poisson: Poisson,
    sparse_categorical_crossentropy: SparseCategoricalCrossentropy,
    squared_hinge: SquaredHinge,
    tversky: Tversky,
}
ALIASES = {
    "mse": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "mape": MeanAbsolutePercentageError,
    "msle": MeanSquaredLogarithmicError,
    "bce": BinaryCrossentropy,
    "kld": KLDivergence,
    "kullback_leibler_divergence": KLDivergence,
    "logcosh": LogCosh,
}
KNOWN = {kind.name: kind for kind in _FUNCTIONS.values()} | ALIASES
NAMES = KNOWN | {kind.__name__: kind for kind in _FUNCTIONS.values()} | {n.upper(): kind for n, kind in ALIASES.items()}


__all__ = [
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalGeneralizedCrossEntropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "Custom",
    "Dice",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "Tversky",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy",
    "categorical_hinge",
    "cosine_similarity",
    "crossentropy_for",
    "dice",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mae",
    "mape",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "mse",
    "msle",
    "poisson",
    "sparse_categorical_crossentropy",
    "squared_hinge",
    "tversky",
]


class Custom(Loss):
    """A user's function (y_true, y_pred) of tensors; the mean of what it returns is the loss."""

    def __init__(self, function: Callable[..., Any]) -> None:
        function = arguments.function("losses.get", "identifier", function, ("y_true", "y_pred"))
        super().__init__(str(getattr(function, "__name__", "loss")))
        self.call = function  # type: ignore[method-assign]


def crossentropy_for(y_true: tuple[int, ...], y_pred: tuple[int, ...]) -> Callable[..., Any]:
    """What the metric "crossentropy" means for labels and outputs of these shapes.

    >>> [crossentropy_for(*shapes).__name__ for shapes in (((8,), (8, 1)), ((8,), (8, 3)), ((8, 3), (8, 3)))]
    ['binary_crossentropy', 'sparse_categorical_crossentropy', 'categorical_crossentropy']
    """
    if len(y_pred) < 2 or y_pred[-1] == 1:
        return binary_crossentropy
    are_numbers = len(y_true) < len(y_pred) or y_true[-1] == 1
    return sparse_categorical_crossentropy if are_numbers else categorical_crossentropy


def get(identifier: Any) -> Loss:
    """A loss from a name, a function or class of this module, an object, or a function (y_true, y_pred) of tensors."""
    identifier = resolved(identifier, "losses")
    if isinstance(identifier, Loss):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Loss):
        return arguments.result_of("losses.get", "identifier", identifier)
    if callable(identifier):
        known = _FUNCTIONS.get(identifier) if isinstance(identifier, FunctionType) else None
        return Custom(identifier) if known is None else known()
    if isinstance(identifier, str) and identifier in NAMES:
        return NAMES[identifier]()
    return find("loss", identifier, KNOWN)()
