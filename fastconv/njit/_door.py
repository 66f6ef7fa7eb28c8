"""What users' compiled code finds of fastconv in a process: two C functions behind a capsule, and a table of plans.

A call asks with words for a plan, allocates what the plan says, and has it performed (`simd.plan_table`). Both are
compiled and need no GIL: the words are looked up in a table, and the plan's program runs (`simd.programs`). Only for
words that are new, and for plans without a program, such as transforms, which look at the data first, they call Python.

Nothing of that is known when a user's function is compiled but the capsule's name: his code, read from his cache by
another process, imports it there. See `_calls` for what is compiled into his function.

The table is a ring of addresses that is only added to. When it is full, or its plans hold too many bytes, there is a
new one; the old plans are deleted when no call that began with them can be at work any more.
"""

from __future__ import annotations

import _thread
import ctypes
import math
import os
import threading
import time
from functools import lru_cache
from typing import Any

import numpy as np

from ..errors import FastconvError, InvalidArgument
from ..simd import programs
from ..simd.plan_table import SLOTS, Entry, Word, finder, performer
from ..threads import Alone
from ._plans import Operand, Plan, plan
from ._requests import VERSION, request_of

ATTRIBUTE = f"door{VERSION}"
NAME = ".".join((__package__, ATTRIBUTE))  # by which `PyCapsule_Import` finds it
MOST = 3000  # plans of a table
MOST_BYTES = 64 << 20  # that they hold
OWN = 2000  # bytes of a plan beside its arrays, about
KEPT = 30.0  # seconds of processor time that plans are kept after their table was given up
RECORDED_BYTES = 32 << 20  # of a problem's arrays: for larger ones Python costs nothing in comparison
RECORDED_FLOPS = 1 << 30


class Known:
    """A plan with the words that compiled code reads, and what these point to."""

    def __init__(self, words: tuple[int, ...]) -> None:
        self.plan: Plan = plan(request_of(words[0]), words[1:])
        self._views = [(*(o or _ABSENT), None if o is None else ctypes.c_char * _nbytes(o)) for o in self.plan.operands]
        self._program = self._recorded()
        at = self._program.words.ctypes.data if self._program else 0
        shape = (*self.plan.result, *(0,) * (Entry.COUNT - Entry.SHAPE))[: Entry.COUNT - Entry.SHAPE]
        self._entry = np.array([at, *shape, len(words), *words], np.int64)
        self.address: int = self._entry.ctypes.data
        self.nbytes = OWN + self._entry.nbytes + (self._program.nbytes if self._program else 0)

    def _recorded(self) -> programs.Program | None:
        size = sum(_nbytes(operand) for operand in self.plan.operands if operand is not None)
        if not self.plan.constant or size > RECORDED_BYTES or self.plan.flops > RECORDED_FLOPS:
            return None
        return programs.record(self.plan.perform, self.plan.operands)

    def perform(self, *addresses: int) -> None:
        """Do it in Python, on one thread."""
        arrays = [
            None if kind is None else np.ndarray(shape, dtype, kind.from_address(address))
            for (shape, dtype, kind), address in zip(self._views, addresses, strict=True)
        ]
        with Alone():
            self.plan.perform(*arrays)


_ABSENT: Operand = (), np.dtype(np.int8)


def _nbytes(operand: Operand) -> int:
    return math.prod(operand[0]) * operand[1].itemsize


class Door:
    """The plans of this process, and the words by which compiled code finds them."""

    def __init__(self) -> None:
        self._words = np.zeros(len(Word), np.int64)
        self._callbacks = _MISS(self._miss), _PERFORM(self._perform)  # to be kept as long as their addresses
        for word, callback in zip((Word.MISS, Word.PERFORM), self._callbacks, strict=True):
            self._words[word] = ctypes.cast(callback, ctypes.c_void_p).value or 0
        self._words[Word.RUNNER] = programs.runner()
        self._words[Word.FIND], self._words[Word.RUN] = finder(), performer()
        self._held: dict[int, Known] = {}  # by address: those of this table, and of given up ones
        self._retired: list[tuple[float, np.ndarray, list[Known]]] = []
        self.unlock()
        self._begin()

    @property
    def address(self) -> int:
        """Of its words."""
        return self._words.ctypes.data

    def unlock(self) -> None:
        """Also in a child process, where nobody is left who could have the lock."""
        self._lock = threading.RLock()

    def _begin(self) -> None:
        """A new, empty table."""
        self._table = np.zeros(SLOTS, np.int64)
        self._plans: dict[tuple[int, ...], Known] = {}
        self._nbytes = 0
        self._words[Word.TABLE] = self._table.ctypes.data

    def _retire(self) -> None:
        """Give up the table, and delete those that were given up long ago."""
        now = time.process_time()
        while self._retired and self._retired[0][0] < now - KEPT:
            for known in self._retired.pop(0)[2]:
                del self._held[known.address]
        self._retired.append((now, self._table, list(self._plans.values())))
        self._begin()

    def _add(self, words: tuple[int, ...], slot: int) -> Known:
        found = Known(words)
        if len(self._plans) >= MOST or self._nbytes + found.nbytes > MOST_BYTES:
            self._retire()
        self._plans[words] = self._held[found.address] = found
        self._nbytes += found.nbytes
        while self._table[slot]:
            slot = (slot + 1) % SLOTS
        self._table[slot] = found.address  # one word, written last: who reads it finds the whole plan
        return found

    def _miss(self, at: int, count: int, slot: int) -> int:
        """The plan for words that compiled code did not find; 0 if there is none."""
        try:
            words = tuple((ctypes.c_int64 * count).from_address(at))
            with self._lock:
                return (self._plans.get(words) or self._add(words, slot)).address
        except BaseException as error:  # there is no one above to catch it
            refuse(error)
            return 0

    def _perform(self, at: int, *addresses: int) -> int:
        """Perform a plan that has no program; 0 if that went well."""
        try:
            self._held[at].perform(*addresses)
            return 0
        except BaseException as error:
            refuse(error)
            return 1


_MISS = ctypes.CFUNCTYPE(*(ctypes.c_int64,) * 4)
_PERFORM = ctypes.CFUNCTYPE(*(ctypes.c_int64,) * 6)

_refusals: dict[int, str] = {}


class Refused(InvalidArgument):
    """What compiled code raises when a call was refused: with the words of the error that Python has seen."""

    def __init__(self) -> None:  # Numba calls it twice
        super().__init__(_refusals.get(threading.get_ident(), UNKNOWN))


UNKNOWN = "a call was refused in another thread, which knows why: make it outside of the prange"


def refuse(error: BaseException) -> None:
    """Keep what an error says for the exception that compiled code raises in this thread."""
    if isinstance(error, KeyboardInterrupt):
        _thread.interrupt_main()
    _refusals[threading.get_ident()] = f"{error}" if isinstance(error, FastconvError) else repr(error)


@lru_cache(maxsize=1)
def door() -> Any:
    """The capsule that compiled code imports: an attribute of the package."""
    made = Door()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=made.unlock)
    new = ctypes.pythonapi.PyCapsule_New
    new.argtypes, new.restype = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p), ctypes.py_object
    return new(made.address, _NAME, None)


_NAME = NAME.encode()  # kept: a capsule does not copy its name
