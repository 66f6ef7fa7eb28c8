"""Activation functions that kernels apply while they store: the twin of ``cpu/activation.py`` with typed constants.

A constant of another precision would turn float32 arithmetic into float64, which GPUs do at a fraction of the speed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numba

LEAKY_SLOPE = 0.01


@lru_cache(maxsize=64)
def device_function(activation: str | Callable[..., Any] | None, T: Any) -> Any:
    """The scalar function of an activation for kernels of element type T; None stays None, a user's stays itself."""
    if activation is None or not isinstance(activation, str):
        return activation
    return numba.njit(_MAKERS[activation](T))


#: Makers of the functions for T, by name.
_MAKERS: dict[str, Callable[[Any], Callable[[Any], Any]]] = {
    "relu": lambda T: lambda v: T(0) if v < T(0) else v,  # NaN is not below zero: it stays
    "leaky_relu": lambda T: lambda v: v * T(LEAKY_SLOPE) if v < T(0) else v,
    "sigmoid": lambda T: lambda v: T(1) / (T(1) + math.exp(-v)),
    "tanh": lambda T: lambda v: math.tanh(v),
}
