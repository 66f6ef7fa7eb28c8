"""Functions block by block: what a function makes of the whole array, for every border, in blocks of any size."""

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastconv as fc
from fastconv import image, ndimage, signal
from fastconv.blocks import budget, operation, runs
from fastconv.borders import Border
from fastconv.errors import InvalidArgument, TooLarge

MODES = ("reflect", "constant", "nearest", "mirror", "wrap", "grid-constant", "grid-wrap")
X = np.random.default_rng(0).random((11, 9))
W = np.random.default_rng(1).random((4, 3))
IMAGES = np.random.default_rng(2).random((2, 3, 13, 10))


def in_blocks(length, function, x, *args, **keywords):
    """The outputs, `length` of them along each axis at a time."""
    cut = operation(function, x, args, keywords)
    y = np.full(cut.shape, 77, cut.dtype_for(x.dtype))
    block = [reach.out if reach.whole else length for reach in cut.axes]
    for outputs in budget._blocks(cut.shape, block):
        y[tuple(slice(*pair) for pair in outputs)] = cut.run(budget.read(cut, x, outputs), outputs)
    return y


def check(function, x, *args, lengths=(1, 4), **keywords):
    whole = function(x, *args, **keywords)
    for length in lengths:
        y = in_blocks(length, function, x, *args, **keywords)
        assert y.dtype == whole.dtype
        np.testing.assert_allclose(y, whole, rtol=1e-9, atol=1e-11, err_msg=f"{function.__name__} {args} {keywords}")


@pytest.mark.parametrize("mode", [*MODES, ("wrap", "reflect")])
def test_filters(mode):
    options = {"mode": mode, "cval": 2.5}
    for function, *args in (
        (ndimage.gaussian_filter, 1.3),
        (ndimage.uniform_filter, (3, 6)),
        (ndimage.sobel, 0),
        (ndimage.laplace,),
        (ndimage.maximum_filter, (4, 15)),
    ):
        check(function, X, *args, **options)
    check(ndimage.gaussian_filter, X, (0.5, 3), order=(1, 0), **options)
    check(ndimage.minimum_filter, X, size=(3, 2), origin=(1, -1), **options)


@pytest.mark.parametrize("mode", MODES)
def test_filters_of_one_mode(mode):
    options = {"mode": mode, "cval": 2.5}
    for function, *args in (
        (ndimage.convolve, W),
        (ndimage.correlate, W),
        (ndimage.median_filter, 5),
        (ndimage.gaussian_laplace, 1.0),
    ):
        check(function, X, *args, **options)
    check(ndimage.convolve, X, W, origin=(-2, 1), **options)
    check(ndimage.correlate1d, X, [1.0, 2.0, 4.0, 8.0], axis=0, origin=1, **options)
    check(ndimage.gaussian_gradient_magnitude, X, 1.0, truncate=2.0, **options)
    check(ndimage.uniform_filter1d, X, 30, axis=1, **options)
    check(ndimage.rank_filter, X, 2, footprint=np.ones((2, 3)), **options)
    check(ndimage.grey_dilation, X, structure=W, **options)
    check(ndimage.percentile_filter, X, 30, size=3, axes=(1,), **options)


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_convolutions_that_flip(mode):
    for function in (signal.convolve, signal.correlate, signal.fftconvolve, signal.oaconvolve):
        check(function, X, W, mode)
    check(signal.convolve, X + 1j, W[:3] * 1j, mode=mode)
    check(signal.fftconvolve, X, W[:, :1], mode, axes=0)
    for function, boundary in itertools.product((signal.convolve2d, signal.correlate2d), ("fill", "wrap", "symm")):
        for kernel in (W, W[:3, :2]):
            check(function, X, kernel, mode, boundary, fillvalue=1.5)


def test_images():
    check(image.match_template, X, W)
    check(signal.medfilt2d, X, (3, 5))


