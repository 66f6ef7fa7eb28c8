"""The matrix products of Winograd's method, one for each frequency, by the micro-kernel."""

from __future__ import annotations

import numpy as np

from ...simd.host import tile_rows
from ...simd.jit import kernel
from ...simd.microkernel import multiply_tile
from ...simd.vector import lanes_of

TILE_ROWS = tile_rows()
ONE_TERM = np.zeros(1, np.int64)  # the table of offsets of a sum with one term


@kernel
def multiply_planes(
    tile, frequencies, rows, columns, depth, a, a0, a_plane, a_row, a_step, b, b0, b_plane, b_step, p, p0, p_plane,
    lanes, start,
):  # fmt: skip
    """P[f] (+)= A[f] @ B[f] for all frequencies f: `rows` rows, one panel, of which `columns` or all are wanted."""
    vectors = 1 if columns <= lanes_of(a) else 2
    parts = -(-rows // TILE_ROWS)
    for f in range(frequencies):
        for j in range(parts):
            row, end = rows * j // parts, rows * (j + 1) // parts
            multiply_tile(
                tile, end - row, vectors, 1, ONE_TERM, 0, ONE_TERM, 0, depth,
                a, a0 + f * a_plane + row * a_row, a_row, a_step, b, b0 + f * b_plane, b_step,
                p, p0 + f * p_plane + row * lanes, lanes, lanes, start, p, 0, False,
            )  # fmt: skip
