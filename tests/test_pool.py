"""Pools and their gradients against plain float64 loops, PyTorch where it is installed, and their own laws."""

import math

import naive_pool as naive
import numpy as np
import pytest
from cases import ADAPTIVE, POOLS
from hypothesis import given
from hypothesis import strategies as st

import fastconv as fc
from fastconv.errors import InvalidArgument

CHANNELS_LAST = {1: "NWC", 2: "NHWC", 3: "NDHWC"}
LAYOUTS = ("first", "last")
EPS = {"float32": 2.0**-23, "float64": 2.0**-52}


def identifier(case):
    return f"{'x'.join(map(str, case[0]))}-{case[1]}-{'-'.join(map(str, case[-1].values())) if len(case) > 2 else ''}"


def axes_of(shape, size, windows):
    """The naive windows of a case."""
    rank = len(shape) - 2
    per_axis = {}
    for name, default in (("stride", None), ("padding", 0), ("dilation", 1)):
        value = windows.get(name, default)
        per_axis[name] = value if isinstance(value, tuple) else (value,) * rank
    sizes = size if isinstance(size, tuple) else (size,) * rank
    axes = []
    for a, n in enumerate(shape[2:]):
        stride, padding, dilation = (per_axis[name][a] for name in ("stride", "padding", "dilation"))
        if padding == "same":
            total = max(0, (-(-n // stride) - 1) * stride + dilation * (sizes[a] - 1) + 1 - n)
            padding = (total // 2, total - total // 2)
        pair = padding if isinstance(padding, tuple) else (padding, padding)
        axes.append(naive.sliding(n, sizes[a], stride, pair, dilation, windows.get("ceil_mode", False)))
    return axes


def adaptive_axes(shape, size):
    sizes = size if isinstance(size, tuple) else (size,) * (len(shape) - 2)
    return [naive.adaptive(n, n if o is None else o) for n, o in zip(shape[2:], sizes, strict=True)]


class Rank:
    """fastconv's pools for arrays in either layout, with arrays passed and returned channels-first."""

    def __init__(self, shape, layout):
        self.rank, self.last = len(shape) - 2, layout == "last"
        self.layout = CHANNELS_LAST[self.rank] if self.last else None

    def __getattr__(self, name):
        stem, _, gradient = name.partition("_grad")
        function = getattr(fc, f"{stem}{self.rank}d{'_grad' if _ else ''}")

        def call(*arguments, **options):
            brought = [self.bring(a) if isinstance(a, np.ndarray) else a for a in arguments]
            if "shape" in options:
                shape = options.pop("shape")
                brought.insert(1 if "max" not in name else 2, (shape[0], *shape[2:], shape[1]) if self.last else shape)
            result = function(*brought, layout=self.layout, **options)
            return tuple(map(self.back, result)) if isinstance(result, tuple) else self.back(result)

        return call

    def bring(self, array):
        return np.moveaxis(array, 1, -1) if self.last else array

    def back(self, array):
        return np.moveaxis(array, -1, 1) if self.last else array


def few_values(rng, shape, dtype):
    """Numbers with many ties."""
    return rng.integers(-3, 4, shape).astype(dtype)


def assert_near(actual, expected, dtype, roundings, scale=1.0):
    assert actual.shape == expected.shape
    assert actual.dtype == dtype
    np.testing.assert_allclose(actual, expected, rtol=roundings * EPS[dtype], atol=roundings * EPS[dtype] * scale)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", POOLS, ids=identifier)
class TestEveryCase:
    """float32 and float64, both layouts, all cases."""

    @pytest.mark.parametrize("dtype", EPS)
    def test_max(self, case, layout, dtype, rng):
        shape, size, windows = case
        x, pools = few_values(rng, shape, dtype), Rank(shape, layout)
        y, indices = naive.max_pool(x, axes_of(*case))
        np.testing.assert_array_equal(pools.max_pool(x, size, **windows), y, strict=True)
        found, places = pools.max_pool(x, size, return_indices=True, **windows)
        np.testing.assert_array_equal(found, y, strict=True)
        np.testing.assert_array_equal(places, indices, strict=True)
        dy = rng.integers(-9, 9, y.shape).astype(dtype)
        dx = pools.max_pool_grad(dy, indices, shape=shape)
        np.testing.assert_array_equal(dx, naive.max_pool_grad(dy, indices, shape).astype(dtype), strict=True)

    @pytest.mark.parametrize("dtype", EPS)
    @pytest.mark.parametrize("include", (True, False))
    def test_avg(self, case, layout, dtype, include, rng):
        shape, size, windows = case
        x, pools, axes = rng.standard_normal(shape).astype(dtype), Rank(shape, layout), axes_of(*case)
        y = pools.avg_pool(x, size, count_include_pad=include, **windows)
        assert_near(y, naive.avg_pool(x, axes, include), dtype, 16)
        dy = rng.standard_normal(y.shape).astype(dtype)
        dx = pools.avg_pool_grad(dy, size, shape=shape, count_include_pad=include, **windows)
        assert_near(dx, naive.avg_pool_grad(dy, shape, axes, include), dtype, 16)

    @pytest.mark.parametrize("p", (1, 2, 3.5, math.inf))
    def test_lp(self, case, layout, p, rng):
        shape, size, windows = case
        x, pools, axes = rng.standard_normal(shape).astype("float32"), Rank(shape, layout), axes_of(*case)
        y = pools.lp_pool(x, size, p=p, **windows)
        expected = naive.lp_pool(x, axes, p)
        assert_near(y, expected, "float32", 4)
        dy = rng.standard_normal(y.shape).astype("float32")
        dx = pools.lp_pool_grad(dy, x, y, size, p=p, **windows)
        assert_near(dx, naive.lp_pool_grad(dy, x, np.asarray(y, "float64"), axes, p), "float32", 16)

    def test_divisor(self, case, layout, rng):
        shape, size, windows = case
        x, pools, axes = few_values(rng, shape, "float32"), Rank(shape, layout), axes_of(*case)
        y = pools.avg_pool(x, size, divisor=4, **windows)
        np.testing.assert_array_equal(y, naive.avg_pool(x, axes, divisor=4))
        np.testing.assert_allclose(pools.avg_pool(x, size, divisor=-3, **windows), y * (4 / -3), rtol=1e-6, atol=1e-6)
        dx = pools.avg_pool_grad(y, size, shape=shape, divisor=-3, **windows)
        assert_near(dx, naive.avg_pool_grad(y, shape, axes, divisor=-3), "float32", 16)


#: What kernels for pairs, and for threes around every other element, make in straight lines, and borders of it.
USUAL = [
    ((2, 3, 8, 68), 2, {}),
    ((1, 35, 7, 9), 2, {"ceil_mode": True}),
    ((2, 3, 10, 70), 3, {"stride": 2, "padding": 1}),
    ((1, 35, 9, 7), 3, {"stride": 2, "padding": 1}),
    ((1, 70, 6, 6), 3, {"stride": 2, "padding": 1, "ceil_mode": True}),
    ((2, 2, 6, 132), 3, {"stride": 2, "padding": 1}),
]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", USUAL, ids=identifier)
class TestUsualWindows:
    @pytest.mark.parametrize("dtype", EPS)
    def test_both_pools_and_gradients(self, case, layout, dtype, rng):
        shape, size, windows = case
        x, pools, axes = few_values(rng, shape, dtype), Rank(shape, layout), axes_of(*case)
        y, indices = naive.max_pool(x, axes)
        np.testing.assert_array_equal(pools.max_pool(x, size, **windows), y, strict=True)
        dy = rng.integers(-9, 9, y.shape).astype(dtype)
        dx = pools.max_pool_grad(dy, indices, shape=shape)
        np.testing.assert_array_equal(dx, naive.max_pool_grad(dy, indices, shape).astype(dtype), strict=True)
        for include in (True, False):
            y = pools.avg_pool(x, size, count_include_pad=include, **windows)
            assert_near(y, naive.avg_pool(x, axes, include), dtype, 16, 3)
            dx = pools.avg_pool_grad(dy, size, shape=shape, count_include_pad=include, **windows)
            assert_near(dx, naive.avg_pool_grad(dy, shape, axes, include), dtype, 16, 9)

    @pytest.mark.parametrize("name", ("float16", "bfloat16"))
    def test_sixteen_bits(self, case, layout, name, rng):
        """Maxima are exact, averages those of float32, rounded; NaN wins whatever its sign, Inf stays what it is."""
        shape, size, windows = case
        dtype = np.dtype(name) if name == "float16" else np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
        x, pools = rng.standard_normal(shape).astype("float32").astype(dtype), Rank(shape, layout)
        for function in (pools.max_pool, pools.avg_pool):
            y = function(x, size, **windows)
            np.testing.assert_array_equal(y, function(x.astype("float32"), size, **windows).astype(dtype), strict=True)
        for value, share in ((-np.inf, 0.7), (np.inf, 0.02), (np.nan, 0.02)):
            x[rng.random(shape) < share] = value
        x.view(np.uint16)[rng.random(shape) < 0.1] |= 0x8000
        expected = pools.max_pool(x.astype("float32"), size, **windows)
        np.testing.assert_array_equal(pools.max_pool(x, size, **windows).astype("float32"), expected)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", ((2, 3, 6, 8), (1, 40, 4, 6), (2, 2, 4, 72)))
class TestIndicesOfNoPool:
    """Where dx is twice as large as dy windows are guessed: indices elsewhere count like any others."""

    def test_anywhere(self, shape, layout, rng):
        small, plane = (*shape[:2], shape[2] // 2, shape[3] // 2), shape[2] * shape[3]
        dy = rng.integers(-9, 9, small).astype("float32")
        home = np.arange(small[2])[:, None] * 2 * shape[3] + np.arange(small[3]) * 2 + np.zeros(small, np.int64)
        strays = {
            "random": rng.integers(-1, plane, small),
            "none": np.where(rng.random(small) < 0.1, -1, home),
            "before": np.where(np.arange(small[3]) == 0, np.maximum(home - 1, 0), home),  # the end of the row before
            "one": np.where(np.arange(dy.size).reshape(small) == dy.size - 1, 0, home),
        }
        for name, indices in strays.items():
            dx = Rank(shape, layout).max_pool_grad(dy, indices, shape=shape)
            expected = naive.max_pool_grad(dy, indices, shape).astype("float32")
            np.testing.assert_array_equal(dx, expected, strict=True, err_msg=name)

    @pytest.mark.parametrize("wrong", (-2, "plane", 1 << 32))
    def test_beyond(self, shape, layout, wrong):
        small, plane = (*shape[:2], shape[2] // 2, shape[3] // 2), shape[2] * shape[3]
        indices = np.arange(small[2])[:, None] * 2 * shape[3] + np.arange(small[3]) * 2 + np.zeros(small, np.int64)
        indices[-1, -1, -1, -1] = plane if wrong == "plane" else wrong + (indices[-1, -1, -1, -1] if wrong > 0 else 0)
        with pytest.raises(InvalidArgument, match="indices reach"):
            Rank(shape, layout).max_pool_grad(np.ones(small, "float32"), indices, shape=shape)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape, size", ADAPTIVE)
def test_adaptive(shape, size, layout, rng):
    x, pools, axes = rng.standard_normal(shape).astype("float32"), Rank(shape, layout), adaptive_axes(shape, size)
    y, indices = naive.max_pool(x, axes)
    np.testing.assert_array_equal(pools.adaptive_max_pool(x, size), y)
    for found, expected in zip(pools.adaptive_max_pool(x, size, return_indices=True), (y, indices), strict=True):
        np.testing.assert_array_equal(found, expected, strict=True)
    dy = rng.standard_normal(y.shape).astype("float32")
    assert_near(pools.max_pool_grad(dy, indices, shape=shape), naive.max_pool_grad(dy, indices, shape), "float32", 16)
    assert_near(pools.adaptive_avg_pool(x, size), naive.avg_pool(x, axes), "float32", 2)
    assert_near(pools.adaptive_avg_pool_grad(dy, shape=shape), naive.avg_pool_grad(dy, shape, axes), "float32", 16)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(2, 3, 70), (2, 3, 4, 5), (1, 17, 3, 2, 33)])
def test_global(shape, layout, rng):
    x, pools, axes = rng.standard_normal(shape).astype("float32"), Rank(shape, layout), tuple(range(2, len(shape)))
    np.testing.assert_array_equal(pools.global_max_pool(x), x.max(axes, keepdims=True), strict=True)
    assert_near(pools.global_avg_pool(x), x.astype("float64").mean(axes, keepdims=True), "float32", 2)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", EPS)
def test_long_sums_are_accurate(layout, dtype, rng):
    shape = (1, 2, 300, 501)
    x, pools = (1000 + rng.standard_normal(shape)).astype(dtype), Rank(shape, layout)
    exact = np.array([[math.fsum(plane.ravel()) / plane.size for plane in x[0]]])
    for y in (pools.global_avg_pool(x), pools.avg_pool(x, (300, 501)), pools.adaptive_avg_pool(x, 1)):
        np.testing.assert_allclose(y[:, :, 0, 0], exact, rtol=(1 if dtype == "float32" else 64) * EPS[dtype])
    wide = pools.avg_pool(x, (6, 5), stride=5)
    windows = np.lib.stride_tricks.sliding_window_view(x.astype("float64"), (6, 5), (2, 3))[:, :, ::5, ::5]
    np.testing.assert_allclose(wide, windows.mean((4, 5)), rtol=32 * EPS["float64"] + EPS[dtype])


class TestNotNumbers:
    """NaN and Inf reach exactly the windows that hold them."""

    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("channels", (1, 3, 40, 70))
    def test_nan_wins(self, layout, channels, rng):
        shape = (1, channels, 6, 37)
        x, pools = rng.standard_normal(shape).astype("float32"), Rank(shape, layout)
        x[rng.random(shape) < 0.05] = np.nan
        x[rng.random(shape) < 0.02] = -np.inf
        x[rng.random(shape) < 0.02] = np.inf
        for size, windows in ((2, {}), (3, {"stride": 2, "padding": 1}), ((3, 33), {"stride": 1})):
            y, indices = naive.max_pool(x, axes_of(shape, size, windows))
            np.testing.assert_array_equal(pools.max_pool(x, size, **windows), y)
            found, places = pools.max_pool(x, size, return_indices=True, **windows)
            np.testing.assert_array_equal(found, y)
            np.testing.assert_array_equal(places, indices)

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_sums(self, layout, rng):
        shape = (1, 5, 9, 40)
        x, pools = rng.standard_normal(shape).astype("float32"), Rank(shape, layout)
        x[0, 1, 3, 4], x[0, 2, 8, 39], x[0, 3, 0, 0] = np.nan, np.inf, -np.inf
        with np.errstate(invalid="ignore"):
            for size, windows in ((3, {"stride": 2, "padding": 1}), (5, {"stride": 1})):
                axes = axes_of(shape, size, windows)
                y = pools.avg_pool(x, size, **windows)
                np.testing.assert_allclose(y, naive.avg_pool(x, axes), rtol=1e-5, atol=1e-6)
                for p in (1, 2, 3):
                    y = pools.lp_pool(x, size, p=p, **windows)
                    np.testing.assert_allclose(y, naive.lp_pool(x, axes, p), rtol=1e-6)
                    dx = pools.lp_pool_grad(np.ones_like(y), x, y, size, p=p, **windows)
                    held = np.isnan(naive.avg_pool_grad(np.where(np.isfinite(y), 0, np.nan), shape, axes))
                    assert np.isfinite(dx[~held]).all()

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_a_window_of_padding_alone(self, layout):
        x, pools = np.full((1, 2, 2, 2), 7.0, "float32"), Rank((1, 2, 2, 2), layout)
        windows = {"stride": 1, "padding": 2, "dilation": 3}
        y, indices = pools.max_pool(x, 2, return_indices=True, **windows)
        expected = naive.max_pool(x, axes_of(x.shape, 2, windows))
        np.testing.assert_array_equal(y, expected[0])
        np.testing.assert_array_equal(indices, expected[1])
        assert (indices >= 0).tolist() == [[[[True, False, True], [False] * 3, [True, False, True]]] * 2]
        assert (y[indices == -1] == -np.inf).all()
        assert (pools.avg_pool(x, 2, **windows)[indices == -1] == 0).all()
        assert (pools.avg_pool(x, 2, count_include_pad=False, **windows)[indices == -1] == 0).all()
        assert (pools.lp_pool(x, 2, p=math.inf, **windows)[indices == -1] == 0).all()
        dx = pools.max_pool_grad(np.ones_like(y), indices, shape=x.shape)
        assert dx.sum() == (indices >= 0).sum()

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_lp_of_tiny_and_huge(self, layout):
        x = np.array([1e-30, 3e30, -4e30, 0, 0, 0], "float32").reshape(1, 1, 1, 6)
        x = np.concatenate([x, x * 0], axis=1)
        pools = Rank(x.shape, layout)
        y = pools.lp_pool(x, (1, 3))
        np.testing.assert_allclose(y[0, :, 0], [[5e30, 0], [0, 0]], rtol=1e-6)
        for p in (1, 2, 3):
            dx = pools.lp_pool_grad(np.ones_like(y), x, pools.lp_pool(x, (1, 3), p=p), (1, 3), p=p)
            assert np.isfinite(dx).all() and (dx[0, 1] == 0).all() and (dx[0, 0, 0, 3:] == 0).all()

    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_lp_whose_powers_leave_float64(self, dtype, layout, rng):
        """Windows of all magnitudes, each against its norm in units of its largest element."""
        most = 36 if dtype == "float32" else 290
        shape = (2, 5, 6, 7)
        scales = 10.0 ** rng.integers(-most, most, shape)
        x = (rng.uniform(0.1, 1, shape) * np.sign(rng.standard_normal(shape)) * scales).astype(dtype)
        x[0] = rng.standard_normal(shape[1:]) * 10.0**most
        x[1, :, 3:][rng.random((5, 3, 7)) < 0.5] = 0
        pools = Rank(shape, layout)
        for p in (0.5, 1.5, 2, 3, 10, 500):
            for size, stride in ((2, 2), ((3, 2), 1)):
                axes = axes_of(shape, size, {"stride": stride})
                y = pools.lp_pool(x, size, p=p, stride=stride)
                largest = naive.lp_pool(x, axes, math.inf)
                expected, slopes = np.zeros_like(largest), np.zeros(shape)
                for o, plane, places, _ in naive.cells(shape, axes):
                    unit = largest[o] or 1.0
                    held = np.array([float(x[plane + place]) / unit for place in places])
                    norm = (np.abs(held) ** p).sum() ** (1 / p)
                    expected[o] = norm * unit
                    for place, value in zip(places, held, strict=True):
                        if value:
                            ratio = abs(value) / norm
                            slopes[plane + place] += math.copysign(ratio ** (p - 1), value) if ratio else 0
                np.testing.assert_allclose(y, expected, rtol=1e-5 if dtype == "float32" else 1e-11)
                dx = pools.lp_pool_grad(np.ones_like(y), x, y, size, p=p, stride=stride)
                if p > 1:  # below 1 slopes of small elements are as large as dtypes go
                    tolerance = 1e-4 if dtype == "float32" else 1e-9
                    np.testing.assert_allclose(dx, slopes, rtol=tolerance, atol=tolerance)

    def test_lp_of_large_exponents(self):
        for value, p, expected in ((5, 500, 5.013882), (1e35, 10, 1.1486984e35), (1e-35, 10, 1.1486984e-35)):
            y = fc.lp_pool2d(np.full((1, 1, 2, 2), value, "float32"), 2, p=p)
            np.testing.assert_allclose(y, expected, rtol=1e-6)
        for value in (1e200, 1e-200, 1e-310):
            x = np.full((1, 1, 2, 2), value)
            np.testing.assert_allclose(fc.lp_pool2d(x, 2), 2 * value, rtol=1e-12)
            dx = fc.lp_pool2d_grad(np.ones((1, 1, 1, 1)), x, fc.lp_pool2d(x, 2), 2)
            np.testing.assert_allclose(dx, 0.5, rtol=1e-9)

    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("p", [1, 2, 3])
    def test_lp_gradient_of_elements_in_no_window(self, p, layout):
        x, pools = np.ones((1, 3, 4, 5), "float32"), Rank((1, 3, 4, 5), layout)
        x[:, :, 1], x[:, :, 3] = np.nan, np.inf
        y = pools.lp_pool(x, 1, p=p, stride=2)
        dx = pools.lp_pool_grad(np.ones_like(y), x, y, 1, p=p, stride=2)
        expected = np.zeros_like(x)
        expected[:, :, ::2, ::2] = 1
        np.testing.assert_array_equal(dx, expected)


class TestDtypes:
    @pytest.mark.parametrize(
        "layout, dtype",
        [
            *(("last", "int8"), ("last", "uint64"), ("first", "uint8"), ("first", "int32")),
            *(pytest.param("last", dtype, marks=pytest.mark.slow) for dtype in ("uint8", "int16", "uint32", "int64")),
            *(pytest.param("first", dtype, marks=pytest.mark.slow) for dtype in ("int8", "uint16", "int64", "uint64")),
        ],
    )
    def test_integers(self, layout, dtype, rng):
        limits, shape = np.iinfo(dtype), (1, 3, 5, 19)
        x = rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
        x[0, 0], x[0, 1, :2] = limits.min, limits.max
        windows = {"stride": 2, "padding": 1}
        y, indices = naive.max_pool(x, axes_of(shape, 3, windows))
        pools = Rank(shape, layout)
        np.testing.assert_array_equal(pools.max_pool(x, 3, **windows), y, strict=True)
        np.testing.assert_array_equal(pools.max_pool(x, 3, return_indices=True, **windows)[1], indices)

    def test_integers_average_in_float64(self):
        x = np.arange(16, dtype=np.int32).reshape(1, 1, 4, 4)
        np.testing.assert_array_equal(fc.avg_pool2d(x, 2), [[[[2.5, 4.5], [10.5, 12.5]]]], strict=True)
        assert fc.lp_pool2d(x, 2).dtype == fc.avg_pool2d_grad(x, (1, 1, 8, 8), 2).dtype == np.float64

    @pytest.mark.parametrize("name", ("float16", "bfloat16"))
    def test_half_precision(self, name, rng):
        dtype = np.dtype(name) if name == "float16" else np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
        x = rng.standard_normal((1, 2, 6, 6)).astype(dtype)
        wide = x.astype("float32")
        y, indices = fc.max_pool2d(x, 2, return_indices=True)
        assert y.dtype == dtype and (y.astype("float32") == fc.max_pool2d(wide, 2)).all()
        assert fc.max_pool2d_grad(y, indices, x.shape).dtype == dtype
        for function in (fc.avg_pool2d, fc.lp_pool2d):
            np.testing.assert_array_equal(function(x, 3), function(wide, 3).astype(dtype), strict=True)

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_planes_too_large_for_int32(self, layout, rng, monkeypatch):
        """Places are counted in int64 there: pretend that a small plane is large."""
        monkeypatch.setattr("fastconv.cpu.pool.places.NARROW", 8)
        shape, windows = (1, 3, 5, 39), {"stride": 2, "padding": 2, "dilation": 3}
        x = few_values(rng, shape, "float32")
        found = Rank(shape, layout).max_pool(x, 2, return_indices=True, **windows)
        for actual, expected in zip(found, naive.max_pool(x, axes_of(shape, 2, windows)), strict=True):
            np.testing.assert_array_equal(actual, expected, strict=True)

    def test_any_array_will_do(self, rng):
        x = rng.standard_normal((2, 3, 8, 8)).astype("float32")
        y = fc.max_pool2d(x, 3, stride=2)
        readonly, kept = x.copy(), x.copy()
        readonly.setflags(write=False)
        turned = np.asfortranarray(x)
        for same in (readonly, turned, x.astype(">f4"), np.repeat(x, 2, axis=3)[..., ::2]):
            np.testing.assert_array_equal(fc.max_pool2d(same, 3, stride=2), y, strict=True)
        np.testing.assert_array_equal(fc.max_pool2d(x.tolist(), 3, stride=2), y)
        np.testing.assert_array_equal(x, kept)


def big_problems(layout, rng):
    shape = (3, 80, 50, 54)
    x, pools = rng.standard_normal(shape).astype("float32"), Rank(shape, layout)
    y, indices = pools.max_pool(x, 3, stride=2, padding=1, return_indices=True)
    norms = pools.lp_pool(x, 3, stride=2, padding=1, p=3)
    geometry = {"stride": 2, "padding": 1}
    yield lambda: pools.max_pool(x, 3, **geometry)
    yield lambda: pools.max_pool(x, 3, return_indices=True, **geometry)[1]
    yield lambda: pools.avg_pool(x, 3, **geometry)
    yield lambda: pools.lp_pool(x, 5, **geometry)
    yield lambda: pools.adaptive_avg_pool(x, 7)
    yield lambda: pools.adaptive_max_pool(x, 7, return_indices=True)[1]
    yield lambda: pools.max_pool_grad(y, indices, shape=shape)
    yield lambda: pools.avg_pool_grad(y, 3, shape=shape, **geometry)
    yield lambda: pools.lp_pool_grad(y, x, norms, 3, p=3, **geometry)
    yield lambda: pools.avg_pool(x[:1], (50, 27), stride=1)  # one row: the channels are shared out
    line, signal = Rank((1, 80, 2700), layout), x[:1].reshape(1, 80, 2700)
    yield lambda: line.max_pool(signal, 9, stride=1, return_indices=True)[1]
    yield lambda: line.avg_pool_grad(signal[:, :, ::2], 2, shape=signal.shape)
    yield lambda: pools.max_pool_grad(y[:1], indices[:1], shape=(1, *shape[1:]))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_threads_do_not_change_a_bit(layout, rng):
    for number, problem in enumerate(big_problems(layout, rng)):
        results = []
        for count in (1, 2, 3):
            with fc.threads(count):
                results.append(problem())
        assert all((other == results[0]).all() for other in results), number


@st.composite
def pools_2d(draw):
    """A random legal pool: shape, size, windows."""
    size, dilation, stride = ([draw(st.integers(1, m)) for _ in range(2)] for m in (4, 3, 4))
    padding = tuple(
        tuple(draw(st.integers(0, min(3, d * (k - 1)))) for _ in range(2)) for k, d in zip(size, dilation, strict=True)
    )
    room = [draw(st.integers(0, 18)) for _ in range(2)]
    plane = [max(1, d * (k - 1) + 1 - sum(p)) + r for k, d, p, r in zip(size, dilation, padding, room, strict=True)]
    windows = {
        "stride": tuple(stride),
        "padding": padding,
        "dilation": tuple(dilation),
        "ceil_mode": draw(st.booleans()),
    }
    return (draw(st.integers(1, 2)), draw(st.sampled_from((1, 2, 5, 18))), *plane), tuple(size), windows


@given(pool=pools_2d(), layout=st.sampled_from(LAYOUTS), seed=st.integers(0, 99))
def test_laws(pool, layout, seed):
    """Adjoints, linearity in the chosen elements, extremes by negation, a constant's mean."""
    shape, size, windows = pool
    pools, random = Rank(shape, layout), np.random.default_rng(seed)
    x = random.permutation(math.prod(shape)).reshape(shape).astype("float64")
    y, indices = pools.max_pool(x, size, return_indices=True, **windows)
    np.testing.assert_array_equal(pools.max_pool(x, size, **windows), y)
    flat, held = x.reshape(*shape[:2], -1), indices >= 0
    chosen = np.take_along_axis(flat, np.maximum(indices, 0).reshape(*shape[:2], -1), 2).reshape(y.shape)
    assert (chosen[held] == y[held]).all() and np.isneginf(y[~held]).all()
    low = -pools.max_pool(-x, size, **windows)
    assert (low[held] <= y[held]).all()
    dy = random.integers(-9, 9, y.shape).astype("float64")
    dx = pools.max_pool_grad(dy, indices, shape=shape)
    assert np.vdot(x, dx) == np.vdot(y[held], dy[held])
    for include in (True, False):
        mean = pools.avg_pool(x, size, count_include_pad=include, **windows)
        dx = pools.avg_pool_grad(dy, size, shape=shape, count_include_pad=include, **windows)
        assert math.isclose(np.vdot(mean, dy), np.vdot(x, dx), rel_tol=1e-9, abs_tol=1e-6)
    assert (mean[held] >= low[held] - 1e-9).all() and (mean[held] <= y[held] + 1e-9).all()
    ones = pools.avg_pool(np.ones(shape), size, count_include_pad=False, **windows)
    np.testing.assert_allclose(ones, held, rtol=1e-15)


BAD = {
    "x has 3 axes": lambda x: fc.max_pool2d(x[0], 2),
    "x has 4 axes": lambda x: fc.avg_pool1d(x, 2),
    "size is 0; each must be at least 1": lambda x: fc.max_pool2d(x, 0),
    "size is (1, 2, 3); expected one whole number or 2": lambda x: fc.lp_pool2d(x, (1, 2, 3)),
    "size is 2.5; expected whole numbers": lambda x: fc.avg_pool2d(x, 2.5),
    "stride is -1; each must be at least 1": lambda x: fc.max_pool2d(x, 2, stride=-1),
    "dilation is 0; each must be at least 1": lambda x: fc.max_pool2d(x, 2, dilation=0),
    "padding is -1; it must not be negative": lambda x: fc.max_pool2d(x, 2, padding=-1),
    "it must be below the dilated window's size, 2": lambda x: fc.avg_pool2d(x, 2, padding=2),
    "the output would be empty along height": lambda x: fc.avg_pool2d(x, (9, 2)),
    "layout is 'NWHC'; expected 'NCHW' or 'NHWC'": lambda x: fc.max_pool2d(x, 2, layout="NWHC"),
    "device is 'gpu'": lambda x: fc.max_pool2d(x, 2, device="gpu"),
    "ceil_mode is 1; expected True or False": lambda x: fc.max_pool2d(x, 2, ceil_mode=1),
    "ceil_mode is None; expected True or False": lambda x: fc.lp_pool2d(x, 2, ceil_mode=None),
    "return_indices is 'yes'; expected True or False": lambda x: fc.max_pool2d(x, 2, return_indices="yes"),
    "count_include_pad is 0; expected True or False": lambda x: fc.avg_pool2d(x, 2, count_include_pad=0),
    "divisor is 0; expected None or a finite number other than 0": lambda x: fc.avg_pool2d(x, 2, divisor=0),
    "divisor is nan; expected": lambda x: fc.avg_pool2d(x, 2, divisor=math.nan),
    "divisor is True; expected": lambda x: fc.avg_pool2d(x, 2, divisor=True),
    "divisor is '4'; expected": lambda x: fc.avg_pool2d_grad(x, (1, 2, 12, 12), 2, divisor="4"),
    "p is 0; expected a number above 0": lambda x: fc.lp_pool2d(x, 2, p=0),
    "p is -2; expected a number above 0": lambda x: fc.lp_pool2d_grad(x, x, x, 1, p=-2),
    "p is nan; expected a number above 0": lambda x: fc.lp_pool2d(x, 2, p=math.nan),
    "p is None; expected a number above 0": lambda x: fc.lp_pool2d(x, 2, p=None),
    "x is None; expected an array": lambda x: fc.max_pool2d(None, 2),
    "x have dtype complex128; pooling takes real numbers": lambda x: fc.max_pool2d(x + 0j, 2),
    "x has dtype object": lambda x: fc.avg_pool2d(x.astype(object), 2),
    "x has dtype <U32": lambda x: fc.max_pool2d(x.astype(str), 2),
    "every axis of x but the batch must have at least one element": lambda x: fc.max_pool2d(x[:, :0], 2),
    "output size is 0; each must be at least 1": lambda x: fc.adaptive_avg_pool2d(x, 0),
    "output size is (1, 2, 3)": lambda x: fc.adaptive_max_pool2d(x, (1, 2, 3)),
    "indices has shape (1, 2, 6, 5) but dy has shape (1, 2, 6, 6)": lambda x: fc.max_pool2d_grad(
        x, np.zeros((1, 2, 6, 5), int), (1, 2, 12, 12)
    ),
    "indices has dtype float64; expected whole numbers": lambda x: fc.max_pool2d_grad(x, x, (1, 2, 12, 12)),
    "indices reach from -2 to 3; the planes of x have 144 elements": lambda x: fc.max_pool2d_grad(
        x, np.resize([0, 3, -2], x.shape), (1, 2, 12, 12)
    ),
    "indices reach from 0 to 144; the planes": lambda x: fc.max_pool2d_grad(
        x, np.resize([0, 144], x.shape), (1, 2, 12, 12)
    ),
    "dy has shape (1, 2, 6, 6) but pooling x of shape (1, 3, 12, 12)": lambda x: fc.max_pool2d_grad(
        x, np.zeros(x.shape, int), (1, 3, 12, 12)
    ),
    "dy has shape (1, 2, 6, 6) but pooling x of shape (1, 2, 12, 12) gives (1, 2, 4, 4)": lambda x: fc.avg_pool2d_grad(
        x, (1, 2, 12, 12), 3
    ),
    "dy has shape (2, 6, 6); expected 4 axes": lambda x: fc.adaptive_avg_pool2d_grad(x[0], (1, 2, 12, 12)),
    "the shape of x is 'abc'": lambda x: fc.avg_pool2d_grad(x, "abc", 3),
    "y has shape (1, 2, 5, 6) but pooling": lambda x: fc.lp_pool2d_grad(x, x, x[:, :, 1:], 1),
}


@pytest.mark.parametrize("message", BAD)
def test_errors_say_what_is_wrong(message):
    with pytest.raises(InvalidArgument) as caught:
        BAD[message](np.ones((1, 2, 6, 6)))
    assert message in str(caught.value)
