"""The kernel suite: each emitted function by itself, on one thread, from a cache, as a fraction of the measured peak.

The peak is measured in turns with the functions, so that a change of the processor's clock hits both: multiply-adds
that never leave the registers, and for what only moves numbers a copy within the first-level cache.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...cpu import repeated
from ...simd import peak
from ...simd.host import host
from ...spec import parse_word
from ..timing import Timing, interleave_undisturbed
from . import products, transforms
from .subjects import BYTES, FLOPS, Numbers, Subject

GROUPS: dict[str, Callable[[str], Iterator[Subject]]] = {
    "tile": products.tiles,
    "filter tile": products.filter_tiles,
    "depth sweep": products.depth_sweeps,
    "winograd": transforms.winograd,
    "fft": transforms.fourier,
}
HALVES = ("tile",)  # groups that there are of bfloat16, where the host multiplies pairs
Run = Callable[[int], Any]
BETWEEN = 8  # functions between two measurements of the peak in a turn
SAMPLE = 5e-4  # seconds of a sample: the call from Python is a hundredth of it at most
TOLERANCES = {"bfloat16": 1e-5, "float32": 1e-5, "float64": 1e-13}  # of the largest value: some tens of roundings
COPIED = 8 << 10  # bytes of a copy: twice source and target fit in any first-level cache


@dataclass(frozen=True)
class KernelRow:
    """One function: seconds of one run (not timed where it is wrong), and the peak measured in turns with it."""

    group: str
    name: str
    place: str
    dtype: str
    unit: str
    work: float
    error: float
    timing: Timing | None
    peak: float
    disturbance: float | None
    load: int = 0  # busy processes beside it

    @property
    def speed(self) -> float:
        """Operations or bytes by the fastest run, in 1e9 a second."""
        return self.work / self.timing.minimum / 1e9 if self.timing else math.nan

    @property
    def fraction(self) -> float:
        """Speed as a fraction of the peak."""
        return self.speed / self.peak

    def as_dict(self) -> dict[str, Any]:
        """The row for a report."""
        keys = ("group", "name", "place", "dtype", "unit", "error", "disturbance", "load")
        known = {key: getattr(self, key) for key in keys}
        if self.timing is None:
            return known | {"note": "wrong result, not timed"}
        return known | self.timing.as_dict() | {"speed": self.speed, "peak": self.peak, "fraction": self.fraction}


def dtypes() -> tuple[str, ...]:
    """What kernels there are for."""
    return ("float32", "float64", "bfloat16") if host().pairs else ("float32", "float64")


def groups(dtype: str) -> tuple[str, ...]:
    """The groups that have functions of a dtype."""
    return tuple(group for group in GROUPS if dtype != "bfloat16" or group in HALVES)


def measure_kernels(group: str, dtype: str, seconds: float) -> list[KernelRow]:
    """Check, then time, all functions of a group in turns with the peak, for about `seconds`.

    Examples
    --------
    >>> rows = measure_kernels("depth sweep", "float32", 0.01)
    >>> all(row.error < 1e-5 for row in rows)
    True
    """
    parse_word(dtype, "dtype", dtypes())
    subjects = list(GROUPS[parse_word(group, "group", groups(dtype))](dtype))
    errors = [subject.error() for subject in subjects]
    right = [i for i, error in enumerate(errors) if error <= TOLERANCES[dtype]]
    units = {subjects[i].unit for i in right}
    standards = {unit: make(dtype) for unit, make in ((FLOPS, _multiply_adds), (BYTES, _copy)) if unit in units}
    runs: dict[Any, Run] = {}
    for place, i in enumerate(right):
        if place % BETWEEN == 0:
            runs |= {(unit, place): run for unit, (_, run) in standards.items()}
        runs[i] = subjects[i].run
    often = {key: _often(run) for key, run in runs.items()}
    calls = {key: _times(run, often[key]) for key, run in runs.items()}
    samples, disturbance = interleave_undisturbed(calls, seconds, settle=0)  # on one thread, nobody goes on
    timings = {key: Timing(tuple(s / often[key] for s in taken.samples)) for key, taken in samples.items()}
    peaks = {unit: work / _least(timings, unit) / 1e9 for unit, (work, _) in standards.items()}
    return [
        KernelRow(
            s.group, s.name, s.place, dtype, s.unit, s.work, errors[i], timings.get(i), peaks.get(s.unit, math.nan),
            disturbance,
        )
        for i, s in enumerate(subjects)
    ]  # fmt: skip


def _least(timings: dict[Any, Timing], unit: str) -> float:
    """The fastest run of a peak, wherever in the turns it was."""
    return min(timing.minimum for key, timing in timings.items() if isinstance(key, tuple) and key[0] == unit)


def _times(run: Run, count: int) -> Callable[[], Any]:
    return lambda: run(count)


def _often(run: Run) -> int:
    """How many runs fill a sample."""
    count = 1
    while True:
        before = time.perf_counter()
        run(count)
        taken = time.perf_counter() - before
        if taken >= SAMPLE / 4:
            return max(1, round(count * SAMPLE / taken))
        count *= 2


def _multiply_adds(dtype: str) -> tuple[float, Run]:
    """Multiply-adds in registers: the operations of a run, and what runs them."""
    rounds = 1000
    values, stride, work = peak.operands(dtype, 1)
    return float(work * rounds), lambda times: peak.multiply_adds(1, 1, rounds * times, values, stride)


def _copy(dtype: str) -> tuple[float, Run]:
    """A copy within the first-level cache: bytes read and written by a run, and what runs it."""
    size = COPIED // 2 // np.dtype(dtype).itemsize
    numbers = Numbers(dtype)
    source, target = numbers.normal(2 * size), numbers.empty(2 * size)
    return 2.0 * size * source.itemsize, lambda times: repeated.repeat_copy(times, target, source, size)
