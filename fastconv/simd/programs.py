"""What a call does to its arrays, noted down once as a program that compiled code runs on other arrays, without Python.

A call of an operator works out how its problem is cut, gets scratch, and starts kernels: for the same problem always
the same ones, with the same numbers and tables. `record` has a call made twice, on arrays of different content, while
kernels are noted down and not run (`parallel.recording`), and keeps the words of their arguments (`simd.words`). It
trusts no call to be like that:

* an array must lie in one of the operands or in scratch, or be the same table at the same address both times;
* all numbers must be the same both times;
* neither operands nor scratch may have been written to, as NumPy's functions would.

Otherwise there is no program, and the call has to go through Python each time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba.core import types

from ..memory import ALIGNMENT, LENT, Pool, noting_scratch
from ..threads import Alone
from .jit import c_function
from .parallel import recording
from .words import answer, read, words_of, write

OPERANDS = 4  # at most
OWN = OPERANDS + 1  # the base of scratch; the bases themselves lie on the cache line before it

Operand = tuple[tuple[int, ...], np.dtype]


class Program(NamedTuple):
    """Words: the number of steps, bytes of scratch, then of each step how many words it has, its function and those."""

    words: np.ndarray
    tables: list[np.ndarray]  # that the words point to

    @property
    def nbytes(self) -> int:
        """Bytes that it holds on to."""
        return self.words.nbytes + sum({id(table): table.nbytes for table in self.tables}.values())


def record(call: Callable[..., None], operands: Sequence[Operand | None]) -> Program | None:
    """The program of ``call(*arrays)`` for arrays of these shapes and dtypes; None if it has none."""
    first, second = _Call(operands, 0), _Call(operands, 255)
    first.make(call)
    second.make(call)  # while the first still has its arrays: what is made anew lies elsewhere
    words = first.words()
    return Program(np.array(words, np.int64), first.tables) if words and words == second.words() else None


class _Call:
    """A call on arrays whose bytes all have one value, and the kernels that it would have run."""

    def __init__(self, operands: Sequence[Operand | None], content: int) -> None:
        self.operands, self.content = [None if o is None else _filled(*o, content) for o in operands], content
        self.steps: list[tuple[Any, int, tuple[Any, ...]]] = []
        self.lent: list[np.ndarray] = []
        self.tables: list[np.ndarray] = []

    def make(self, call: Callable[..., None]) -> None:
        with recording.set(steps=self.steps), noting_scratch(self.lent), Alone():
            call(*self.operands)

    def words(self) -> list[int]:
        """The words of a program; none where an operand was written to, or a kernel takes what has no words."""
        contents = [(a, self.content) for a in self.operands if a is not None] + [(a, LENT) for a in self.lent]
        if any((_bytes(a) != content).any() for a, content in contents):
            return []
        spans, size = [(_address(a), a.nbytes, base, 0) for base, a in enumerate(self.operands, 1) if a is not None], 0
        for a in self.lent:
            spans.append((_address(a), a.nbytes, OWN, size))
            size += -(-a.nbytes // ALIGNMENT) * ALIGNMENT

        def place(array: np.ndarray) -> tuple[int, int]:
            address = _address(array)
            if not array.nbytes:
                return 0, 0
            for start, length, base, offset in spans:
                if start <= address and address + array.nbytes <= start + length:
                    return base, address - start + offset
            self.tables.append(array)
            return 0, address

        words = [len(self.steps), size]
        for kernel, tasks, args in self.steps:
            try:
                own = [kernel.reads_words(args), kernel.address(args), tasks, *words_of(args, place)]
            except TypeError:
                return []
            words += [len(own), *own]
        return words


def _filled(shape: tuple[int, ...], dtype: np.dtype, content: int) -> np.ndarray:
    """An operand, aligned as results are."""
    array = Pool().empty(shape, dtype)
    _bytes(array)[:] = content
    return array


def _bytes(array: np.ndarray) -> np.ndarray:
    return array.reshape(-1).view(np.uint8)


def _address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]  # type: ignore[no-any-return]


def _run(program, a, b, c, d):  # type: ignore[no-untyped-def]
    """Run a program on operands at these addresses; returns Numba's code of what a kernel raised, or 0."""
    memory = np.empty(read(program, 1) + 2 * ALIGNMENT, np.uint8)
    start = memory.ctypes.data
    start += -start % ALIGNMENT
    write(start, 0, 0)
    write(start, 1, a)
    write(start, 2, b)
    write(start, 3, c)
    write(start, 4, d)
    write(start, OWN, start + ALIGNMENT)
    at, code = program + 16, 0
    for _ in range(read(program, 0)):
        if code == 0:
            code = answer(read(at, 1), (at + 16, start))
        at += 8 * (1 + read(at, 0))
    return code if memory.size else 0  # Numba frees an array after its last use: the address alone is none


@lru_cache(maxsize=1)
def runner() -> int:
    """The address of `_run`, a C function that serves all programs."""
    return c_function(types.int64(*(types.int64,) * (1 + OPERANDS)), _run).address  # type: ignore[no-any-return]
