"""Activations as formulas: values and slopes, over blocks (twin: cuda/elementwise.py).

Each is a pair of functions of a number and a parameter, made for one dtype of `elementary`'s functions; a kernel is
compiled for those that are used. Slopes are of the input, those of `FROM_OUTPUT` of the output. A task owns one block
of `BLOCK` elements. All is compiled into the loop, which else would call a function for each number.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, cast

import numpy as np

from ..simd.lanes import inlined
from ..simd.parallel import ParallelKernel, parallel_kernel
from ..threads import team
from .elementary import capped, make_exp, make_expm1, make_log1p, make_tail, smallest_exponent

BLOCK = 8192
SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805  # Klambauer et al. 2017
CUBIC = 0.044715  # of gelu's approximation by tanh


def activate(x: np.ndarray, y: np.ndarray, kind: str, alpha: float) -> None:
    """y = the activation `kind` of x."""
    _run(kind, False, (x, y), alpha)


def gradient(dy: np.ndarray, x: np.ndarray, dx: np.ndarray, kind: str, alpha: float) -> None:
    """dx = dy times the slope of the activation at x, or at the output x for those of `FROM_OUTPUT`."""
    _run(kind, True, (x, dy, dx), alpha)


def _run(kind: str, is_gradient: bool, arrays: tuple[np.ndarray, ...], alpha: float) -> None:
    size, T = arrays[0].size, cast(Any, arrays[0].dtype.type)
    tasks = -(-size // BLOCK)
    _kernel(kind, T, is_gradient)(team(tasks, 10 * size), tasks, *(a.reshape(-1) for a in arrays), T(alpha))


@lru_cache(maxsize=64)
def _kernel(kind: str, T: Any, is_gradient: bool) -> ParallelKernel:
    function = inlined({**FORMULAS, **FROM_OUTPUT}[kind](T)[is_gradient])

    def value(thread, first, last, x, y, alpha):  # type: ignore[no-untyped-def]
        for block in range(first, last):
            a, b = x[block * BLOCK : (block + 1) * BLOCK], y[block * BLOCK : (block + 1) * BLOCK]
            for j in range(a.size):
                b[j] = function(a[j], alpha)

    def slope(thread, first, last, x, dy, dx, alpha):  # type: ignore[no-untyped-def]
        for block in range(first, last):
            a, d = x[block * BLOCK : (block + 1) * BLOCK], dy[block * BLOCK : (block + 1) * BLOCK]
            b = dx[block * BLOCK : (block + 1) * BLOCK]
            for j in range(a.size):
                b[j] = d[j] * function(a[j], alpha)

    body = slope if is_gradient else value
    # the disk cache tells kernels apart by name
    body.__name__ = body.__qualname__ = f"{kind}_{body.__name__}_{T.__name__}"
    return parallel_kernel(body)


Pair = tuple[Callable[..., Any], Callable[..., Any]]


def _elu(T: Any) -> Pair:
    exp, expm1, zero, one = make_exp(T), make_expm1(T), T(0), T(1)
    return (
        lambda v, alpha: v if v > zero else alpha * expm1(v),
        lambda v, alpha: one if v > zero else alpha * exp(v),
    )


def _selu(T: Any) -> Pair:
    exp, expm1, zero, scale, low = make_exp(T), make_expm1(T), T(0), T(SELU_SCALE), T(SELU_SCALE * SELU_ALPHA)
    return (
        lambda v, alpha: scale * v if v > zero else low * expm1(v),
        lambda v, alpha: scale if v > zero else low * exp(v),
    )


def _softplus(T: Any) -> Pair:
    exp, log1p, sigmoid, zero = make_exp(T), make_log1p(T), _make_sigmoid(T), T(0)
    return (
        lambda v, alpha: (v if v > zero else zero) + log1p(exp(-abs(v))),
        lambda v, alpha: sigmoid(v),
    )


def _softsign(T: Any) -> Pair:
    one = T(1)
    return lambda v, alpha: v / (one + abs(v)), lambda v, alpha: one / ((one + abs(v)) * (one + abs(v)))


def _silu(T: Any) -> Pair:
    sigmoid, one = _make_sigmoid(T), T(1)

    def slope(v, alpha):  # type: ignore[no-untyped-def]
        s = sigmoid(v)
        return s * (one + v * (one - s))

    return lambda v, alpha: v * sigmoid(v), slope


def _mish(T: Any) -> Pair:
    gate, sigmoid, one = _make_gate(T), _make_sigmoid(T), T(1)

    def slope(v, alpha):  # type: ignore[no-untyped-def]
        t = gate(v)
        return t + v * (one - t * t) * sigmoid(v)

    return lambda v, alpha: v * gate(v), slope


def _make_gate(T: Any) -> Any:
    exp, zero, one, two = make_exp(T), T(0), T(1), T(2)

    @inlined
    def gated(v):  # type: ignore[no-untyped-def]
        """tanh(log(1 + exp(v))), of exponentials that do not overflow."""
        e = exp(-abs(v))
        top = e * (e + two) if v < zero else one + two * e
        return top / (top + (two if v < zero else two * e * e))

    return gated


def _gelu(T: Any) -> Pair:
    """v*P(X <= v) is max(v, 0) less |v| times the tail beyond |v|: without a choice between two long ways."""
    exp, tail, zero, one, most = make_exp(T), make_tail(T), T(0), T(1), T(40)  # nothing is left beyond
    half, density = T(-0.5), T(1 / math.sqrt(2 * math.pi))

    def value(v, alpha):  # type: ignore[no-untyped-def]
        a = capped(abs(v), most)
        return (v if v > zero else zero) - a * tail(a) * exp(half * v * v)

    def slope(v, alpha):  # type: ignore[no-untyped-def]
        a = capped(abs(v), most)
        step = one if v > zero else zero
        return step + math.copysign(one, v) * (a * density - tail(a)) * exp(half * v * v)

    return value, slope


def _gelu_tanh(T: Any) -> Pair:
    sigmoid, one, inner, cubic = _make_sigmoid(T), T(1), T(2 * math.sqrt(2 / math.pi)), T(CUBIC)
    three = T(3 * CUBIC)

    def value(v, alpha):  # type: ignore[no-untyped-def]
        return v * sigmoid(inner * (v + cubic * v * v * v))  # (1 + tanh(u))/2 is the sigmoid of 2*u

    def slope(v, alpha):  # type: ignore[no-untyped-def]
        s = sigmoid(inner * (v + cubic * v * v * v))
        return s + v * s * (one - s) * inner * (one + three * v * v)

    return value, slope


@lru_cache(maxsize=2)
def _make_sigmoid(T: Any) -> Any:
    exp, zero, one = make_exp(T), T(0), T(1)

    @inlined
    def logistic(v):  # type: ignore[no-untyped-def]
        e = exp(-abs(v))
        return (e if v < zero else one) / (one + e)

    return logistic


def _sigmoid(T: Any) -> Pair:
    logistic, zero, one, least = _make_sigmoid(T), T(0), T(1), T(smallest_exponent(T))
    return lambda v, alpha: zero if v < least else logistic(v), lambda y, alpha: y * (one - y)


def _tanh(T: Any) -> Pair:
    expm1, one, two = make_expm1(T), T(1), T(2)

    def value(v, alpha):  # type: ignore[no-untyped-def]
        fallen = expm1(-two * abs(v))  # never overflows, and is as exact near 0 as elsewhere
        return math.copysign(-fallen / (fallen + two), v)

    return value, lambda y, alpha: one - y * y


FROM_OUTPUT: dict[str, Callable[[Any], Pair]] = {"sigmoid": _sigmoid, "tanh": _tanh}
FORMULAS: dict[str, Callable[[Any], Pair]] = {
    "elu": _elu,
    "selu": _selu,
    "softplus": _softplus,
    "softsign": _softsign,
    "silu": _silu,
    "mish": _mish,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
}
