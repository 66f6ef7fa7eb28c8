"""What is measured beside the loss: functions (y_true, y_pred) with one value per sample, and their running means.

`base` says what a metric is; `accuracies`, `confusion`, `areas`, `classes` and `regression` hold those that Keras has,
and every loss is a metric too.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ...errors import InvalidArgument, shown
from .. import arguments, losses
from ..basics.names import by_snake_case, find, snake_case
from ..configs import resolved
from ..losses import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from .accuracies import (
    absolute_error,
    accuracy,
    accuracy_for,
    binary_accuracy,
    categorical_accuracy,
    confusion_matrix,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    squared_error,
    top_k_accuracy_for,
    top_k_categorical_accuracy,
)
from .areas import AUC
from .base import ByShape, Mean, MeanMetricWrapper, Metric, Sum
from .classes import BinaryIoU, F1Score, FBetaScore, IoU, MeanIoU, OneHotIoU, OneHotMeanIoU
from .confusion import (
    FalseNegatives,
    FalsePositives,
    Precision,
    PrecisionAtRecall,
    Recall,
    RecallAtPrecision,
    SensitivityAtSpecificity,
    SpecificityAtSensitivity,
    TrueNegatives,
    TruePositives,
)
from .regression import (
    CosineSimilarity,
    PearsonCorrelation,
    R2Score,
    RootMeanSquaredError,
    cosine_similarity,
    pearson_correlation,
)

NUMBERS: dict[str, Callable[..., Any]] = {"k": arguments.size, "threshold": arguments.real}


def _averaged(class_name: str, function: Callable[..., Any], named: str | None = None) -> type[MeanMetricWrapper]:
    """The class of the running mean of a function; as in Keras `k` comes first, other numbers last."""
    own = {p.name: p for p in list(inspect.signature(function).parameters.values())[2:]}
    called = snake_case(class_name) if named is None else named
    name = inspect.Parameter("name", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=called)
    dtype = inspect.Parameter("dtype", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None)
    of_self = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    numbers = list(own.values())
    order = [*numbers, name, dtype] if "k" in own else [name, dtype, *numbers]
    signature = inspect.Signature(order)

    def __init__(self: Any, *values: Any, **keywords: Any) -> None:
        try:
            given = signature.bind(*values, **keywords)
        except TypeError:
            raise InvalidArgument(
                f"{class_name} takes {', '.join(signature.parameters)}; got {shown(values)} {shown(keywords)}"
            ) from None
        given.apply_defaults()
        options = {key: given.arguments[key] for key in own}
        for key, value in options.items():
            options[key] = NUMBERS[key](self, key, value) if key in NUMBERS else value
            setattr(self, key, options[key])
        MeanMetricWrapper.__init__(self, function, given.arguments["name"], given.arguments["dtype"], **options)

    __init__.__signature__ = inspect.Signature([of_self, *order])  # type: ignore[attr-defined]
    doc = f"Running mean of `{function.__name__}`."
    return type(class_name, (MeanMetricWrapper,), {"__init__": __init__, "__doc__": doc, "__module__": __name__})


Accuracy = _averaged("Accuracy", accuracy)
BinaryAccuracy = _averaged("BinaryAccuracy", binary_accuracy)
CategoricalAccuracy = _averaged("CategoricalAccuracy", categorical_accuracy)
SparseCategoricalAccuracy = _averaged("SparseCategoricalAccuracy", sparse_categorical_accuracy)
TopKCategoricalAccuracy = _averaged("TopKCategoricalAccuracy", top_k_categorical_accuracy)
SparseTopKCategoricalAccuracy = _averaged("SparseTopKCategoricalAccuracy", sparse_top_k_categorical_accuracy)
MeanSquaredError = _averaged("MeanSquaredError", squared_error)
MeanAbsoluteError = _averaged("MeanAbsoluteError", absolute_error)
BinaryCrossentropy = _averaged("BinaryCrossentropy", losses.binary_crossentropy)
BinaryCrossentropy.extensions = ("axis",)  # of the loss alone in Keras
CategoricalCrossentropy = _averaged("CategoricalCrossentropy", losses.categorical_crossentropy)
CategoricalHinge = _averaged("CategoricalHinge", losses.categorical_hinge)
Hinge = _averaged("Hinge", losses.hinge)
KLDivergence = _averaged("KLDivergence", losses.kl_divergence, "kl_divergence")
LogCoshError = _averaged("LogCoshError", losses.log_cosh, "logcosh")
MeanAbsolutePercentageError = _averaged("MeanAbsolutePercentageError", losses.mean_absolute_percentage_error)
MeanSquaredLogarithmicError = _averaged("MeanSquaredLogarithmicError", losses.mean_squared_logarithmic_error)
Poisson = _averaged("Poisson", losses.poisson)
SparseCategoricalCrossentropy = _averaged("SparseCategoricalCrossentropy", losses.sparse_categorical_crossentropy)
SquaredHinge = _averaged("SquaredHinge", losses.squared_hinge)

_KINDS: tuple[type[Metric], ...] = (
    *(AUC, BinaryIoU, F1Score, FBetaScore, Precision, Recall, CosineSimilarity, PearsonCorrelation),
    *(R2Score, RootMeanSquaredError, TruePositives, TrueNegatives, FalsePositives, FalseNegatives),
    *(Accuracy, BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy, TopKCategoricalAccuracy),
    *(SparseTopKCategoricalAccuracy, MeanSquaredError, MeanAbsoluteError, BinaryCrossentropy, CategoricalCrossentropy),
    *(CategoricalHinge, Hinge, KLDivergence, LogCoshError, MeanAbsolutePercentageError, MeanSquaredLogarithmicError),
    *(Poisson, SparseCategoricalCrossentropy, SquaredHinge),
)
mse, mae = squared_error, absolute_error

KNOWN: dict[str, Any] = {
    **{name: getattr(losses, kind.name) for name, kind in losses.KNOWN.items()},
    **by_snake_case(categorical_accuracy, sparse_categorical_accuracy, binary_accuracy),
    **by_snake_case(top_k_categorical_accuracy, sparse_top_k_categorical_accuracy),
    **dict.fromkeys(("mse", "mean_squared_error"), squared_error),
    **dict.fromkeys(("mae", "mean_absolute_error"), absolute_error),
    "cosine_similarity": cosine_similarity,
    "pearson_correlation": pearson_correlation,
}
BY_SHAPE = {
    **dict.fromkeys(("accuracy", "acc", "Accuracy"), accuracy_for),
    **dict.fromkeys(("crossentropy", "ce"), losses.crossentropy_for),
    "top_k_accuracy": top_k_accuracy_for,
}
NAMES = {kind.__name__: kind for kind in _KINDS} | {
    **{snake_case(kind.__name__): kind for kind in (AUC, BinaryIoU, Precision, Recall, RootMeanSquaredError)},
    **{snake_case(kind.__name__): kind for kind in (TruePositives, TrueNegatives, FalsePositives, FalseNegatives)},
    **{"f1_score": F1Score, "fbeta_score": FBetaScore, "r2_score": R2Score},
    **{"MSE": MeanSquaredError, "MAE": MeanAbsoluteError, "MAPE": MeanAbsolutePercentageError},
}

__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "BinaryIoU",
    "ByShape",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "F1Score",
    "FBetaScore",
    "FalseNegatives",
    "FalsePositives",
    "Hinge",
    "IoU",
    "KLDivergence",
    "LogCoshError",
    "Mean",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanIoU",
    "MeanMetricWrapper",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Metric",
    "OneHotIoU",
    "OneHotMeanIoU",
    "PearsonCorrelation",
    "Poisson",
    "Precision",
    "PrecisionAtRecall",
    "R2Score",
    "Recall",
    "RecallAtPrecision",
    "RootMeanSquaredError",
    "SensitivityAtSpecificity",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "SpecificityAtSensitivity",
    "SquaredHinge",
    "Sum",
    "TopKCategoricalAccuracy",
    "TrueNegatives",
    "TruePositives",
    "absolute_error",
    "accuracy",
    "accuracy_for",
    "binary_accuracy",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_accuracy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "confusion_matrix",
    "cosine_similarity",
    "get",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "pearson_correlation",
    "poisson",
    "sparse_categorical_accuracy",
    "sparse_categorical_crossentropy",
    "sparse_top_k_categorical_accuracy",
    "squared_error",
    "squared_hinge",
    "top_k_accuracy_for",
    "top_k_categorical_accuracy",
]


def get(identifier: Any) -> Metric:
    """A metric from a name, a function (y_true, y_pred) or an object; "accuracy" means what suits the shapes."""
    identifier = resolved(identifier, "metrics")
    if isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Metric):
        return arguments.result_of("metrics.get", "identifier", identifier)
    if isinstance(identifier, losses.Loss):
        return MeanMetricWrapper(getattr(losses, identifier.name, identifier), identifier.name)
    if callable(identifier):
        return MeanMetricWrapper(identifier)
    if isinstance(identifier, str) and identifier in BY_SHAPE:
        return ByShape(BY_SHAPE[identifier], snake_case(identifier))
    if isinstance(identifier, str) and identifier in NAMES:
        return NAMES[identifier]()
    if isinstance(identifier, str) and identifier in KNOWN:
        return MeanMetricWrapper(KNOWN[identifier], identifier)
    return find("metric", identifier, BY_SHAPE | NAMES)
