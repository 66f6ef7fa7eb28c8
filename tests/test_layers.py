"""Layers of real networks and real images, where blocks, strips and tiles are many; NumPy's own sums as reference."""

import numpy as np
import pytest
from cases import Case
from problems import problem
from tolerances import assert_close

from fastconv.errors import Unsupported

METHODS = ("auto", "direct", "im2col", "fft")
LAYERS = [
    Case("stem 7x7", (2, 3, 96, 90), (64, 3, 7, 7), {"stride": 2, "padding": 3}),
    Case("3x3, 64 channels", (2, 64, 40, 41), (64, 64, 3, 3), {"padding": 1}),
    Case("3x3, 512 channels", (1, 512, 7, 7), (512, 512, 3, 3), {"padding": 1}),
    Case("3x3 strided", (2, 128, 28, 28), (256, 128, 3, 3), {"stride": 2, "padding": 1}),
    Case("1x1, 1024 to 256", (1, 1024, 14, 14), (256, 1024, 1, 1), {}),
    Case("depthwise 3x3", (2, 144, 33, 31), (144, 1, 3, 3), {"padding": 1, "groups": 144}),
    Case("32 groups", (1, 128, 28, 28), (128, 4, 3, 3), {"padding": 1, "groups": 32}),
    Case("dilated", (1, 64, 33, 33), (64, 64, 3, 3), {"padding": 4, "dilation": 4}),
    Case("Fashion-MNIST", (64, 1, 28, 28), (32, 1, 3, 3), {"padding": 1}),
    Case("image 5x5", (1, 1, 300, 310), (1, 1, 5, 5), {"padding": 2, "padding_mode": "reflect"}),
    Case("image 31x31", (1, 1, 200, 260), (1, 1, 31, 31), {"padding": 15, "padding_mode": "edge"}),
    Case("audio", (2, 1, 20000), (32, 1, 251), {"stride": 4, "padding": 125}),
    Case("long row", (1, 1, 100_000), (1, 1, 63), {"padding": 31}),
    Case("volume", (1, 8, 16, 20, 24), (16, 8, 3, 3, 3), {"padding": 1}),
]


def windows(data):
    """(N, groups, C/groups, *out, *kernel), a view of the padded input."""
    case = data.case
    plain = case.plain
    mode = {"mode": "constant" if plain["padding_mode"] == "zeros" else plain["padding_mode"]}
    xp = np.pad(data.x, ((0, 0), (0, 0), *plain["padding"]), **mode)
    extent = [d * (k - 1) + 1 for k, d in zip(case.kernel, plain["dilation"], strict=True)]
    view = np.lib.stride_tricks.sliding_window_view(xp, extent, axis=tuple(range(2, xp.ndim)))
    view = view[(slice(None), slice(None), *(slice(None, None, s) for s in plain["stride"]))]
    view = view[(..., *(slice(None, None, d) for d in plain["dilation"]))]
    return view.reshape(view.shape[0], plain["groups"], case.w_shape[1], *view.shape[2:])


def reference(data):
    """y by one contraction per image and group, in float64."""
    case, view = data.case, windows(data)
    groups = case.plain["groups"]
    w = data.w.reshape(groups, -1, int(np.prod(case.w_shape[1:])))
    y = np.empty((case.x_shape[0], groups, w.shape[1], int(np.prod(case.out))))
    for n in range(y.shape[0]):
        for g in range(groups):
            pixels = np.moveaxis(view[n, g], 0, case.rank).reshape(y.shape[3], w.shape[2])
            y[n, g] = w[g] @ pixels.T
    return y.reshape(case.y_shape)


@pytest.mark.parametrize("channels_last", [False, True], ids=["first", "last"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_forward(case, method, channels_last):
    data = problem(case)
    if "conv" not in data._expected:
        data._expected["conv"] = reference(data)
    try:
        y = data.solve("conv", channels_last, "float32", method=method)
    except Unsupported:
        assert method == "fft"
        assert np.prod(case.kernel) == 1
        return
    assert_close(y, data.expected("conv"), method, data.terms("conv"))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("case", LAYERS, ids=str)
def test_gradients(case, method):
    """<x, dx> and <w, dw> against <y, dy> on random directions: all of dx and dw must be right for them to agree."""
    data = problem(case)
    rng = np.random.default_rng(0)
    if "conv" not in data._expected:
        data._expected["conv"] = reference(data)
    for last in (False, True):
        try:
            dx = data.solve("conv_input_grad", last, "float64", method=method)
            dw = data.solve("conv_weight_grad", last, "float64", method=method)
        except Unsupported:
            assert method == "fft"
            return
        inner = np.vdot(data.expected("conv"), data.dy)
        scale = np.linalg.norm(data.expected("conv")) * np.linalg.norm(data.dy)
        assert abs(np.vdot(data.x, dx) - inner) < 1e-12 * scale
        assert abs(np.vdot(data.w, dw) - inner) < 1e-12 * scale
        for op, gradient, operand in (("conv_input_grad", dx, "x"), ("conv_weight_grad", dw, "w")):
            other = type(data)(case, whole=False)
            direction = rng.standard_normal(gradient.shape)
            setattr(other, operand, direction)
            assert abs(np.vdot(direction, gradient) - np.vdot(reference(other), data.dy)) < 1e-11 * scale, op
