"""exp, expm1, log1p and the normal distribution's tail as arithmetic without branches or calls.

Loops over them become vector code. Each is made for one dtype T, whose constants it has. Errors are a few units in the
last place; numbers below the smallest normal one come out as about that.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic
from scipy import special

from ..simd.lanes import inlined

#: Of float32 and float64: the integer of the same bits, bits of the fraction, terms of the series, and where exp ends.
_KINDS: dict[Any, tuple[Any, int, int, int, float, float]] = {
    np.float32: (np.int32, 23, 7, 8, -87.0, 88.0),
    np.float64: (np.int64, 52, 13, 17, -708.0, 709.0),
}
_CHEBYSHEV = {np.float32: 10, np.float64: 24}  # degree of the tail's polynomial
_MIDDLE = 3.75  # what the tail's polynomial has in the middle of its interval
_LOG2, _LOG2_REST = math.log(2), 2.3190468138462996e-17  # the logarithm of 2, and what float64 cuts off of it


@intrinsic
def horner(typingctx, t, series):  # type: ignore[no-untyped-def]
    """series[0]*t**n + ... + series[n], unrolled; a product and the sum behind it may be rounded once."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        t, series = args
        total = builder.extract_value(series, 0)
        for i in range(1, signature.args[1].count):
            product = builder.fmul(total, t, flags=("contract",))
            total = builder.fadd(product, builder.extract_value(series, i), flags=("contract",))
        return total

    return t(t, series), codegen


@intrinsic
def capped(typingctx, a, most):  # type: ignore[no-untyped-def]
    """The smaller of two numbers; `most` for NaN. A choice in words here keeps LLVM from making vectors of loops."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        kind = args[0].type
        name = f"llvm.minnum.f{signature.args[0].bitwidth}"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, (kind, kind)), name)
        return builder.call(function, args)

    return (a(a, most), codegen) if a == most else None


@lru_cache(maxsize=2)
def make_parts(T: Any) -> Any:
    """``parts(x)`` -> (q, s) with exp(x) = s + s*q and expm1(x) = s*q + (s - 1): s is a power of 2, |q| below 0.42."""
    I, bits, terms, _, low, high = _KINDS[T]  # noqa: E741
    magic = T(1.5 * 2.0**bits)  # added to a number it leaves its nearest integer in the last bits
    bias, shift = I((1 << (8 if T is np.float32 else 11) - 1) - 1), I(bits)
    per, least, most = T(math.log2(math.e)), T(low), T(high)
    few = bits - (9 if T is np.float32 else 20)  # bits: a multiple of them by n has no more than T holds
    upper = T(math.ldexp(math.floor(math.ldexp(_LOG2, few)), -few))
    lower = T(_LOG2 - float(upper) + _LOG2_REST)
    series = tuple(T(1 / math.factorial(n)) for n in range(terms, 0, -1))

    @inlined
    def parts(x):  # type: ignore[no-untyped-def]
        x = most if x > most else x
        x = least if x < least else x
        whole = x * per + magic
        n = whole - magic
        r = (x - n * upper) - n * lower
        s = I((I(T(whole).view(I) + bias)) << shift).view(T)
        return horner(r, series) * r, s

    return parts


def smallest_exponent(T: Any) -> float:
    """Below it `make_exp`'s function does not fall any more."""
    return _KINDS[T][4]


@lru_cache(maxsize=2)
def make_exp(T: Any) -> Any:
    """``exp(x)``, from T's smallest normal number up."""
    split = make_parts(T)

    @inlined
    def exp(x):  # type: ignore[no-untyped-def]
        q, s = split(x)
        return s + s * q

    return exp


@lru_cache(maxsize=2)
def make_expm1(T: Any) -> Any:
    """``expm1(x)`` = exp(x) - 1, as exact near 0 as elsewhere."""
    split, one = make_parts(T), T(1)

    @inlined
    def expm1(x):  # type: ignore[no-untyped-def]
        q, s = split(x)
        return s * q + (s - one)

    return expm1


@lru_cache(maxsize=2)
def make_log1p(T: Any) -> Any:
    """``log1p(u)`` = log(1 + u) for u in [0, 1]: twice the series of artanh(u/(2 + u))."""
    two = T(2)
    series = tuple(T(2 / (2 * n + 1)) for n in reversed(range(_KINDS[T][3])))

    @inlined
    def log1p(u):  # type: ignore[no-untyped-def]
        t = u / (two + u)
        return horner(t * t, series) * t

    return log1p


@lru_cache(maxsize=2)
def make_tail(T: Any) -> Any:
    """``tail(x)`` for x >= 0: exp(-x*x/2) times it is the part of the standard normal distribution beyond x.

    A polynomial of (x - c)/(x + c), which interpolates erfc(x/sqrt(2))*exp(x*x/2)/2 at Chebyshev's points.
    """
    middle = T(_MIDDLE)

    def scaled(t: Any) -> Any:
        x = _MIDDLE * (1 + t) / (1 - t)
        return special.erfcx(x / math.sqrt(2)) / 2

    fitted = np.polynomial.chebyshev.cheb2poly(np.polynomial.chebyshev.chebinterpolate(scaled, _CHEBYSHEV[T]))
    series = tuple(map(T, fitted[::-1]))

    @inlined
    def tail(x):  # type: ignore[no-untyped-def]
        return horner((x - middle) / (x + middle), series)

    return tail
