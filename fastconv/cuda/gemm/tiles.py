"""Which tiles a GEMM is cut into: pure functions of the GPU's compute capability and the problem's shape.

The rule is the same everywhere: the largest tile that the problem's channels fill and that leaves enough blocks for the
GPU; large tiles read less, many blocks keep all multiprocessors busy. What differs is how many blocks are enough. The
numbers follow from the data sheets; nothing here has been timed yet (docs/gpu holds what has).
"""

from __future__ import annotations

from typing import NamedTuple

from ..ptx import WARP

RUN = 4  # elements of a 16-byte load in float32
STEP = 16  # of a step on tensor cores, 32 bits each
Capability = tuple[int, int]


class Tile(NamedTuple):
    """Pixels, channels and columns of a block's tile; pixels and channels of a thread's."""

    BM: int
    BN: int
    BK: int
    TM: int
    TN: int

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return self.BM // self.TM * (self.BN // self.TN)

    @property
    def VM(self) -> int:
        """Pixels of a run: a thread's TM pixels lie in runs that one 16-byte load fetches."""
        return min(self.TM, RUN)

    @property
    def VN(self) -> int:
        """Channels of a run."""
        return min(self.TN, RUN)

    @property
    def SM(self) -> int:
        """From one of a thread's runs of pixels to the next: as far as the block's threads need."""
        return self.BM // self.TM * self.VM

    @property
    def SN(self) -> int:
        """From one of a thread's runs of channels to the next."""
        return self.BN // self.TN * self.VN


class TensorTile(NamedTuple):
    """Pixels and channels of a block's tile, warps along both, and the steps it holds in shared memory."""

    BM: int
    BN: int
    WM: int
    WN: int
    STAGES: int = 3

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return WARP * self.WM * self.WN

    @property
    def MT(self) -> int:
        """Fragments of 16 pixels of a warp."""
        return self.BM // self.WM // 16

    @property
    def NT(self) -> int:
        """Fragments of 8 channels of a warp, an even number."""
        return self.BN // self.WN // 8

    @property
    def shared(self) -> int:
        """Bytes of shared memory."""
        return self.STAGES * (self.BM + self.BN) * STEP * 4


#: Tiles for float32 from the largest; each thread of the first two has 64 accumulators, of the others 32 or 16.
TILES = (
    Tile(128, 128, 8, 8, 8),
    Tile(128, 64, 8, 8, 4),
    Tile(64, 64, 8, 4, 4),
    Tile(128, 32, 8, 8, 4),
    Tile(128, 16, 8, 4, 4),
)
#: Tiles for tensor cores; a lane of the first keeps 64 sums, of the others 32.
TENSOR_TILES = (
    TensorTile(128, 128, 2, 4),
    TensorTile(128, 64, 4, 2),
    TensorTile(64, 64, 2, 2),
    TensorTile(128, 32, 4, 1),
)


class Gpu(NamedTuple):
    """The largest GPU of an architecture: multiprocessors, threads and KB of shared memory of one, KB of a block."""

    multiprocessors: int
    threads: int
    shared: int
    block: int


#: From the data sheets and the programming guide's table of compute capabilities.
GPUS: dict[Capability, Gpu] = {
    (7, 5): Gpu(72, 1024, 64, 64),
    (8, 0): Gpu(108, 2048, 164, 163),
    (8, 6): Gpu(84, 1536, 100, 99),
    (8, 9): Gpu(142, 1536, 100, 99),
    (9, 0): Gpu(132, 2048, 228, 227),
    (10, 0): Gpu(148, 2048, 228, 227),
    (12, 0): Gpu(188, 1536, 100, 99),
}
#: Stands for any GPU where a result's bits depend on the tiles, which must not differ from GPU to GPU.
REFERENCE: Capability = (9, 0)
RESIDENT = 2  # blocks that a multiprocessor holds of the largest tile
LEAST_STEPS = 16  # of a part of a sum: below, filling the pipeline and adding parts take more than they save
MOST_STAGES = 4  # more steps in flight hide no more: the latency of memory is about two steps of a full block
REGISTERS = 65536  # of a multiprocessor, on every architecture since sm_30
SYSTEM_SHARED = 1  # KB of a block's shared memory that the system takes


def gpu(capability: Capability) -> Gpu:
    """The limits of an architecture; one that is not in the table counts as the one before it."""
    known = [since for since in GPUS if since <= capability]
    return GPUS[max(known, default=min(GPUS))]


