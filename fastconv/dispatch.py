"""The one table of what can compute what: (operation, method, device) -> module, and the choice of a method.

A method is one module and one row. The module owns what is the method's own, under names that are the same everywhere:

* ``supports(problem)`` is None where the method can serve, else the reason why not (no such name: it serves all);
* the operators, each named as its operation: ``conv(problem, x, w, b, y, activation=...)``, ``conv_input_grad(problem,
  dy, w, dx)``, ``conv_weight_grad(problem, x, dy, dw)``, ``max_pool(problem, x, y, indices)``, ...;
* ``prepare(problem, w)``: the weights as ``conv`` takes them where ``problem.prepared``;
* ``bind(problem, dtype, divisor)`` of the CPU's pools: what runs on flat arrays, and what that takes besides;
* ``takes_halves(problem)``: whether arrays of bfloat16 are multiplied as they are (no such name: none are, they are
  converted to float32 and back);
* ``describe(problem)``, if there is one, names the kernel that serves and what it is for;
* ``work(problem)`` counts what a call has to do, and ``RATES`` tells how long that takes, so that "auto" can choose.

Modules are named as text and imported on first use. The rows of one operation and device stand in order of preference;
the last, direct, serves every legal problem, so "auto" always finds one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

from . import rates
from .errors import InvalidArgument, Unsupported, shown
from .problem import CONVOLUTIONS, POOL_GRADIENTS, POOLS, ConvProblem, Problem

DEVICES = ("cpu", "cuda")
LEAST_COLUMNS = 8  # channels of the result per group below which the tiles of im2col on a GPU would be mostly empty
WORTH_LOOKING = 1 << 20  # operations: below, the look at the data before a transform takes longer than that saves
WORTH_PLANNING = 1e-4  # seconds: smaller problems are not worth the time it takes to plan a transform
SPREADING = ("winograd", "fft")  # transforms: they spread NaN, Inf and errors beyond the windows that hold the cause


class Row(NamedTuple):
    """One method of the table: for some operations on a device, in one module."""

    method: str
    device: str
    module: str
    ops: tuple[str, ...]
    by_auto: bool = True  # whether "auto" may take it

    def load(self) -> ModuleType:
        """The method's module."""
        return load_module(self.module)

    def operator(self, op: str) -> Callable[..., Any]:
        """The method's function for an operation."""
        return getattr(self.load(), op)  # type: ignore[no-any-return]

    def reason(self, problem: Problem) -> str | None:
        """Why the method cannot serve a problem, or None."""
        supports = getattr(self.load(), "supports", None)
        return None if supports is None else supports(self.given(problem))

    def given(self, problem: Any) -> Any:
        """The problem as the method's kernels get it: of float32, where they do not multiply bfloat16 as it is."""
        if problem.dtype != "bfloat16":
            return problem
        takes = getattr(self.load(), "takes_halves", None)
        return problem if takes is not None and takes(problem) else replace(problem, dtype="float32")


