"""Activations, their gradients with the sums of a bias's, and dropout (twin: cuda/elementwise.py).

A task owns one fixed block of `BLOCK` elements, or a run of `cpu.runs`, so the bits do not depend on the number of
threads. Loops run over slices, which the compiler turns into vector code.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..simd.jit import kernel
from ..simd.parallel import parallel_kernel
from ..threads import team
from . import nonlinear
from .pooled_relu import relu_pool, relu_pool_grad
from .runs import add_columns, bounds, cut_runs, sums_of

BLOCK = 8192


def activate(
    x: np.ndarray, y: np.ndarray, *, kind: str, slope: float = 0.0, window: tuple[int, int] | None = None
) -> None:
    """y = "relu", "leaky_relu" (with a slope), "sigmoid", "tanh" or one of `nonlinear`'s activations of x.

    With a `window` y are the maxima of relu of images (N, H, W, C).
    """
    if window is not None:
        relu_pool(x, y, window)
    elif kind in nonlinear.FORMULAS or kind in nonlinear.FROM_OUTPUT:
        nonlinear.activate(x, y, kind, slope)
    else:
        tasks = -(-x.size // BLOCK)
        _activate(team(tasks, 4 * x.size), tasks, x.reshape(-1), y.reshape(-1), x.dtype.type(slope))


def activation_grad(
    dy: np.ndarray, y: np.ndarray, dz: Any, sums: np.ndarray | None = None, *, kind: str | None,
    axis: int | None = None, slope: float = 0.0, pooled: tuple[np.ndarray, tuple[int, int]] | None = None,
) -> None:  # fmt: skip
    """dz = dy taken through an activation whose output is y, and its sums along every axis but `axis`, if not None.

    Of `nonlinear`'s activations y is the input. Without one (`kind` None) dy is only summed, and y and dz are not
    looked at. With `pooled`, an image (N, H, W, C) and a window, y are the maxima of its relu, and dz is its gradient.
    """
    if pooled is not None:
        relu_pool_grad(dy, y, pooled[0], dz, pooled[1], sums)
        return
    masked = kind in ("relu", "leaky_relu")
    if kind is not None and not masked:
        nonlinear.gradient(dy, y, dz, kind, slope)
        dy = dz
    if sums is None and not masked:
        return
    cut = cut_runs(dy.shape, dy.ndim - 1 if axis is None else axis)
    fold = 0 if sums is None else cut.fold
    partial = np.zeros(0) if sums is None else sums_of(cut, dy.size, 1)[0]
    number = dy.dtype.type(0 if kind == "relu" else slope)
    arrays = (a.reshape(-1) for a in (dy, y, dz if masked else dy))
    members, tasks = team(cut.tasks, 2 * dy.size), cut.tasks if dy.size else 0
    _activation_grad(members, tasks, *arrays, partial, masked, number, *cut.geometry, cut.width, fold)
    if sums is not None:
        sums[...] = cut.reduce(partial)


def dropout(x: np.ndarray, y: np.ndarray, *, seed: int, threshold: int, scale: float, first: int = 0) -> None:
    """y = scale*x where the hash of (seed, index) is below `threshold` of 2**32, else 0; indices begin at `first`."""
    tasks = -(-(first % BLOCK + x.size) // BLOCK) if x.size else 0
    numbers = np.uint64(seed), np.uint32(threshold), x.dtype.type(scale), first
    _dropout(team(tasks, 8 * x.size), tasks, x.reshape(-1), y.reshape(-1), *numbers)


@parallel_kernel
def _activate(thread, first, last, x, y, slope):
    """y = x where x > 0, else slope*x: relu (slope 0) and leaky_relu. NaN stays NaN."""
    for block in range(first, last):
        a, b = x[block * BLOCK : (block + 1) * BLOCK], y[block * BLOCK : (block + 1) * BLOCK]
        if slope == 0:
            zero = a.dtype.type(0)
            for j in range(a.size):
                b[j] = zero if a[j] < zero else a[j]
        else:
            for j in range(a.size):
                b[j] = a[j] * slope if a[j] < 0 else a[j]


@kernel
def scale_by_slope(dy, y, dz, slope):
    """dz = dy where y > 0, else slope*dy, and 0 for slope 0 whatever dy is."""
    zero = y.dtype.type(0)
    if slope == 0:
        for j in range(dy.size):
            dz[j] = zero if y[j] <= zero else dy[j]
    else:
        for j in range(dy.size):
            dz[j] = dy[j] * slope if y[j] <= zero else dy[j]


@parallel_kernel
def _activation_grad(thread, first, last, dy, y, dz, partial, masked, slope, plane, length, pieces, width, fold):
    """dz = dy*relu'(y), and the sums of dz over each run, column by column, while it is in the cache.

    A task owns a run: its part of dz and its row of `partial` (runs, fold). If not `masked`, dy is only summed.
    """
    total = np.empty(width, np.float64)
    for run in range(first, last):
        start, stop = bounds(run, plane, length, pieces)
        a = dy[start:stop]
        if masked:
            scale_by_slope(a, y[start:stop], dz[start:stop], slope)
            a = dz[start:stop]
        if fold > 0:
            add_columns(a, total, partial[run * fold : (run + 1) * fold])


@kernel
def mix(value):
    """One 64-bit word of the splitmix64 sequence (Steele, Lea & Flood 2014)."""
    value = value + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@parallel_kernel
def _dropout(thread, first, last, x, y, seed, threshold, scale, index):
    """y = scale*x where a hash of (seed, index) is below `threshold` of 2**32, else 0.

    The mask is a function of seed and index alone: the gradient is the same call on dy, and nothing is stored.
    """
    zero = x.dtype.type(0)
    before = index % BLOCK  # elements of the first block that are not there
    for block in range(first, last):
        start, stop = max(0, block * BLOCK - before), (block + 1) * BLOCK - before
        a, b = x[start:stop], y[start:stop]
        key = mix(mix(np.uint64(seed)) ^ np.uint64(index // BLOCK + block))
        low, high = np.uint32(key), np.uint32(key >> np.uint64(32))
        low = np.uint32(low + np.uint32((start + before) % BLOCK) * np.uint32(0x9E3779B9))
        for j in range(a.size):
            h = np.uint32(np.uint32(j) * np.uint32(0x9E3779B9) + low)
            h = np.uint32((h ^ (h >> np.uint32(16))) * np.uint32(0x21F0AAAD))
            h = np.uint32((h ^ (h >> np.uint32(15)) ^ high) * np.uint32(0xD35A2D97))
            h = np.uint32((h ^ (h >> np.uint32(15))) * np.uint32(0x85EBCA6B))
            h = h ^ (h >> np.uint32(16))
            b[j] = a[j] * scale if h < threshold else zero
