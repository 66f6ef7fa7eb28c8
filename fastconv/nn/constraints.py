"""What weights are brought back to after each step."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InvalidArgument, shown
from . import arguments
from .basics.names import by_snake_case
from .configs import Configured, resolved

TINY = 1e-7


class Constraint(Configured):
    """Base of all constraints: ``constraint(w)`` is what an array of weights becomes after a step."""

    family = "constraints"


class MaxNorm(Constraint):
    """Scale down what is longer than `max_value`; lengths are taken over `axis`.

    Parameters
    ----------
    max_value : float
    axis : int or tuple of int
        Axes that make up one vector: 0 for a dense kernel (in, out), (0, 1, 2) for a filter (KH, KW, in, out).

    Examples
    --------
    >>> MaxNorm(1.0)(np.array([[3.0, 0.1], [4.0, 0.0]])).round(3)
    array([[0.6, 0.1],
           [0.8, 0. ]])
    """

    def __init__(self, max_value: float = 2.0, axis: Any = 0) -> None:
        self.max_value = arguments.real(self, "max_value", max_value, 0, finite=False)
        self.axis = arguments.axes(self, "axis", axis)

    def __call__(self, w: np.ndarray) -> np.ndarray:
        w = arguments.array(self, "w", w)
        norm = _norm(self, w)
        return w * (np.clip(norm, 0, self.max_value) / (norm + TINY))


class UnitNorm(Constraint):
    """Scale every vector along `axis` to length 1."""

    def __init__(self, axis: Any = 0) -> None:
        self.axis = arguments.axes(self, "axis", axis)

    def __call__(self, w: np.ndarray) -> np.ndarray:
        w = arguments.array(self, "w", w)
        return w / (_norm(self, w) + TINY)


class MinMaxNorm(Constraint):
    """Bring lengths along `axis` into [min_value, max_value], at `rate` of the way per step."""

    def __init__(self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Any = 0) -> None:
        self.max_value = arguments.real(self, "max_value", max_value, 0, finite=False)
        self.min_value = arguments.real(self, "min_value", min_value, 0, self.max_value)
        self.rate, self.axis = arguments.real(self, "rate", rate, 0, 1), arguments.axes(self, "axis", axis)

    def __call__(self, w: np.ndarray) -> np.ndarray:
        w = arguments.array(self, "w", w)
        norm = _norm(self, w)
        wanted = self.rate * np.clip(norm, self.min_value, self.max_value) + (1 - self.rate) * norm
        return w * (wanted / (norm + TINY))


class NonNeg(Constraint):
    """Set negative weights to 0."""

    def __call__(self, w: np.ndarray) -> np.ndarray:
        return np.maximum(arguments.array(self, "w", w), 0)


def _norm(constraint: Any, w: np.ndarray) -> np.ndarray:
    arguments.check_axes(constraint, "axis", constraint.axis, w.shape)
    return np.sqrt(np.square(w).sum(axis=constraint.axis, keepdims=True))


max_norm, unit_norm, min_max_norm, non_neg = MaxNorm, UnitNorm, MinMaxNorm, NonNeg

KNOWN = by_snake_case(MaxNorm, UnitNorm, MinMaxNorm, NonNeg)


def get(identifier: Any) -> Any:
    """A constraint from None, a name, or anything callable with an array."""
    return arguments.of_weights("constraint", resolved(identifier), KNOWN)


def constrained(constraint: Any, w: Any) -> Any:
    """What a constraint, fastconv's or a user's, makes of a weight's array: one of the same shape."""
    value = arguments.result_of("constraints.get", "the constraint", constraint, w)
    if getattr(value, "shape", None) != w.shape:
        raise InvalidArgument(
            f"the constraint {shown(constraint)} made {shown(value)} of {shown(w)}; the shape must stay"
        )
    return value
