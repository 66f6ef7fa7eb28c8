"""The plain loops of cpu/reference.py: pools beside the fast kernels, how short they are, that auto never takes them.

As a method of convolution they are a row of the dispatch table like any other: test_conv tries them on every case.
"""

import ast
from pathlib import Path

import numpy as np
import pytest

import fastconv as fc
from fastconv import dispatch
from fastconv.cpu import reference
from fastconv.spec import conv_problem, pool_problem

POOLS = [
    ((2, 3, 7, 9), {"window": 3, "stride": 2, "padding": 1}),
    ((1, 2, 6, 7), {"window": (3, 2), "stride": (4, 3), "padding": 1, "ceil_mode": True}),
    ((1, 2, 7, 8), {"window": (3, 2), "stride": 1, "dilation": (2, 3), "padding": ((2, 1), (0, 3))}),
]


def pooled(op, x, options, channels_last, *results, **more):
    """A pool by the loops, with the arrays in a layout."""
    problem = pool_problem(x.shape, rank=2, dtype=x.dtype, op=op, **options)
    if channels_last:
        shape = (x.shape[0], *x.shape[2:], x.shape[1])
        problem = pool_problem(shape, rank=2, dtype=x.dtype, op=op, layout="NHWC", **options)
        x = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    results = [np.full(problem.y_shape3, -7, dtype) for dtype in results]
    lifted = x.reshape(problem.x_shape3)
    dispatch.row_of(op, "reference").operator(op)(problem, lifted, *results, **more)
    return [np.moveaxis(r, -1, 1)[:, :, 0] if channels_last else r[:, :, 0] for r in results]


@pytest.mark.parametrize("channels_last", [False, True], ids=["first", "last"])
@pytest.mark.parametrize(("shape", "options"), POOLS, ids=str)
def test_pools_are_those_of_the_fast_kernels(shape, options, channels_last, rng):
    x = rng.integers(-4, 5, shape).astype("float32")
    x[0, 0, 2, 3], x[-1, 1, 0, 0] = np.nan, np.nan
    size, window = options["window"], {name: value for name, value in options.items() if name != "window"}
    y, indices = pooled("max_pool", x, options, channels_last, x.dtype, np.int64)
    expected = fc.max_pool2d(x, size, return_indices=True, **window)
    np.testing.assert_array_equal(y, expected[0])
    np.testing.assert_array_equal(indices, expected[1])
    for divisor in (None, 3.0):
        (y,) = pooled("avg_pool", x, options, channels_last, x.dtype, divisor=divisor)
        expected = fc.avg_pool2d(x, size, count_include_pad=False, divisor=divisor, **window)
        np.testing.assert_allclose(y, expected, rtol=1e-6, atol=1e-6)


def test_a_window_of_padding_alone_has_no_maximum():
    options = {"window": 2, "stride": 1, "padding": ((2, 3), (0, 0)), "dilation": (4, 3)}
    x = np.ones((1, 1, 3, 4), "float32")
    y, indices = pooled("max_pool", x, options, False, x.dtype, np.int64)
    empty = indices == -1
    assert empty.any()
    assert (y[empty] == -np.inf).all()
    (mean,) = pooled("avg_pool", x, options, False, x.dtype, divisor=None)
    assert (mean[empty] == 0).all()


def test_auto_never_takes_it():
    tiny = conv_problem((1, 1, 1, 1), (1, 1, 1, 1), rank=2)
    assert dispatch.choose_method(tiny) == "direct"
    assert dispatch.rows("max_pool")[-1].method == "direct"


def test_every_kernel_is_short():
    tree = ast.parse(Path(reference.__file__).read_text(encoding="utf-8"))
    lengths = {node.name: node.end_lineno - node.lineno + 1 for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert max(lengths.values()) < 40