TABLE: tuple[Row, ...] = (
    Row("reference", "cpu", "fastconv.cpu.reference", (*CONVOLUTIONS, "max_pool", "avg_pool"), by_auto=False),
    Row("fft", "cpu", "fastconv.cpu.fft", CONVOLUTIONS),
    Row("winograd", "cpu", "fastconv.cpu.winograd", CONVOLUTIONS),
    Row("im2col", "cpu", "fastconv.cpu.im2col", CONVOLUTIONS),
    Row("direct", "cpu", "fastconv.cpu.direct", CONVOLUTIONS),
    Row("direct", "cpu", "fastconv.cpu.pool", POOLS + POOL_GRADIENTS),
    Row("direct", "cpu", "fastconv.cpu.magnitude", ("largest", "levels", "channel_gap", "exponent_of")),
    Row("direct", "cpu", "fastconv.cpu.halves", ("widen", "narrow")),
    Row("direct", "cpu", "fastconv.cpu.comparison", ("same_bits",)),
    Row("direct", "cpu", "fastconv.cpu.matching", ("match_scores", "match_moments")),
    Row("direct", "cpu", "fastconv.cpu.similarity", ("similarity",)),
    Row("direct", "cpu", "fastconv.cpu.resampling", ("resample",)),
    Row("direct", "cpu", "fastconv.cpu.affine", ("affine", "affine_grad")),
    Row("direct", "cpu", "fastconv.cpu.filters", ("filter_chain", "filter_sum", "filter_window", "filter_rank")),
    Row("fft", "cuda", "fastconv.cuda.fft", CONVOLUTIONS),
    Row("winograd", "cuda", "fastconv.cuda.winograd", CONVOLUTIONS),
    Row("im2col", "cuda", "fastconv.cuda.im2col", CONVOLUTIONS),
    Row("direct", "cuda", "fastconv.cuda.direct", CONVOLUTIONS),
    Row("direct", "cuda", "fastconv.cuda.pool", POOLS + POOL_GRADIENTS),
    *(
        Row("direct", device, f"fastconv.{device}.{module}", ops)
        for device in DEVICES
        for module, ops in (
            ("gemm", ("matmul",)),
            ("unfold", ("unfold", "fold")),
            ("elementwise", ("activate", "activation_grad", "dropout")),
            ("softmax", ("softmax", "softmax_grad", "softmax_cross_entropy", "softmax_cross_entropy_grad")),
            ("normalization", ("channel_statistics", "batch_norm", "batch_norm_training", "batch_norm_grad")),
            ("row_normalization", ("layer_norm", "layer_norm_grad")),
            ("group_normalization", ("group_norm", "group_norm_grad")),
            ("updates", ("update", "lengths" if device == "cpu" else "shorten")),
            ("activation" if device == "cpu" else "pointwise", ("finish",)),
        )
    ),
)


#: What can be asked for by name; "auto" chooses.
METHODS = ("auto", *dict.fromkeys(row.method for row in reversed(TABLE)))


@lru_cache(maxsize=256)
def load_module(name: str) -> ModuleType:
    """The module of a row, imported on first use."""
    return import_module(name)


def rows(op: str, device: str = "cpu") -> list[Row]:
    """The methods for an operation on a device, in order of preference."""
    return [row for row in TABLE if row.device == device and op in row.ops]


def row_of(op: str, method: str, device: str = "cpu") -> Row:
    """The row of a method."""
    return next(row for row in rows(op, device) if row.method == method)


@lru_cache(maxsize=256)
def operator(op: str, device: str = "cpu") -> Callable[..., Any]:
    """The function of an operation between whose methods nothing is to be chosen."""
    return rows(op, device)[-1].operator(op)


def find(problem: Problem, method: str, device: str) -> Row:
    """The row that serves a problem by `method`; "auto" chooses, any other method serves or raises `Unsupported`."""
    check_method(method)
    return _find(problem, method, device)


def check_method(method: Any) -> None:
    """Raise `InvalidArgument` unless `method` is the name of one."""
    if not isinstance(method, str) or method not in METHODS:
        raise InvalidArgument(f"method is {shown(method)}; expected one of {', '.join(METHODS)}")


_remembered: list[Any] = []


def remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    """Cache what depends on which method was chosen, until the rates change (`forget`)."""
    cached = lru_cache(maxsize=1024)(function)
    _remembered.append(cached)
    return cached


@remembered
def _find(problem: Problem, method: str, device: str) -> Row:
    if method == "auto":
        method = choose_method(problem, device)
    candidates = rows(problem.op, device)
    row = next((row for row in candidates if row.method == method), None)
    why = f"there is no {method} kernel for {problem.op} on {device}" if row is None else row.reason(problem)
    if row is not None and why is None:
        return row
    able = ", ".join(repr(row.method) for row in candidates if row.reason(problem) is None)
    raise Unsupported(f"method {method!r} cannot serve {problem.op} of {problem}: {why}; methods that can: {able}")


