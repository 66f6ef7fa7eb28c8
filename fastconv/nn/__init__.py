"""Neural networks with Keras's names: ``from fastconv import nn as keras`` carries the usual listings unchanged."""

from importlib import import_module
from typing import Any

from . import (
    activations,
    applications,
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
    zoo,
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

models.zoo = zoo  # type: ignore[attr-defined]  # `models` lies below the zoo and cannot import it


def __getattr__(name: str) -> Any:
    if name == "datasets":  # loaded when used: it brings the download tools
        return import_module(".datasets", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
