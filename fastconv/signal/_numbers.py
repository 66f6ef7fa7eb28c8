"""Dtypes: what a convolution of two arrays is computed in, and how its result becomes the dtype that SciPy gives.

Kernels know float32 and float64. Integers are computed in the smaller of these that holds every sum exactly; a complex
array is two channels. What neither holds has no kernel: it is left to SciPy.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
REAL: dict[str, np.dtype] = {"f": SINGLE, "d": DOUBLE, "F": SINGLE, "D": DOUBLE, "e": SINGLE}
INTEGERS = "bBhHiIlLqQ"
SERVED = frozenset("?" + INTEGERS + "".join(REAL))  # dtypes of operands
EXACT_SINGLE, EXACT_DOUBLE = 1 << 24, 1 << 53  # integers below are float32, float64
EXACT_TRANSFORM = 1 << 38  # sums below are off by less than a half after a Fourier transform in float64
FEW = 256  # taps; of more, the transform in float64 is faster than sums in float32
BYTE = {"b": 128, "B": 255, "?": 1}  # the largest that a dtype can hold: not worth looking at the data


class Numbers(NamedTuple):
    """What a call is computed in: `real` of the parts, `result` the caller's; `whole` where sums are integers."""

    real: np.dtype
    result: np.dtype
    whole: bool = False
    least: str = "auto"  # the method that keeps integers exact


@lru_cache(maxsize=1024)
def promoted(a: np.dtype, b: np.dtype) -> np.dtype | None:
    """NumPy's common dtype; None where an operand has none that is served."""
    return np.result_type(a, b).newbyteorder("=") if a.char in SERVED and b.char in SERVED else None


@lru_cache(maxsize=64)
def of_floats(result: np.dtype) -> Numbers | None:
    """float32, float64 and the complex dtypes of them; float16 is computed in float32."""
    real = REAL.get(result.char)
    return None if real is None else Numbers(real, result)


def numbers_of(x: np.ndarray, w: np.ndarray, terms: int | None = None) -> Numbers | None:
    """What a convolution of two arrays is computed in, None where no kernel's dtype will do.

    A sum has at most `terms` products; None means as many as fit into both arrays.
    """
    result = promoted(x.dtype, w.dtype)
    if result is None or result.char == "?":
        return None
    terms = math.prod(map(min, x.shape, w.shape)) if terms is None else terms
    return of_integers(x, w, result, terms) if result.kind in "iu" else of_floats(result)


def of_integers(x: np.ndarray, w: np.ndarray, result: np.dtype, terms: int) -> Numbers | None:
    """Where no sum of so many products exceeds what a kernel's dtype holds exactly."""
    largest = magnitude(x) * magnitude(w) * terms
    if largest < EXACT_SINGLE and terms <= FEW:
        return Numbers(SINGLE, result, True, "direct")
    if largest < EXACT_DOUBLE:
        return Numbers(DOUBLE, result, True, "auto" if largest < EXACT_TRANSFORM else "direct")
    return None


def magnitude(a: np.ndarray) -> int:
    """The largest |element| of an array of integers, or what bytes may hold."""
    return BYTE.get(a.dtype.char) or max(int(a.max()), -int(a.min()), 1)


def finished(y: np.ndarray, numbers: Numbers) -> np.ndarray:
    """A sum as the caller gets it: integers wrap around as those of the result's dtype do."""
    if not numbers.whole:
        return y if y.dtype == numbers.result else y.astype(numbers.result)
    if y.dtype == DOUBLE:
        np.rint(y, out=y)  # a transform's are not whole
    between = np.dtype(np.int32 if y.dtype == SINGLE else np.int64)
    whole = y.astype(between)
    return whole if between == numbers.result else whole.astype(numbers.result)
