"""Activations whose gradient is computed from their input, as functions of a number (twin: cpu/nonlinear.py)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805  # Klambauer et al. 2017
CUBIC = 0.044715  # of gelu's approximation by tanh
Pair = tuple[Callable[..., Any], Callable[..., Any]]


def from_input(kind: str, T: Any) -> Pair:
    """``value(v, alpha)`` and ``slope(v, alpha)`` of an activation, for numbers of type T; NaN stays NaN."""

    @numba.njit
    def sigmoid(v: Any) -> Any:
        e = T(math.exp(-abs(v)))  # never overflows
        return T((e if v < T(0) else T(1)) / (T(1) + e))

    pairs = {"mish": _mish, "gelu": _gelu, "gelu_tanh": _gelu_tanh, "silu": _silu}
    if kind in pairs:
        return pairs[kind](T, sigmoid)
    scale, low = T(SELU_SCALE), T(SELU_SCALE * SELU_ALPHA)
    simple: dict[str, Pair] = {
        "elu": (
            lambda v, alpha: v if v > T(0) else T(alpha * T(math.expm1(v))),
            lambda v, alpha: T(1) if v > T(0) else T(alpha * T(math.exp(v))),
        ),
        "selu": (
            lambda v, alpha: T(scale * v) if v > T(0) else T(low * T(math.expm1(v))),
            lambda v, alpha: scale if v > T(0) else T(low * T(math.exp(v))),
        ),
        "softplus": (
            lambda v, alpha: T((v if v > T(0) else T(0)) + T(math.log1p(math.exp(-abs(v))))),
            lambda v, alpha: sigmoid(v),
        ),
        "softsign": (
            lambda v, alpha: T(v / (T(1) + abs(v))),
            lambda v, alpha: T(T(1) / ((T(1) + abs(v)) * (T(1) + abs(v)))),
        ),
    }
    return simple[kind]


def _silu(T: Any, sigmoid: Any) -> Pair:
    def slope(v: Any, alpha: Any) -> Any:
        s = sigmoid(v)
        return T(s * (T(1) + v * (T(1) - s)))

    return lambda v, alpha: T(v * sigmoid(v)), slope


def _mish(T: Any, sigmoid: Any) -> Pair:
    @numba.njit
    def gate(v: Any) -> Any:
        e = T(math.exp(-abs(v)))
        top = T(e * (e + T(2)) if v < T(0) else T(1) + T(2) * e)
        return T(top / (top + (T(2) if v < T(0) else T(2) * e * e)))

    def slope(v: Any, alpha: Any) -> Any:
        t = gate(v)
        return T(t + v * (T(1) - t * t) * sigmoid(v))

    return lambda v, alpha: T(v * gate(v)), slope


def _gelu(T: Any, sigmoid: Any) -> Pair:
    root, density = T(math.sqrt(0.5)), T(1 / math.sqrt(2 * math.pi))

    @numba.njit
    def below(v: Any) -> Any:
        return T(T(0.5) * T(math.erfc(-v * root)))

    return (
        lambda v, alpha: T(v * below(v)),
        lambda v, alpha: T(below(v) + v * density * T(math.exp(T(-0.5) * v * v))),
    )


def _gelu_tanh(T: Any, sigmoid: Any) -> Pair:
    inner, cubic, three = T(2 * math.sqrt(2 / math.pi)), T(CUBIC), T(3 * CUBIC)

    def slope(v: Any, alpha: Any) -> Any:
        s = sigmoid(T(inner * (v + cubic * v * v * v)))
        return T(s + v * s * (T(1) - s) * inner * (T(1) + three * v * v))

    return lambda v, alpha: T(v * sigmoid(T(inner * (v + cubic * v * v * v)))), slope
