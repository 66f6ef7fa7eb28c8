"""The choice of tiles: by the problem's shape, then by how many blocks the GPU needs."""

import itertools

import pytest

from fastconv.cuda.gemm import tiles

CAPABILITIES = (*tiles.GPUS, (7, 0), (8, 7), (9, 9), (13, 0))


def tensor_tile(*problem):
    """The choice, with stages as the table has them."""
    return tiles.tensor_tile(*problem)._replace(STAGES=3)


def test_tiles_suit_the_channels():
    assert tiles.float_tile((9, 0), 1 << 20, 256, 1, 4) == tiles.TILES[0]
    for channels, width in ((1, 16), (16, 16), (17, 32), (33, 64), (64, 64), (65, 128), (1000, 128)):
        assert width == tiles.float_tile((9, 0), 1 << 20, channels, 1, 4).BN
        assert tiles.float_tile((9, 0), 1 << 20, channels, 1, 8) == tiles.TILES[4 if channels <= 16 else 2]
    for channels, width in ((1, 32), (32, 32), (33, 64), (64, 64), (65, 128), (1000, 128)):
        assert width == tiles.tensor_tile((9, 0), 1 << 20, channels, 1).BN


def test_small_problems_get_smaller_tiles():
    assert tiles.float_tile((9, 0), 196, 512, 1, 4).BM == 64
    assert tensor_tile((9, 0), 196, 512, 1) == tiles.TENSOR_TILES[2]
    assert tiles.float_tile((9, 0), 196, 512, 100, 4) == tiles.TILES[0]  # groups are blocks too


def test_larger_gpus_need_more_blocks():
    """200 blocks of the largest tile: enough for 84 multiprocessors, not for 132."""
    rows = 100 * 128
    assert tiles.float_tile((8, 6), rows, 256, 1, 4) == tiles.TILES[0]
    assert tiles.float_tile((9, 0), rows, 256, 1, 4) != tiles.TILES[0]
    assert tensor_tile((8, 6), rows, 256, 1) == tiles.TENSOR_TILES[0]
    assert tensor_tile((9, 0), rows, 256, 1) != tiles.TENSOR_TILES[0]


@pytest.mark.parametrize(
    "capability, blocks", [((7, 5), 144), ((7, 0), 144), ((8, 0), 216), ((8, 7), 168), ((9, 0), 264), ((13, 0), 376)]
)
def test_unknown_architectures_count_as_the_one_before(capability, blocks):
    assert tiles.enough_blocks(capability) == blocks


@pytest.mark.parametrize("capability", CAPABILITIES, ids=str)
def test_every_choice_is_the_largest_that_fills_or_the_smallest(capability):
    enough = tiles.enough_blocks(capability)
    for rows, channels, groups in itertools.product((1, 130, 5000, 10**6), (1, 40, 70, 300), (1, 16)):
        for chosen, table in (
            (tiles.float_tile(capability, rows, channels, groups, 4), tiles.TILES),
            (tensor_tile(capability, rows, channels, groups), tiles.TENSOR_TILES),
        ):
            assert chosen in table

            def blocks(tile, rows=rows, channels=channels, groups=groups):
                return -(-rows // tile.BM) * -(-channels // tile.BN) * groups

            larger = [t for t in table if t.BM * t.BN > chosen.BM * chosen.BN and 64 <= t.BN <= chosen.BN]
            assert all(blocks(t) < enough for t in larger)


def test_the_order_of_sums_does_not_depend_on_the_tile():
    assert len({tile.BK for tile in tiles.TILES}) == 1


# --- limits of an architecture


@pytest.mark.parametrize(
    "capability, threads, registers, shared, blocks",
    [
        ((9, 0), 256, 128, 64 << 10, 2),  # registers
        ((9, 0), 256, 64, 64 << 10, 3),  # shared memory: 228 KB of 65 each
        ((9, 0), 256, 32, 0, 8),  # threads
        ((9, 0), 256, 129, 0, 1),  # registers are given eight to a thread
        ((8, 6), 256, 64, 48 << 10, 2),
        ((8, 6), 256, 64, 64 << 10, 1),
        ((8, 6), 256, 64, 100 << 10, 0),  # a block may have 99
        ((7, 5), 512, 32, 0, 2),
    ],
)
def test_blocks_that_a_multiprocessor_holds(capability, threads, registers, shared, blocks):
    assert tiles.resident_blocks(capability, threads, registers, shared) == blocks


@pytest.mark.parametrize("capability", [c for c in tiles.GPUS if c >= (8, 0)], ids=str)
def test_every_tensor_tile_is_within_its_architecture(capability):
    """Registers as the compiler is told to keep them, threads, shared memory: as many blocks fit as it is told."""
    for rows, channels, groups in itertools.product((1, 130, 5000, 10**6), (1, 40, 70, 300), (1, 16)):
        for tile in (
            tiles.tensor_tile(capability, rows, channels, groups),
            tiles.weights_tile(capability, rows, channels),
        ):
            blocks = tiles.resident(tile.threads, False)
            registers = min(255, tiles.REGISTERS // (blocks * tile.threads))
            assert registers >= 128 and tile.threads <= 1024
            assert tiles.resident_blocks(capability, tile.threads, registers, tile.shared) >= tiles.RESIDENT


@pytest.mark.parametrize("capability", tiles.GPUS, ids=str)
@pytest.mark.parametrize("itemsize", [4, 8])
def test_every_tile_without_tensor_cores_is_within_its_architecture(capability, itemsize):
    """Two buffers of both factors, their rows four longer than needed, are static: 48 KB at most."""
    for rows, channels, groups in itertools.product((1, 130, 5000, 10**6), (1, 40, 70, 300), (1, 16)):
        tile = tiles.float_tile(capability, rows, channels, groups, itemsize)
        shared = 2 * tile.BK * (tile.BM + 4 + tile.BN + 4) * itemsize
        blocks = tiles.float_resident(capability, tile, False)
        registers = min(255, tiles.REGISTERS // (blocks * tile.threads))
        assert shared <= 48 << 10 and tile.threads <= 1024
        assert registers >= (255 if capability >= (10, 0) and tile.TM * tile.TN > 32 else 128)
        assert tiles.resident_blocks(capability, tile.threads, registers, shared) >= min(blocks, tiles.RESIDENT)


def test_stages_follow_shared_memory():
    stages = {capability: tiles.tensor_tile(capability, 10**6, 300, 1).STAGES for capability in tiles.GPUS}
    assert stages == {(7, 5): 3, (8, 0): 4, (8, 6): 3, (8, 9): 3, (9, 0): 4, (10, 0): 4, (12, 0): 3}


def test_tiles_of_weight_gradients_depend_on_the_problem_alone():
    for rows, channels in itertools.product((1, 27, 64, 147, 576, 4608), (1, 17, 33, 64, 96, 512)):
        assert (
            len({tiles.weights_tile(capability, rows, channels)._replace(STAGES=3) for capability in CAPABILITIES}) == 1
        )
    shapes = {
        (576, 64): (128, 64),
        (64, 64): (64, 64),
        (4608, 512): (128, 128),
        (147, 32): (128, 32),
        (64, 96): (64, 64),
    }
    for problem, (BM, BN) in shapes.items():
        tile = tiles.weights_tile((9, 0), *problem)
        assert (tile.BM, tile.BN) == (BM, BN), problem
