"""Kernels that only measure kernels: each runs one emitted function again and again, on the same operands.

What a function costs by itself is seen so: called from Python once, most of the time would go into the call.
"""

from __future__ import annotations

from ..simd.depth_sweep import depth_sweep
from ..simd.family import invoke
from ..simd.filter_tile import filter_tiles
from ..simd.jit import callable_kernel
from ..simd.lanes import lane_count, load, place, store, zeros
from ..simd.microkernel import ZERO, multiply_tiles
from .fft.transform import transform


@callable_kernel
def repeat_tiles(
    times, address, rows, vectors, aoff, boff, depth, a, a_row, a_step, b, b_step, c, c_row, columns, tiles
):
    """Tiles of the micro-kernel, one above the other: rows of `a` are `a_row` apart, rows of c follow each other."""
    for _ in range(times):
        multiply_tiles(
            address, rows, vectors, aoff.size, aoff, 0, boff, 0, depth, a, 0, a_row, a_step, b, 0, b_step,
            c, 0, c_row, columns, ZERO, c, 0, False, tiles,
        )  # fmt: skip


@callable_kernel
def repeat_filter(
    times, address, kind, vectors, entries, table, x, x_step, x_vector, w, w_step, w_row, c, c_row, c_vector, rows,
    columns, tiles,
):  # fmt: skip
    """A row of `tiles` filter tiles, each `vectors` vectors of x and c further than the one before."""
    for _ in range(times):
        filter_tiles(
            address, kind, vectors, entries, table, 0, x, 0, x_step, x_vector, w, 0, w_step, w_row,
            c, 0, c_row, c_vector, rows, columns, 0, ZERO, c, 0, 0, False,
            tiles, vectors * x_vector, vectors * c_vector, 0, 1, 0, 0, 0, 0, 0,
        )  # fmt: skip


@callable_kernel
def repeat_depth(times, address, shape, table, columns, x, x_row, w, lanes, y):
    """A depthwise sweep over one vector of channels."""
    for _ in range(times):
        depth_sweep(
            address, shape, lanes, table, 0, x, 0, x_row, lanes, w, 0, y, 0, columns * lanes, lanes,
            y, 0, False, False, 0,
        )  # fmt: skip


@callable_kernel
def repeat_to_planes(times, address, m, x, rows, cols, zeros, tiles, depth, v, step, plane):
    """A row of tiles to planes by Winograd's transform of the input, or of the gradient to the output."""
    for _ in range(times):
        invoke(
            address,
            (m, place(x, 0), place(rows, 0), place(cols, 0), place(zeros, 0), tiles, depth, place(v, 0), step, plane),
        )


@callable_kernel
def repeat_filters(times, address, m, w, step, rows, cols, channels, columns, u, u_step, plane):
    """The filters of some channels to planes."""
    for _ in range(times):
        invoke(
            address,
            (m, place(w, 0), step, place(rows, 0), place(cols, 0), channels, columns, place(u, 0), u_step, plane),
        )


@callable_kernel
def repeat_output(times, address, m, v, v_step, plane, tiles, y, rows, cols, columns, zeros):
    """Planes of products to a row of tiles of the output."""
    for _ in range(times):
        invoke(
            address,
            (m, place(v, 0), v_step, plane, tiles, place(y, 0), place(rows, 0), place(cols, 0), columns,
             place(zeros, 0), 0),
        )  # fmt: skip


@callable_kernel
def repeat_weights(times, address, m, v, v_step, plane, channels, dw, step, row, col, columns):
    """Planes of products to the gradients of the filters of some channels."""
    for _ in range(times):
        invoke(
            address,
            (m, place(v, 0), v_step, plane, channels, place(dw, 0), step, row, col, columns),
        )


@callable_kernel
def repeat_transform(times, address, back, table, twiddles, data, count, hop, step, imaginary):
    """Fourier transforms of `count` sets of lanes, in place."""
    for _ in range(times):
        transform(address, back, table, twiddles, data, 0, count, hop, step, imaginary)


@callable_kernel
def repeat_copy(times, target, source, size):
    """Copies of `size` elements, four vectors at a time, by turns to either half of `target`."""
    like = zeros(source, 4)
    for i in range(times):
        at = i % 2 * size
        for j in range(0, size, lane_count(like)):
            store(target, at + j, load(source, at + j, like, None), None)
