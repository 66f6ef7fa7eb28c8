"""Small problems for every CUDA row of the dispatch table, and their answers in float64; data are small whole numbers.

`convolve` and `pool` run one row on whatever executor ``fastconv.cuda.backend`` has, and return what it wrote beside
what the oracle expects, both channels-first.
"""

import itertools
import math
import zlib
from dataclasses import dataclass, field

import naive
import numpy as np
from cases import Case

from fastconv import dispatch
from fastconv.cuda import backend
from fastconv.spec import adaptive_problem, conv_problem, pool_problem

CONVOLUTIONS = ("conv", "conv_input_grad", "conv_weight_grad")
POOLS = ("max_pool", "avg_pool", "lp_pool", "max_pool_grad", "avg_pool_grad", "lp_pool_grad")
METHODS = ("im2col", "direct")


def _case(name, x, w, **options):
    return Case(name, x, w, options)


CONV_CASES = [
    _case("odd tails", (2, 3, 5, 6), (5, 3, 3, 3), padding=1),
    _case("whole steps of channels", (1, 8, 4, 5), (12, 8, 3, 2), padding=1),
    _case("several tiles", (1, 4, 5, 7), (20, 4, 2, 2)),
    _case("strides by axis, uneven padding", (1, 4, 7, 9), (5, 4, 3, 3), stride=(3, 2), padding=((1, 0), (0, 2))),
    _case("stride beyond kernel", (2, 3, 8, 9), (4, 3, 2, 1), stride=(3, 4)),
    _case("stride beyond image", (1, 2, 3, 4), (3, 2, 2, 2), stride=9, padding=1),
    _case("dilation and even stride", (1, 3, 8, 9), (4, 3, 3, 2), dilation=2, stride=2, padding=2),
    _case("padding beyond kernel", (1, 3, 3, 4), (4, 3, 2, 2), padding=(4, 3), stride=3),
    _case("1x1", (2, 8, 3, 5), (6, 8, 1, 1)),
    _case("1x1 stride, padded", (1, 3, 6, 7), (5, 3, 1, 1), stride=(3, 2), padding=1),
    _case("groups", (1, 8, 5, 4), (6, 4, 3, 3), groups=2, dilation=(2, 1), padding=(2, 1)),
    _case("depthwise", (2, 5, 5, 6), (5, 1, 3, 3), groups=5, padding=1),
    _case("depthwise, multiplier 2, strided", (1, 3, 6, 7), (6, 1, 3, 3), groups=3, stride=2, padding=1),
    _case("one row, stride along the height", (1, 2, 1, 3), (2, 1, 1, 1), groups=2, stride=(2, 1), padding=(1, 0)),
    _case("filter = image", (3, 3, 4, 3), (4, 3, 4, 3)),
    _case("one number", (1, 1, 1, 1), (1, 1, 1, 1)),
    _case("empty batch", (0, 3, 5, 6), (4, 3, 3, 3), padding=1),
    _case("edge", (2, 3, 4, 5), (4, 3, 3, 3), padding=((2, 1), (0, 3)), stride=2, padding_mode="edge"),
    _case("reflect, wider than image", (1, 2, 3, 2), (3, 2, 3, 3), padding=((5, 4), (3, 4)), padding_mode="reflect"),
    _case("symmetric, groups", (1, 4, 4, 5), (6, 2, 3, 2), padding=2, dilation=2, groups=2, padding_mode="symmetric"),
    _case("wrap, empty batch", (0, 2, 3, 4), (3, 2, 3, 3), padding=1, padding_mode="wrap"),
    _case("1-D wrap", (2, 3, 9), (4, 3, 4), padding=((3, 2),), padding_mode="wrap"),
    _case("1-D", (2, 4, 21), (6, 2, 4), stride=3, dilation=2, padding=((3, 1),), groups=2),
    _case("3-D", (2, 2, 3, 4, 3), (3, 2, 2, 3, 2), stride=(2, 1, 1), dilation=(1, 1, 2), padding=(1, 0, 2)),
    _case("3-D edge", (1, 2, 2, 3, 3), (2, 2, 2, 2, 2), padding=1, padding_mode="edge"),
    _case(
        "3-D one slice, padded before",
        (1, 1, 1, 3, 4),
        (2, 1, 1, 2, 2),
        stride=(3, 1, 1),
        padding=((1, 0), (0, 0), (0, 0)),
    ),
]


