"""Threads of our own that take part in parallel regions (`simd.region` has what they do there).

A worker looks for jobs for a tenth of a millisecond after the last one, so that regions that follow each other cost no
more than a few words of memory; then it sleeps until a caller wakes it. One caller at a time has the workers: another,
in the meantime, does its tasks alone. Nothing waits for a worker that cannot be had: the caller could do all by itself.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable
from enum import IntEnum
from queue import SimpleQueue
from typing import Any

MOST = (os.cpu_count() or 1) - 1  # workers; more would only wait for each other
MEMBERS = 1024  # of a region: those beyond the workers have runs of tasks too, which the others do
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
    SPINS = 36
    REST = 37
    REST_TIME = 38
    ERROR = 39
    INFORMATION = 40
    FIRST = 64  # of the first member's words, the next task to claim among them
    EACH = 32  # words of a member
    ASLEEP = 16  # among these
    FAILURE = 17  # task, code and information


SIZE = 8 * (Word.FIRST + Word.EACH * MEMBERS)  # bytes
LINE = 128  # bytes of a cache line, or of a pair that is fetched together


class Team:
    """The workers of this process, and the words that they share with the caller.

    Parameters
    ----------
    serve : callable
        ``serve(address of the words, number)``: take part in jobs, return to sleep.
    """

    def __init__(self, serve: Callable[[int, int], None]) -> None:
        self._serve = serve
        self._buffer = ctypes.create_string_buffer(SIZE + LINE)
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._buffer))  # threads may still look when the process ends
        skipped = -ctypes.addressof(self._buffer) % LINE
        self.address = ctypes.addressof(self._buffer) + skipped
        self.words = memoryview(self._buffer).cast("B")[skipped : skipped + SIZE].cast("q")
        self.words[Word.REST], self.words[Word.REST_TIME] = _rest()
        self.words[Word.SPINS] = self._spins()
        self._beds = [SimpleQueue[None]()]  # the caller is number 0
        self._flags = [Word.FIRST + Word.ASLEEP]
        self._leading = threading.Lock()
        atexit.register(self._stop_looking)

    @property
    def size(self) -> int:
        """How many workers there are."""
        return len(self._beds) - 1

    def take(self, members: int) -> bool:
        """Have the workers for one job, awake if they can be; False while another caller has them."""
        if not self._leading.acquire(False):
            return False
        while len(self._beds) < members and len(self._beds) <= MOST and self._start():
            pass
        words = self.words
        for number, flag in enumerate(self._flags[1:members], 1):
            if words[flag]:
                words[flag] = 0
                self._beds[number].put(None)
        return True

    def give(self) -> tuple[int, int]:
        """Let others have them; returns what is known of the job's first failure, (0, anything) for none."""
        failure = self.words[Word.ERROR], self.words[Word.INFORMATION]
        self._leading.release()
        return failure

    def _start(self) -> bool:
        """Start one more worker, if the system lets us."""
        number, bed = len(self._beds), SimpleQueue[None]()
        worker = threading.Thread(target=self._work, args=(number, bed), name=f"fastconv-{number}", daemon=True)
        try:
            worker.start()
        except RuntimeError:
            return False
        self._beds.append(bed)
        self._flags.append(Word.FIRST + Word.EACH * number + Word.ASLEEP)
        return True

    def _work(self, number: int, bed: SimpleQueue[None]) -> None:
        while True:
            self._serve(self.address, number)
            bed.get()

    def _spins(self) -> int:
        """How often a worker looks for a job before it sleeps."""
        times = []
        for _ in range(3):
            self.words[Word.SPINS] = TRIAL
            before = time.perf_counter()
            self._serve(self.address, 0)
            times.append(time.perf_counter() - before)
        return max(1, int(TRIAL * SPIN / min(times)))

    def _stop_looking(self) -> None:
        self.words[Word.SPINS] = 0


def _rest() -> tuple[int, int]:
    """A C function that gives the core to others for a moment, by its address, and what it takes."""
    if sys.platform == "win32":
        function: Any = ctypes.WinDLL("kernel32").Sleep
        return ctypes.cast(function, ctypes.c_void_p).value or 0, 0
    return ctypes.cast(ctypes.CDLL(None).usleep, ctypes.c_void_p).value or 0, 50