@pytest.mark.parametrize("padding_mode", ["zeros", "edge", "reflect", "symmetric", "wrap"])
def test_convolutions(padding_mode, rng):
    w, b = rng.random((4, 3, 3, 4)), rng.random(4)
    for padding, (stride, dilation) in itertools.product((0, "same", ((1, 5), (0, 17))), ((1, 1), (2, 1), (3, 2))):
        options = {"padding": padding, "padding_mode": padding_mode, "stride": stride, "dilation": dilation}
        check(fc.conv2d, IMAGES, w, b, **options, activation="relu", method="direct", lengths=(3,))
    last = IMAGES.transpose(0, 2, 3, 1).copy()
    check(fc.conv2d, last, rng.random((3, 3, 1, 6)), layout="NHWC", groups=3, padding=1, padding_mode=padding_mode)
    check(fc.conv1d, IMAGES[0], rng.random((2, 13, 5)), padding=3, padding_mode=padding_mode)
    check(fc.conv3d, IMAGES[None], rng.random((2, 2, 1, 3, 1)), padding=(0, 1, 0), lengths=(3,))


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_pools(ceil_mode):
    for size, options in itertools.product(
        (2, (2, 5)), ({}, {"stride": 2, "padding": 1}, {"stride": 3, "dilation": 2, "padding": 1}, {"stride": (4, 3)})
    ):
        options = {**options, "ceil_mode": ceil_mode}
        check(fc.max_pool2d, IMAGES, size, **options, lengths=(3,))
        check(fc.lp_pool2d, IMAGES, size, **options, lengths=(3,))
        for count_include_pad in (True, False):
            check(fc.avg_pool2d, IMAGES, size, count_include_pad=count_include_pad, **options, lengths=(3,))
    check(fc.avg_pool2d, IMAGES, 3, stride=2, padding="same", ceil_mode=ceil_mode, divisor=2)
    check(fc.max_pool1d, (IMAGES[0] * 100).astype("i2"), 3, ceil_mode=ceil_mode)


@given(st.data())
def test_runs_are_the_table_of_the_border(data):
    size, before = data.draw(st.integers(1, 9)), data.draw(st.integers(-3, 20))
    mode = data.draw(st.sampled_from(("zeros", "edge", "reflect", "symmetric", "wrap")))
    stretch = Border(size, -before, data.draw(st.integers(1, 25)), mode=mode)
    ends = sorted({size, *data.draw(st.lists(st.integers(1, size), max_size=4))})
    table = np.full(stretch.length, -1)
    for run in runs(stretch, ends):
        assert len({int(np.searchsorted(ends, e, side="right")) for e in (run.low, run.high - 1)}) == 1
        values = np.arange(run.low, run.high)
        table[run.places] = values[::-1] if run.step < 0 else values
    np.testing.assert_array_equal(table, stretch.table())


def test_within_a_budget(tmp_path):
    """From one memory map into another, in blocks that together with what the filter takes keep to the budget."""
    x = np.memmap(tmp_path / "x", np.float32, "w+", shape=(1, 1, 2000, 700))
    x[...] = np.random.default_rng(0).random(x.shape)
    y = np.memmap(tmp_path / "y", np.float32, "w+", shape=x.shape)
    w = np.ones((1, 1, 5, 5), np.float32)
    told = []
    limit = 1 << 21
    most = 0
    cut = operation(fc.conv2d, x, (w,), {"padding": 2})
    shape = budget._block_shape(cut, x, y, np.dtype("f4"), limit)
    outputs = [(0, n) for n in shape]
    block = budget.read(cut, x, outputs)
    most = budget._peak(lambda: cut.run(block, outputs)) + block.nbytes
    assert limit / 8 < most <= limit
    given = fc.blockwise(
        fc.conv2d, x, w, padding=2, out=y, budget=limit, progress=lambda done, total: told.append((done, total))
    )
    assert given is y
    assert told[-1][0] == told[-1][1] == len(told) > 4
    np.testing.assert_allclose(y, fc.conv2d(x, w, padding=2), rtol=1e-5)