@dataclass(frozen=True)
class PoolCase:
    """A pooling: `options` are those of ``pool_spec``, or `out` the size of an adaptive one."""

    name: str
    x_shape: tuple
    size: object
    options: dict = field(default_factory=dict, hash=False)
    out: object = None

    def spec(self, channels_last, op="max_pool", count_include_pad=False):
        rank = len(self.x_shape) - 2
        shape = (self.x_shape[0], *self.x_shape[2:], self.x_shape[1]) if channels_last else self.x_shape
        layout = {1: ("NCW", "NWC"), 2: ("NCHW", "NHWC"), 3: ("NCDHW", "NDHWC")}[rank][channels_last]
        if self.out is not None:
            return adaptive_problem(shape, self.out, rank=rank, layout=layout, op=op)
        options = {**self.options, "count_include_pad": count_include_pad}
        return pool_problem(shape, self.size, rank=rank, layout=layout, op=op, **options)

    def __str__(self):
        return self.name


POOL_CASES = [
    PoolCase("2x2", (2, 3, 4, 6), 2),
    PoolCase("overlapping, padded", (1, 3, 7, 6), 3, {"stride": 2, "padding": 1}),
    PoolCase("stride 1, dilated", (1, 2, 7, 8), (3, 2), {"stride": 1, "dilation": (2, 3), "padding": ((2, 1), (0, 3))}),
    PoolCase("ceil_mode", (1, 2, 6, 7), 3, {"stride": (4, 3), "padding": 1, "ceil_mode": True}),
    PoolCase("stride beyond window", (2, 1, 9, 7), 2, {"stride": (4, 3)}),
    PoolCase(
        "windows in the padding alone", (1, 2, 3, 4), 2, {"stride": 1, "padding": ((2, 3), (0, 0)), "dilation": (4, 3)}
    ),
    PoolCase("global", (2, 3, 4, 5), (4, 5)),
    PoolCase("adaptive", (1, 2, 7, 5), None, out=(3, 4)),
    PoolCase("1-D", (2, 3, 11), 4, {"stride": 3, "padding": 2}),
    PoolCase("3-D", (1, 2, 4, 3, 5), (2, 2, 3), {"stride": (1, 2, 2), "padding": 1}),
    PoolCase("empty batch", (0, 2, 4, 4), 2),
]


def draw(name, *shapes):
    """Whole numbers from -3 to 3, the same for every run."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return [rng.integers(-3, 4, shape).astype(np.float64) for shape in shapes]


def lifted(a, rank):
    """Three spatial axes."""
    return a.reshape(a.shape[:2] + (1,) * (3 - rank) + a.shape[2:])


def on_device(a, rank, channels_last, dtype, weights=False):
    a = lifted(a, rank)
    if channels_last:
        a = naive.weights_to_last(a) if weights else naive.to_last(a)
    return backend.to_device(np.ascontiguousarray(a, dtype))


def on_host(a, shape, channels_last, weights=False):
    a = backend.to_host(a)
    if channels_last:
        a = naive.weights_to_first(a) if weights else naive.to_first(a)
    return a.reshape(shape)


def kernel(op, method):
    return dispatch.row_of(op, method, "cuda").operator(op)


def problem_of(op, case, channels_last, dtype="float32"):
    """A case as the library sees it."""
    x, w = case.x_shape, case.w_shape
    if channels_last:
        x, w = (x[0], *x[2:], x[1]), (*w[2:], w[1], w[0])
    layout = {1: ("NCW", "NWC"), 2: ("NCHW", "NHWC"), 3: ("NCDHW", "NDHWC")}[case.rank][channels_last]
    return conv_problem(x, w, rank=case.rank, layout=layout, dtype=dtype, op=op, **case.options)


def convolve(op, method, case, channels_last, dtype="float32", bias=True, activation=None, function=None):
    """(what the row wrote, what the oracle says); `function` replaces the row's."""
    x, w, b, dy = draw(case.name, case.x_shape, case.w_shape, case.w_shape[0], case.y_shape)
    rank, plain = case.rank, case.plain
    problem = problem_of(op, case, channels_last, dtype)
    dx_, dy_ = (on_device(a, rank, channels_last, dtype) for a in (x, dy))
    w_ = on_device(w, rank, channels_last, dtype, weights=True)
    run = function or kernel(op, method)
    if op == "conv":
        result, expected = backend.empty(dy_.shape, dtype), naive.conv(x, w, b if bias else None, **plain)
        b_ = backend.to_device(b.astype(dtype)) if bias else None
        run(problem, dx_, w_, b_, result, activation=activation)
        expected = naive.activate(expected, activation)
    elif op == "conv_input_grad":
        result, expected = backend.empty(dx_.shape, dtype), naive.conv_input_grad(dy, w, case.size, **plain)
        run(problem, dy_, w_, result)
    else:
        result, expected = backend.empty(w_.shape, dtype), naive.conv_weight_grad(x, dy, case.kernel, **plain)
        run(problem, dx_, dy_, result)
    return on_host(result, expected.shape, channels_last, weights=op == "conv_weight_grad"), expected


