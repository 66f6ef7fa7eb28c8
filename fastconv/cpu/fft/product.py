"""Products of spectra: for each frequency, a small complex matrix product over channels or tiles.

A complex product is a real one of twice the size: with x = xr + i*xi in two neighbouring columns, x times conj(w) is
``[xr, xi] @ [[wr, -wi], [wi, wr]]``. So the real micro-kernel does the work: spectra are read and written as they lie,
only the right-hand factor is spread into such 2x2 cells, panel by panel. A task is one frequency of one group; its sums
run in a fixed order.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from ...simd.host import TILE_VECTORS, host, tile_rows
from ...simd.jit import parallel_kernel
from ...simd.microkernel import ACCUMULATE, ZERO, multiply_tile, tile_address
from ...simd.vector import I32, INTP, Emitter, lanes_of
from ...threads import team

ROWS = tile_rows()
DEPTH = 128  # complex terms of one panel: 64 KiB at the widest vectors
BLOCK = 2048  # numbers of one task of an elementwise product


def multiply(a: np.ndarray, b: np.ndarray, groups: int) -> np.ndarray:
    """Spectra of the output tiles: c[t, f, g, o] = sum over k of a[t, f, g, k] * conj(b[f, g, k, o]).

    `a` is (tiles, F0, F1, F2, groups*K), `b` is (1, F0, F1, F2, groups*K*O). With K = O = 1 the result overwrites `a`.
    """
    tiles, frequencies = a.shape[0], a[0, ..., 0].size
    inner = a.shape[-1] // groups
    columns = b.shape[-1] // (groups * inner)
    if inner == columns == 1:
        size = 2 * frequencies * groups
        blocks = -(-size // BLOCK)
        _scale(team(tiles * blocks, 4 * a.size), tiles * blocks, _real(a), _real(b), size, blocks)
        return a
    c = np.empty((*a.shape[:-1], groups * columns), a.dtype)
    lanes = TILE_VECTORS * host().vector_bytes // c.real.itemsize
    geometry = [groups, inner, 2 * columns, tiles]
    geometry += [2 * groups * inner, 2 * inner, 2 * frequencies * groups * inner, 2]  # a: frequency, group, row, term
    geometry += [2 * groups * inner * columns, 2 * inner * columns, 2 * columns]  # b: frequency, group, term
    geometry += [2 * groups * columns, 2 * columns, 2 * frequencies * groups * columns]  # c: frequency, group, row
    geometry += [0, 0, lanes]
    _run(frequencies * groups, 8 * c.size * inner, a, b, c, geometry)
    return c


def accumulate(a: np.ndarray, b: np.ndarray, c: np.ndarray, groups: int, start: bool) -> None:
    """Spectra of the weight gradient: c[f, g, k, o] (+)= sum over t of a[t, f, g, k] * conj(b[t, f, g, o]).

    `a` is (tiles, F0, F1, F2, groups*K), `b` (tiles, F0, F1, F2, groups*O), `c` (1, F0, F1, F2, groups*K*O); with
    `start` the sum begins at zero.
    """
    tiles, frequencies = a.shape[0], a[0, ..., 0].size
    inner, columns = a.shape[-1] // groups, b.shape[-1] // groups
    if inner == columns == 1:
        size = 2 * frequencies * groups
        blocks = -(-size // BLOCK)
        _sum(team(blocks, 4 * a.size), blocks, _real(a), _real(b), _real(c), size, tiles, start)
        return
    lanes = TILE_VECTORS * host().vector_bytes // c.real.itemsize
    geometry = [groups, tiles, 2 * columns, inner]
    geometry += [2 * groups * inner, 2 * inner, 2, 2 * frequencies * groups * inner]
    geometry += [2 * groups * columns, 2 * columns, 2 * frequencies * groups * columns]
    geometry += [2 * groups * inner * columns, 2 * inner * columns, 2 * columns]
    geometry += [0 if start else 1, 1, lanes]
    _run(frequencies * groups, 8 * c.size * tiles, a, b, c, geometry)


def _real(spectrum: np.ndarray) -> np.ndarray:
    return spectrum.reshape(-1).view(spectrum.real.dtype)


def _run(tasks: int, work: int, a: np.ndarray, b: np.ndarray, c: np.ndarray, geometry: list[int]) -> None:
    tile = tile_address(c.real.itemsize)
    _products(team(tasks, work), tasks, _real(a), _real(b), _real(c), np.array(geometry, dtype=np.int64), tile)


@intrinsic
def _spread(typingctx, panel, upper, lower, b, first, count):  # type: ignore[no-untyped-def]
    """One vector of complex numbers from b[first:first+count] to the panel: wr, -wi, ... and wi, wr, ... below."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        kinds = signature.args
        emit = Emitter(context, builder, kinds[0])
        w = emit.masked_load(emit.pointer(kinds[3], args[3], args[4]), emit.first_lanes(args[5]))
        signs = ir.Constant(emit.vector, [1.0, -1.0] * (emit.lanes // 2))
        swapped = ir.Constant(ir.VectorType(I32, emit.lanes), [lane ^ 1 for lane in range(emit.lanes)])
        emit.store(builder.fmul(w, signs), emit.pointer(kinds[0], args[0], args[1]))
        emit.store(builder.shuffle_vector(w, w, swapped), emit.pointer(kinds[0], args[0], args[2]))
        return context.get_dummy_value()

    return types.void(panel, INTP, INTP, b, INTP, INTP), codegen


@parallel_kernel
def _products(thread, first, last, a, b, c, geometry, tile):  # type: ignore[no-untyped-def]
    """One task: c = a @ conj(b) at one frequency of one group, the panel of b in this thread's cache."""
    groups, terms, columns, rows, a_f, a_g, a_row, a_k, b_f, b_g, b_k, c_f, c_g, c_row, add, apart, width = geometry
    lanes = lanes_of(a)
    panel = np.zeros(2 * min(DEPTH, terms) * width, a.dtype)
    # With terms apart (tiles) each has its own offset and the depth is its real and imaginary part; terms side by side
    # (channels) are one long depth.
    a_offsets = np.arange(DEPTH) * a_k
    b_offsets = np.arange(DEPTH) * (2 * width)
    for task in range(first, last):
        f, g = task // groups, task % groups
        for k in range(0, terms, DEPTH):
            depth = min(DEPTH, terms - k)
            start = ACCUMULATE if add or k else ZERO
            for j in range(0, columns, width):
                part = min(width, columns - j)
                for term in range(depth):
                    source, row = f * b_f + g * b_g + (k + term) * b_k + j, 2 * term * width
                    for v in range(0, part, lanes):
                        _spread(panel, row + v, row + width + v, b, source + v, part - v)
                vectors = 2 if part > lanes else 1
                for i in range(0, rows, ROWS):
                    multiply_tile(
                        tile, min(ROWS, rows - i), vectors, depth if apart else 1, a_offsets, 0, b_offsets, 0,
                        2 if apart else 2 * depth, a, f * a_f + g * a_g + i * a_row + k * a_k, a_row, 1,
                        panel, 0, width, c, f * c_f + g * c_g + i * c_row + j, c_row, part, start, panel, 0, False,
                    )  # fmt: skip


@parallel_kernel
def _scale(thread, first, last, x, w, size, blocks):  # type: ignore[no-untyped-def]
    """One task: a block of one tile's spectrum times conj(w), in place."""
    for task in range(first, last):
        begin = task % blocks * BLOCK
        count = min(BLOCK, size - begin)
        tile = x[task // blocks * size + begin : task // blocks * size + begin + count]
        factor = w[begin : begin + count]
        for j in range(count // 2):
            a, b, u, v = tile[2 * j], tile[2 * j + 1], factor[2 * j], factor[2 * j + 1]
            tile[2 * j] = a * u + b * v
            tile[2 * j + 1] = b * u - a * v


@parallel_kernel
def _sum(thread, first, last, x, z, d, size, tiles, start):  # type: ignore[no-untyped-def]
    """One task: a block of the sum over tiles of x times conj(z)."""
    for task in range(first, last):
        begin = task * BLOCK
        count = min(BLOCK, size - begin)
        total = d[begin : begin + count]
        if start:
            total[:] = 0
        for t in range(tiles):
            tile = x[t * size + begin : t * size + begin + count]
            factor = z[t * size + begin : t * size + begin + count]
            for j in range(count // 2):
                a, b, u, v = tile[2 * j], tile[2 * j + 1], factor[2 * j], factor[2 * j + 1]
                total[2 * j] += a * u + b * v
                total[2 * j + 1] += b * u - a * v
