"""Images moved, turned and scaled, each by a map of its own, and the gradient (twin: none; a GPU's images come here).

A map (a, b, c, d, e, f) says where the element at row i and column j of the result comes from: from row a*i + b*j + c
and column d*i + e*j + f of the image. Coordinates are of double precision.
"""

from __future__ import annotations

import math

import numpy as np

from ..simd.jit import kernel
from ..simd.parallel import parallel_kernel
from ..threads import team

LEAST = 4096  # elements of a task
CONSTANT, NEAREST, WRAP, REFLECT = range(4)  # what lies beyond an image
MODES = {"constant": CONSTANT, "nearest": NEAREST, "wrap": WRAP, "reflect": REFLECT}


def affine(x: np.ndarray, y: np.ndarray, *, maps: np.ndarray, smooth: bool, mode: str, fill: float) -> None:
    """y (N, H, W, C) of x: by the nearest element, or `smooth`, bilinearly between four of them."""
    N, H, W, C = x.shape
    rows = max(1, LEAST // max(1, W * C))
    pieces = -(-H // rows)
    tasks = N * pieces if x.size else 0
    numbers = H, W, C, rows, pieces, MODES[mode], x.dtype.type(fill), smooth
    _affine(team(tasks, 8 * x.size), tasks, x.reshape(-1), y.reshape(-1), maps.reshape(-1), *numbers)


def affine_grad(dy: np.ndarray, dx: np.ndarray, *, maps: np.ndarray, smooth: bool, mode: str) -> None:
    """dx of dy, the gradient to `affine`'s result: every element goes to where it came from, in order."""
    N, H, W, C = dx.shape
    tasks = N if dx.size else 0
    numbers = H, W, C, MODES[mode], smooth
    _affine_grad(team(tasks, 8 * dx.size), tasks, dy.reshape(-1), dx.reshape(-1), maps.reshape(-1), *numbers)


@kernel
def _inside(i, n, mode):
    """The element that stands for element i of n, or -1."""
    if 0 <= i < n:
        return i
    if mode == CONSTANT:
        return -1
    if mode == NEAREST:
        return 0 if i < 0 else n - 1
    if mode == WRAP:
        return i % n
    i %= 2 * n
    return i if i < n else 2 * n - 1 - i


@kernel
def _place(maps, at, i, j, smooth):
    """Row and column of the first element, and how far the place lies beyond its middle."""
    v = maps[at] * i + maps[at + 1] * j + maps[at + 2]
    u = maps[at + 3] * i + maps[at + 4] * j + maps[at + 5]
    if smooth:
        row, column = math.floor(v), math.floor(u)
        return int(row), int(column), v - row, u - column
    return int(math.floor(v + 0.5)), int(math.floor(u + 0.5)), 0.0, 0.0


@parallel_kernel
def _affine(thread, first, last, x, y, maps, H, W, C, rows, pieces, mode, fill, smooth):
    """A task owns some rows of one result."""
    for task in range(first, last):
        n, top = task // pieces, task % pieces * rows
        for i in range(top, min(top + rows, H)):
            for j in range(W):
                row, column, v, u = _place(maps, 6 * n, i, j, smooth)
                at = ((n * H + i) * W + j) * C
                b = y[at : at + C]
                if not smooth:
                    r, c = _inside(row, H, mode), _inside(column, W, mode)
                    if r < 0 or c < 0:
                        b[:] = fill
                    else:
                        start = ((n * H + r) * W + c) * C
                        b[:] = x[start : start + C]
                    continue
                b[:] = 0
                for down in range(2):
                    r, p = _inside(row + down, H, mode), v if down else 1.0 - v
                    for right in range(2):
                        c, q = _inside(column + right, W, mode), u if right else 1.0 - u
                        weight = x.dtype.type(p * q)
                        if weight == 0:
                            continue
                        if r < 0 or c < 0:
                            for k in range(C):
                                b[k] += weight * fill
                        else:
                            start = ((n * H + r) * W + c) * C
                            for k in range(C):
                                b[k] += weight * x[start + k]


@parallel_kernel
def _affine_grad(thread, first, last, dy, dx, maps, H, W, C, mode, smooth):
    """A task owns one image."""
    for n in range(first, last):
        dx[n * H * W * C : (n + 1) * H * W * C] = 0
        for i in range(H):
            for j in range(W):
                row, column, v, u = _place(maps, 6 * n, i, j, smooth)
                at = ((n * H + i) * W + j) * C
                for down in range(2 if smooth else 1):
                    r = _inside(row + down, H, mode)
                    for right in range(2 if smooth else 1):
                        c = _inside(column + right, W, mode)
                        if r >= 0 and c >= 0:
                            weight = dx.dtype.type((v if down else 1.0 - v) * (u if right else 1.0 - u))
                            start = ((n * H + r) * W + c) * C
                            for k in range(C):
                                dx[start + k] += weight * dy[at + k]
