"""Random problems for every operator: drawn from a seed, solved by fastconv in any memory layout, and by the oracle.

`solve(seed)` draws one problem and compares; it raises `Wrong` with the call that repeats it. Operands are whole
numbers or normal ones, sometimes with a fill value that dwarfs the rest, or with NaN and Inf.
"""

import math
from dataclasses import dataclass, field

import naive
import naive_pool
import numpy as np
from problems import LAYOUTS
from tolerances import tolerance

import fastconv as fc
from fastconv.errors import Unsupported

METHODS = ("auto", "auto", "direct", "im2col", "winograd", "fft")
FLOATS = ("float32", "float32", "float64", "float16")
OTHERS = ("complex64", "complex128", "int8", "uint8", "int16", "int32", "int64")
ACTIVATIONS = (None, None, None, "relu", "leaky_relu", "sigmoid", "tanh")
FILL = {"float32": 1e30, "float64": 1e250}  # as netCDF's fill value: nothing that transforms may see it


class Wrong(AssertionError):
    """A result that is not the oracle's."""


@dataclass
class Draw:
    """One random problem: the numbers it is drawn with, and what was drawn, in words."""

    seed: int
    words: list = field(default_factory=list)

    def __post_init__(self):
        self.rng = np.random.default_rng(self.seed)

    def one_of(self, values):
        return values[self.rng.integers(len(values))]

    def upto(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def axes(self, rank, low, high):
        return tuple(self.upto(low, high) for _ in range(rank))

    def chance(self, share):
        return self.rng.random() < share

    def say(self, **what):
        self.words += [f"{name}={value!r}" for name, value in what.items()]


def laid_out(draw, a):
    """The same numbers somewhere else in memory."""
    kind = draw.one_of(("C", "C", "F", "reversed", "strided", "unaligned", "swapped", "read-only", "broadcast"))
    draw.say(memory=kind)
    if kind == "F":
        return np.asfortranarray(a)
    if kind == "reversed":
        return np.ascontiguousarray(a[..., ::-1])[..., ::-1]
    if kind == "strided":
        wide = np.empty((*a.shape[:-1], 2 * a.shape[-1] + 1), a.dtype)
        wide[..., : 2 * a.shape[-1] : 2] = a
        return wide[..., : 2 * a.shape[-1] : 2]
    if kind == "unaligned":
        raw = np.empty(a.nbytes + 1, np.uint8)[1:].view(a.dtype) if a.nbytes else a.reshape(-1).copy()
        raw = raw.reshape(a.shape)
        raw[...] = a
        return raw
    if kind == "swapped":
        return a.astype(a.dtype.newbyteorder())
    if kind == "broadcast" and a.shape and len(a) and (a == a[:1]).all():
        return np.broadcast_to(a[:1], a.shape)
    a = a.copy()
    a.setflags(write=kind != "read-only")
    return a


def numbers(draw, shape, dtype):
    """Whole numbers from -3 to 3, or normal ones; what the dtype holds exactly, in float64 or complex128."""
    dtype = np.dtype(dtype)
    if dtype.kind in "iu" or draw.chance(0.4):
        return draw.rng.integers(0 if dtype.kind == "u" else -3, 4, shape).astype(np.float64)
    a = draw.rng.standard_normal(shape)
    if dtype.kind == "c":
        a = a + 1j * draw.rng.standard_normal(shape)
    return a.astype(dtype).astype(np.complex128 if dtype.kind == "c" else np.float64)


def spoilt(draw, a, dtype, method):
    """Some elements not finite, or so large that others vanish beside them: auto and direct keep them apart."""
    if dtype not in FILL or method not in ("auto", "direct") or not a.size or not draw.chance(0.15):
        return a, None
    kind = draw.one_of(("nan", "inf", "fill", "fill"))
    value = {"nan": np.nan, "inf": np.inf, "fill": FILL[dtype]}[kind]
    a = a.copy()
    a.reshape(-1)[draw.rng.integers(a.size, size=draw.upto(1, 2))] = value
    draw.say(spoilt=kind)
    return a, kind


def convolution(draw):
    """Shapes and options of a convolution that has at least one output."""
    rank = draw.upto(1, 3)
    large = draw.chance(0.1)
    most = {1: 300 if large else 40, 2: 40 if large else 10, 3: 6}[rank]
    groups = draw.one_of((1, 1, 1, 2, 3))
    each, outputs = draw.upto(1, 5 if large else 18), draw.upto(1, 5 if large else 18)
    if draw.chance(0.2):
        each, outputs, groups = 1, draw.upto(1, 2), draw.upto(1, 20)  # depthwise
    kernel = (draw.upto(1, 5),) * rank if draw.chance(0.5) else draw.axes(rank, 1, 7 if large else 4)
    stride = (1,) * rank if draw.chance(0.5) else draw.axes(rank, 1, 3)
    dilation = (1,) * rank if draw.chance(0.6) else draw.axes(rank, 1, 3)
    mode = draw.one_of(("zeros", "zeros", *naive.MODES[1:]))
    size = draw.axes(rank, 1, most)
    if draw.chance(0.2):  # where rules meet their ends: hardly any pixels, taps and channels
        size, kernel = draw.axes(rank, 1, 3), draw.axes(rank, 1, 2)
        each, outputs, groups = draw.upto(1, 2), draw.upto(1, 2), draw.one_of((1, 1, 3))
    most_pad = [{"zeros": 3, "reflect": min(3, n - 1), "edge": 3}.get(mode, min(3, n)) for n in size]
    padding = tuple((draw.upto(0, p), draw.upto(0, p)) for p in most_pad)
    size = tuple(max(n, d * (k - 1) + 1 - sum(p)) for n, k, d, p in zip(size, kernel, dilation, padding, strict=True))
    options = {"stride": stride, "dilation": dilation, "padding": padding, "padding_mode": mode, "groups": groups}
    N = 0 if draw.chance(0.03) else draw.upto(1, 3)
    x_shape, w_shape = (N, each * groups, *size), (outputs * groups, each, *kernel)
    draw.say(x=x_shape, w=w_shape, **options)
    return rank, x_shape, w_shape, options


def dtype_and_method(draw):
    dtype, method = draw.one_of(FLOATS if draw.chance(0.8) else OTHERS), draw.one_of(METHODS)
    draw.say(dtype=dtype, method=method)
    return dtype, method


def computed(dtype):
    """The dtype of a convolution's result."""
    return np.dtype(dtype if np.dtype(dtype).kind in "fc" else "float64")


def compare(draw, actual, expected, dtype, bound):
    """Same shape and dtype, the same NaN and Inf, the rest within `bound` (a number, or one for every element)."""
    if actual.shape != expected.shape or actual.dtype != dtype:
        raise Wrong(f"{actual.shape} {actual.dtype}, expected {expected.shape} {dtype}")
    with np.errstate(invalid="ignore", over="ignore"):
        expected = np.asarray(expected, computed_wide(dtype))
        finite = np.isfinite(expected)
        same = np.array_equal(actual[~finite], expected[~finite].astype(dtype), equal_nan=True)
        error = np.abs(actual[finite].astype(expected.dtype) - expected[finite])
        within = error <= np.broadcast_to(bound, expected.shape)[finite]
    if not same or not within.all():
        worst = error[~within].max(initial=0)
        raise Wrong(f"{(~within).sum()} of {expected.size} off by up to {worst:.3g}; NaN and Inf alike: {same}")


def computed_wide(dtype):
    return np.complex128 if np.dtype(dtype).kind == "c" else np.float64


def bound_of(method, dtype, terms, spoilt_kind, absolute):
    """What a method may be off: beside a fill value each output by its own sum of magnitudes, else by the table."""
    if spoilt_kind == "fill":
        return 4 * (terms + 8) * np.finfo(dtype).eps * absolute()
    largest = 4.0 if np.dtype(dtype).kind != "c" else 12.0  # whole numbers are twice as large as normal ones
    return largest * tolerance(method, dtype, terms)


def conv(draw):
    """Forward, called or planned."""
    rank, x_shape, w_shape, options = convolution(draw)
    dtype, method = dtype_and_method(draw)
    last, act = draw.chance(0.5), draw.one_of(ACTIVATIONS)
    x, w = numbers(draw, x_shape, dtype), numbers(draw, w_shape, dtype)
    b = numbers(draw, w_shape[:1], dtype) if draw.chance(0.5) else None
    real = np.dtype(dtype).kind != "c"
    planned, act = real and draw.chance(0.3), act if real else None  # neither is for complex numbers
    x, kind = spoilt(draw, x, dtype, method)
    act = None if kind else act
    draw.say(last=last, planned=planned, activation=act, bias=b is not None)
    given = laid_out(draw, (naive.to_last(x) if last else x).astype(dtype))
    weights = laid_out(draw, (naive.weights_to_last(w) if last else w).astype(dtype))
    bias = None if b is None else b.astype(dtype)
    options = {**options, "layout": LAYOUTS[rank][last], "activation": act, "method": method}
    if planned:
        plan = getattr(fc, f"plan_conv{rank}d")(weights, given.shape, bias, **options)
        y = plan(given)
    else:
        y = getattr(fc, f"conv{rank}d")(given, weights, bias, **options)
    plain = {k: options[k] for k in ("stride", "dilation", "padding", "padding_mode", "groups")}
    expected = naive.conv(x, w, b, **plain, activation=act)
    terms = w_shape[1] * math.prod(w_shape[2:]) + 1

    def absolute():
        return naive.conv(abs(x), abs(w), None if b is None else abs(b), **plain)

    bound = bound_of(method, computed(dtype), terms, kind, absolute)
    compare(draw, naive.to_first(y) if last else y, expected, computed(dtype), bound)


def transposed(draw):
    rank, dy_shape, w_shape, options = convolution(draw)
    dtype, method = dtype_and_method(draw)
    stride, dilation, groups = (options[k] for k in ("stride", "dilation", "groups"))
    extra = tuple(draw.upto(0, max(s, d) - 1) for s, d in zip(stride, dilation, strict=True))
    x_shape = (dy_shape[0], w_shape[0], *dy_shape[2:])
    room = [
        (n - 1) * s + d * (k - 1) + e
        for n, k, s, d, e in zip(x_shape[2:], w_shape[2:], stride, dilation, extra, strict=True)
    ]
    padding = tuple((p := draw.upto(0, min(2, r)), draw.upto(0, min(2, r - p))) for r in room)
    last, b = draw.chance(0.5), None
    x, w = numbers(draw, x_shape, dtype), numbers(draw, w_shape, dtype)
    if draw.chance(0.5):
        b = numbers(draw, (w_shape[1] * groups,), dtype)
    draw.say(last=last, output_padding=extra, cut=padding)
    plain = {"stride": stride, "dilation": dilation, "padding": padding, "output_padding": extra, "groups": groups}
    y = getattr(fc, f"conv_transpose{rank}d")(
        laid_out(draw, (naive.to_last(x) if last else x).astype(dtype)),
        laid_out(draw, (naive.weights_to_last(w) if last else w).astype(dtype)),
        None if b is None else b.astype(dtype),
        **plain, layout=LAYOUTS[rank][last], method=method,
    )  # fmt: skip
    terms = w_shape[0] // groups * math.prod(w_shape[2:]) + 1
    bound = bound_of(method, computed(dtype), terms, None, None)
    compare(draw, naive.to_first(y) if last else y, naive.conv_transpose(x, w, b, **plain), computed(dtype), bound)


def input_grad(draw):
    rank, x_shape, w_shape, options = convolution(draw)
    dtype, method = dtype_and_method(draw)
    out = naive.out_size(x_shape[2:], w_shape[2:], options["stride"], options["dilation"], options["padding"])
    dy, w = numbers(draw, (x_shape[0], w_shape[0], *out), dtype), numbers(draw, w_shape, dtype)
    dy, kind = spoilt(draw, dy, dtype, method)
    last = draw.chance(0.5)
    draw.say(last=last)
    dx = getattr(fc, f"conv{rank}d_input_grad")(
        laid_out(draw, (naive.to_last(dy) if last else dy).astype(dtype)),
        laid_out(draw, (naive.weights_to_last(w) if last else w).astype(dtype)),
        _last_shape(x_shape) if last else x_shape,
        **options, layout=LAYOUTS[rank][last], method=method,
    )  # fmt: skip
    copies = 1
    if options["padding_mode"] != "zeros":
        copies = math.prod(2 + sum(p) // n for n, p in zip(x_shape[2:], options["padding"], strict=True))
    terms = w_shape[0] // options["groups"] * math.prod(w_shape[2:]) * copies
    bound = bound_of(
        method, computed(dtype), terms, kind, lambda: naive.conv_input_grad(abs(dy), abs(w), x_shape[2:], **options)
    )
    expected = naive.conv_input_grad(dy, w, x_shape[2:], **options)
    compare(draw, naive.to_first(dx) if last else dx, expected, computed(dtype), bound)


def weight_grad(draw):
    rank, x_shape, w_shape, options = convolution(draw)
    dtype, method = dtype_and_method(draw)
    out = naive.out_size(x_shape[2:], w_shape[2:], options["stride"], options["dilation"], options["padding"])
    x, dy = numbers(draw, x_shape, dtype), numbers(draw, (x_shape[0], w_shape[0], *out), dtype)
    x, kind = spoilt(draw, x, dtype, method)
    last = draw.chance(0.5)
    draw.say(last=last)
    dw = getattr(fc, f"conv{rank}d_weight_grad")(
        laid_out(draw, (naive.to_last(x) if last else x).astype(dtype)),
        laid_out(draw, (naive.to_last(dy) if last else dy).astype(dtype)),
        (*w_shape[2:], w_shape[1], w_shape[0]) if last else w_shape,
        **options, layout=LAYOUTS[rank][last], method=method,
    )  # fmt: skip
    terms = max(1, x_shape[0] * math.prod(out))
    bound = bound_of(
        method, computed(dtype), terms, kind, lambda: naive.conv_weight_grad(abs(x), abs(dy), w_shape[2:], **options)
    )
    expected = naive.conv_weight_grad(x, dy, w_shape[2:], **options)
    compare(draw, naive.weights_to_first(dw) if last else dw, expected, computed(dtype), bound)


def pool(draw):
    """Maximum, mean and norm of windows, with their gradients."""
    rank = draw.upto(1, 3)
    size = draw.axes(rank, 1, {1: 60, 2: 9, 3: 5}[rank])
    kernel = tuple(draw.upto(1, min(n + 1, 5)) for n in size)
    dilation = (1,) * rank if draw.chance(0.7) else draw.axes(rank, 1, 2)
    padding = tuple(
        (draw.upto(0, min(2, d * (k - 1))), draw.upto(0, min(2, d * (k - 1))))
        for k, d in zip(kernel, dilation, strict=True)
    )
    size = tuple(max(n, d * (k - 1) + 1 - sum(p)) for n, k, d, p in zip(size, kernel, dilation, padding, strict=True))
    stride, ceil_mode, last = draw.axes(rank, 1, 3), draw.chance(0.3), draw.chance(0.5)
    shape = (0 if draw.chance(0.03) else draw.upto(1, 2), draw.upto(1, 20), *size)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "ceil_mode": ceil_mode}
    axes = [
        naive_pool.sliding(n, k, s, p, d, ceil_mode)
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
    ]
    kind = draw.one_of(("max", "avg", "lp"))
    dtype = draw.one_of(FLOATS[1:] if kind != "max" else (*FLOATS, "int8", "uint8", "int32", "int64"))
    draw.say(kind=kind, x=shape, size=kernel, **options, dtype=dtype, last=last)
    options = {**options, "layout": LAYOUTS[rank][last]}
    x = numbers(draw, shape, dtype)
    given = laid_out(draw, (naive.to_last(x) if last else x).astype(dtype))
    {"max": _max_pool, "avg": _avg_pool, "lp": _lp_pool}[kind](draw, rank, x, given, kernel, axes, options, dtype, last)


def _max_pool(draw, rank, x, given, kernel, axes, options, dtype, last):
    y, indices = getattr(fc, f"max_pool{rank}d")(given, kernel, **options, return_indices=True)
    expected, places = naive_pool.max_pool(x.astype(dtype), axes)
    compare(draw, naive.to_first(y) if last else y, expected, np.dtype(dtype), 0)
    if not np.array_equal(naive.to_first(indices) if last else indices, places):
        raise Wrong("indices differ")
    if np.dtype(dtype).kind == "f":
        dy = numbers(draw, expected.shape, dtype)
        dx = getattr(fc, f"max_pool{rank}d_grad")(
            (naive.to_last(dy) if last else dy).astype(dtype), indices, given.shape, layout=options["layout"]
        )
        compare(draw, naive.to_first(dx) if last else dx, naive_pool.max_pool_grad(dy, places, x.shape), dtype,
                8 * tolerance("direct", dtype, math.prod(kernel)))  # fmt: skip


def _avg_pool(draw, rank, x, given, kernel, axes, options, dtype, last):
    more = {"count_include_pad": draw.chance(0.5), "divisor": draw.one_of((None, None, 2.5))}
    y = getattr(fc, f"avg_pool{rank}d")(given, kernel, **options, **more)
    expected, bound = naive_pool.avg_pool(x, axes, **more), 8 * tolerance("direct", dtype, math.prod(kernel))
    compare(draw, naive.to_first(y) if last else y, expected, np.dtype(dtype), bound)
    dy = numbers(draw, expected.shape, dtype)
    dx = getattr(fc, f"avg_pool{rank}d_grad")(
        (naive.to_last(dy) if last else dy).astype(dtype), given.shape, kernel, **options, **more
    )
    expected = naive_pool.avg_pool_grad(dy, x.shape, axes, **more)
    compare(draw, naive.to_first(dx) if last else dx, expected, np.dtype(dtype), bound)


def _lp_pool(draw, rank, x, given, kernel, axes, options, dtype, last):
    p = draw.one_of((1, 2, 2.5, 3, 40, math.inf))
    draw.say(p=p)
    y = getattr(fc, f"lp_pool{rank}d")(given, kernel, p=p, **options)
    expected = naive_pool.lp_pool(x, axes, p)
    bound = 16 * tolerance("direct", dtype, math.prod(kernel))
    compare(draw, naive.to_first(y) if last else y, expected, np.dtype(dtype), bound)


def window(draw):
    """Adaptive and global pools."""
    rank, dtype, last = draw.upto(1, 3), draw.one_of(FLOATS), draw.chance(0.5)
    size = draw.axes(rank, 1, {1: 40, 2: 9, 3: 5}[rank])
    shape = (draw.upto(1, 2), draw.upto(1, 20), *size)
    x, layout = numbers(draw, shape, dtype), LAYOUTS[rank][last]
    given = laid_out(draw, (naive.to_last(x) if last else x).astype(dtype))
    whole = draw.chance(0.4)
    out = (1,) * rank if whole else tuple(draw.upto(1, n + 1) for n in size)
    name = "global" if whole else "adaptive"
    arguments = () if whole else (out,)
    draw.say(kind=name, x=shape, out=out, dtype=dtype, last=last)
    axes = [naive_pool.adaptive(n, o) for n, o in zip(size, out, strict=True)]
    y = getattr(fc, f"{name}_avg_pool{rank}d")(given, *arguments, layout=layout)
    bound = 8 * tolerance("direct", dtype, math.prod(size))
    compare(draw, naive.to_first(y) if last else y, naive_pool.avg_pool(x, axes), np.dtype(dtype), bound)
    y = getattr(fc, f"{name}_max_pool{rank}d")(given, *arguments, layout=layout)
    compare(draw, naive.to_first(y) if last else y, naive_pool.max_pool(x.astype(dtype), axes)[0], np.dtype(dtype), 0)


def columns(draw):
    """unfold and fold."""
    rank, dtype = draw.upto(1, 3), draw.one_of((*FLOATS, "int32", "uint8"))
    kernel, stride, dilation = draw.axes(rank, 1, 4), draw.axes(rank, 1, 3), draw.axes(rank, 1, 2)
    padding = tuple((draw.upto(0, 2), draw.upto(0, 2)) for _ in range(rank))
    size = tuple(
        max(draw.upto(1, 8), d * (k - 1) + 1 - sum(p)) for k, d, p in zip(kernel, dilation, padding, strict=True)
    )
    shape = (draw.upto(1, 2), draw.upto(1, 5), *size)
    draw.say(x=shape, size=kernel, stride=stride, padding=padding, dilation=dilation, dtype=dtype)
    x = numbers(draw, shape, dtype).astype(dtype)
    options = {"stride": stride, "padding": padding, "dilation": dilation}
    cols = getattr(fc, f"unfold{rank}d")(laid_out(draw, x), kernel, **options)
    expected = naive_pool.unfold(x, kernel, stride, padding, dilation)
    compare(draw, cols, expected, np.dtype(dtype), 0)
    if np.dtype(dtype).kind == "f":
        back = getattr(fc, f"fold{rank}d")(laid_out(draw, cols), shape, kernel, **options)
        expected = naive_pool.fold(cols.astype(np.float64), shape, kernel, stride, padding, dilation)
        compare(draw, back, expected, np.dtype(dtype), 8 * tolerance("direct", dtype, math.prod(kernel)))


def product(draw):
    """matmul."""
    M, K, P = draw.upto(1, 70), draw.upto(1, 70), draw.upto(1, 70)
    dtype, act = draw.one_of((*FLOATS, "int32")), draw.one_of(ACTIVATIONS)
    flips = draw.chance(0.5), draw.chance(0.5)
    a, b = numbers(draw, (M, K), dtype), numbers(draw, (K, P), dtype)
    bias = numbers(draw, (P,), dtype) if draw.chance(0.5) else None
    draw.say(a=a.shape, b=b.shape, flips=flips, dtype=dtype, activation=act, bias=bias is not None)
    given = [laid_out(draw, (m.T if flip else m).astype(dtype)) for m, flip in zip((a, b), flips, strict=True)]
    y = fc.matmul(
        *given, None if bias is None else bias.astype(dtype), transpose_a=flips[0], transpose_b=flips[1], activation=act
    )
    expected = naive.activate(a @ b + (0 if bias is None else bias), act)
    compare(draw, y, expected, computed(dtype), bound_of("direct", computed(dtype), K + 1, None, None))


OPERATORS = (
    conv,
    conv,
    conv,
    transposed,
    input_grad,
    input_grad,
    weight_grad,
    weight_grad,
    pool,
    pool,
    window,
    columns,
)
OPERATORS += (product,)


def _last_shape(shape):
    return (shape[0], *shape[2:], shape[1])


def solve(seed):
    """Draw problem number `seed`, solve it in both ways and compare; the operator, or None if a method cannot serve."""
    draw = Draw(seed)
    operator = draw.one_of(OPERATORS)
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            operator(draw)
    except Unsupported:
        return None
    except Wrong as error:
        raise Wrong(f"soak.solve({seed}): {operator.__name__} {' '.join(draw.words)}: {error}") from None
    except Exception as error:
        raise Wrong(f"soak.solve({seed}): {operator.__name__} {' '.join(draw.words)}: {error!r}") from error
    return operator.__name__
