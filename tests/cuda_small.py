"""Small blocks for kernels that training needs, so that the simulator is done with them soon."""

import pytest
from cudasim import Executor

from fastconv.cuda import backend, channels, rows
from fastconv.cuda.gemm import tiles
from fastconv.ops import to_device

TILE = tiles.Tile(8, 8, 4, 2, 2)


def shrink(monkeypatch):
    """Blocks of 16 and 8 threads, and a small tile."""
    monkeypatch.setattr(channels, "THREADS", 16)
    monkeypatch.setattr(rows, "THREADS", 8)
    monkeypatch.setattr(tiles, "TILES", (TILE,))


@pytest.fixture
def simulator(monkeypatch):
    """Kernels run in the simulator, in small blocks."""
    shrink(monkeypatch)
    with backend.run_on(Executor()) as executor:
        yield executor


def carried(*arrays):
    """The arrays on the device."""
    return [to_device(a) for a in arrays]