def pool(op, case, channels_last, dtype="float32", p=2.0, divisor=None, count_include_pad=False, x=None, function=None):
    """Lists of (what the row wrote, what the oracle says)."""
    spec = case.spec(channels_last, op, count_include_pad)
    windows, step, rank = windows_of(spec), spec.dilation, spec.rank
    y_shape = (spec.N, spec.C, *spec.out)
    drawn, dy = draw(case.name, case.x_shape, y_shape)
    x = lifted(drawn if x is None else x, rank)
    x = x.astype(dtype)
    wide = x if op.startswith("max") else x.astype(np.float64)
    y, indices = reference(op.removesuffix("_grad"), wide, windows, step, p, divisor)
    run = function or kernel(op, "direct")
    x_, y_, dy_ = (on_device(a, 3, channels_last, dtype) for a in (x, y, dy))
    out = backend.empty((dy_ if not op.endswith("_grad") else x_).shape, dtype)
    if op == "max_pool":
        where = backend.empty(dy_.shape, np.int64)
        run(spec, x_, out, where)
        only = backend.empty(dy_.shape, dtype)
        run(spec, x_, only, None)
        return [(on_host(a, y_shape, channels_last), e) for a, e in ((out, y), (where, indices), (only, y))]
    if op == "max_pool_grad":
        run(spec, dy_, on_device(indices, 3, channels_last, np.int64), out)
    elif op == "avg_pool":
        run(spec, x_, out, divisor=divisor)
    elif op == "lp_pool":
        run(spec, x_, out, p=p)
    elif op == "avg_pool_grad":
        run(spec, dy_, out, divisor=divisor)
    else:
        run(spec, dy_, x_, y_, out, p=p)
    expected = y if not op.endswith("_grad") else gradient(op, wide, y, indices, dy, windows, step, p, divisor)
    return [(on_host(out, expected.shape, channels_last), expected)]


def windows_of(spec):
    """Tables of the windows along each axis: first real element, number of real elements, divisor."""
    return [axis.table() for axis in spec.axes]


def each_window(windows, step):
    """Every output with the elements of its window and its divisor."""
    for place in itertools.product(*(range(len(w)) for w in windows)):
        rows = [w[i] for w, i in zip(windows, place, strict=True)]
        elements = itertools.product(*(range(f, f + c * s, s) for (f, c, _), s in zip(rows, step, strict=True)))
        yield place, list(elements), math.prod(int(r[2]) for r in rows)


def reference(op, x, windows, step, p, divisor):
    """y and the indices of the maxima, by plain loops."""
    shape = (*x.shape[:2], *(len(w) for w in windows))
    y, indices = np.zeros(shape, x.dtype), np.full(shape, -1)
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    for place, elements, share in each_window(windows, step):
        for n, c in np.ndindex(x.shape[:2]):
            values = [x[(n, c, *e)] for e in elements]
            if op == "max_pool":
                best = max(range(len(values)), key=lambda i: (np.isnan(values[i]), values[i]), default=None)
                y[(n, c, *place)] = lowest if best is None else values[best]
                indices[(n, c, *place)] = -1 if best is None else np.ravel_multi_index(elements[best], x.shape[2:])
            elif op == "avg_pool":
                by = share if divisor is None else divisor
                y[(n, c, *place)] = sum(values) / by if by else 0
            elif values:
                y[(n, c, *place)] = np.linalg.norm(np.array(values), p)
    return y, indices


def gradient(op, x, y, indices, dy, windows, step, p, divisor):
    """dx by plain loops: every output gives to the elements of its window."""
    dx = np.zeros(x.shape)
    for place, elements, share in each_window(windows, step):
        for n, c in np.ndindex(x.shape[:2]):
            at = (n, c, *place)
            if op == "max_pool_grad":
                if indices[at] >= 0:
                    dx[(n, c, *np.unravel_index(indices[at], x.shape[2:]))] += dy[at]
                continue
            for e in elements:
                value, by = x[(n, c, *e)], share if divisor is None else divisor
                if op == "avg_pool_grad":
                    dx[(n, c, *e)] += dy[at] / by
                elif value and y[at]:
                    dx[(n, c, *e)] += dy[at] * np.sign(value) * (abs(value) / y[at]) ** (p - 1)
    return dx
