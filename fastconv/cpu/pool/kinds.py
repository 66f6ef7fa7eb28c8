"""What the pooling kernels share: the kinds of reduction, what is done to lanes, and the sizes that kernels read."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ...kept import kept
from ...problem import PoolProblem
from ...simd.fields import packed
from ...simd.jit import kernel
from ...simd.lane_math import magnitude, multiply
from ...simd.lanes import ask, claim, inlined, lane_count, size_of
from ...simd.vector import lanes_of
from ...threads import get_num_threads, team
from ...windows import Run, table_of

# What a window's elements are reduced to.
MAX, SUM, MAGNITUDES, SQUARES = range(4)

# Windows of more elements than this are summed in float64.
SHORT_SUM = 16

# A tap of a channels-last pool takes this much less time than the operations that the threshold for threads counts.
CHEAPER = 3

# What is read, or written, is asked for so many bytes ahead: time enough for memory to answer, and little of any L1
# cache. Rows are short, and several are read in turns, so that processors do not foresee by themselves what comes next;
# and a store to a line that no cache holds waits until it is read.
AHEAD = 8192

# Channels of a channels-last task are a multiple of this, unless it has them all.
BLOCK = 32


class Way(NamedTuple):
    """One way to compute a pool: the kernel, the function that runs it, what to say of it, and its memory."""

    kernel: Any
    prepare: Callable[..., tuple[Any, ...]]  # what all calls for a problem, a kind of reduction and a dtype share
    run: Callable[..., None]  # ``run(x, y, ..., *prepared)``, on flat arrays
    text: str
    scratch: Callable[..., int] = lambda *_: 0  # bytes for each thread

    def __str__(self) -> str:
        return f"{self.kernel.__name__}: {self.text}"


class Planes(NamedTuple):
    """Sizes of x and y, as kernels read them (`simd.fields`)."""

    D: int
    H: int
    W: int
    C: int  # channels that lie side by side: 1 where channels come first
    OD: int
    OH: int
    OW: int
    hop_d: int  # pixels of x between neighbouring elements of a window, for each axis
    hop_h: int
    hop_w: int
    run: Run  # windows along a row that are alike


class Share(NamedTuple):
    """What a sum is divided by."""

    divisor: float
    reciprocal: float  # 0 if it is not exact


@kept
def planes_of(problem: PoolProblem) -> np.ndarray:
    """The `Planes` of a problem."""
    _, H, W = problem.size
    d, h, w = problem.dilation
    hops = d * H * W, h * W, w
    return packed(Planes(*problem.size, side_by_side(problem), *problem.out, *hops, problem.axes[2].inner()))


def side_by_side(problem: PoolProblem) -> int:
    """Channels that lie side by side; with one channel both layouts are the same, and channels come first."""
    return problem.C if problem.channels_last else 1


@kept
def taps_of(problem: PoolProblem) -> int:
    """Elements of the largest window."""
    return math.prod(int(table_of(rule)[:, 1].max()) for rule in problem.axes)


def is_exact(problem: PoolProblem, code: int) -> bool:
    """Whether sums would lose digits in float32."""
    return code in (MAGNITUDES, SQUARES) or (code == SUM and taps_of(problem) > SHORT_SUM)


def computed(dtype: np.dtype) -> np.dtype:
    """The dtype in which x's elements are added: float32 for those of 16 bits, which come as integers."""
    return dtype if dtype.kind == "f" else np.dtype(np.float32)


def sums_of(problem: PoolProblem, code: int, dtype: np.dtype) -> np.dtype:
    """The dtype of the sums, or maxima, of x's dtype."""
    return np.dtype(np.float64) if is_exact(problem, code) else computed(dtype)


class Rows(NamedTuple):
    """The output rows of a pool, its tasks, and what is to be done for all."""

    tasks: int
    operations: int
    channels: int  # that lie side by side

    def shared(self) -> tuple[int, int]:
        """How many threads share the rows, and how many these are."""
        return team(self.tasks, self.operations), self.tasks

    def shared_blocks(self) -> tuple[int, int, int]:
        """How many threads share the rows times blocks of channels, how many these are, and a block's channels."""
        block = channel_block(self.tasks, self.channels)
        tasks = self.tasks * -(-self.channels // block)
        return team(tasks, self.operations // CHEAPER), tasks, block


def rows_of(problem: PoolProblem) -> Rows:
    """The output rows of a problem; of channels that do not lie side by side each has its own."""
    channels, elements = side_by_side(problem), math.prod(problem.y_shape3)
    return Rows(elements // (problem.out[2] * channels), elements * taps_of(problem), channels)


def tables_of(problem: PoolProblem) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The windows of the three axes."""
    first, second, third = problem.axes
    return table_of(first), table_of(second), table_of(third)


def channel_block(rows: int, C: int) -> int:
    """Channels of a channels-last task: all of them, unless there are too few rows (or images) for the threads.

    The block decides who computes an element, not how, so that it may depend on the number of threads.
    """
    parts = -(-2 * get_num_threads() // max(1, rows))
    return C if parts == 1 else min(C, -(-C // (parts * BLOCK)) * BLOCK)


@inlined
def lifted(a, code):  # type: ignore[no-untyped-def]
    """What is summed: a, |a| or a^2."""
    if code == SUM:
        return a
    if code == MAGNITUDES:
        return magnitude(a)
    return multiply(a, a)


@kernel
def share_of(divisor):  # type: ignore[no-untyped-def]
    """The share with its reciprocal if the divisor is a power of two; nothing was summed where the divisor is 0."""
    if divisor == 0.0:
        return Share(1.0, 1.0)
    whole = np.int64(divisor)
    exact = whole == divisor and whole & (whole - 1) == 0
    return Share(divisor, 1.0 / divisor if exact else 0.0)


@inlined
def ask_lanes(like, x, at):  # type: ignore[no-untyped-def]
    """Ask for as many lanes as `like` has, ahead of x[at]."""
    ahead, lanes = at + AHEAD // size_of(x), lanes_of(x)
    for i in range(lane_count(like) // lanes):
        ask(x, ahead + i * lanes)


@inlined
def claim_lanes(like, y, at):  # type: ignore[no-untyped-def]
    """Ask for as many lanes as `like` has, ahead of y[at], to be written."""
    ahead, lanes = at + AHEAD // size_of(y), lanes_of(y)
    for i in range(lane_count(like) // lanes):
        claim(y, ahead + i * lanes)


@kernel
def larger(best, a):  # type: ignore[no-untyped-def]
    """The larger of two numbers, NaN if either is NaN."""
    return a if a > best or np.isnan(a) else best


@inlined
def next_row(od, oh, OD, OH):  # type: ignore[no-untyped-def]
    """The output row after (od, oh); counting on is cheaper than dividing a task's number again."""
    if oh + 1 < OH:
        return od, oh + 1
    return (od + 1 if od + 1 < OD else 0), 0
