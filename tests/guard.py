"""Memory that ends where a page begins that nobody may touch: a read past the end of an array kills the process."""

import ctypes
import mmap

import numpy as np
import pytest

needs_guard = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mprotect"), reason="needs mprotect")


class Guarded:
    """Copies arrays to memory that ends where a page begins that nobody may touch."""

    def __init__(self):
        self.maps = []

    def __call__(self, array):
        page = mmap.PAGESIZE
        size = -(-array.nbytes // page) * page
        memory = mmap.mmap(-1, size + page)
        self.maps.append(memory)
        start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        if ctypes.CDLL(None).mprotect(ctypes.c_void_p(start + size), page, 0):
            pytest.skip("the platform protects no pages")
        copy = np.frombuffer(memory, array.dtype, array.size, size - array.nbytes).reshape(array.shape)
        copy[...] = array
        return copy
