"""Optimizers: how gradients change weights, and schedules of learning rates."""

from __future__ import annotations

from typing import Any

from .. import arguments
from ..basics.names import find
from ..configs import resolved
from . import schedules
from .base import Optimizer
from .descent import SGD, Adadelta, Adagrad, Ftrl, RMSprop
from .moments import Adam, Adamax, AdamW, Lion, Nadam
from .scaling import LossScaleOptimizer

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "Lion",
    "LossScaleOptimizer",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "get",
    "schedules",
]

_KINDS = (Adadelta, Adagrad, Adam, AdamW, Adamax, Ftrl, Lion, Nadam, RMSprop, SGD)
KNOWN: dict[str, type[Optimizer]] = {name: kind for kind in _KINDS for name in (kind.__name__.lower(), kind.__name__)}


def get(identifier: Any) -> Optimizer:
    """An optimizer from a name, a class or an object."""
    identifier = resolved(identifier, "optimizers")
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Optimizer):
        return arguments.result_of("optimizers.get", "identifier", identifier)
    return find("optimizer", identifier, KNOWN)()
