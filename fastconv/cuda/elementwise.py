"""Element-wise kernels: activations and their gradients with sums per channel, dropout (twin: cpu/elementwise).

A thread has `EACH` elements, a block apart, and loads all of them before it stores the first: the results might lie
where the inputs do, for all that the compiler knows. Sums per channel are cut as `channels` says; where that is one
part, the gradient and its sums are one kernel, else a second one adds the parts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from . import backend
from .backend import cuda
from .channels import AHEAD, Cut, layout_of, make_add_parts, make_fold, make_place, make_walk
from .launch import BLOCK, blocks_for, entry, flat, launch, needs_wide
from .nonlinear import from_input
from .pointwise import fill
from .runtime.source import known, unrolled

EACH = 4
HASHED = 8192  # elements that share a key of dropout's hash: cpu/elementwise's BLOCK
U32, U64 = numba.uint32, numba.uint64


def make_activation(T: Any, S: Any, U: Any, kind: str, gradient: bool) -> Callable[..., None]:
    """z = f(x), or with `gradient` z = x * (derivative of f, whose output is y); `slope` is leaky_relu's."""
    function: Any = _gradient(kind, T) if gradient else _function(kind, T)

    def activation(x: Any, y: Any, z: Any, slope: Any, total: Any) -> None:
        v = cuda.local.array(EACH, T)
        first = U(U(cuda.blockIdx.x) * U(EACH * BLOCK) + U(cuda.threadIdx.x))
        for k in unrolled(EACH):
            i = U(first + U(k * BLOCK))
            if i < U(total):
                if known(gradient):
                    v[k] = function(x[i], y[i], slope)
                else:
                    v[k] = function(x[i], slope)
        for k in unrolled(EACH):
            i = U(first + U(k * BLOCK))
            if i < U(total):
                z[i] = v[k]

    return activation


def _function(kind: str, T: Any) -> Callable[[Any, Any], Any]:
    """An activation of a number; NaN stays NaN."""

    def sigmoid(v: Any, slope: Any) -> Any:
        e = T(math.exp(-abs(v)))  # never overflows
        return T((e if v < T(0) else T(1)) / (T(1) + e))

    functions = {
        "relu": lambda v, slope: T(0) if v < T(0) else v,
        "leaky_relu": lambda v, slope: T(v * slope) if v < T(0) else v,
        "sigmoid": sigmoid,
        "tanh": lambda v, slope: T(math.tanh(v)),
    }
    return numba.njit(functions[kind] if kind in functions else from_input(kind, T)[0])


def _gradient(kind: str | None, T: Any) -> Callable[[Any, Any, Any], Any]:
    """``gradient(d, y, slope)``: the gradient d to an activation's output y, taken to its input.

    Of the activations of `from_input` y is the input.
    """
    functions = {
        None: lambda d, y, slope: d,
        "relu": lambda d, y, slope: T(0) if y <= T(0) else d,
        "leaky_relu": lambda d, y, slope: T(d * slope) if y <= T(0) else d,
        "sigmoid": lambda d, y, slope: T(d * (y * (T(1) - y))),
        "tanh": lambda d, y, slope: T(d * (T(1) - y * y)),
    }
    if kind not in functions:
        steep = numba.njit(from_input(str(kind), T)[1])
        return numba.njit(lambda d, y, slope: T(d * steep(y, slope)))
    return numba.njit(functions[kind])


