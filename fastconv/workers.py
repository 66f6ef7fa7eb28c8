"""Threads of our own that take part in parallel regions (`simd.region` has what they do there).

A worker looks for jobs for a tenth of a millisecond after the last one, so that regions that follow each other cost no
more than a few words of memory; then it sleeps, on a semaphore of the system's, until a job wakes it. It never comes
back to Python. Nothing waits for a worker that cannot be had: the caller could do all by itself.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable
from enum import IntEnum
from typing import Any

from .threads import MEMBERS

MOST = (os.cpu_count() or 1) - 1  # workers; more would only wait for each other
SPIN = 1.5e-4  # seconds that a worker looks for the next job before it sleeps
TRIAL = 2000  # looks by which the time of one is measured


class Word(IntEnum):
    """Numbers of the words that threads share; those that several write lie on cache lines of their own."""

    GENERATION = 0
    INSIDE = 16
    FUNCTION = 32
    CONTEXT = 33
    MEMBERS = 34
    TASKS = 35
    CALLERS = 40
    SPINS = 48
    REST = 49
    REST_TIME = 50
    WAIT = 51
    FOREVER = 52
    POST = 53
    FIRST = 64  # of the first member's words:
    EACH = 32  # so many
    CLAIMED = 0  # the next task of its run
    FAILURE = 16  # task, code and information
    ASLEEP = 19
    BED = 20  # its semaphore


SIZE = 8 * (Word.FIRST + Word.EACH * MEMBERS)  # bytes
LINE = 128  # bytes of a cache line, or of a pair that is fetched together


class Team:
    """The workers of this process, and the words that they share with the caller.

    Parameters
    ----------
    serve : callable
        ``serve(address of the words, number, rounds)``: take part in jobs until it would sleep that often.
    """

    def __init__(self, serve: Callable[[int, int, int], None]) -> None:
        self._serve = serve
        self._buffer = ctypes.create_string_buffer(SIZE + LINE)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._buffer))  # threads may still look when the process ends
        skipped = -ctypes.addressof(self._buffer) % LINE
        self.address = ctypes.addressof(self._buffer) + skipped
        self.words = memoryview(self._buffer).cast("B")[skipped : skipped + SIZE].cast("q")
        self._system = SYSTEMS.get(sys.platform, Posix)()
        for word, value in self._system.words.items():
            self.words[word] = value
        self.words[Word.SPINS] = self._spins()
        self.size = 0
        self._starting = threading.Lock()

    def grow(self, members: int) -> None:
        """Have a worker for each member but the caller, if there are as many processors and the system lets us."""
        if self.size < min(members - 1, MOST):
            with self._starting:
                while self.size < min(members - 1, MOST) and self._start():
                    pass

    def _start(self) -> bool:
        """Start one more worker, if the system lets us."""
        number = self.size + 1
        bed = self._system.semaphore()
        if not bed:
            return False
        arguments = (self.address, number, -1)
        worker = threading.Thread(target=self._serve, args=arguments, name=f"fastconv-{number}", daemon=True)
        self.words[Word.FIRST + Word.EACH * number + Word.BED] = bed
        try:
            worker.start()
        except RuntimeError:
            return False
        self.size = number
        return True

    def _spins(self) -> int:
        """How often a worker looks for a job before it sleeps."""
        times = []
        for _ in range(3):
            self.words[Word.SPINS] = TRIAL
            before = time.perf_counter()
            self._serve(self.address, 0, 1)
            times.append(time.perf_counter() - before)
        return max(1, int(TRIAL * SPIN / min(times)))


class Posix:
    """What the system gives: functions by their addresses, and semaphores."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)
        self.words = {
            Word.REST: _address(self._library.usleep),
            Word.REST_TIME: 50,  # microseconds
            Word.WAIT: _address(self._library.sem_wait),
            Word.POST: _address(self._library.sem_post),
        }

    def semaphore(self) -> int:
        """A new one, kept to the end of the process; 0 if there is none."""
        place = ctypes.create_string_buffer(128)  # a sem_t has 16 to 64 bytes
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(place))
        address = ctypes.addressof(place)
        return address if self._library.sem_init(ctypes.c_void_p(address), 0, 0) == 0 else 0


class Darwin:
    """The same of macOS, whose POSIX semaphores have names only."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)
        self.words = {
            Word.REST: _address(self._library.usleep),
            Word.REST_TIME: 50,
            Word.WAIT: _address(self._library.dispatch_semaphore_wait),
            Word.FOREVER: -1,
            Word.POST: _address(self._library.dispatch_semaphore_signal),
        }

    def semaphore(self) -> int:
        """See `Posix`."""
        create = self._library.dispatch_semaphore_create
        create.argtypes, create.restype = [ctypes.c_long], ctypes.c_void_p
        return create(0) or 0


class Windows:
    """The same of Windows."""

    def __init__(self) -> None:
        self._library = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined,unused-ignore]
        self.words = {
            Word.REST: _address(self._library.Sleep),
            Word.REST_TIME: 0,  # gives up the rest of its time slice
            Word.WAIT: _address(self._library.WaitForSingleObject),
            Word.FOREVER: 0xFFFFFFFF,
            Word.POST: _address(self._library.ReleaseSemaphore),
        }

    def semaphore(self) -> int:
        """See `Posix`."""
        create = self._library.CreateSemaphoreW
        create.argtypes = [ctypes.c_void_p, ctypes.c_long, ctypes.c_long, ctypes.c_void_p]
        create.restype = ctypes.c_void_p
        return create(None, 0, 0x7FFFFFFF, None) or 0


SYSTEMS: dict[str, type[Posix | Darwin | Windows]] = {"win32": Windows, "darwin": Darwin}


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0
