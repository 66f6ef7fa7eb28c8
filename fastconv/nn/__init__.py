"""Neural networks with Keras's names: ``from fastconv import nn as keras`` carries the usual listings unchanged."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import (
    activations,
    backend,
    callbacks,
    config,
    constraints,
    distribution,
    initializers,
    layers,
    losses,
    metrics,
    mixed_precision,
    models,
    ops,
    optimizers,
    regularizers,
    saving,
    utils,
)
from .layers import Input
from .layers.symbols import SymbolicTensor as KerasTensor
from .models import Model, Sequential
from .policies import DTypePolicy

__all__ = [
    "DTypePolicy",
    "Input",
    "KerasTensor",
    "Model",
    "Sequential",
    "activations",
    "applications",
    "backend",
    "callbacks",
    "config",
    "constraints",
    "datasets",
    "distribution",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "mixed_precision",
    "models",
    "ops",
    "optimizers",
    "regularizers",
    "saving",
    "utils",
    "zoo",
]


def __getattr__(name: str) -> Any:
    """Loaded when used: what ready-made networks and data sets bring is not needed to make one's own."""
    if name == "applications":
        return import_module(".applications", __name__)
    if name == "datasets":
        return import_module(".datasets", __name__)
    if name == "zoo":
        return import_module(".zoo", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _zoo_of_models(name: str) -> Any:
    """``models.zoo``: `models` lies below the zoo and cannot import it."""
    if name == "zoo":
        return __getattr__(name)
    raise AttributeError(f"module {models.__name__!r} has no attribute {name!r}")


models.__getattr__ = _zoo_of_models  # type: ignore[method-assign]

if TYPE_CHECKING:
    from . import applications as applications
    from . import datasets as datasets
    from . import zoo as zoo
