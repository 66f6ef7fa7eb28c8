"""How far a result may be from the float64 oracle: one table for all tests.

The bounds hold for standard-normal operands. A sum of n products has partial sums of size sqrt(n), each rounded to
within eps of itself: the error grows like eps * n in the worst sum of many and like eps * sqrt(n) in a typical one.
Fourier and Winograd transforms mix whole tiles, so their error is relative to the largest output of a tile.
"""

import numpy as np

#: (method, dtype) -> factor of eps(dtype) * terms**0.5 * max(2, log2(terms)).
FACTORS = {
    ("direct", "float32"): 4.0,
    ("direct", "float64"): 4.0,
    ("im2col", "float32"): 4.0,
    ("im2col", "float64"): 4.0,
    ("winograd", "float32"): 40.0,
    ("winograd", "float64"): 40.0,
    ("fft", "float32"): 16.0,
    ("fft", "float64"): 16.0,
}

#: Computed exactly on small integers: every product and every sum is a whole number the dtype holds.
EXACT = ("direct", "im2col")

#: The dtype a result is computed in, where that is not its own.
COMPUTED_IN = {"float16": "float32", "complex64": "float32", "complex128": "float64"}


def tolerance(method, dtype, terms):
    """The absolute error allowed in a sum of `terms` products of standard-normal numbers."""
    dtype = np.dtype(dtype).name
    eps = np.finfo(dtype).eps
    computed = COMPUTED_IN.get(dtype, dtype)
    bound = FACTORS[method, computed] * np.finfo(computed).eps * terms**0.5 * max(2.0, np.log2(max(terms, 1)))
    rounding = eps * 4 * terms**0.5 if dtype == "float16" else 0.0
    return bound + rounding


def assert_close(actual, expected, method, terms):
    """`actual` has the oracle's shape and lies within the table's tolerance of it; NaN and Inf stand where it has them."""
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance(method, actual.dtype, terms))
