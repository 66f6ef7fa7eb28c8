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


def _relu(T: Any) -> Callable[[Any], Any]:
    zero = T(0)

    def relu(v: Any) -> Any:
        return zero if v < zero else v  # NaN is not below zero: it stays

    return relu


def _leaky_relu(T: Any) -> Callable[[Any], Any]:
    zero, slope = T(0), T(LEAKY_SLOPE)

    def leaky_relu(v: Any) -> Any:
        return v * slope if v < zero else v

    return leaky_relu


def _sigmoid(T: Any) -> Callable[[Any], Any]:
    one = T(1)

    def sigmoid(v: Any) -> Any:
        return one / (one + math.exp(-v))

    return sigmoid


def _tanh(T: Any) -> Callable[[Any], Any]:
    def tanh(v: Any) -> Any:
        return math.tanh(v)

    return tanh


_MAKERS = {"relu": _relu, "leaky_relu": _leaky_relu, "sigmoid": _sigmoid, "tanh": _tanh}
