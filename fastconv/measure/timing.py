"""The timing protocol: rivals take turns in one process, each is warmed just before it is timed, many repeats.

Taking turns lets a slow spell of the machine hit everyone alike. Before a turn all wait until what came before is over:
the threads of an OpenMP runtime (PyTorch's) spin for some 10 ms after their work, those of ONNX Runtime for longer, and
whoever came next would share its cores with them. The minimum of many repeats is what remains undisturbed; median and
quartiles tell how typical it is.
"""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..errors import InvalidArgument, shown
from ..spec import parse_count, parse_real
from .load import busy_seconds

Call = Callable[[], object]
Name = TypeVar("Name", bound=Hashable)
IN_A_ROW = 3
LONG = 2.0  # seconds
SETTLE = 0.02  # seconds that each of several is called for before it is timed
REST = 0.012  # seconds, more than the tick at which systems count, in which threads that still spin would be seen,
PATIENCE = 0.5  # and most that they are waited for
TRIES = 3
QUIET = 0.1  # fraction of the machine that others may use before a measurement is repeated


@dataclass(frozen=True)
class Timing:
    """Times of repeated calls, in seconds, in the order taken."""

    samples: tuple[float, ...]

    @property
    def minimum(self) -> float:
        """The least disturbed call."""
        return min(self.samples)

    @property
    def median(self) -> float:
        """The typical call."""
        return statistics.median(self.samples)

    @property
    def spread(self) -> float:
        """Half the distance between the quartiles, as a fraction of the median."""
        if len(self.samples) < 2:
            return 0.0
        low, _, high = statistics.quantiles(self.samples, n=4, method="inclusive")
        return (high - low) / 2 / self.median

    def as_dict(self) -> dict[str, float | int]:
        """The figures for a report."""
        return {
            "min_s": self.minimum,
            "median_s": self.median,
            "spread": round(self.spread, 4),
            "repeats": len(self.samples),
        }


def interleave(
    calls: Mapping[Name, Call], seconds: float = 1.0, rounds: int = 3, settle: float = SETTLE
) -> dict[Name, Timing]:
    """Time each call in turn for about `seconds` in all, and for at least `rounds` turns.

    Before it is timed each waits until no thread of the others works any more, and is called for `settle` seconds; once
    if there is no other. A call that takes longer than `seconds`, and than `LONG`, is timed once: nothing before it
    weighs much.

    Examples
    --------
    >>> times = interleave({"sum": lambda: sum(range(100)), "pass": lambda: None}, seconds=0.01)
    >>> times["sum"].minimum > times["pass"].minimum
    True
    """
    seconds, settle = parse_seconds(seconds, least=0), parse_seconds(settle, least=0, name="settle")
    rounds = parse_count(rounds, "rounds")
    if not isinstance(calls, Mapping) or not all(map(callable, calls.values())):
        raise InvalidArgument(f"calls is {shown(calls)}; expected functions without arguments by name, in a dict")
    samples: dict[Name, list[float]] = {name: [] for name in calls}
    for name, call in calls.items():
        before = time.perf_counter()
        call()
        if (taken := time.perf_counter() - before) > max(seconds, LONG):
            samples[name].append(taken)
    quick = {name: call for name, call in calls.items() if not samples[name]}
    started = time.perf_counter()
    turn = 0
    while quick and (turn < rounds or time.perf_counter() - started < seconds):
        for name, call in quick.items():
            if len(calls) > 1:
                _rest()
            _warm(call, settle if len(calls) > 1 else 0.0)
            for _ in range(IN_A_ROW):
                before = time.perf_counter()
                call()
                samples[name].append(time.perf_counter() - before)
        turn += 1
        if turn >= 1 and time.perf_counter() - started > 4 * seconds:  # slow calls: fewer turns, never none
            break
    return {name: Timing(tuple(times)) for name, times in samples.items()}


def _rest() -> None:
    """Wait until no thread of this process works any more, or PATIENCE is at its end."""
    until = time.perf_counter() + PATIENCE
    while time.perf_counter() < until:
        before = time.process_time()
        time.sleep(REST)
        if time.process_time() - before < REST / 10:
            return


def _warm(call: Call, seconds: float) -> None:
    until = time.perf_counter() + seconds
    call()
    while time.perf_counter() < until:
        call()


def interleave_undisturbed(
    calls: Mapping[Name, Call], seconds: float, settle: float = SETTLE
) -> tuple[dict[Name, Timing], float | None]:
    """Time all in turns; when other processes were busy meanwhile, again, and keep the quietest of a few tries.

    Also returns the fraction of the machine that others used.
    """
    kept: dict[Name, Timing] = {}
    least: float | None = None
    for _ in range(TRIES if calls else 0):
        with Disturbance() as disturbance:
            timings = interleave(calls, seconds, settle=settle)
        busy = disturbance.fraction
        if not kept or (busy is not None and least is not None and busy < least):
            kept, least = timings, busy
        if busy is None or busy <= QUIET:
            break
    return kept, least


def parse_seconds(seconds: Any, least: float, name: str = "seconds") -> float:
    """A time to measure for."""
    number = parse_real(seconds, name, "a number of seconds")
    if not least <= number < math.inf:
        raise InvalidArgument(f"{name} is {shown(seconds)}; expected a finite number of at least {least:g}")
    return number


def geometric_mean(values: Iterable[float]) -> float:
    """The mean for ratios; NaN of nothing.

    >>> round(geometric_mean([0.5, 2.0]), 6)
    1.0
    """
    try:
        logs = [math.log(value) for value in values]
    except Exception:  # of whatever is no positive number, or nothing to iterate over
        raise InvalidArgument(f"values is {shown(values)}; expected numbers above 0") from None
    return math.exp(math.fsum(logs) / len(logs)) if logs else math.nan


class Disturbance:
    """The fraction of the machine that other processes used inside a ``with`` block, None where it cannot be told.

    The processes of a `Load` are none of the others: they are there because they are wanted.
    """

    def __enter__(self) -> Disturbance:
        self.fraction: float | None = None
        self._busy, self._own, self._wall = _machine_seconds(), _own_seconds(), time.perf_counter()
        return self

    def __exit__(self, *exc_info: object) -> None:
        busy, wall = _machine_seconds(), time.perf_counter() - self._wall
        if busy is not None and self._busy is not None and wall > 0.2:  # the counters tick at 100 Hz
            others = (busy - self._busy) - (_own_seconds() - self._own)
            self.fraction = max(0.0, others / wall / (os.cpu_count() or 1))


def _machine_seconds() -> float | None:
    """Processor seconds that all processes used since the start, by the kernel's count (Linux)."""
    try:
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    except OSError:
        return None
    user, nice, system, _, _, *interrupts = (int(field) for field in fields[:8])
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    """Processor seconds of this process, and of those that keep the machine busy for it."""
    times = os.times()
    return times.user + times.system + busy_seconds()