def make_gradient_sums(T: Any, S: Any, U: Any, threads: int, lanes: int, kind: str | None) -> Callable[..., None]:
    """sums[p, c] = sum of dz over part p of channel c, and dz itself unless `kind` is None; one block per part."""
    rows = threads // lanes
    place, walk, fold = make_place(U, lanes), make_walk(U), make_fold(U, threads, lanes)
    gradient = _gradient(kind, T)
    masked = kind is not None

    def gradient_sums(dy: Any, y: Any, dz: Any, sums: Any, slope: Any, cut: Cut) -> None:
        shared = cuda.shared.array(threads, T)
        at, v = cuda.local.array(AHEAD, U), cuda.local.array(AHEAD, T)
        t = U(cuda.threadIdx.x)
        channel, real, row, part, first, stop = place(t, U(cuda.blockIdx.x), cut)
        total, m = T(0), U(first + row)
        outer = U(m // U(cut.inner))
        rest = U(m - outer * U(cut.inner))
        while m < stop:
            outer, rest = walk(outer, rest, channel, cut, at)
            for k in unrolled(AHEAD):
                v[k] = T(0)
                if U(m + U(k * rows)) < stop:
                    v[k] = gradient(dy[at[k]], y[at[k]], slope) if masked else dy[at[k]]
            total += (v[0] + v[1]) + (v[2] + v[3])
            if masked:
                for k in unrolled(AHEAD):
                    if real and U(m + U(k * rows)) < stop:
                        dz[at[k]] = v[k]
            m = U(m + U(AHEAD * rows))
        shared[t] = total
        fold(shared, t)
        if row == U(0) and real:
            sums[U(part * U(cut.C) + channel)] = shared[t]

    return gradient_sums


def make_sum_parts(T: Any, S: Any, U: Any, threads: int, lanes: int) -> Callable[..., None]:
    """sums[c] = the parts' sums, added up; one block per group of lanes."""
    place, fold = make_place(U, lanes), make_fold(U, threads, lanes)
    add_parts = make_add_parts(T, U, threads, lanes)

    def sum_parts(parts: Any, sums: Any, cut: Cut) -> None:
        shared = cuda.shared.array(threads, T)
        t = U(cuda.threadIdx.x)
        channel, real, row, _, _, _ = place(t, U(cuda.blockIdx.x), cut)
        shared[t] = add_parts(parts, channel, row, cut)
        fold(shared, t)
        if row == U(0) and real:
            sums[channel] = shared[t]

    return sum_parts


def make_dropout(T: Any, S: Any, U: Any) -> Callable[..., None]:
    """y = scale*x where a hash of (seed, index) is below `threshold` of 2**32, else 0."""
    mix = numba.njit(mixed)

    def dropout(x: Any, y: Any, seed: Any, threshold: Any, scale: Any, total: Any) -> None:
        v = cuda.local.array(EACH, T)
        first = U(U(cuda.blockIdx.x) * U(EACH * BLOCK) + U(cuda.threadIdx.x))
        key = mix(U64(mix(seed) ^ U64(first // U(HASHED))))
        low, high = U32(key & U64(0xFFFFFFFF)), U32(key >> U64(32))
        for k in unrolled(EACH):
            i = U(first + U(k * BLOCK))
            if i < U(total):
                h = U32(U32(i % U(HASHED)) * U32(0x9E3779B9) + low)
                h = U32(U32(h ^ (h >> U32(16))) * U32(0x21F0AAAD))
                h = U32(U32(U32(h ^ (h >> U32(15))) ^ high) * U32(0xD35A2D97))
                h = U32(U32(h ^ (h >> U32(15))) * U32(0x85EBCA6B))
                h = U32(h ^ (h >> U32(16)))
                v[k] = T(x[i] * scale) if h < threshold else T(0)
        for k in unrolled(EACH):
            i = U(first + U(k * BLOCK))
            if i < U(total):
                y[i] = v[k]

    return dropout


def mixed(value: Any) -> Any:
    """One 64-bit word of the splitmix64 sequence (Steele, Lea & Flood 2014)."""
    value = U64(value + U64(0x9E3779B97F4A7C15))
    value = U64(U64(value ^ (value >> U64(30))) * U64(0xBF58476D1CE4E5B9))
    value = U64(U64(value ^ (value >> U64(27))) * U64(0x94D049BB133111EB))
    return U64(value ^ (value >> U64(31)))


@entry
def activate(x: Any, y: Any, *, kind: str, slope: float = 0.0) -> None:
    """y = "relu", "leaky_relu" (with a slope), "sigmoid", "tanh" or one of `nonlinear`'s activations of x."""
    x = flat(x)
    _each(make_activation, (kind, False), y, x, x, flat(y), np.dtype(y.dtype).type(slope))


@entry
def activation_grad(
    dy: Any, y: Any, dz: Any, sums: Any = None, *, kind: str | None, axis: int | None = None, slope: float = 0.0
) -> None:
    """dz = dy taken through an activation whose output is y, and its sums along every axis but `axis`, if not None.

    Of `nonlinear`'s activations y is the input. Without one (`kind` None) dy is only summed, and y and dz are not
    looked at.
    """
    number = np.dtype(dy.dtype).type(slope)
    if axis is None:
        assert kind is not None
        _each(make_activation, (kind, True), dz, flat(dy), flat(y), flat(dz), number)
        return
    if dy.size == 0:
        fill(sums, 0)
        return
    layout, wide = layout_of(dy.shape, axis), needs_wide(dy.size)
    cut, constants = layout.cut, layout.constants
    parts = sums if cut.parts == 1 else backend.room("channel parts", cut.parts * cut.C, dy.dtype)
    given = (dy, dy) if kind is None else (y, dz)
    options = {"dtype": dy.dtype, "wide": wide, "threads": constants[0]}
    args = flat(dy), *map(flat, given), parts, number, cut
    launch(make_gradient_sums, (*constants, kind), layout.blocks, args, **options)
    if cut.parts > 1:
        launch(make_sum_parts, constants, layout.groups, (parts, sums, cut), **options)


@entry
def dropout(x: Any, y: Any, *, seed: int, threshold: int, scale: float) -> None:
    """y = scale*x where the hash of (seed, index) is below `threshold` of 2**32, else 0: cpu/elementwise's mask."""
    numbers = np.uint64(seed), np.uint32(threshold), np.dtype(x.dtype).type(scale)
    _each(make_dropout, (), y, flat(x), flat(y), *numbers)


def _each(factory: Callable[..., Callable[..., None]], constants: tuple[Any, ...], y: Any, *args: Any) -> None:
    """Start a kernel with `EACH` elements of y per thread."""
    blocks = blocks_for(y.size, EACH * BLOCK)
    launch(factory, constants, blocks, (*args, y.size), dtype=y.dtype, wide=needs_wide(y.size))
