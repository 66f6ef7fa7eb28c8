"""What ``bits.py`` hashes: public calls over the tests' case table, each with a name that stays.

Only public names of fastconv are used, and the tables of ``tests/cases.py``, which import nothing of it: the same file
runs on two commits that differ inside. Data are drawn from the name of the case.
"""

import itertools
import math
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
from bits_layers import operations, trained

import fastconv as fc

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from cases import ADAPTIVE, CASES, POOLS, TRANSPOSED, UNFOLDS, Case  # noqa: E402 - the tables of this very checkout

LAYOUTS = {1: ("NCW", "NWC"), 2: ("NCHW", "NHWC"), 3: ("NCDHW", "NDHWC")}
METHODS = ("auto", "direct", "im2col", "winograd", "fft")
ACTIVATIONS = ("relu", "leaky_relu", "sigmoid", "tanh")
REALS = ("float32", "float64")
COMPLEX = ("complex64", "complex128")
OTHERS = ("float16", "int32", "uint8")  # computed in a wider dtype
LONG = 200_000  # samples


class Call(NamedTuple):
    """One result: the line it is printed in, its own name, and what makes it."""

    line: str
    name: str
    run: Callable[[], Any]


def calls() -> Iterator[Call]:
    """Every call of the table."""
    yield from convolutions()
    yield from transposed()
    yield from special_data()
    yield from pools()
    yield from long_axes()
    yield from columns()
    yield from products()
    yield from (Call(*parts) for parts in operations(draw))


def trainings() -> Iterator[Call]:
    """Weights, history and predictions of trained models."""
    yield from (Call(*parts) for parts in trained())


