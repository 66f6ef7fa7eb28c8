"""Whether arrays hold the same bits (twin: none; what asks lies on the host)."""

from __future__ import annotations

import numpy as np

from ..simd.parallel import parallel_kernel
from ..threads import team

BLOCK = 1 << 16  # bytes of one task


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two C-contiguous arrays of one size in bytes are the same, byte by byte: NaN is itself, -0.0 is not 0."""
    a, b = a.reshape(-1).view(np.uint8), b.reshape(-1).view(np.uint8)
    tasks = -(-a.size // BLOCK)
    members = team(tasks, a.size)
    differ = np.zeros(members, np.uint8)
    _differ(members, tasks, a, b, differ)
    return not any(differ.tolist())


@parallel_kernel
def _differ(thread, first, last, a, b, found):
    """found[thread] becomes something else than 0 where one of its blocks differs; it looks at no more then."""
    for task in range(first, last):
        if found[thread] == 0:
            p, q = a[task * BLOCK : (task + 1) * BLOCK], b[task * BLOCK : (task + 1) * BLOCK]
            different = found[thread]
            for i in range(p.size):
                different |= p[i] ^ q[i]
            found[thread] = different
