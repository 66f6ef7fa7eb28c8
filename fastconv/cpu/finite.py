"""Whether an array holds NaN or Inf, at the speed of reading it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..simd.jit import parallel_kernel
from ..threads import team

BLOCK = 1 << 15  # elements of one task
EXPONENT: dict[int, Any] = {4: np.uint32(0x7F800000), 8: np.uint64(0x7FF0000000000000)}


def is_finite(x: np.ndarray) -> bool:
    """True where no element of a C-contiguous float array is NaN or Inf: those have all bits of the exponent set."""
    mask = EXPONENT[x.itemsize]
    bits = x.reshape(-1).view(mask.dtype)
    tasks = -(-bits.size // BLOCK)
    members = team(tasks, bits.size)
    largest = np.zeros(members, mask.dtype)
    _largest_exponent(members, tasks, bits, mask, largest)
    return bool(largest.max() < mask)


@parallel_kernel
def _largest_exponent(thread, first, last, bits, mask, largest):
    """Each task: the largest exponent of a block; largest[thread] over all its tasks."""
    for task in range(first, last):
        block = bits[task * BLOCK : min(bits.size, (task + 1) * BLOCK)]
        most = largest[thread]
        for i in range(block.size):
            most = max(most, block[i] & mask)
        largest[thread] = most
