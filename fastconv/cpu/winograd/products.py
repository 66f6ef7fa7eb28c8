"""The matrix products of Winograd's method, one for each frequency, by the micro-kernel.

All frequencies are one call: sums over few channels are so short that a call for each product would take a fifth of it.
"""

from __future__ import annotations

from typing import Any

from numba.core import cgutils

from ...simd.emit import I64, Emitter
from ...simd.family import Family
from ...simd.host import TILE_VECTORS, tile_rows
from ...simd.jit import kernel
from ...simd.microkernel import TILES
from ...simd.vector import lanes_of

TILE_ROWS = tile_rows()
PLANES = Family(
    "winograd_products",
    "frequencies depth a a_plane a_row a_step b b_plane b_step c c_plane c_row columns start tiles",
    elements="a b c",
    rows=range(1, TILE_ROWS + 1),
    vectors=range(1, TILE_VECTORS + 1),
)
products_address = PLANES.address


@PLANES.member
def _planes(emit: Emitter, arg: Any, rows: int, vectors: int) -> None:
    """For each frequency the tiles of the micro-kernel, one above the other."""
    nothing = cgutils.alloca_once_value(emit.builder, I64(0))  # the table of offsets of a sum with one term

    def plane(_: Any, a: Any, b: Any, c: Any) -> None:
        tiles = TILES.arguments(
            terms=I64(1), aoff=nothing, boff=nothing, depth=arg.depth, a=a, a_row=arg.a_row, a_step=arg.a_step,
            b=b, b_step=arg.b_step, c=c, c_row=arg.c_row, columns=arg.columns, start=arg.start, bias=c, relu=I64(0),
            tiles=arg.tiles,
        )  # fmt: skip
        TILES.emit(emit, tiles, rows, vectors)

    along = [(arg.a, arg.a_plane), (arg.b, arg.b_plane), (arg.c, arg.c_plane)]
    emit.repeat(arg.frequencies, [], plane, along)


@PLANES.caller
def _multiply_tiles(
    address, rows, vectors, frequencies, depth, a, a0, a_plane, a_row, a_step, b, b0, b_plane, b_step,
    c, c0, c_plane, c_row, columns, start, tiles,
):  # fmt: skip
    """`tiles` tiles of `rows` rows of each product; `multiply_planes` has the other arguments."""


@kernel
def multiply_planes(
    address, frequencies, rows, columns, depth, a, a0, a_plane, a_row, a_step, b, b0, b_plane, b_step, p, p0, p_plane,
    lanes, start,
):  # fmt: skip
    """P[f] (+)= A[f] @ B[f] for all frequencies f: `rows` rows, one panel, of which `columns` or all are wanted."""
    vectors = 1 if columns <= lanes_of(a) else 2
    tiles = -(-rows // TILE_ROWS)
    height, taller = rows // tiles, rows % tiles
    for row, size, count in ((0, height + 1, taller), (taller * (height + 1), height, tiles - taller)):
        if count:
            _multiply_tiles(
                address, size, vectors, frequencies, depth, a, a0 + row * a_row, a_plane, a_row, a_step,
                b, b0, b_plane, b_step, p, p0 + row * lanes, p_plane, lanes, columns, start, count,
            )  # fmt: skip
