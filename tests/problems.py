"""Data for a `Case`, the oracle's answers to it, and the public function that should find them."""

import zlib
from functools import cache

import naive
import numpy as np

import fastconv as fc

LAYOUTS = {1: ("NCW", "NWC"), 2: ("NCHW", "NHWC"), 3: ("NCDHW", "NDHWC")}
OPS = ("conv", "conv_input_grad", "conv_weight_grad")


class Problem:
    """A case with its operands x, w, b, dy (channels-first, float64, read-only) and the oracle's y, dx, dw."""

    def __init__(self, case, whole):
        self.case = case
        rng = np.random.default_rng(zlib.crc32(case.name.encode()))

        def draw(shape):
            a = rng.integers(-3, 4, shape) if whole else rng.standard_normal(shape).astype(np.float32)
            a = a.astype(np.float64)  # what every dtype of the tests holds exactly
            a.setflags(write=False)
            return a

        self.x, self.w, self.dy = draw(case.x_shape), draw(case.w_shape), draw(case.y_shape)
        self.b = draw(case.w_shape[0]) if whole else None
        self._expected = {}
        self.arrays = {
            "conv": (self.x, self.w),
            "conv_input_grad": (self.dy, self.w),
            "conv_weight_grad": (self.x, self.dy),
        }

    def expected(self, op):
        """The oracle's answer, channels-first; computed once."""
        if op not in self._expected:
            self._expected[op] = oracle(self.case, op, *self.arrays[op], self.b)
        return self._expected[op]

    def terms(self, op):
        """Products in one sum of the result, at most."""
        case = self.case
        taps = int(np.prod(case.kernel))
        if op == "conv":
            return case.w_shape[1] * taps
        if op == "conv_input_grad":
            copies = 1
            if case.plain["padding_mode"] != "zeros":  # a border element's gradient goes where it was copied from
                for n, pair in zip(case.size, case.plain["padding"], strict=True):
                    copies *= 2 + sum(pair) // n
            return case.w_shape[0] // case.plain["groups"] * taps * copies
        return max(1, case.x_shape[0] * int(np.prod(case.out)))

    def solve(self, op, channels_last, dtype, **options):
        """The public function's answer, channels-first; the operands are given read-only."""
        return solve(self.case, op, *self.arrays[op], self.b if op == "conv" else None, channels_last, dtype, **options)


def oracle(case, op, first, second, b=None):
    """The oracle's answer to (x, w), (dy, w) or (x, dy), all channels-first."""
    if op == "conv":
        return naive.conv(first, second, b, **case.plain)
    if op == "conv_input_grad":
        return naive.conv_input_grad(first, second, case.size, **case.plain)
    return naive.conv_weight_grad(first, second, case.kernel, **case.plain)


@cache
def problem(case, whole=False):
    """The problem of a case; `whole` for small whole numbers, whose sums every dtype holds exactly."""
    return Problem(case, whole)


def solve(case, op, first, second, b, channels_last, dtype, **options):
    """The public function's answer to (x, w), (dy, w) or (x, dy), all channels-first."""
    weights = {"conv": (False, True), "conv_input_grad": (False, True), "conv_weight_grad": (False, False)}[op]
    arrays = []
    for a, is_weight in zip((first, second), weights, strict=True):
        a = to_last(a, is_weight) if channels_last else a
        a = a.astype(dtype)
        a.setflags(write=False)
        arrays.append(a)
    layout = LAYOUTS[case.rank][channels_last]
    options = {**case.options, **options, "layout": layout}
    if op == "conv":
        result = function(op, case.rank)(*arrays, None if b is None else b.astype(dtype), **options)
    else:
        shape = case.x_shape if op == "conv_input_grad" else case.w_shape
        if channels_last:
            shape = (shape[0], *shape[2:], shape[1]) if op == "conv_input_grad" else (*shape[2:], shape[1], shape[0])
        result = function(op, case.rank)(*arrays, shape, **options)
    assert isinstance(result, np.ndarray)
    assert result.flags.c_contiguous
    assert result.dtype == dtype
    return to_first(result, op == "conv_weight_grad") if channels_last else result


def function(op, rank):
    """fc.conv2d, fc.conv2d_input_grad, …"""
    return getattr(fc, op.replace("conv", f"conv{rank}d", 1))


def to_last(a, is_weight=False):
    return naive.weights_to_last(a) if is_weight else naive.to_last(a)


def to_first(a, is_weight=False):
    return naive.weights_to_first(a) if is_weight else naive.to_first(a)
