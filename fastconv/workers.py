"""Threads of our own, for where Numba's cannot be used by several callers at once (see `threads.run`).

A call is cut into shares; the caller and idle workers take them one by one. The caller could do all of them alone, so
nothing waits for a worker that cannot be had: inside another call, in a process that may start no more threads, or
while the interpreter goes down.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any

MOST = os.cpu_count() or 1  # workers; more would only wait for each other

_jobs: SimpleQueue[_Job] = SimpleQueue()
_workers: list[threading.Thread] = []
_starting = threading.Lock()


class _Job:
    """One call: shares that wait for someone to do them, and how many are not done yet."""

    def __init__(self, function: Callable[..., Any], shares: Sequence[tuple[int, ...]], args: tuple[Any, ...]) -> None:
        self.function, self.args = function, args
        self.waiting, self.left = deque(shares), len(shares)
        self.lock, self.done = threading.Lock(), threading.Event()
        self.errors: dict[tuple[int, ...], BaseException] = {}

    def work(self) -> None:
        """Do shares until none waits."""
        while True:
            try:
                share = self.waiting.popleft()
            except IndexError:
                return
            try:
                self.function(*share, *self.args)
            except BaseException as error:  # for the caller, Ctrl-C too: the others are still using its arrays
                self.errors[share] = error
            with self.lock:
                self.left -= 1
                if not self.left:
                    self.args = ()
                    self.done.set()


def do(function: Callable[..., Any], shares: Sequence[tuple[int, ...]], args: tuple[Any, ...]) -> None:
    """Call ``function(*share, *args)``, which should release the interpreter, for every share, on as many threads.

    If calls raise, the error of the first share in order is raised when all are done.
    """
    job = _Job(function, shares, args)
    _start(len(shares) - 1)
    for _ in shares[1:]:
        _jobs.put(job)
    job.work()
    job.done.wait()
    if job.errors:
        raise job.errors[min(job.errors)]


def _start(number: int) -> None:
    """Have at least `number` workers, if there are as many processors and the system lets us."""
    if len(_workers) >= min(number, MOST):
        return
    with _starting:
        while len(_workers) < min(number, MOST):
            worker = threading.Thread(target=_serve, args=(_jobs,), name=f"fastconv-{len(_workers)}", daemon=True)
            try:
                worker.start()
            except RuntimeError:
                return
            _workers.append(worker)


def _serve(jobs: SimpleQueue[_Job]) -> None:
    while True:
        jobs.get().work()


def _after_fork() -> None:
    global _jobs, _starting
    _jobs, _starting = SimpleQueue(), threading.Lock()
    _workers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