def draw(name: str, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Numbers that depend on the name, the shape and the kind of dtype alone."""
    rng = np.random.default_rng(zlib.crc32(f"{name} {shape}".encode()))
    kind = np.dtype(dtype).kind
    if kind in "iu":
        return rng.integers(0 if kind == "u" else -9, 10, shape).astype(dtype)
    a = rng.standard_normal(shape)
    return (a + 1j * rng.standard_normal(shape) if kind == "c" else a).astype(dtype)


def last(a: np.ndarray, is_weight: bool = False) -> np.ndarray:
    """Channels-last of channels-first data, or (kernel, C, O) of weights (O, C, kernel)."""
    return np.ascontiguousarray(np.moveaxis(a, (1, 0), (-2, -1)) if is_weight else np.moveaxis(a, 1, -1))


class Convolution:
    """A case's calls in one dtype and layout."""

    def __init__(self, case: Case, dtype: str, channels_last: bool):
        self.case, self.dtype = case, dtype
        x, w, dy = (
            draw(f"{case} {a}", shape, dtype)
            for a, shape in (("x", case.x_shape), ("w", case.w_shape), ("dy", case.y_shape))
        )
        if channels_last:
            x, w, dy = last(x), last(w, is_weight=True), last(dy)
        self.x, self.w, self.dy, self.b = x, w, dy, draw(f"{case} b", (case.w_shape[0],), dtype)
        self.options = {**case.options, "layout": LAYOUTS[case.rank][channels_last]}

    def calls(self, method: str, activation: str | None) -> Iterator[tuple[str, Callable[[], Any]]]:
        rank, options = self.case.rank, {**self.options, "method": method}
        conv, plan, input_grad, weight_grad = (
            getattr(fc, name.format(rank))
            for name in ("conv{}d", "plan_conv{}d", "conv{}d_input_grad", "conv{}d_weight_grad")
        )
        yield "conv", lambda: conv(self.x, self.w, **options)
        yield f"conv {activation}", lambda: conv(self.x, self.w, self.b, activation=activation, **options)
        if np.dtype(self.dtype).kind not in "iu":
            yield "input_grad", lambda: input_grad(self.dy, self.w, self.x.shape, **options)
            yield "weight_grad", lambda: weight_grad(self.x, self.dy, self.w.shape, **options)
        if self.dtype in REALS:
            yield "plan", lambda: plan(self.w, self.x.shape, self.b, activation=activation, **options)(self.x)


def convolutions() -> Iterator[Call]:
    """Every case by every method; complex numbers and narrow ones on a part of the cases."""
    for number, case in enumerate(CASES):
        activation = ACTIVATIONS[number % len(ACTIVATIONS)]
        kinds = [(dtype, method, activation) for dtype in REALS for method in METHODS]
        kinds += [(dtype, method, None) for dtype in COMPLEX[number % 2 :][:1] for method in ("auto", "direct", "fft")]
        if number % 6 == 0:
            kinds += [(dtype, method, activation) for dtype in OTHERS[:1] for method in METHODS]
            kinds += [(dtype, method, None) for dtype in OTHERS[1:] for method in ("auto", "direct")]
        for channels_last in (False, True):
            for dtype, group in itertools.groupby(kinds, key=lambda kind: kind[0]):
                convolution = Convolution(case, dtype, channels_last)
                layout = convolution.options["layout"]
                for _, method, active in group:
                    for op, run in convolution.calls(method, active):
                        yield Call(f"conv: {case}", f"{op} {method} {dtype} {layout}", run)


def transposed() -> Iterator[Call]:
    for number, case in enumerate(TRANSPOSED):
        function = getattr(fc, f"conv_transpose{case.rank}d")
        outputs = case.w_shape[1] * case.options.get("groups", 1)
        for dtype, channels_last, method in itertools.product(REALS + COMPLEX[:1], (False, True), METHODS):
            if dtype in COMPLEX and method in ("im2col", "winograd"):
                continue
            x, w = draw(f"{case} x", case.x_shape, dtype), draw(f"{case} w", case.w_shape, dtype)
            if channels_last:
                x, w = last(x), last(w, is_weight=True)
            layout = LAYOUTS[case.rank][channels_last]
            options = {**case.options, "layout": layout, "method": method}
            name = f"{method} {dtype} {layout}"
            yield Call(f"transposed: {case}", name, lambda f=function, x=x, w=w, o=options: f(x, w, **o))
            if dtype in REALS:
                b, active = draw(f"{case} b", (outputs,), dtype), ACTIVATIONS[number % len(ACTIVATIONS)]
                yield Call(
                    f"transposed: {case}",
                    f"{active} {name}",
                    lambda f=function, x=x, w=w, b=b, a=active, o=options: f(x, w, b, activation=a, **o),
                )


@numba.njit
def swish(value):
    return value / (1 + math.exp(-value))


def special_data() -> Iterator[Call]:
    """NaN and Inf, strided and read-only operands, and arrays that are written into."""
    for method, dtype in itertools.product(("auto", "direct", "im2col"), REALS):
        x, w = draw("nan x", (2, 5, 12, 33), dtype), draw("nan w", (7, 5, 3, 3), dtype)
        x[0, 1, 3, 4], x[1, 2, 11, 32], x[1, 0, 0, 0] = np.nan, np.inf, -np.inf
        name = f"{method} {dtype}"
        yield Call("data: NaN and Inf", name, lambda x=x, w=w, m=method: fc.conv2d(x, w, padding=1, method=m))
        views = x[:, ::-1, ::2, 3:], w.transpose(0, 1, 3, 2)
        yield Call("data: views", name, lambda v=views, m=method: fc.conv2d(*v, padding=(2, 1), method=m))
        out = np.full((2, 7, 12, 33), np.nan, dtype)
        run = lambda x=x, w=w, m=method: fc.conv2d(x, w, padding=1, method=m, activation=swish)  # noqa: E731
        yield Call("data: an activation of the user's", name, run)
        yield Call("data: out", name, lambda x=x, w=w, m=method, y=out: fc.conv2d(x, w, padding=1, method=m, out=y))


def pools() -> Iterator[Call]:
    """Each pool and its gradient on every case, in both layouts."""
    for shape, size, windows in POOLS:
        for dtype, channels_last in itertools.product(REALS, (False, True)):
            yield from pool_calls(f"pool: {shape} {size} {windows}", shape, size, windows, dtype, channels_last)
        for dtype in OTHERS:
            x = draw(f"{shape}", shape, dtype)
            for name in ("max_pool", "avg_pool"):
                function = getattr(fc, f"{name}{len(shape) - 2}d")
                run = lambda f=function, x=x, size=size, w=windows: f(x, size, **w)  # noqa: E731
                yield Call(f"pool: {shape} {size} {windows}", f"{name} {dtype}", run)
    for shape, size in ADAPTIVE:
        for dtype, channels_last in itertools.product(REALS, (False, True)):
            yield from adaptive_calls(f"adaptive: {shape} {size}", shape, size, dtype, channels_last)


def pool_calls(
    line: str, shape: tuple[int, ...], size: Any, windows: dict[str, Any], dtype: str, channels_last: bool
) -> Iterator[Call]:
    """Max (with indices), avg and lp pools of one problem, and their gradients."""
    rank = len(shape) - 2
    layout = {"layout": LAYOUTS[rank][channels_last]}
    function = {
        name: getattr(fc, name.format(rank))
        for stem in ("max_pool", "avg_pool", "lp_pool")
        for name in (stem + "{}d", stem + "{}d_grad")
    }
    few = np.round(draw(f"{shape}", shape, dtype))  # with ties
    x, few = (last(a) if channels_last else a for a in (draw(f"{shape}", shape, dtype), few))
    tail = f"{dtype} {layout['layout']}"
    options = {**windows, **layout}
    yield Call(line, f"max {tail}", lambda: function["max_pool{}d"](x, size, **options))
    y, indices = function["max_pool{}d"](few, size, return_indices=True, **options)
    dy = draw(f"{shape} dy", y.shape, dtype)
    yield Call(line, f"max ties, indices {tail}", lambda: (y, indices))
    yield Call(line, f"max_grad {tail}", lambda: function["max_pool{}d_grad"](dy, indices, x.shape, **layout))
    for extra in ({}, {"count_include_pad": False}, {"divisor": 3}):
        yield Call(line, f"avg {extra} {tail}", lambda e=extra: function["avg_pool{}d"](x, size, **e, **options))
        yield Call(
            line,
            f"avg_grad {extra} {tail}",
            lambda e=extra: function["avg_pool{}d_grad"](dy, x.shape, size, **e, **options),
        )
    for p in (1, 2, 3.5, math.inf):
        norms = function["lp_pool{}d"](x, size, p=p, **options)
        yield Call(line, f"lp {p} {tail}", lambda a=norms: a)
        yield Call(
            line,
            f"lp_grad {p} {tail}",
            lambda p=p, y=norms: function["lp_pool{}d_grad"](dy, x, y, size, p=p, **options),
        )


def adaptive_calls(line: str, shape: tuple[int, ...], size: Any, dtype: str, channels_last: bool) -> Iterator[Call]:
    """Adaptive and global pools of one array."""
    rank = len(shape) - 2
    layout = {"layout": LAYOUTS[rank][channels_last]}
    adaptive_max, adaptive_avg, adaptive_avg_grad, max_grad, global_max, global_avg = (
        getattr(fc, name.format(rank))
        for name in (
            "adaptive_max_pool{}d",
            "adaptive_avg_pool{}d",
            "adaptive_avg_pool{}d_grad",
            "max_pool{}d_grad",
            "global_max_pool{}d",
            "global_avg_pool{}d",
        )
    )
    x = draw(f"{shape}", shape, dtype)
    x = last(x) if channels_last else x
    tail = f"{dtype} {layout['layout']}"
    y, indices = adaptive_max(x, size, return_indices=True, **layout)
    dy = draw(f"{shape} dy", y.shape, dtype)
    yield Call(line, f"max, indices {tail}", lambda: (y, indices))
    yield Call(line, f"max_grad {tail}", lambda: max_grad(dy, indices, x.shape, **layout))
    yield Call(line, f"avg {tail}", lambda: adaptive_avg(x, size, **layout))
    yield Call(line, f"avg_grad {tail}", lambda: adaptive_avg_grad(dy, x.shape, **layout))
    yield Call(line, f"global max {tail}", lambda: global_max(x, **layout))
    yield Call(line, f"global avg {tail}", lambda: global_avg(x, **layout))


def long_axes() -> Iterator[Call]:
    """Signals of 200,000 samples."""
    for dtype, channels_last in itertools.product(REALS, (False, True)):
        for k, options in ((7, {}), (101, {}), (1001, {}), (9, {"dilation": 40}), (11, {"stride": 5})):
            case = Case(f"long {k} {options}", (1, 2, LONG), (3, 2, k), {**options, "padding": k // 2})
            convolution = Convolution(case, dtype, channels_last)
            for method in ("auto", "direct", "fft") if k < 200 else ("auto", "fft"):
                for op, run in convolution.calls(method, "relu"):
                    yield Call(f"conv: {case}", f"{op} {method} {dtype} {convolution.options['layout']}", run)
        for mode in ("edge", "reflect", "wrap"):
            case = Case(f"long {mode}", (1, 1, LONG), (1, 1, 31), {"padding": 15, "padding_mode": mode})
            for op, run in Convolution(case, dtype, channels_last).calls("auto", None):
                yield Call(f"conv: {case}", f"{op} {dtype} {channels_last}", run)
        for shape, size, windows in (
            ((1, 1, LONG), 101, {"stride": 1, "padding": 50}),
            ((1, 3, LONG), 5, {"stride": 3, "ceil_mode": True, "padding": 2}),
            ((1, 1, LONG), 9, {"stride": 1, "dilation": 30, "padding": 120}),
            ((1, 2, 4, LONG // 4), (2, 33), {"stride": (1, 2)}),
        ):
            yield from pool_calls(f"pool: {shape} {size} {windows}", shape, size, windows, dtype, channels_last)
        for size in (7, 1000):
            yield from adaptive_calls(f"adaptive: long {size}", (1, 2, LONG), size, dtype, channels_last)


def columns() -> Iterator[Call]:
    """im2col and col2im."""
    for shape, kernel, stride, padding, dilation in UNFOLDS:
        rank = len(kernel)
        unfold, fold = getattr(fc, f"unfold{rank}d"), getattr(fc, f"fold{rank}d")
        options = {"stride": stride, "padding": padding, "dilation": dilation}
        for dtype in REALS + OTHERS:
            cols = unfold(draw(f"{shape}", shape, dtype), kernel, **options)
            line = f"columns: {shape} {kernel} {options}"
            yield Call(line, f"unfold {dtype}", lambda a=cols: a)
            cols = draw(f"{shape} columns", cols.shape, dtype)
            yield Call(line, f"fold {dtype}", lambda f=fold, c=cols, s=shape, k=kernel, o=options: f(c, s, k, **o))


def products() -> Iterator[Call]:
    """Matrix products: tails, transposed operands, bias and activation."""
    for M, N, K in ((1, 1, 1), (3, 5, 7), (16, 16, 16), (65, 33, 130), (128, 10, 512), (1, 300, 77), (200, 257, 3)):
        for dtype, ta, tb in itertools.product((*REALS, "float16", "complex64"), (False, True), (False, True)):
            a = draw("a", (K, M) if ta else (M, K), dtype)
            b = draw("b", (N, K) if tb else (K, N), dtype)
            options = {"transpose_a": ta, "transpose_b": tb}
            name = f"{ta:d}{tb:d} {dtype}"
            yield Call(f"matmul: {M}x{N}x{K}", name, lambda a=a, b=b, o=options: fc.matmul(a, b, **o))
            if dtype in REALS:
                bias, active = draw("bias", (N,), dtype), ACTIVATIONS[(M + N) % len(ACTIVATIONS)]
                yield Call(
                    f"matmul: {M}x{N}x{K}",
                    f"{active} {name}",
                    lambda a=a, b=b, c=bias, o=options, f=active: fc.matmul(a, b, c, activation=f, **o),
                )