def test_zarr(tmp_path):
    zarr = pytest.importorskip("zarr")
    x = zarr.create_array(tmp_path / "x", shape=(600, 400), chunks=(64, 50), dtype="f8")
    x[...] = np.random.default_rng(0).random(x.shape)
    y = zarr.create_array(tmp_path / "y", shape=x.shape, chunks=(64, 50), dtype="f8")
    fc.blockwise(ndimage.gaussian_filter, x, 2.0, mode="wrap", out=y, budget="4 MB")
    np.testing.assert_allclose(y[...], ndimage.gaussian_filter(x[...], 2.0, mode="wrap"), rtol=1e-12)
    shape = budget._block_shape(operation(ndimage.gaussian_filter, x, (2.0,), {}), x, y, np.dtype("f8"), 4 << 20)
    assert shape != list(x.shape)
    assert all(n % chunk == 0 or n == whole for n, chunk, whole in zip(shape, y.chunks, x.shape, strict=True))


@pytest.mark.parametrize("borders", [None, "zeros", "edge", "reflect", "symmetric", "wrap"])
def test_functions_of_ones_own(borders):
    def summed(block):
        padded = np.pad(block, 2, mode="constant")
        return sum(padded[i : i + block.shape[0], j : j + block.shape[1]] for i in range(5) for j in range(5))

    mode = {None: "constant", "zeros": "constant"}.get(borders, borders)
    padded = np.pad(X, 2, mode=mode)
    expected = sum(padded[i : i + 11, j : j + 9] for i in range(5) for j in range(5))
    y = fc.blockwise(summed, X, depth=2, borders=borders, budget=6000)
    np.testing.assert_allclose(y, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ({"function": np.sin}, "depth="),
        ({"function": 3}, "function is 3"),
        ({"function": fc.conv2d, "depth": 1}, "leave depth"),
        ({"budget": "many"}, "budget"),
        ({"budget": 0}, "budget"),
        ({"out": np.empty((2, 2))}, "out is"),
        ({"out": np.empty(X.shape, "i4")}, "cannot hold"),
        ({"out": X}, "out is x itself"),
        ({"depth": -1}, "depth is -1"),
        ({"borders": "round"}, "expected one of"),
        ({"function": lambda block: block[1:]}, "of a block where"),
        ({"function": ndimage.gaussian_laplace, "sigma": 1, "mode": ("wrap", "nearest"), "depth": None}, "in turn"),
        ({"function": ndimage.gaussian_filter, "sigma": 1, "output": X.copy(), "depth": None}, "out="),
        ({"function": fc.max_pool2d, "x": IMAGES, "size": 2, "return_indices": True, "depth": None}, "return_indices"),
        ({"function": image.match_template, "template": W, "pad_input": True, "depth": None}, "pad_input"),
    ],
)
def test_wrong_arguments(words, text):
    words = {"function": lambda block: block, "x": X, "depth": 1, **words}
    if words["function"] is np.sin:
        del words["depth"]
    with pytest.raises(InvalidArgument, match=text):
        fc.blockwise(words.pop("function"), words.pop("x"), **words)


def test_a_budget_that_is_too_small():
    with pytest.raises(TooLarge, match="give a budget"):
        fc.blockwise(fc.conv2d, IMAGES, np.ones((1, 3, 9, 9)), budget=100)


def test_progress_bar(capsys):
    fc.blockwise(lambda block: block, np.zeros((64, 64)), depth=0, budget=20000, progress=True)
    assert "blocks" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="resource is not there")
def test_example():
    example = Path(__file__).parent.parent / "examples" / "filter_beyond_memory.py"
    done = subprocess.run(
        [sys.executable, str(example), "0.02"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "as filtered in memory" in done.stdout
