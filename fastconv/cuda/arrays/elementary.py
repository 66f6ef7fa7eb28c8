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


def _clip(C: Any) -> Callable[..., Any]:
    def clip(a: Any, low: Any, high: Any) -> Any:
        b = low if low > a or low != low else a
        return high if high < b or high != high else b

    return clip


#: Name -> maker of the function for C.
FUNCTIONS: dict[str, Maker] = {
    "absolute": lambda C: lambda a: -a if a < C(0) else a + C(0),  # -0 + 0 is 0
    "add": lambda C: lambda a, b: a + b,
    "bitwise_and": lambda C: lambda a, b: a & b,
    "bitwise_or": lambda C: lambda a, b: a | b,
    "clip": _clip,
    "divide": lambda C: lambda a, b: a / b,
    "equal": lambda C: lambda a, b: a == b,
    "exp": lambda C: lambda a: math.exp(a),
    "expm1": lambda C: lambda a: math.expm1(a),
    "greater": lambda C: lambda a, b: a > b,
    "greater_equal": lambda C: lambda a, b: a >= b,
    "isfinite": lambda C: lambda a: a - a == C(0),  # infinity less itself is NaN
    "isinf": lambda C: lambda a: a == a and a - a != C(0),
    "isnan": lambda C: lambda a: a != a,
    "less": lambda C: lambda a, b: a < b,
    "less_equal": lambda C: lambda a, b: a <= b,
    "log": lambda C: lambda a: math.log(a),
    "log1p": lambda C: lambda a: math.log1p(a),
    "logical_not": lambda C: lambda a: a == C(0),
    # NaN wins: it alone is not equal to itself
    "maximum": lambda C: lambda a, b: a if a >= b or a != a else b,
    "minimum": lambda C: lambda a, b: a if a <= b or a != a else b,
    "multiply": lambda C: lambda a, b: a * b,
    "negative": lambda C: lambda a: -a,
    "not_equal": lambda C: lambda a, b: a != b,
    "positive": lambda C: lambda a: a,
    "power": lambda C: lambda a, b: math.pow(a, b),
    "reciprocal": lambda C: lambda a: C(1) / a,
    "sign": lambda C: lambda a: C(1) if a > C(0) else C(-1) if a < C(0) else a,  # zero, or NaN, stays
    "sqrt": lambda C: lambda a: math.sqrt(a),
    "square": lambda C: lambda a: a * a,
    "subtract": lambda C: lambda a, b: a - b,
    "tanh": lambda C: lambda a: math.tanh(a),
    "truth": lambda C: lambda a: a != C(0),
    "where": lambda C: lambda c, a, b: a if c else b,
}