def enough_blocks(capability: Capability) -> int:
    """Blocks that keep a GPU busy."""
    return RESIDENT * gpu(capability).multiprocessors


def resident_blocks(capability: Capability, threads: int, registers: int, shared: int) -> int:
    """How many blocks a multiprocessor holds at a time.

    Parameters
    ----------
    threads, registers, shared : int
        Threads of a block, registers of a thread, bytes of a block's shared memory.
    """
    limits = gpu(capability)
    if shared > limits.block << 10:
        return 0
    of_a_warp = -(-registers * 32 // 256) * 256  # registers are given to warps, 256 at a time
    return min(
        limits.threads // threads,
        REGISTERS // (of_a_warp * -(-threads // 32)),
        (limits.shared << 10) // (shared + (SYSTEM_SHARED << 10)),
    )


def resident(threads: int, wide: bool) -> int:
    """Blocks to ask the compiler for: 512 threads leave each 128 registers, enough unless indices are wide."""
    return 1 if wide else max(1, 512 // threads)


def float_resident(capability: Capability, tile: Tile, wide: bool) -> int:
    """`resident` without tensor cores: for sm_100 and later NVVM needs 139 registers where a thread keeps 64 sums."""
    many = tile.TM * tile.TN > 32 and capability >= (10, 0)
    return resident(tile.threads, wide or many)


def float_tile(capability: Capability, rows: int, channels: int, groups: int, itemsize: int) -> Tile:
    """The tile for a GEMM of `rows` x `channels` per group; all have the same BK, so the order of sums is the same too.

    It is as wide as the channels, or at least 64; float64 has room for 16 accumulators.
    """
    fitting = [tile for tile in TILES if itemsize == 4 or tile.TM * tile.TN <= 16] or list(TILES)
    widths = sorted({tile.BN for tile in fitting})
    width = next((width for width in widths if channels <= width), widths[-1])
    wide = [tile for tile in fitting if tile.BN in {width, min(64, width)}]
    return next((tile for tile in wide if _fills(capability, tile, rows, channels, groups)), wide[-1])


def tensor_tile(capability: Capability, rows: int, channels: int, groups: int) -> TensorTile:
    """The tile for a GEMM of `rows` x `channels` per group on tensor cores."""
    narrowest = min(TENSOR_TILES, key=lambda tile: tile.BN)
    if channels <= narrowest.BN:
        return _with_stages(narrowest, capability)
    width = next((w for w in sorted({tile.BN for tile in TENSOR_TILES}) if channels <= w), 128)
    wide = [tile for tile in TENSOR_TILES if narrowest.BN < tile.BN <= width] or [narrowest]
    tile = next((tile for tile in wide if _fills(capability, tile, rows, channels, groups)), wide[-1])
    return _with_stages(tile, capability)


def weights_tile(capability: Capability, rows: int, channels: int) -> TensorTile:
    """The tile for a weight gradient of `rows` x `channels` per group on tensor cores.

    The largest of those that compute at most a quarter more than the one that fits best. Only its stages follow from
    the GPU: they do not change the order of sums, as the tile, and the parts that follow from it, would.
    """

    def computed(tile: TensorTile) -> int:
        return -(-rows // tile.BM) * tile.BM * -(-channels // tile.BN) * tile.BN

    least = min(map(computed, TENSOR_TILES))
    return _with_stages(next(tile for tile in TENSOR_TILES if 4 * computed(tile) <= 5 * least), capability)


def split_parts(rows: int, channels: int, groups: int, steps: int) -> int:
    """How many parts the sums of a GEMM of `rows` x `channels` per group are cut into.

    As many as give each multiprocessor its blocks of the smallest tile, each of `LEAST_STEPS` steps at least. It must
    not depend on the GPU, for results would.
    """
    blocks = -(-rows // 64) * -(-channels // 64) * groups
    return max(1, min(enough_blocks(REFERENCE) // blocks, steps // LEAST_STEPS))


def _with_stages(tile: TensorTile, capability: Capability) -> TensorTile:
    """The tile with as many stages as leave room for the blocks whose registers have it."""
    for stages in range(MOST_STAGES, tile.STAGES, -1):
        deeper = tile._replace(STAGES=stages)
        blocks = resident(tile.threads, False)
        if resident_blocks(capability, tile.threads, 128, deeper.shared) >= blocks:
            return deeper
    return tile


def _fills(capability: Capability, tile: Tile | TensorTile, rows: int, channels: int, groups: int) -> bool:
    return -(-rows // tile.BM) * -(-channels // tile.BN) * groups >= enough_blocks(capability)
