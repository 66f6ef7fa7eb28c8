"""Memory beside a page that nobody may touch: a read past the end, or before the start, kills the process."""

import ctypes
import mmap

import numpy as np
import pytest

needs_guard = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mprotect"), reason="needs mprotect")


class Guarded:
    """Copies arrays to memory that ends where such a page begins, or begins where it ends."""

    def __init__(self, behind=True):
        self.behind, self.maps = behind, []

    def __call__(self, array):
        page = mmap.PAGESIZE
        size = max(1, -(-array.nbytes // page)) * page
        memory = mmap.mmap(-1, size + page)
        self.maps.append(memory)
        start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        if ctypes.CDLL(None).mprotect(ctypes.c_void_p(start + size * self.behind), page, 0):
            pytest.skip("the platform protects no pages")
        copy = np.frombuffer(memory, array.dtype, array.size, size - array.nbytes if self.behind else page).reshape(
            array.shape
        )
        copy[...] = array
        return copy
