"""Direct convolution: one thread per output element, plain loops over taps and channels (twin: cpu/direct.py).

These kernels serve every legal problem and are written to be read. Depthwise problems go to ``depthwise``, those with
few output channels to ``direct_tiled``; for most others ``im2col`` is the fast way. All arrays are flat; layouts differ
in their strides, and in which index neighbouring threads differ in.
Error: below terms*eps*(|x|*|w|), terms = C/groups*KD*KH*KW (forward).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..problem import ConvProblem
from . import backend, border
from .activation import device_function
from .backend import cuda
from .filters import Filters, count_parts, filters_of, sum_parts
from .halves import through_float32
from .indexing import Shape, Strides, channel_axes, make_position, shape_of, strides_xy
from .launch import BLOCK, blocks_for, entry, flat, launch, needs_wide
from .planar import depthwise, depthwise_grad, direct_tiled
from .pointwise import fill


def make_conv(T: Any, S: Any, U: Any, bias: bool, activation: Any) -> Callable[..., None]:
    """y[n, o, i] = activation(b[o] + sum over c, u of x[n, c, i*stride + u*dilation - before] * w[o, c, u])."""
    position = make_position(U)
    act = device_function(activation, T)

    def conv(
        x: Any, w: Any, b: Any, y: Any, s: Shape, xs: Strides, ws: Filters, outer: Any, inner: Any, total: Any
    ) -> None:
        i = U(U(cuda.blockIdx.x) * U(BLOCK) + U(cuda.threadIdx.x))
        if i < U(total):
            n, o, od, oh, ow = position(i, outer, s.OD, s.OH, s.OW, inner)
            g = U(o // U(s.outputs))
            image = U(n * U(xs.n) + g * U(s.inputs) * U(xs.c))
            filters = U(g * U(ws.group) + (o - g * U(s.outputs)) * U(ws.o))
            acc = T(0)
            for kd in range(s.KD):
                d = S(S(od) * s.stride_d + kd * s.dilation_d - s.before_d)
                for kh in range(s.KH):
                    h = S(S(oh) * s.stride_h + kh * s.dilation_h - s.before_h)
                    for kw in range(s.KW):
                        v = S(S(ow) * s.stride_w + kw * s.dilation_w - s.before_w)
                        if U(d) < U(s.D) and U(h) < U(s.H) and U(v) < U(s.W):
                            at = U(image + U(d) * U(xs.d) + U(h) * U(xs.h) + U(v) * U(xs.w))
                            tap = U(filters + U((kd * s.KH + kh) * s.KW + kw) * U(ws.tap))
                            for c in range(s.inputs):
                                acc += x[U(at + U(c) * U(xs.c))] * w[U(tap + U(c) * U(ws.c))]
            if bias:
                acc = T(acc + b[o])
            if act is not None:
                acc = T(act(acc))
            y[i] = acc

    return conv


def make_input_grad(T: Any, S: Any, U: Any) -> Callable[..., None]:
    """dx[n, c, j] = sum over o and those u, i with i*stride + u*dilation - before = j of dy[n, o, i] * w[o, c, u]."""
    position = make_position(U)

    def input_grad(
        dy: Any, w: Any, dx: Any, s: Shape, ys: Strides, ws: Filters, outer: Any, inner: Any, total: Any
    ) -> None:
        i = U(U(cuda.blockIdx.x) * U(BLOCK) + U(cuda.threadIdx.x))
        if i < U(total):
            n, c, d, h, v = position(i, outer, s.D, s.H, s.W, inner)
            g = U(c // U(s.inputs))
            image = U(n * U(ys.n) + g * U(s.outputs) * U(ys.c))
            filters = U(g * U(ws.group) + (c - g * U(s.inputs)) * U(ws.c))
            acc = T(0)
            for kd in range(s.KD):
                z = S(S(d) + s.before_d - kd * s.dilation_d)  # = od * stride_d
                od = U(U(z) // U(s.stride_d))
                for kh in range(s.KH):
                    a = S(S(h) + s.before_h - kh * s.dilation_h)
                    oh = U(U(a) // U(s.stride_h))
                    for kw in range(s.KW):
                        e = S(S(v) + s.before_w - kw * s.dilation_w)
                        ow = U(U(e) // U(s.stride_w))
                        whole = U(od * U(s.stride_d)) == U(z) and U(oh * U(s.stride_h)) == U(a)
                        whole = whole and U(ow * U(s.stride_w)) == U(e) and z >= 0 and a >= 0 and e >= 0
                        if whole and od < U(s.OD) and oh < U(s.OH) and ow < U(s.OW):
                            at = U(image + od * U(ys.d) + oh * U(ys.h) + ow * U(ys.w))
                            tap = U(filters + U((kd * s.KH + kh) * s.KW + kw) * U(ws.tap))
                            for o in range(s.outputs):
                                acc += dy[U(at + U(o) * U(ys.c))] * w[U(tap + U(o) * U(ws.o))]
            dx[i] = acc

    return input_grad


def make_weight_grad(T: Any, S: Any, U: Any) -> Callable[..., None]:
    """dw[o, c, u] = sum over n, i of x[n, c, i*stride + u*dilation - before] * dy[n, o, i], over a run of output rows.

    One thread per part and weight; weights are numbered (group, tap, input channel, output channel).
    """
    position = make_position(U)

    def weight_grad(
        x: Any, dy: Any, parts: Any, s: Shape, xs: Strides, ys: Strides, rows: Any, part: Any, weights: Any, total: Any
    ) -> None:
        i = U(U(cuda.blockIdx.x) * U(BLOCK) + U(cuda.threadIdx.x))
        if i < U(total):
            p = U(i // U(weights))
            rest = U((i - p * U(weights)) // U(s.outputs))
            o = U(i - p * U(weights) - rest * U(s.outputs))
            c = U(rest % U(s.inputs))
            g, _, kd, kh, kw = position(U(rest // U(s.inputs)), 1, s.KD, s.KH, s.KW, 1)
            image = U((g * U(s.inputs) + c) * U(xs.c))
            grad = U((g * U(s.outputs) + o) * U(ys.c))
            last = S(p + U(1)) * part
            acc = T(0)
            for row in range(S(p) * part, min(last, rows)):
                q = U(U(row) // U(s.OH))
                n = U(q // U(s.OD))
                od = U(q - n * U(s.OD))
                oh = U(U(row) - q * U(s.OH))
                d = S(S(od) * s.stride_d + S(kd) * s.dilation_d - s.before_d)
                h = S(S(oh) * s.stride_h + S(kh) * s.dilation_h - s.before_h)
                if U(d) < U(s.D) and U(h) < U(s.H):
                    at = U(image + n * U(xs.n) + U(d) * U(xs.d) + U(h) * U(xs.h))
                    of = U(grad + n * U(ys.n) + od * U(ys.d) + oh * U(ys.h))
                    for ow in range(s.OW):
                        v = S(ow * s.stride_w + S(kw) * s.dilation_w - s.before_w)
                        if U(v) < U(s.W):
                            acc += x[U(at + U(v) * U(xs.w))] * dy[U(of + U(ow) * U(ys.w))]
            parts[i] = acc

    return weight_grad


@entry
def conv(p: ConvProblem, x: Any, w: Any, b: Any, y: Any, *, activation: Any) -> None:
    """y = activation(b + conv(x, w)); x, w, y have three spatial axes; b and activation may be None."""
    if y.size == 0:
        return
    if depthwise.serves(p):
        _in_halves(p, depthwise.conv)(p, x, w, b, y, activation=activation)
    else:
        through_float32(direct_tiled.conv if direct_tiled.serves(p) else _conv)(p, x, w, b, y, activation=activation)


def _in_halves(p: ConvProblem, run: Callable[..., None]) -> Callable[..., None]:
    """A depthwise kernel takes arrays of 16 bits as they are; borders other than zeros are made in float32."""
    return run if p.padding_mode == "zeros" else through_float32(run)


def _conv(p: ConvProblem, x: Any, w: Any, b: Any, y: Any, activation: Any) -> None:
    p, x = border.padded(p, x)
    bias = flat(w) if b is None else flat(b)  # a kernel has no optional arguments
    axes = channel_axes(p.O, p.channels_last)
    launch(
        make_conv,
        (b is not None, activation),
        blocks_for(y.size),
        (flat(x), flat(w), bias, flat(y), shape_of(p), strides_xy(p)[0], filters_of(p), *axes, y.size),
        dtype=y.dtype,
        wide=needs_wide(x.size, w.size, y.size),
    )


@entry
def conv_input_grad(p: ConvProblem, dy: Any, w: Any, dx: Any) -> None:
    """dx: each element gathers from the outputs whose windows hold it."""
    if dx.size == 0:
        return
    if depthwise.serves(p):
        _in_halves(p, depthwise.conv_input_grad)(p, dy, w, dx)
    else:
        run = direct_tiled.conv_input_grad if direct_tiled.serves(p) else _conv_input_grad
        through_float32(run)(p, dy, w, dx)


def _conv_input_grad(p: ConvProblem, dy: Any, w: Any, dx: Any) -> None:
    inner, target = border.unfolded(p, dx)
    axes = channel_axes(p.C, p.channels_last)
    launch(
        make_input_grad,
        (),
        blocks_for(target.size),
        (flat(dy), flat(w), flat(target), shape_of(inner), strides_xy(p)[1], filters_of(p), *axes, target.size),
        dtype=dx.dtype,
        wide=needs_wide(dy.size, w.size, target.size),
    )
    border.fold(p, target, dx)


@entry
@through_float32
def conv_weight_grad(p: ConvProblem, x: Any, dy: Any, dw: Any) -> None:
    """dw: each thread sums one weight over a run of output rows; the runs' sums are added in order."""
    if dy.size == 0:
        fill(dw, 0)
    elif depthwise.serves(p):
        depthwise_grad.conv_weight_grad(p, x, dy, dw)
    else:
        _conv_weight_grad(p, x, dy, dw)


def _conv_weight_grad(p: ConvProblem, x: Any, dy: Any, dw: Any) -> None:
    p, x = border.padded(p, x)
    rows = p.N * p.out[0] * p.out[1]
    parts, part = count_parts(rows, p.out[2], blocks_for(dw.size), dw.size * dw.dtype.itemsize)
    total = parts * dw.size
    partial = backend.scratch("parts", total, dw.dtype)
    launch(
        make_weight_grad,
        (),
        blocks_for(total),
        (flat(x), flat(dy), partial, shape_of(p), *strides_xy(p), rows, part, dw.size, total),
        dtype=dw.dtype,
        wide=needs_wide(x.size, dy.size, total),
    )
    sum_parts(partial, dw, filters_of(p), parts)
