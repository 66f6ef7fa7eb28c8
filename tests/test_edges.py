"""Direct convolution that reads x as it lies: outputs at an edge leave out the taps that would meet zeros."""

import naive
import numpy as np
import pytest

import fastconv as fc
from fastconv.cpu import blocking, weight_grad
from fastconv.cpu.edges import edges
from fastconv.cpu.lowering import lower_conv
from fastconv.spec import conv_problem


def low(C=8, O=32, size=9, k=3, N=2, layout="NHWC", dtype="float32", **options):  # noqa: E741
    x, w = ((N, size, size, C), (k, k, C, O)) if layout == "NHWC" else ((N, C, size, size), (O, C, k, k))
    return lower_conv(conv_problem(x, w, rank=2, layout=layout, dtype=dtype, **options))


def test_what_is_read_as_it_lies():
    for options, columns in (
        ({"padding": 1}, (1, 8)),
        ({"padding": 1, "stride": 2}, (1, 4)),
        ({"padding": 0}, (0, 7)),
        ({"padding": 0, "dilation": 2}, (0, 5)),
        ({"padding": ((0, 0), (2, 0))}, (2, 9)),
        ({"padding": 1, "size": 2}, (1, 1)),  # all outputs are at an edge
        ({"k": 1, "stride": 2}, (0, 5)),
    ):
        found = edges(low(**options))
        assert found is not None and (found.left, found.right) == columns, options
    for options in (
        {"padding": 1, "layout": "NCHW"},
        {"padding": 1, "padding_mode": "reflect"},
        {"padding": 1, "dilation": 2},  # taps of a row do not lie side by side
        {"padding": 3},  # some outputs meet nothing
        {"k": 1, "padding": 1},
    ):
        assert edges(low(**options)) is None, options


def test_a_pitch_that_shares_cache_sets_is_packed():
    """Pixels of 2 KiB, of which several taps are read again and again."""
    assert blocking.choose_blocking(low(C=496, padding=1), 4).source.item_size == 0
    assert blocking.choose_blocking(low(C=512, padding=1), 4).source.item_size > 0
    assert blocking.choose_blocking(low(C=512, k=1), 4).source.item_size == 0


def test_items_of_one_row_are_of_a_size():
    """21 items and a rest would give one of two threads a tenth more."""
    grid = blocking.choose_blocking(low(C=64, O=256, size=28, k=1, N=8), 4).grid
    assert grid.all_items % blocking.WANTED_TASKS == 0 and grid.all_items * grid.cols - 8 * 28 * 28 < grid.all_items


@pytest.mark.parametrize("number", range(40))
def test_edges_are_exact(number):
    """Rows of several tiles, items of some rows, strides, one-sided padding, groups; forward and to the input."""
    rng = np.random.default_rng(number)
    kernel, stride = (tuple(map(int, rng.integers(1, most, 2))) for most in (7, 4))
    padding = tuple(tuple(map(int, rng.integers(0, k, 2))) for k in kernel)
    size = tuple(int(rng.integers(max(k, 8), 40)) for k in kernel)
    groups, C, O = int(rng.choice([1, 1, 2])), int(rng.choice([2, 6, 64])), int(rng.choice([18, 34, 70]))  # noqa: E741
    x, w = (rng.integers(-4, 5, shape).astype(np.float32) for shape in ((2, C, *size), (O, C // groups, *kernel)))
    how = {"stride": stride, "padding": padding, "groups": groups}
    expected = naive.conv(x, w, **how, dilation=(1, 1))
    y = fc.conv2d(naive.to_last(x), naive.weights_to_last(w), **how, layout="NHWC", method="direct")
    np.testing.assert_array_equal(naive.to_first(y), expected)
    dy = rng.integers(-4, 5, expected.shape).astype(np.float32)
    dx = fc.conv2d_input_grad(
        naive.to_last(dy), naive.weights_to_last(w), (2, *size, C), **how, layout="NHWC", method="direct"
    )
    np.testing.assert_array_equal(naive.to_first(dx), naive.conv_input_grad(dy, w, size, **how, dilation=(1, 1)))


def test_partial_copies_of_a_gradient():
    """As many tasks as wanted: copies rather than panels where the input is read anew for each block of panels."""
    share = weight_grad.share
    assert share(1, 100, 8, 1 << 16, 0) == (2, 1)
    assert share(1, 100, 8, 1 << 16, 25088) == (16, 8)
    assert share(1, 100, 8, 1 << 16, 6272) == (8, 4)
    assert share(1, 100, 8, 1 << 16, 100) == (1, 1)
    assert share(1, 3, 8, 1 << 16, 25088) == (3, 2)
    assert share(32, 100, 1, 1 << 16, 25088) == (1, 1)
