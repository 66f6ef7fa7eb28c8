"""What a call does to its arrays, noted down once as a program that compiled code runs on other arrays, without Python.

A call of an operator works out how its problem is cut, gets scratch, and starts kernels: for the same problem always
the same ones, with the same numbers and tables. `record` has a call made three times, on arrays of different content,
while kernels are noted down and not run (`parallel.recording`), and keeps the words of their arguments (`simd.words`).
It trusts no call to be like that:

* an array must lie in one of the operands or in scratch, or be the same table at the same address each time;
* all numbers must be the same each time;
* neither operands nor scratch may have been written to, as NumPy's functions would: their bytes differ, so that no
  function of NumPy finds them as it leaves them three times.

Otherwise there is no program, and the call has to go through Python each time. What an operator has to know of its data
is a kernel that raises where its program does not hold (`cpu.magnitude.is_finite`): then, too, the call goes through
Python.

Compiled code runs a program by `runner`, Python by `callable_program`: an object that costs no more than one of
Python's own functions.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba.core import types

from ..memory import ALIGNMENT, Pool, noting_scratch
from ..threads import Alone, threads
from .jit import c_function
from .parallel import Shared, recording
from .words import answer, read, words_of, write

OPERANDS = 4  # at most
OWN = OPERANDS + 1  # the base of scratch; the bases themselves lie on the cache line before it
#: The bytes of the first operand, how they differ from one operand to the next, and those of scratch: small numbers,
#: large ones the other way round, NaN.
CONTENTS = ((0, 1, 165), (99, -1, 126), (255, 0, 165))

Operand = tuple[tuple[int, ...], np.dtype]


class Program(NamedTuple):
    """Words: the number of steps, bytes of scratch, then of each step how many words it has, its function and those."""

    words: np.ndarray
    tables: list[np.ndarray]  # that the words point to

    @property
    def nbytes(self) -> int:
        """Bytes that it holds on to."""
        return self.words.nbytes + sum({id(table): table.nbytes for table in self.tables}.values())


def record(call: Callable[..., None], operands: Sequence[Operand | None], *, alone: bool = True) -> Program | None:
    """The program of ``call(*arrays)`` for arrays of these shapes and dtypes; None if it has none.

    With ``alone=False`` neither has a call that takes several threads where there are some.
    """
    made = []  # each keeps its arrays while the next are made, which so lie elsewhere
    for content in CONTENTS:
        made.append(_Call(operands, *content))
        try:
            made[-1].make(call, alone)
        except Shared:
            return None
    words, *others = [each.words() for each in made]
    if not made[0].steps or not words or any(words != other for other in others):
        return None
    return Program(np.array(words, np.int64), made[0].tables)


class _Call:
    """A call on arrays whose bytes all have one value, and the kernels that it would have run."""

    def __init__(self, operands: Sequence[Operand | None], content: int, step: int, lent: int) -> None:
        self.operands = [None if o is None else _filled(*o, content + i * step) for i, o in enumerate(operands)]
        self.contents, self.scratch = [content + i * step for i in range(len(operands))], lent
        self.steps: list[tuple[Any, int, tuple[Any, ...]]] = []
        self.lent: list[np.ndarray] = []
        self.tables: list[np.ndarray] = []

    def make(self, call: Callable[..., None], alone: bool) -> None:
        with (
            recording.set(steps=self.steps),
            noting_scratch(self.lent, self.scratch),
            Alone() if alone else threads(2),
            np.errstate(all="ignore"),  # of functions of NumPy, for which there is no program
        ):
            call(*self.operands)

    def words(self) -> list[int]:
        """The words of a program; none where an operand was written to, or a kernel takes what has no words."""
        contents = [*zip(self.operands, self.contents, strict=True), *((a, self.scratch) for a in self.lent)]
        if any((_bytes(a) != content).any() for a, content in contents if a is not None):
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


_alive: list[Any] = []  # what addresses are of: two threads may make the same at once, and each go on with its own


@lru_cache(maxsize=1)
def runner() -> int:
    """The address of `_run`, a C function that serves all programs."""
    function = c_function(types.int64(*(types.int64,) * (1 + OPERANDS)), _run)
    _alive.append(function)
    return function.address  # type: ignore[no-any-return]


def _call(program, arguments, count):  # type: ignore[no-untyped-def]
    """`_run` for Python, as its functions of C are called: an array of words, and an array of four arrays."""
    words = read(program + HEADER, 0)
    a, b, c, d = read(arguments, 0), read(arguments, 1), read(arguments, 2), read(arguments, 3)
    a, b, c, d = read(a + HEADER, 0), read(b + HEADER, 0), read(c + HEADER, 0), read(d + HEADER, 0)
    return answer(read(words, 1), (answer(read(words, 0), (words + 16, a, b, c, d)),))


HEADER = 16  # bytes of an object of Python; behind them an array of NumPy keeps its address, which is part of its ABI
FASTCALL = 0x80  # METH_FASTCALL


class _Method(ctypes.Structure):
    """PyMethodDef"""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


@lru_cache(maxsize=1)
def _method() -> tuple[_Method, Callable[..., Any], tuple[int, int]] | None:
    """What makes functions of programs, and the addresses that these begin with; None where objects are others."""
    probe = np.zeros(1)
    if object.__basicsize__ != HEADER or ctypes.c_ssize_t.from_address(id(probe) + HEADER).value != _address(probe):
        return None
    new, number = ctypes.pythonapi.PyCFunction_NewEx, ctypes.pythonapi.PyLong_FromLongLong
    new.argtypes, new.restype = (ctypes.POINTER(_Method), ctypes.py_object, ctypes.c_void_p), ctypes.py_object
    called = c_function(types.int64(types.int64, types.int64, types.int64), _call)
    to_number = ctypes.cast(number, ctypes.c_void_p).value or 0
    method = _Method(b"program", called.address, FASTCALL, None)
    _alive.extend((called, method))
    return method, new, (runner(), to_number)


def callable_program(program: Program) -> Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], int] | None:
    """What runs a program on four arrays, any for one that is not there, and returns 0 if it has; None: use Python.

    It trusts the arrays to be those that the program was made for.
    """
    method = _method()
    if method is None:
        return None
    definition, new, addresses = method
    words = np.concatenate((np.array(addresses, np.int64), program.words))
    function = new(ctypes.byref(definition), words, None)
    return function
