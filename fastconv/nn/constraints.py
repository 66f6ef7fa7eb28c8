"""What weights are brought back to after each step."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InvalidArgument
from .names import find

TINY = 1e-7


class MaxNorm:
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
        self.max_value, self.axis = max_value, axis

    def __call__(self, w: np.ndarray) -> np.ndarray:
        norm = _norm(w, self.axis)
        return w * (np.clip(norm, 0, self.max_value) / (norm + TINY))


class UnitNorm:
    """Scale every vector along `axis` to length 1."""

    def __init__(self, axis: Any = 0) -> None:
        self.axis = axis

    def __call__(self, w: np.ndarray) -> np.ndarray:
        return w / (_norm(w, self.axis) + TINY)


class MinMaxNorm:
    """Bring lengths along `axis` into [min_value, max_value], at `rate` of the way per step."""

    def __init__(self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Any = 0) -> None:
        if not 0 <= min_value <= max_value:
            raise InvalidArgument(f"min_value is {min_value!r} and max_value {max_value!r}; expected 0 <= min <= max")
        self.min_value, self.max_value, self.rate, self.axis = min_value, max_value, rate, axis

    def __call__(self, w: np.ndarray) -> np.ndarray:
        norm = _norm(w, self.axis)
        wanted = self.rate * np.clip(norm, self.min_value, self.max_value) + (1 - self.rate) * norm
        return w * (wanted / (norm + TINY))


class NonNeg:
    """Set negative weights to 0."""

    def __call__(self, w: np.ndarray) -> np.ndarray:
        return np.maximum(w, 0)


def _norm(w: np.ndarray, axis: Any) -> np.ndarray:
    axis = tuple(axis) if isinstance(axis, (tuple, list)) else axis
    return np.sqrt(np.square(w).sum(axis=axis, keepdims=True))


max_norm, unit_norm, min_max_norm, non_neg = MaxNorm, UnitNorm, MinMaxNorm, NonNeg

KNOWN: dict[str, Any] = {"max_norm": MaxNorm, "unit_norm": UnitNorm, "min_max_norm": MinMaxNorm, "non_neg": NonNeg}


def get(identifier: Any) -> Any:
    """A constraint from None, a name, or anything callable with an array."""
    if identifier is None or (callable(identifier) and not isinstance(identifier, type)):
        return identifier
    return identifier() if isinstance(identifier, type) else find("constraint", identifier, KNOWN)()
