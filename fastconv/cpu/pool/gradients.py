"""Gradients of pooling on the CPU, re-exported by `pool`.

Average and l^p gradients gather: an element of x sums over the windows that hold it, so that every element is written
once, by one thread, in a fixed order of summation. The max gradient scatters within a plane, which is one task.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np

from ...errors import InvalidArgument
from ...kept import kept
from ...memory import scratch
from ...problem import PoolProblem
from ...simd.fields import packed
from ...simd.host import host
from ...threads import team
from ...windows import Rule, cover_of, table_of
from . import strips
from .gradient_kernels import Spread, avg_grad_first, avg_grad_last, lp_grad
from .gradient_pairs import avg_grad_pairs
from .gradient_squares import avg_grad_squares
from .gradient_winners import max_grad
from .kinds import Way, channel_block, planes_of, side_by_side
from .pairs import PAIRS, THREES

Tables = tuple[np.ndarray, ...]

_NONE = np.zeros(0, np.int64)


def max_pool_grad(problem: PoolProblem, dy: np.ndarray, indices: np.ndarray, dx: np.ndarray) -> None:
    """Write to dx, in every (n, c) plane, the sum of the dy whose index names the element; index -1 is skipped.

    An index below -1 or beyond the plane is an `InvalidArgument`: what was written to dx is then of no use.
    """
    if dx.size:
        _scatter(dy, indices, dx, True, *_prepare_scatter(problem))


def add_at(dy: np.ndarray, indices: np.ndarray, dx: np.ndarray, axis: int) -> None:
    """Add each dy to the element of dx that its index names; channels are the first or the last of an image's axes."""
    C = dx.shape[axis] if axis > 1 else 1
    images = dx.shape[0] if axis > 1 else dx.shape[0] * dx.shape[1]
    if dx.size:
        _scatter(dy, indices, dx, False, images, C, dx.size // (images * C), dy.size // (images * C), 0, 0)


@kept
def _prepare_scatter(problem: PoolProblem) -> tuple[int, ...]:
    """What `_scatter` takes beside the arrays."""
    C, (D, H, W), (_, OH, OW) = side_by_side(problem), problem.size, problem.out
    half = D == 1 and H == 2 * OH and W == 2 * OW and W > 2 and H * W < 1 << 30
    return problem.N * problem.C // C, C, D * H * W, math.prod(problem.out), H if half else 0, W


def _scatter(
    dy: np.ndarray,
    indices: np.ndarray,
    dx: np.ndarray,
    anew: bool,
    images: int,
    C: int,
    plane: int,
    outputs: int,
    H: int,
    W: int,
) -> None:
    dy, indices, dx = (a.reshape(-1) for a in (dy, indices, dx))
    block = channel_block(images, C)
    tasks = images * -(-C // block)
    wrong = np.zeros(1, np.int64)
    max_grad(team(tasks, dx.size + dy.size), tasks, dy, indices, dx, wrong, anew, plane, outputs, C, block, H, W)
    if wrong[0]:
        low, high = int(indices.min()), int(indices.max())
        raise InvalidArgument(
            f"indices reach from {low} to {high}; the planes of x have {plane} elements, so that they must lie between "
            f"0 and {plane - 1} (-1: no element); pass the indices that max pooling returned for this x"
        )


def avg_pool_grad(problem: PoolProblem, dy: np.ndarray, dx: np.ndarray, *, divisor: float | None) -> None:
    """Write to dx the sum of dy / divisor over the windows that hold each element of x."""
    strips.gradient(_mean_grad, problem, dy, dx, divisor=divisor)


def _mean_grad(problem: PoolProblem, dy: np.ndarray, dx: np.ndarray, divisor: float | None) -> None:
    if dx.size:
        run, prepared = _prepared(problem, divisor)
        run(dy.reshape(-1), dx.reshape(-1), *prepared)


@kept
def _prepared(problem: PoolProblem, divisor: float | None) -> tuple[Callable[..., None], tuple[Any, ...]]:
    """What runs an average gradient, and what that takes beside the arrays."""
    way = mean_way(problem, divisor is None)
    return way.run, way.prepare(problem, divisor)


@lru_cache(maxsize=512)
def mean_way(problem: PoolProblem, own: bool) -> Way:
    """Which kernel serves an average gradient; `own` where each window has the divisor of its table."""
    third = problem.axes[2]
    if side_by_side(problem) > 1:
        return BY_SQUARES if _square(problem) and _alike(third, own) else BY_CHANNELS
    if third.dilation > 1 or not _alike(third, own):
        return BY_ROWS
    lie = third.spacing()
    return BY_PAIRS if lie == PAIRS else BY_THREES if lie == THREES else BY_ROWS


def _rows(problem: PoolProblem) -> int:
    """Rows of x, those of several channels that lie side by side counted as one."""
    return math.prod(problem.x_shape3) // (problem.size[2] * side_by_side(problem))


def _prepare_channels(problem: PoolProblem, divisor: float | None) -> tuple[Any, ...]:
    covers, factors, alike = _covers(problem), _factors(problem, divisor), _alike(problem.axes[2], divisor is None)
    return _rows(problem), problem.C, problem.out[2], covers, factors, planes_of(problem), alike


def _by_channels(
    dy: np.ndarray, dx: np.ndarray, rows: int, C: int, width: int, covers: Tables, factors: Tables,
    planes: np.ndarray, alike: bool,
) -> None:  # fmt: skip
    block = channel_block(rows, C)
    tasks = rows * -(-C // block)
    members = team(tasks, dx.size + dy.size)
    avg_grad_last(
        members, tasks, dy, dx, covers, factors, scratch((members * width * C,), dx.dtype), planes, block, alike
    )


def _square(problem: PoolProblem) -> bool:
    """Whether windows are pairs, or threes around every other element, along two axes, and there is no third."""
    first, second, third = problem.axes
    alike = second.dilation == third.dilation == 1 and second.spacing() == third.spacing()
    return alike and third.spacing() in (PAIRS, THREES) and first.size == first.out == first.kernel == 1


def _prepare_squares(problem: PoolProblem, divisor: float | None) -> tuple[Any, ...]:
    images, three = problem.N, problem.axes[2].spacing() == THREES
    deep, high, wide = _factors(problem, divisor)
    return images * ((problem.size[1] + 1) // 2), problem.C, high, float(deep[0] * wide[0]), planes_of(problem), three


def _by_squares(
    dy: np.ndarray, dx: np.ndarray, pairs: int, C: int, factors: np.ndarray, scale: float, planes: np.ndarray,
    three: bool,
) -> None:  # fmt: skip
    block = channel_block(pairs, C)
    tasks = pairs * -(-C // block)
    avg_grad_squares(team(tasks, dx.size + dy.size), tasks, dy, dx, factors, scale, planes, block, three)


def _prepare_pairs(three: bool, problem: PoolProblem, divisor: float | None) -> tuple[Any, ...]:
    covers = cover_of(problem.axes[0]), cover_of(problem.axes[1])
    high, spacing = problem.axes[1], THREES if three else PAIRS
    square = high.dilation == 1 and high.spacing() == spacing and high.size > 1
    return _rows(problem), covers, _factors(problem, divisor), planes_of(problem), three, square


def _by_pairs(dy: np.ndarray, dx: np.ndarray, rows: int, *rest: Any) -> None:
    avg_grad_pairs(team(rows, dx.size + dy.size), rows, dy, dx, *rest)


def _prepare_rows(problem: PoolProblem, divisor: float | None) -> tuple[Any, ...]:
    lanes = host().lanes(problem.itemsize)
    spread, numbers = _spread(problem.axes[2], lanes)
    covers, factors = _covers(problem, wide=spread.stride == 0), _factors(problem, divisor, lanes)
    return _rows(problem), spread.length, covers, factors, planes_of(problem), numbers


def _by_rows(
    dy: np.ndarray, dx: np.ndarray, rows: int, length: int, covers: Tables, factors: Tables, *rest: Any
) -> None:
    members = team(rows, dx.size + dy.size)
    avg_grad_first(members, rows, dy, dx, covers, factors, scratch((members * length,), dx.dtype), *rest)


def lp_pool_grad(
    problem: PoolProblem, dy: np.ndarray, x: np.ndarray, y: np.ndarray, dx: np.ndarray, *, p: float
) -> None:
    """Write to dx the sum of dy * sign(x) * (|x| / y)^(p-1) over the windows that hold each element; 0 where y is 0.

    With p = inf a window's dy goes to every largest |x|.
    """
    strips.gradient(_norm_grad, problem, dy, x, y, dx, p=p)


def _norm_grad(problem: PoolProblem, dy: np.ndarray, x: np.ndarray, y: np.ndarray, dx: np.ndarray, p: float) -> None:
    if dx.size == 0:
        return
    if (p == 1 or p == 2) and _simple_norm_grad(problem, dy, x, y, dx, int(p)):
        return
    flat = tuple(a.reshape(-1) for a in (dy, x, y, dx))
    rows = dx.size // (problem.size[2] * side_by_side(problem))
    lp_grad(team(rows, 8 * dx.size), rows, *flat, _covers(problem), planes_of(problem), float(p))


def _simple_norm_grad(
    problem: PoolProblem, dy: np.ndarray, x: np.ndarray, y: np.ndarray, dx: np.ndarray, p: int
) -> bool:
    """For p = 1 and 2 the slope is a product of a factor of the window and one of the element.

    False where a window's factor is not a number of float64, although the product may be.
    """
    if p == 1:
        _mean_grad(problem, dy, dx, 1.0)
        with np.errstate(all="ignore"):
            np.multiply(dx, np.sign(x), out=dx, where=_met(problem, dx))
        return True
    shares = np.zeros(y.shape)  # float64: dy / y of a tiny float32 y has to be finite
    sums = np.empty(dx.shape)
    with np.errstate(all="ignore"):  # as silent as the compiled kernels
        np.divide(dy, y, out=shares, where=y != 0, dtype=np.float64)
        if dx.dtype == np.float64 and not _keeps(np.abs(shares)):
            return False
        _mean_grad(problem, shares, sums, 1.0)
        met = _met(problem, sums)
        np.multiply(sums, x, out=dx, casting="same_kind", where=met)
        if met is not True:
            dx[~met] = 0
    return True


def _met(problem: PoolProblem, dx: np.ndarray) -> Any:
    """Where a product with x counts: anywhere (True), or not at elements that no window holds, be they NaN or Inf."""
    d, h, w = (np.diff(cover[: cover[0]]) > 0 for cover in _covers(problem))
    if d.all() and h.all() and w.all():
        return True
    met = d[:, None, None] & h[:, None] & w
    return np.broadcast_to(met[..., None] if problem.channels_last else met, dx.shape)


def _keeps(shares: np.ndarray) -> bool:
    """True where all shares are 0 or far from the ends of float64: their products with elements are exact enough."""
    smallest = np.min(shares, where=shares > 0, initial=1.0)
    return bool(smallest > 1e-280 and np.max(shares) < 1e280)


def _factors(problem: PoolProblem, divisor: float | None, lanes: int = 1) -> Tables:
    """For the three axes the factors of the windows: what a window's dy is multiplied by is their product."""
    own = divisor is None
    first, second, third = problem.axes
    deep = _shares(first, own, 1)
    return deep if divisor is None else deep / divisor, _shares(second, own, 1), _shares(third, own, lanes)


@kept
def _shares(rule: Rule, own: bool, lanes: int) -> np.ndarray:
    """The reciprocals of the divisors of an axis, or ones; then zeros, up to a multiple of the lanes."""
    shares = np.zeros(-(-rule.out // lanes) * lanes)
    shares[: rule.out] = 1.0 / np.maximum(table_of(rule)[:, 2], 1) if own else 1.0
    return shares


@kept
def _alike(rule: Rule, own: bool) -> bool:
    """Whether all windows of an axis have one factor."""
    shares = _shares(rule, own, 1)
    return bool(shares.min() == shares.max())


def _covers(problem: PoolProblem, wide: bool = True) -> Tables:
    """For the three axes which windows hold an element; for the last, if not `wide`, nothing that is looked at."""
    first, second, third = problem.axes
    return cover_of(first), cover_of(second), cover_of(third) if wide else _NONE


@kept
def _spread(rule: Rule, lanes: int) -> tuple[Spread, np.ndarray]:
    """How `avg_grad_first` spreads a row of sums, also as numbers with the offsets behind."""
    rounded, lie = -(-rule.out // lanes) * lanes, rule.spacing()
    if lie is None or lie.stride > 2:
        spread = Spread(stride=0, margin=0, length=rounded, even=0, all=0)
        return spread, packed(spread)
    places = lie.before - rule.dilation * np.arange(lie.kernel - 1, -1, -1, dtype=np.int64)
    lists = [(r + places)[(r + places) % lie.stride == 0] // lie.stride for r in range(lie.stride)]
    offsets = np.concatenate(lists)
    margin = max(0, -int(offsets.min()))
    blocks = -(-rule.size // (lie.stride * lanes)) * lanes
    length = margin + max(rounded, blocks + max(0, int(offsets.max())))
    spread = Spread(lie.stride, margin, length, len(lists[0]), len(offsets))
    return spread, packed(spread, offsets + margin)


BY_CHANNELS = Way(
    avg_grad_last, _prepare_channels, _by_channels, "lanes are channels, the rows of dy that meet are summed first",
    lambda problem, dtype: problem.out[2] * problem.C * dtype.itemsize,
)  # fmt: skip
BY_SQUARES = Way(
    avg_grad_squares, _prepare_squares, _by_squares, "windows of 2x2, or 3x3 around every other pixel, in registers"
)
BY_PAIRS = Way(
    avg_grad_pairs, partial(_prepare_pairs, False), _by_pairs, "windows of 2 columns, everything in registers"
)
BY_THREES = Way(
    avg_grad_pairs, partial(_prepare_pairs, True), _by_pairs,
    "windows of 3 around every other column, everything in registers",
)  # fmt: skip
BY_ROWS = Way(
    avg_grad_first, _prepare_rows, _by_rows, "lanes are columns, the rows of dy that meet are summed first",
    lambda problem, dtype: _spread(problem.axes[2], host().lanes(dtype.itemsize))[0].length * dtype.itemsize,
)  # fmt: skip
SCATTER = Way(max_grad, _prepare_scatter, _scatter, "every dy is added to the element that won, one plane a thread")
