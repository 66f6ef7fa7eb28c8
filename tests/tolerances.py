"""How far a result may be from the float64 oracle: one table for all tests.

The bounds hold for standard-normal operands. A direct sum of n products has partial sums of size sqrt(n), each rounded
to within eps of itself: the error of a typical output is eps*n/7, of the worst of a million some 15 times that. The
transforms' error is that of a whole tile, spread evenly over it: it grows like the size of the sum, sqrt(n), and the
depth of the transform.
"""

import numpy as np


def _summed(terms):
    return 3 * terms + 8 * terms**0.5


def _transformed(terms):
    return terms**0.5 * max(2.0, np.log2(terms))


#: (method, dtype) -> how often the error may be eps(dtype) * growth(terms).
FACTORS = {
    ("direct", "float32"): (1.0, _summed),
    ("direct", "float64"): (1.0, _summed),
    ("reference", "float32"): (4.0, lambda terms: terms**0.5),  # rounded once
    ("reference", "float64"): (1.0, _summed),
    ("im2col", "float32"): (1.0, _summed),
    ("im2col", "float64"): (1.0, _summed),
    ("winograd", "float32"): (40.0, _transformed),
    ("winograd", "float64"): (40.0, _transformed),
    ("fft", "float32"): (8.0, _transformed),
    ("fft", "float64"): (8.0, _transformed),
}

#: Computed exactly on small integers: every product and every sum is a whole number the dtype holds.
EXACT = ("direct", "im2col", "reference")

#: The dtype a result is computed in, where that is not its own.
COMPUTED_IN = {
    "float16": "float32",
    "bfloat16": "float32",
    "tf32": "float32",
    "complex64": "float32",
    "complex128": "float64",
}

#: Half the distance of neighbouring numbers where a result is rounded to fewer bits than it is computed in.
ROUNDED_TO = {"float16": 2.0**-11, "bfloat16": 2.0**-8}

#: Tensor cores round both operands of a product to TF32, each by at most this.
ROUNDED_OPERANDS = 2.0**-11


def tolerance(method, dtype, terms):
    """The absolute error allowed in a sum of `terms` products of standard-normal numbers; for "auto" the laxest.

    `dtype` may also be "tf32": float32 whose products tensor cores may round. Their errors are independent, and of the
    results of a whole test the worst is some six standard deviations off.
    """
    dtype = dtype if isinstance(dtype, str) else np.dtype(dtype).name
    computed = COMPUTED_IN.get(dtype, dtype)
    methods = {name for name, _ in FACTORS} if method == "auto" else {method}
    growths = [FACTORS[name, computed] for name in methods]
    bound = max(factor * growth(max(terms, 1)) for factor, growth in growths) * np.finfo(computed).eps
    size = 8 * terms**0.5  # the largest of many results
    if dtype == "tf32":
        bound += size * ROUNDED_OPERANDS
    return bound + size * ROUNDED_TO.get(dtype, 0.0)


def assert_close(actual, expected, method, terms):
    """`actual` has the oracle's shape and is within the table's tolerance of it; NaN and Inf included."""
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance(method, actual.dtype, terms))
