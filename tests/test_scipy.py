"""Second opinions: SciPy by its direct methods (its Fourier transforms would share code with ours), and torch."""

import numpy as np
import pytest
from cases import CASES
from problems import function, problem
from tolerances import assert_close

import fastconv as fc

signal = pytest.importorskip("scipy.signal")
ndimage = pytest.importorskip("scipy.ndimage")

METHODS = ("direct", "im2col", "fft")
#: SciPy's names for the borders (its "reflect" repeats the last pixel).
BORDERS = {"constant": "zeros", "nearest": "edge", "mirror": "reflect", "reflect": "symmetric", "wrap": "wrap"}


@pytest.mark.parametrize("kernel", [(1,), (2,), (7,), (31,)])
@pytest.mark.parametrize("mode", ["valid", "full"])
@pytest.mark.parametrize("method", METHODS)
def test_correlate_1d(method, mode, kernel, rng):
    if method == "fft" and kernel == (1,):
        pytest.skip("one tap")
    x, w = rng.standard_normal(83), rng.standard_normal(kernel)
    y = fc.conv1d(x[None, None], w[None, None], padding=0 if mode == "valid" else kernel[0] - 1, method=method)
    np.testing.assert_allclose(y[0, 0], signal.correlate(x, w, mode, method="direct"), atol=1e-12)


@pytest.mark.parametrize("kernel", [(1, 2), (3, 3), (4, 5), (9, 9), (15, 1)])
@pytest.mark.parametrize("method", METHODS)
def test_correlate2d_sums_over_channels(method, kernel, rng):
    x, w = rng.standard_normal((2, 3, 19, 22)), rng.standard_normal((4, 3, *kernel))
    y = fc.conv2d(x, w, method=method)
    for n in range(2):
        for o in range(4):
            expected = sum(signal.correlate2d(x[n, c], w[o, c], "valid") for c in range(3))
            np.testing.assert_allclose(y[n, o], expected, atol=1e-11)


@pytest.mark.parametrize("method", METHODS)
def test_correlate_3d(method, rng):
    x, w = rng.standard_normal((2, 6, 7, 8)), rng.standard_normal((2, 3, 2, 4))
    y = fc.conv3d(x[None], w[None], method=method)
    expected = sum(signal.correlate(x[c], w[c], "valid", method="direct") for c in range(2))
    np.testing.assert_allclose(y[0, 0], expected, atol=1e-12)


@pytest.mark.parametrize("method", ["direct", "fft"])
def test_correlate_of_complex_conjugates_the_filter(method, rng):
    """scipy.signal.correlate conjugates; conv1d, as every network library, does not."""
    x = rng.standard_normal(40) + 1j * rng.standard_normal(40)
    w = rng.standard_normal(5) + 1j * rng.standard_normal(5)
    y = fc.conv1d(x[None, None], w.conj()[None, None], method=method)[0, 0]
    np.testing.assert_allclose(y, signal.correlate(x, w, "valid", method="direct"), atol=1e-12)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("kernel", [(3, 3), (2, 4), (5, 1), (9, 11)])
@pytest.mark.parametrize("method", METHODS)
def test_ndimage_correlate(method, kernel, border, rng):
    """ndimage centres the filter at k // 2, so the larger half of an even filter's border lies in front."""
    x, w = rng.standard_normal((12, 14)), rng.standard_normal(kernel)
    padding = tuple((k // 2, k - 1 - k // 2) for k in kernel)
    y = fc.conv2d(x[None, None], w[None, None], padding=padding, padding_mode=BORDERS[border], method=method)
    np.testing.assert_allclose(y[0, 0], ndimage.correlate(x, w, mode=border), atol=1e-11)


@pytest.mark.parametrize("border", BORDERS)
def test_ndimage_correlate1d_wider_than_the_row(border, rng):
    x, w = rng.standard_normal(5), rng.standard_normal(23)
    y = fc.conv1d(x[None, None], w[None, None], padding=11, padding_mode=BORDERS[border], method="direct")
    np.testing.assert_allclose(y[0, 0], ndimage.correlate1d(x, w, mode=border), atol=1e-12)


@pytest.mark.parametrize("case", [c for c in CASES if c.x_shape[0]], ids=str)
def test_torch(case):
    """All three operations on every case, float32 beside float32."""
    torch = pytest.importorskip("torch")
    data = problem(case)
    plain = dict(case.plain)
    padding, mode = plain.pop("padding"), plain.pop("padding_mode")
    x, w, dy = (torch.tensor(a.astype(np.float32), requires_grad=True) for a in (data.x, data.w, data.dy))
    xp = border(torch, x, padding, mode)
    y = getattr(torch.nn.functional, f"conv{case.rank}d")(xp, w, **plain)
    y.backward(dy)
    for op, theirs in (("conv", y), ("conv_input_grad", x.grad), ("conv_weight_grad", w.grad)):
        ours = data.solve(op, False, "float32")
        assert_close(ours, theirs.detach().numpy(), "auto", 2 * data.terms(op))


def border(torch, x, padding, mode):
    """torch's own padding where it has the mode, else by taking elements."""
    for axis, (before, after) in enumerate(padding, start=2):
        n = x.shape[axis]
        if mode == "zeros":
            index = torch.arange(-before, n + after)
            mask = ((index >= 0) & (index < n)).to(x.dtype).reshape((-1,) + (1,) * (x.ndim - axis - 1))
            x = x.index_select(axis, index.clamp(0, n - 1)) * mask
        else:
            index = np.pad(np.arange(n), (before, after), mode=mode)
            x = x.index_select(axis, torch.from_numpy(index))
    return x


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_torch_same_padding(rank, rng):
    """torch's "same" is ours where the stride is one."""
    torch = pytest.importorskip("torch")
    x, w = rng.standard_normal((1, 2) + (8,) * rank), rng.standard_normal((3, 2) + (3,) * rank)
    theirs = getattr(torch.nn.functional, f"conv{rank}d")(
        torch.from_numpy(x), torch.from_numpy(w), padding="same", dilation=2
    )
    np.testing.assert_allclose(function("conv", rank)(x, w, padding="same", dilation=2), theirs.numpy(), atol=1e-12)