def choose_method(problem: Problem, device: str = "cpu") -> str:
    """The fastest method for ordinary data by a model of the work; it depends on the problem and the rates only.

    On CUDA it is im2col or direct: nothing looks at the data there, which would cost a synchronisation, and Winograd's
    method and the FFT, to be asked for by name, spread NaN, Inf and errors.
    """
    candidates = rows(problem.op, device)
    if not isinstance(problem, ConvProblem):
        return candidates[-1].method
    if device == "cuda":  # the implicit GEMM, unless its tiles would be mostly empty; never what spreads NaN
        columns = problem.inputs if problem.op == "conv_input_grad" else problem.outputs
        return "im2col" if columns >= LEAST_COLUMNS else "direct"
    times = {"direct": _seconds(problem, candidates[-1])}
    for row in candidates[:-1]:
        if row.method == "fft" and times["direct"] < WORTH_PLANNING:
            continue
        if row.method in SPREADING and problem.flops < WORTH_LOOKING:
            continue
        if row.by_auto and row.reason(problem) is None:
            times[row.method] = _seconds(problem, row)
    return min(times, key=times.__getitem__)


def predict(problem: ConvProblem, method: str) -> float:
    """Seconds that a method of the CPU is expected to take: its counts of work at this machine's rates."""
    return _seconds(problem, row_of(problem.op, method))


def _seconds(problem: ConvProblem, row: Row) -> float:
    itemsize = row.given(problem).itemsize
    return rate(problem.op, row).seconds(_work(problem, row), itemsize)  # type: ignore[no-any-return]


def rate_key(op: str, row: Row) -> tuple[str, str]:
    """What a method's rate is kept under: the kind of operation, and the engine that it may share with others."""
    return "weight_grad" if op == "conv_weight_grad" else "conv", row.load().ENGINE


def rate(op: str, row: Row) -> Any:
    """The rate of a method for an operation: as measured on this machine, else the method's own."""
    key = rate_key(op, row)
    return rates.tuned().get(key) or row.load().RATES[key[0]]


def work(problem: Problem, method: str) -> Any:
    """What a method of the CPU counts for a problem it serves: `fastconv.cpu.work.Work`."""
    return _work(problem, row_of(problem.op, method))


def _work(problem: Problem, row: Row) -> Any:
    given = row.given(problem)
    if given is not problem and isinstance(problem, ConvProblem):
        return _with_conversions(problem, _work(given, row))
    count = row.operator("work")
    if problem.op != "conv_input_grad" or not isinstance(problem, ConvProblem) or not problem.bordered:
        return count(problem)
    inside = problem.inside()  # what `fastconv.cpu.folding` hands to a method
    counted = count(inside)
    return counted._replace(extra=counted.extra + inside.N * inside.C * math.prod(inside.size) * inside.itemsize)


def _with_conversions(problem: ConvProblem, counted: Any) -> Any:
    """A count in float32, and what it takes to convert the operands before and the result behind it."""
    x, y = (math.prod(shape) for shape in (problem.x_shape, problem.y_shape))
    numbers = x + y + (0 if problem.prepared else math.prod(problem.w_shape))
    return counted._replace(
        cached=counted.cached + 6.0 * numbers,
        regions=counted.regions + (2 if problem.prepared else 3),
        extra=counted.extra + 4 * numbers,
    )


def describe(problem: Problem, method: str, device: str = "cpu") -> str | None:
    """The kernel that a method serves a problem with, in words, where its module tells."""
    row = row_of(problem.op, method, device)
    tell, given = getattr(row.load(), "describe", None), row.given(problem)
    told = None if tell is None else tell(given)
    return told if given is problem else f"in float32{'' if told is None else f': {told}'}"


def forget() -> None:
    """Choose anew: the rates have changed."""
    for cached in _remembered:
        cached.cache_clear()
