"""Which tiles a GEMM is cut into: pure functions of the GPU's compute capability and the problem's shape.

The rule is the same everywhere: the largest tile that the problem's channels fill and that leaves enough blocks for the
GPU; large tiles read less, many blocks keep all multiprocessors busy. What differs is how many blocks are enough. The
numbers follow from the data sheets; nothing here has been timed yet (docs/gpu holds what has).
"""

from __future__ import annotations

from . import gemm, gemm_tensor

Capability = tuple[int, int]

#: Tiles for float32 from the largest; each thread of the first two has 64 accumulators, of the others 32 or 16.
TILES = (
    gemm.Tile(128, 128, 8, 8, 8),
    gemm.Tile(128, 64, 8, 8, 4),
    gemm.Tile(64, 64, 8, 4, 4),
    gemm.Tile(128, 32, 8, 8, 4),
    gemm.Tile(128, 16, 8, 4, 4),
)
#: Tiles for tensor cores; a lane of the first keeps 64 sums, of the others 32.
TENSOR_TILES = (
    gemm_tensor.Tile(128, 128, 2, 4),
    gemm_tensor.Tile(128, 64, 4, 2),
    gemm_tensor.Tile(64, 64, 2, 2),
    gemm_tensor.Tile(128, 32, 4, 1),
)
#: Multiprocessors of the largest GPU of an architecture, from the data sheets.
MULTIPROCESSORS: dict[Capability, int] = {
    (7, 5): 72,
    (8, 0): 108,
    (8, 6): 84,
    (8, 9): 142,
    (9, 0): 132,
    (10, 0): 148,
    (12, 0): 188,
}
#: Stands for any GPU where a result's bits depend on the tiles, which must not differ from GPU to GPU.
REFERENCE: Capability = (9, 0)
RESIDENT = 2  # blocks that a multiprocessor holds of the largest tile


def enough_blocks(capability: Capability) -> int:
    """Blocks that keep a GPU busy; an architecture that is not in the table counts as the one before it."""
    known = [since for since in MULTIPROCESSORS if since <= capability]
    return RESIDENT * MULTIPROCESSORS[max(known, default=min(MULTIPROCESSORS))]


def float_tile(capability: Capability, rows: int, channels: int, groups: int, itemsize: int) -> gemm.Tile:
    """The tile for a GEMM of `rows` x `channels` per group; all have the same BK, so the order of sums is the same too.

    It is as wide as the channels, or at least 64; float64 has room for 16 accumulators.
    """
    fitting = [tile for tile in TILES if itemsize == 4 or tile.TM * tile.TN <= 16] or list(TILES)
    widths = sorted({tile.BN for tile in fitting})
    width = next((width for width in widths if channels <= width), widths[-1])
    wide = [tile for tile in fitting if tile.BN in {width, min(64, width)}]
    return next((tile for tile in wide if _fills(capability, tile, rows, channels, groups)), wide[-1])


def tensor_tile(capability: Capability, rows: int, channels: int, groups: int) -> gemm_tensor.Tile:
    """The tile for a GEMM of `rows` x `channels` per group on tensor cores."""
    narrowest = min(TENSOR_TILES, key=lambda tile: tile.BN)
    if channels <= narrowest.BN:
        return narrowest
    width = next((w for w in sorted({tile.BN for tile in TENSOR_TILES}) if channels <= w), 128)
    wide = [tile for tile in TENSOR_TILES if narrowest.BN < tile.BN <= width] or [narrowest]
    return next((tile for tile in wide if _fills(capability, tile, rows, channels, groups)), wide[-1])


def _fills(capability: Capability, tile: gemm.Tile | gemm_tensor.Tile, rows: int, channels: int, groups: int) -> bool:
    return -(-rows // tile.BM) * -(-channels // tile.BN) * groups >= enough_blocks(capability)
