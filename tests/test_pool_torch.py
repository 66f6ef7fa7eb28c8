"""A second opinion on pools, unfold and fold: PyTorch, where it is installed and where both mean the same."""

import numpy as np
import pytest

import fastconv as fc

torch = pytest.importorskip("torch")
F = torch.nn.functional

WINDOWS = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": (3, 2), "stride": (1, 3), "padding": (1, 0), "ceil_mode": True},
    {"kernel_size": (4, 5), "stride": (3, 2), "padding": (2, 1), "ceil_mode": True},
    {"kernel_size": 5, "stride": 1, "padding": 2},
    {"kernel_size": 2, "stride": 3, "ceil_mode": True},
]


def ours(windows):
    """PyTorch's words in fastconv's."""
    return {"size" if name == "kernel_size" else name: value for name, value in windows.items()}


@pytest.fixture(params=("NCHW", "NHWC"))
def layout(request):
    return request.param


def channels_first(array, layout):
    return array if layout == "NCHW" else np.moveaxis(array, -1, 1)


def pair(rng, layout, shape=(2, 5, 13, 38)):
    x = rng.standard_normal(shape).astype("float32")
    return np.ascontiguousarray(x if layout == "NCHW" else np.moveaxis(x, 1, -1)), torch.from_numpy(x).requires_grad_()


@pytest.mark.parametrize("dilation", (1, 2))
@pytest.mark.parametrize("windows", WINDOWS, ids=str)
def test_max_pool2d(windows, dilation, layout, rng):
    x, t = pair(rng, layout)
    expected, where = F.max_pool2d(t, dilation=dilation, return_indices=True, **windows)
    y, indices = fc.max_pool2d(x, **ours(windows), dilation=dilation, return_indices=True, layout=layout)
    np.testing.assert_array_equal(channels_first(y, layout), expected.detach().numpy())
    np.testing.assert_array_equal(channels_first(indices, layout), where.numpy())
    expected.backward(expected)
    dx = fc.max_pool2d_grad(y, indices, x.shape, layout=layout)
    np.testing.assert_allclose(channels_first(dx, layout), t.grad.numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("more", ({}, {"count_include_pad": False}, {"divisor_override": 7}), ids=str)
@pytest.mark.parametrize("windows", WINDOWS, ids=str)
def test_avg_pool2d(windows, more, layout, rng):
    x, t = pair(rng, layout)
    expected = F.avg_pool2d(t, **windows, **more)
    options = {**ours(windows), "layout": layout, "divisor": more.get("divisor_override")}
    options["count_include_pad"] = more.get("count_include_pad", True)
    y = fc.avg_pool2d(x, **options)
    np.testing.assert_allclose(channels_first(y, layout), expected.detach().numpy(), rtol=1e-5, atol=1e-6)
    expected.backward(expected)
    dx = fc.avg_pool2d_grad(y, x.shape, **options)
    np.testing.assert_allclose(channels_first(dx, layout), t.grad.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("p", (1.0, 2.0, 4.0))
@pytest.mark.parametrize("windows", [w for w in WINDOWS if "padding" not in w and "ceil_mode" not in w], ids=str)
def test_lp_pool2d(windows, p, layout, rng):
    """For odd p PyTorch sums signed powers: take positive data."""
    x, t = pair(rng, layout)
    x, t = np.abs(x), t.detach().abs().requires_grad_()
    expected = F.lp_pool2d(t, p, **windows)
    y = fc.lp_pool2d(x, **ours(windows), p=p, layout=layout)
    np.testing.assert_allclose(channels_first(y, layout), expected.detach().numpy(), rtol=1e-5)
    expected.sum().backward()
    dx = fc.lp_pool2d_grad(np.ones_like(y), x, y, **ours(windows), p=p, layout=layout)
    np.testing.assert_allclose(channels_first(dx, layout), t.grad.numpy(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("size", (1, (4, 7), (None, 5), (13, 38), (20, 3)), ids=str)
def test_adaptive(size, layout, rng):
    x, t = pair(rng, layout)
    mean = F.adaptive_avg_pool2d(t, size)
    np.testing.assert_allclose(
        channels_first(fc.adaptive_avg_pool2d(x, size, layout=layout), layout),
        mean.detach().numpy(),
        rtol=1e-5,
        atol=1e-6,
    )
    largest, where = F.adaptive_max_pool2d(t, size, return_indices=True)
    y, indices = fc.adaptive_max_pool2d(x, size, return_indices=True, layout=layout)
    np.testing.assert_array_equal(channels_first(y, layout), largest.detach().numpy())
    np.testing.assert_array_equal(channels_first(indices, layout), where.numpy())
    mean.backward(largest.detach())
    dx = fc.adaptive_avg_pool2d_grad(y, x.shape, layout=layout)
    np.testing.assert_allclose(channels_first(dx, layout), t.grad.numpy(), rtol=1e-5, atol=1e-6)


def test_other_ranks(rng):
    x = rng.standard_normal((2, 3, 6, 7, 8)).astype("float32")
    t, line = torch.from_numpy(x), x[:, :, 0, 0]
    windows = {"stride": (1, 2, 3), "padding": (1, 0, 1), "ceil_mode": True}
    y, indices = fc.max_pool3d(x, (2, 3, 2), return_indices=True, **windows)
    expected, where = F.max_pool3d(t, (2, 3, 2), return_indices=True, **windows)
    np.testing.assert_array_equal(y, expected.numpy())
    np.testing.assert_array_equal(indices, where.numpy())
    np.testing.assert_allclose(fc.avg_pool3d(x, 3), F.avg_pool3d(t, 3).numpy(), rtol=1e-5, atol=1e-6)
    y, indices = fc.max_pool1d(line, 3, stride=2, padding=1, return_indices=True)
    expected, where = F.max_pool1d(torch.from_numpy(line), 3, 2, 1, return_indices=True)
    np.testing.assert_array_equal(y, expected.numpy())
    np.testing.assert_array_equal(indices, where.numpy())


def test_nan(rng):
    """NaN wins, with PyTorch as with us."""
    x = rng.standard_normal((1, 3, 9, 37)).astype("float32")
    x[rng.random(x.shape) < 0.1] = np.nan
    expected = F.max_pool2d(torch.from_numpy(x), 3, 2, 1).numpy()
    np.testing.assert_array_equal(fc.max_pool2d(x, 3, stride=2, padding=1), expected)


@pytest.mark.parametrize("stride", (1, 2, 3))
def test_unfold_and_fold(stride, rng):
    x = rng.standard_normal((2, 3, 9, 36)).astype("float32")
    windows = {"stride": stride, "padding": (2, 1), "dilation": (1, 2)}
    cols = fc.unfold2d(x, (3, 2), **windows)
    expected = F.unfold(torch.from_numpy(x), (3, 2), **windows)
    np.testing.assert_array_equal(cols, expected.numpy())
    folded = F.fold(expected, x.shape[2:], (3, 2), **windows)
    np.testing.assert_allclose(fc.fold2d(cols, x.shape, (3, 2), **windows), folded.numpy(), rtol=1e-6, atol=1e-6)
