"""A table of plans that compiled code looks up by the words it asks with, and has performed: without Python, or by it.

Python keeps the table, and adds to it what is asked for first (`fastconv.njit`).
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache

import numpy as np
from numba.core import types

from .jit import c_function
from .words import answer, read

SLOTS = 4096


class Word(IntEnum):
    """The words of a door; what users' compiled code keeps of their order has a version, `njit._requests.VERSION`."""

    FIND = 0
    RUN = 1
    TABLE = 2
    MISS = 3
    PERFORM = 4
    RUNNER = 5


class Entry(IntEnum):
    """The words of a plan."""

    PROGRAM = 0  # its address, 0 for none
    SHAPE = 1  # of the result, five at most
    COUNT = 6  # of the words that were asked with
    KEY = 7  # the first of these


def _find(door, words, count):  # type: ignore[no-untyped-def]
    """The address of the plan for some words; 0 if they were refused."""
    number = np.int64(count)
    for i in range(count):
        number = (number ^ read(words, i)) * np.int64(0x1E3779B97F4A7C15)
        number ^= (number >> 32) & np.int64(0xFFFFFFFF)
    table, slot = read(door, Word.TABLE), number & (SLOTS - 1)
    found = read(table, slot)
    while found != 0:
        if read(found, Entry.COUNT) == count:
            same = 0
            while same < count and read(found, Entry.KEY + same) == read(words, same):
                same += 1
            if same == count:
                return found
        slot = (slot + 1) & (SLOTS - 1)
        found = read(table, slot)
    return answer(read(door, Word.MISS), (words, count, number & (SLOTS - 1)))


def _run(door, found, a, b, c, d):  # type: ignore[no-untyped-def]
    """Perform a plan on operands at these addresses; 0 if that went well.

    Where a program fails, for want of memory, Python tries once more: it can say why.
    """
    program = read(found, Entry.PROGRAM)
    if program != 0 and answer(read(door, Word.RUNNER), (program, a, b, c, d)) == 0:
        return 0
    return answer(read(door, Word.PERFORM), (found, a, b, c, d))


@lru_cache(maxsize=1)
def finder() -> int:
    """The address of `_find`, a C function."""
    return c_function(types.int64(*(types.int64,) * 3), _find).address  # type: ignore[no-any-return]


@lru_cache(maxsize=1)
def performer() -> int:
    """The address of `_run`, a C function."""
    return c_function(types.int64(*(types.int64,) * 6), _run).address  # type: ignore[no-any-return]
