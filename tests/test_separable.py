"""Outer products: which filters are, and that their passes are as exact as the filter at once."""

from functools import reduce

import numpy as np
import pytest

from fastconv.ops._separable import factors


def outer(*vectors):
    return reduce(np.multiply.outer, [np.asarray(v) for v in vectors])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("sizes", [(3, 3), (1, 7), (8, 5), (4,), (3, 4, 5), (2, 2, 2, 2)])
def test_outer_products_are_found(sizes, dtype, rng):
    vectors = [rng.standard_normal(n).astype(dtype) for n in sizes]
    w = outer(*vectors)
    found = factors(w)
    assert [f.shape for f in found] == [(n,) for n in sizes] and all(f.dtype == dtype for f in found)
    error = np.abs(outer(*(f.astype(float) for f in found)) - w)
    assert (error <= 4 * np.finfo(dtype).eps * np.abs(w)).all()
    assert all(np.abs(f).max() <= 1 for f in found[1:])


def test_others_are_not(rng):
    assert factors(rng.standard_normal((5, 5))) is None
    assert factors(np.eye(3)) is None
    assert factors(np.zeros((3, 3))) is None
    assert factors(np.zeros((0, 3))) is None
    assert factors(np.array([[np.nan, 1.0], [1.0, 1.0]])) is None
    assert factors(np.array([[1e200, 1.0], [np.inf, 1.0]])) is None
    assert factors(outer([1, 2], [1, 2j])) is None
    w = outer(np.ones(9), np.ones(9))
    w[3, 4] += 1e-14  # a small difference is one
    assert factors(w) is None


def test_small_elements_are_held_to_their_own_size():
    """An error that is small beside the largest element may be all of another."""
    w = outer([1.0, 1e-12], [1.0, 1e-12])
    assert factors(w) is not None
    w[1, 1] *= 2
    assert factors(w) is None


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64])
def test_integers_are_met_exactly(dtype):
    for u, v in (([1, 2, 1], [3, 0, 9]), ([0, 6, 4], [5]), ([2, 4], [6, 10, 14]), ([7], [0, 1, 0])):
        w = outer(u, v).astype(dtype)
        found = factors(w)
        assert np.array_equal(outer(*found), w) and all(f.dtype == np.int64 for f in found)
    assert factors(np.array([[2, 3], [3, 4]], dtype)) is None
    signed = outer([1, -3], [-2, 4])
    assert np.array_equal(outer(*factors(signed)), signed)


def test_the_smallest_integer_is_one_too():
    w = outer([1, 1], np.array([-128, 64])).astype(np.int8)
    found = factors(w)
    assert found is not None and np.array_equal(outer(*found), w)
