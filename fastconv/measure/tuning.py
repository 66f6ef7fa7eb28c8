"""Calibration of the cost model: time each method on a few problems, fit its rates, keep them (`fastconv.rates`).

A method's times are fitted by its counts of work, in relative terms (least squares with rates that cannot be negative,
C. Lawson & R. Hanson, "Solving Least Squares Problems" (1974), chapter 23), and drawn a little towards the rates that
were there: what no problem of the set depends on stays as it was.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import dispatch, rates
from ..errors import InvalidArgument, shown
from ..problem import ConvProblem
from ..rates import Rate
from .comparison import our_call
from .machine import environment
from .oracle import make_arrays
from .problems import Problem, conv

DRAW = 0.02  # weight of the rates that were there, against that of one measurement
SECONDS = 0.03  # spent on one measurement


@dataclass(frozen=True)
class Measured:
    """One method on one problem: bytes of an element, its counts of work and its time, in seconds."""

    method: str
    itemsize: int
    work: tuple[float, ...]
    seconds: float


@dataclass(frozen=True)
class Tuned:
    """The rates of one engine, and how far its predictions are from its times: the median of |log2(predicted/time)|."""

    kind: str
    engine: str
    rate: Rate
    error: float


def tune(announce: Callable[[str], Any] = lambda text: None) -> list[Tuned]:
    """Measure the rates of this machine and keep them in the cache folder, where "auto" finds them from now on.

    Takes some seconds once the kernels are compiled. Nothing else should run meanwhile.

    Examples
    --------
    >>> from fastconv import measure
    >>> tuned = measure.tune()  # doctest: +SKIP
    """
    if not callable(announce):
        raise InvalidArgument(f"announce is {shown(announce)}; expected a function of one text")
    found: dict[tuple[str, str], list[Measured]] = {}
    priors: dict[tuple[str, str], dispatch.Row] = {}
    for problem in calibration():
        announce(str(problem))
        for measured in _measure(problem):
            row = dispatch.row_of(problem.table_op, measured.method)
            found.setdefault(dispatch.rate_key(problem.table_op, row), []).append(measured)
            priors[dispatch.rate_key(problem.table_op, row)] = row
    tuned = []
    for (kind, engine), measurements in found.items():
        fitted = fit(measurements, priors[kind, engine].load().RATES[kind])
        logs = [abs(math.log2(fitted.seconds(m.work, m.itemsize) / m.seconds)) for m in measurements]
        tuned.append(Tuned(kind, engine, fitted, float(np.median(logs))))
    facts = environment()
    kept = {key: facts[key] for key in ("date", "machine", "threads", "versions")}
    rates.save({(t.kind, t.engine): t.rate for t in tuned}, rates.tuned_file(), kept)
    dispatch.forget()
    return tuned


def fit(measurements: Sequence[Measured], prior: Rate) -> Rate:
    """The rates, none negative, that come nearest to the times in relative terms."""
    from scipy.optimize import nnls

    scale = np.array(prior)
    counts = np.array([_counts(m) for m in measurements]) * scale * 1e-9
    times = np.array([m.seconds for m in measurements])
    slower = float(np.median(times / counts.sum(axis=1)))  # than the machine of the prior: its ratios are what counts
    a = np.vstack([counts / times[:, None], math.sqrt(DRAW) / slower * np.eye(len(scale))])
    b = np.concatenate([np.ones(len(times)), np.full(len(scale), math.sqrt(DRAW))])
    return Rate(*(float(v) for v in nnls(a, b)[0] * scale))


def _counts(measured: Measured) -> list[float]:
    """How much of each rate a measurement took: its time is their sum, each times its rate."""
    tile, vector, cached, memory, regions, _ = measured.work
    size = measured.itemsize / 4
    return [tile * size, vector * size, cached, memory, regions, 1.0]


def calibration() -> list[Problem]:
    """Problems that differ in what they keep busy: channels, pixels, filters, layouts."""
    forward = [
        conv("conv", 1, 8, 8, 8, 3, padding=1),
        conv("conv", 8, 32, 32, 28, 3, padding=1),
        conv("conv", 2, 64, 64, 56, 3, padding=1),
        conv("conv", 4, 128, 128, 14, 3, padding=1, layout="NCHW"),
        conv("conv", 2, 256, 256, 7, 3, padding=1),
        conv("conv", 2, 20, 24, 31, 3, padding=1, layout="NCHW"),
        conv("conv", 4, 128, 64, 28, 1),
        conv("conv", 1, 3, 32, 112, 7, stride=2, padding=3),
        conv("conv", 1, 3, 96, 227, 11, stride=4),
        conv("conv", 2, 64, 128, 28, 3, stride=2, padding=1),
        conv("conv", 1, 64, 64, 28, 5, padding=2),
        conv("conv", 1, 16, 16, 64, 11, padding=5, layout="NCHW"),
        conv("conv", 1, 64, 64, 56, 3, padding=1, groups=64),
        conv("conv", 1, 1, 1, 512, 5, padding=2, layout="NCHW"),
        conv("conv", 1, 1, 1, 512, 15, padding=7, layout="NCHW"),
        conv("conv", 1, 1, 1, 512, 31, padding=15, layout="NCHW"),
        conv("input_grad", 2, 64, 64, 28, 3, stride=2, padding=1),
        conv("conv", 1, 1, 1, (100_000,), (101,), padding=50, layout="NCW"),
        conv("conv", 1, 1, 1, (100_000,), (1_001,), padding=500, layout="NCW"),
    ]
    backward = [
        conv("weight_grad", 8, 32, 32, 28, 3, padding=1),
        conv("weight_grad", 2, 64, 64, 56, 3, padding=1),
        conv("weight_grad", 4, 128, 128, 14, 3, padding=1, layout="NCHW"),
        conv("weight_grad", 2, 256, 256, 7, 3, padding=1),
        conv("weight_grad", 4, 128, 64, 28, 1),
        conv("weight_grad", 2, 3, 32, 112, 7, stride=2, padding=3),
        conv("weight_grad", 1, 32, 32, 64, 9, padding=4),
        conv("weight_grad", 1, 64, 64, 56, 3, padding=1, groups=64),
        conv("weight_grad", 2, 64, 64, 28, 3, stride=2, padding=1),
        conv("weight_grad", 16, 20, 50, 12, 5),
        conv("weight_grad", 16, 1, 20, 28, 5),
        conv("weight_grad", 8, 1, 16, 64, 7, padding=3, layout="NCHW"),
        conv("weight_grad", 4, 3, 32, 64, 7, padding=3),
        conv("weight_grad", 4, 64, 64, 28, 5, padding=2),
        conv("weight_grad", 4, 2, 4, 64, 9, padding=4),
    ]
    return forward + backward


def _measure(problem: Problem) -> Iterable[Measured]:
    """Each method that serves a problem; a convolution also with a plan, where that saves work."""
    op = problem.table_op
    assert isinstance(problem.spec, ConvProblem)
    arrays = make_arrays(problem, seed=0)
    for row in dispatch.rows(op):
        if not row.by_auto or row.reason(problem.spec) is not None:
            continue
        for prepared in (False, True) if op == "conv" else (False,):
            counts = dispatch.work(replace(problem.spec, prepared=prepared), row.method)
            seconds = _fastest(our_call(problem, arrays, row.method, prepared=prepared))
            yield Measured(row.method, problem.spec.itemsize, tuple(map(float, counts)), seconds)


def _fastest(call: Callable[[], Any]) -> float:
    call()
    best, started = math.inf, time.perf_counter()
    while best == math.inf or time.perf_counter() - started < SECONDS:
        before = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - before)
    return best
