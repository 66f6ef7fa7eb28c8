"""Networks of comparators that select one rank, made of sorting networks without what that rank does not need.

Batcher's merge exchange sorts any number of elements (Knuth, The Art of Computer Programming, volume 3, 5.2.2,
algorithm M). Going through it backwards from the wanted element, a comparator of which one result is needed is a
minimum or a maximum, and one of which none is needed is left out.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

BOTH, LOW, HIGH = range(3)


@lru_cache(maxsize=64)
def selection(count: int, rank: int) -> tuple[tuple[int, int, int], ...]:
    """Comparators (a, b, what), in order: BOTH puts the smaller to a and the larger to b, LOW and HIGH do one of these.

    Behind them, element `rank` is the one of that rank.

    Examples
    --------
    >>> selection(3, 1)
    ((0, 2, 0), (0, 1, 2), (1, 2, 1))
    """
    needed, kept = {rank}, []
    for a, b in reversed(_merge_exchange(count)):
        if a in needed or b in needed:
            kept.append((a, b, BOTH if a in needed and b in needed else LOW if a in needed else HIGH))
            needed |= {a, b}
    return tuple(reversed(kept))


def _merge_exchange(count: int) -> list[tuple[int, int]]:
    pairs = []
    top = 1 << max(0, (count - 1).bit_length() - 1)
    p = top if count > 1 else 0
    while p > 0:
        q, r, d = top, 0, p
        while True:
            pairs += [(i, i + d) for i in range(count - d) if i & p == r]
            if q == p:
                break
            d, q, r = q - p, q // 2, p
        p //= 2
    return pairs


@lru_cache(maxsize=64)
def selection_table(count: int, rank: int) -> np.ndarray:
    """`selection` as int64 triples in a row."""
    table = np.array(selection(count, rank), np.int64).reshape(-1)
    table.setflags(write=False)
    return table
