"""A user's compiled function of a window, at every place of an array: cut into blocks, with any border, on all threads.

    y[i] = function(window of x around i)

A window is an array whose shape LLVM knows while it compiles: a view of x where the window lies inside, else of a copy
of the block with its border. So the function is compiled into one loop over neighbouring outputs, which vectorises as
if it had been written there, and no mode of the border costs anything inside.

Cost: that of the function; copies of the border. Extra memory: per thread a block of about ``FASTCONV_TILE_BYTES``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numba.core import types
from numba.core.caching import NullCache
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from ..borders import Border, border_table
from ..config import settings
from ..memory import check_room, scratch
from ..simd.emit import I64, INTP
from ..simd.jit import callable_kernel
from ..simd.lanes import peek, place, pointer, poke
from ..simd.parallel import ParallelKernel, parallel_kernel
from ..simd.vector import copy
from ..threads import team

Triple = tuple[int, int, int]
COLUMNS = 2048  # outputs of a block along a row
WANTED_TASKS = 64


def apply(
    x: np.ndarray, size: Triple, rank: int, function: Callable[..., Any], mode: str, fill: Any, args: tuple[Any, ...],
    y: np.ndarray,
) -> None:  # fmt: skip
    """Write the function of every window of x (D, H, W) to y; windows have the last `rank` axes of `size`.

    Arrays are C-contiguous. Outside of x the mode says what is there, with "zeros" it is `fill`.
    What the function raises for the first window that it does not take is raised for any number of threads; some
    elements of y are then written and others not.
    """
    if y.size == 0:
        return
    boolean = x.dtype == np.bool_
    x, y = (a.view(np.uint8) if a.dtype == np.bool_ else a for a in (x, y))  # in memory they are bytes
    block = _block(x.shape, size, x.itemsize)
    own = size[0] * (block[0] + size[1] - 1) * (block[1] + size[2] - 1)
    needed = own * x.itemsize + 24 * sum(n + k for n, k in zip(x.shape, size, strict=True))
    check_room(needed, f"the border of an array of shape {x.shape} for windows of {size}")
    tables = tuple(border_table(Border(n, -(k // 2), n + k - 1, mode=mode)) for n, k in zip(x.shape, size, strict=True))
    D, H, W = x.shape
    tasks = D * -(-H // block[0]) * -(-W // block[1])
    members = team(tasks, 4 * x.size * size[0] * size[1] * size[2])
    copies = scratch((members, own), x.dtype)
    _kernel(function, size, rank, boolean)(
        members, tasks, _address(x), _address(y), _address(copies), own, x.shape, block, tables, x.dtype.type(fill),
        x.dtype.type(0), y.dtype.type(0), args,
    )  # fmt: skip


def _block(shape: Triple, size: Triple, itemsize: int) -> tuple[int, int]:
    """Rows and columns of a task: what it copies fits the budget, and there are enough for all threads."""
    D, H, W = shape
    cols = min(W, COLUMNS)
    most = settings.tile_bytes // (itemsize * size[0] * (cols + size[2] - 1)) - size[1] + 1
    return max(1, min(H, most, -(-D * H * -(-W // cols) // WANTED_TASKS))), cols


def _address(a: np.ndarray) -> int:
    return a.__array_interface__["data"][0]  # type: ignore[no-any-return]


@lru_cache(maxsize=64)
def _kernel(function: Callable[..., Any], size: Triple, rank: int, boolean: bool) -> ParallelKernel:
    """The parallel loop over the windows of a function, compiled once per dtype.

    Arrays come as addresses: what Python passes to a kernel as an array is kept for ever if the kernel raises.
    """
    KD, KH, KW = size
    view = _view(size[3 - rank :], boolean)

    def windows(thread, first, last, x, y, copies, own, shape, block, tables, fill, like, result, args):  # type: ignore[no-untyped-def]
        D, H, W = shape
        whole, mine = pointer(x, like), place(pointer(copies, like), thread * own)
        down, across = -(-H // block[0]), -(-W // block[1])
        for task in range(first, last):
            d, row0, col0 = task // (down * across), task // across % down * block[0], task % across * block[1]
            row1, col1 = min(H, row0 + block[0]), min(W, col0 + block[1])
            top, bottom = _inside(row0, row1, H, KH)
            left, right = _inside(col0, col1, W, KW)
            if not KD // 2 <= d <= D - KD + KD // 2:
                top, bottom = row1, row1
            for part in range(5):
                r0, r1, q0, q1 = _part(part, row0, row1, col0, col1, top, bottom, left, right)
                if r0 >= r1 or q0 >= q1:
                    continue
                rows, cols = r1 - r0 + KH - 1, q1 - q0 + KW - 1
                source, plane, pitch, at = mine, rows * cols, cols, 0
                if part == MIDDLE:
                    source, plane, pitch = whole, H * W, W
                    at = ((d - KD // 2) * H + r0 - KH // 2) * W + q0 - KW // 2
                else:
                    _copy(whole, shape, tables, (d, r0, q0), (KD, rows, cols), KW // 2, fill, mine)
                for r in range(r1 - r0):
                    line, to = at + r * pitch, place(pointer(y, result), (d * H + r0 + r) * W + q0)
                    for q in range(q1 - q0):
                        poke(to, q, function(view(source, line + q, plane, pitch), *args))

    made = parallel_kernel(windows)
    made.serial._cache = NullCache()  # the disk cache must not keep a user's function, whose source it cannot watch
    return made


MIDDLE = 4


@callable_kernel
def _part(part, row0, row1, col0, col1, top, bottom, left, right):  # type: ignore[no-untyped-def]
    """Rows and columns of a part of a block: above, below, left and right of its middle, and the middle."""
    if part == 0:
        return row0, top, col0, col1
    if part == 1:
        return bottom, row1, col0, col1
    if part == 2:
        return top, bottom, col0, left
    if part == 3:
        return top, bottom, right, col1
    return top, bottom, left, right


@callable_kernel
def _inside(first, end, n, k):  # type: ignore[no-untyped-def]
    """The outputs of an axis, among first..end-1, whose windows of k elements lie inside."""
    low, high = max(first, k // 2), min(end, n - k + k // 2 + 1)
    return (low, high) if low < high else (end, end)


@callable_kernel
def _copy(x, shape, tables, corner, size, before, fill, mine):  # type: ignore[no-untyped-def]
    """Write the block of `size` from `corner` on, of x with its border, to `mine`; the border has `before` columns."""
    planes, rows, cols = tables
    H, W, at = shape[1], shape[2], 0
    # of the columns those between lie side by side in x
    low = min(max(before - corner[2], 0), size[2])
    high = max(min(before + W - corner[2], size[2]), low)
    for d in range(corner[0], corner[0] + size[0]):
        for r in range(corner[1], corner[1] + size[1]):
            plane, row = planes[d], rows[r]
            if plane < 0 or row < 0:
                for q in range(size[2]):
                    poke(mine, at + q, fill)
            else:
                line = (plane * H + row) * W
                copy(mine, at + low, x, line + corner[2] + low - before, high - low)
                for i in range(low + size[2] - high):
                    q = i if i < low else high + i - low
                    col = cols[corner[2] + q]
                    poke(mine, at + q, peek(x, line + col) if col >= 0 else fill)
            at += size[2]


def window_type(dtype: Any, rank: int) -> types.Array:
    """Numba's type of a window: it can be read only."""
    return types.Array(dtype, rank, "C" if rank == 1 else "A", readonly=True)


def _view(shape: tuple[int, ...], boolean: bool) -> Any:
    """An intrinsic that makes a window of this shape, whose planes and rows lie so many elements apart."""

    @intrinsic
    def view(typingctx, source, at, plane, pitch):  # type: ignore[no-untyped-def]
        kind = window_type(types.boolean if boolean else source.dtype, len(shape))

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            array = context.make_array(kind)(context, builder)
            itemsize = context.get_abi_sizeof(context.get_data_type(kind.dtype))
            strides = [builder.mul(step, I64(itemsize)) for step in args[2:]] + [I64(itemsize)]
            data = builder.bitcast(builder.gep(args[0], [args[1]]), array.data.type)
            populate_array(array, data, [I64(n) for n in shape], strides[-len(shape) :], itemsize, None)
            return array._getvalue()

        return kind(source, INTP, INTP, INTP), codegen

    return view
