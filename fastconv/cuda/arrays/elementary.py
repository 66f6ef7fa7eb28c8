"""Scalar functions of element-wise kernels, by the names of NumPy's ufuncs, and with its treatment of NaN.

Each is made for the type C that its first operand is computed in: a constant of another precision would turn float32
arithmetic into float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numba

Maker = Callable[[Any], Callable[..., Any]]


@lru_cache(maxsize=256)
def device_function(name: str, C: Any) -> Any:
    """The scalar function `name` for operands computed in C."""
    return numba.njit(FUNCTIONS[name](C))


def _sign(C: Any) -> Callable[..., Any]:
    zero, one, minus = C(0), C(1), C(-1)

    def sign(a: Any) -> Any:
        if a > zero:
            return one
        if a < zero:
            return minus
        return a  # zero, or NaN

    return sign


def _absolute(C: Any) -> Callable[..., Any]:
    zero = C(0)

    def absolute(a: Any) -> Any:
        return -a if a < zero else a + zero  # -0 + 0 is 0

    return absolute


def _reciprocal(C: Any) -> Callable[..., Any]:
    one = C(1)

    def reciprocal(a: Any) -> Any:
        return one / a

    return reciprocal


def _isfinite(C: Any) -> Callable[..., Any]:
    zero = C(0)

    def isfinite(a: Any) -> Any:
        return a - a == zero  # infinity less itself is NaN

    return isfinite


def _isinf(C: Any) -> Callable[..., Any]:
    zero = C(0)

    def isinf(a: Any) -> Any:
        return a == a and a - a != zero

    return isinf


def _truth(C: Any) -> Callable[..., Any]:
    zero = C(0)

    def truth(a: Any) -> Any:
        return a != zero

    return truth


def _logical_not(C: Any) -> Callable[..., Any]:
    zero = C(0)

    def logical_not(a: Any) -> Any:
        return a == zero

    return logical_not


def _clip(C: Any) -> Callable[..., Any]:
    def clip(a: Any, low: Any, high: Any) -> Any:
        b = low if low > a or low != low else a
        return high if high < b or high != high else b

    return clip


def _same(function: Callable[..., Any]) -> Maker:
    """A function that needs no constants."""
    return lambda C: function


#: Name -> maker of the function for C.
FUNCTIONS: dict[str, Maker] = {
    "absolute": _absolute,
    "add": _same(lambda a, b: a + b),
    "bitwise_and": _same(lambda a, b: a & b),
    "bitwise_or": _same(lambda a, b: a | b),
    "clip": _clip,
    "divide": _same(lambda a, b: a / b),
    "equal": _same(lambda a, b: a == b),
    "exp": _same(lambda a: math.exp(a)),
    "expm1": _same(lambda a: math.expm1(a)),
    "greater": _same(lambda a, b: a > b),
    "greater_equal": _same(lambda a, b: a >= b),
    "isfinite": _isfinite,
    "isinf": _isinf,
    "isnan": _same(lambda a: a != a),
    "less": _same(lambda a, b: a < b),
    "less_equal": _same(lambda a, b: a <= b),
    "log": _same(lambda a: math.log(a)),
    "log1p": _same(lambda a: math.log1p(a)),
    "logical_not": _logical_not,
    # NaN wins: it alone is not equal to itself
    "maximum": _same(lambda a, b: a if a >= b or a != a else b),
    "minimum": _same(lambda a, b: a if a <= b or a != a else b),
    "multiply": _same(lambda a, b: a * b),
    "negative": _same(lambda a: -a),
    "not_equal": _same(lambda a, b: a != b),
    "positive": _same(lambda a: a),
    "power": _same(lambda a, b: math.pow(a, b)),
    "reciprocal": _reciprocal,
    "sign": _sign,
    "sqrt": _same(lambda a: math.sqrt(a)),
    "square": _same(lambda a: a * a),
    "subtract": _same(lambda a, b: a - b),
    "tanh": _same(lambda a: math.tanh(a)),
    "truth": _truth,
    "where": _same(lambda c, a, b: a if c else b),
}
