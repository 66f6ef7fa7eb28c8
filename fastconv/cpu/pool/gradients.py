"""Gradients of pooling on the CPU, re-exported by `pool`.

Average and l^p gradients gather: an element of x sums over the windows that hold it, so that every element is written
once, by one thread, in a fixed order of summation. The max gradient scatters within a plane, which is one task.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import InvalidArgument
from ...kept import kept
from ...problem import PoolProblem, Triple
from ...simd.host import host
from ...threads import team
from ...windows import Windows, tables
from . import strips
from .gradient_kernels import avg_grad_first, avg_grad_last, lp_grad, max_grad
from .gradient_pairs import avg_grad_pairs
from .windows import channel_block, covers, spacing

_NONE = np.zeros(1, np.int64), np.zeros(0, np.int64)
PAIRS = ((2, 0, 2), (2, 1, 3))  # stride, padding and window of rows that `gradient_pairs` serves


def max_pool_grad(problem: PoolProblem, dy: np.ndarray, indices: np.ndarray, dx: np.ndarray) -> None:
    """Write to dx, in every (n, c) plane, the sum of the dy whose index names the element; index -1 is skipped.

    An index below -1 or beyond the plane is an `InvalidArgument`: what was written to dx is then of no use.
    """
    if dx.size == 0:
        return
    images, D, H, W, C = _split(dx, problem.channels_last)
    plane, outputs = D * H * W, dy.size // (images * C)
    block = channel_block(images, C)
    tasks = images * -(-C // block)
    wrong = np.zeros(1, np.int64)
    flat = dy.reshape(-1), indices.reshape(-1), dx.reshape(-1)
    max_grad(team(tasks, dx.size + dy.size), tasks, *flat, wrong, plane, outputs, C, block)
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
    windows, step, channels_last = problem.axes, problem.dilation, problem.channels_last
    _, D, H, W, C = _split(dx, channels_last)
    if dx.size == 0:
        return
    scales = _factors(windows, divisor)
    alike = bool(scales[2].min() == scales[2].max())
    rows, work = dx.size // (W * C), dx.size + dy.size
    flat, out = (dy.reshape(-1), dx.reshape(-1)), tuple(rule.out for rule in windows)
    if C > 1:
        block = channel_block(rows, C)
        tasks = rows * -(-C // block)
        members = team(tasks, work)
        sums = np.empty(members * out[2] * C, dx.dtype)
        held = _held(windows, step, (D, H, W))
        avg_grad_last(members, tasks, *flat, *held, scales, sums, (D, H, W, C), out, block, alike)
        return
    (start_d, owners_d), (start_h, owners_h) = (_axis(windows, a, step[a], n) for a, n in enumerate((D, H)))
    if alike and step[2] == 1 and _spacing(windows, W) in PAIRS:
        scale_d, scale_h, scale_w = scales
        three = _spacing(windows, W) == PAIRS[1]
        avg_grad_pairs(
            team(rows, work), rows, *flat, start_d, start_h, owners_d, owners_h, scale_d, scale_h, scale_w[0],
            (D, H, W), out, three,
        )  # fmt: skip
        return
    lanes = host().lanes(dx.itemsize)
    line, offsets, phases = _spread_line(windows, step[2], W, lanes)
    start_w, owners_w = _NONE if line[0] else _axis(windows, 2, step[2], W)  # told by `offsets` for strides 1 and 2
    held = (start_d, start_h, start_w), (owners_d, owners_h, owners_w)
    members = team(rows, work)
    sums = np.zeros(members * line[2], dx.dtype)
    scale = np.zeros(-(-out[2] // lanes) * lanes)
    scale[: out[2]] = scales[2]
    avg_grad_first(members, rows, *flat, *held, scales, scale, sums, offsets, phases, (D, H, W), out, line)


def lp_pool_grad(
    problem: PoolProblem, dy: np.ndarray, x: np.ndarray, y: np.ndarray, dx: np.ndarray, *, p: float
) -> None:
    """Write to dx the sum of dy * sign(x) * (|x| / y)^(p-1) over the windows that hold each element; 0 where y is 0.

    With p = inf a window's dy goes to every largest |x|.
    """
    strips.gradient(_norm_grad, problem, dy, x, y, dx, p=p)


def _norm_grad(problem: PoolProblem, dy: np.ndarray, x: np.ndarray, y: np.ndarray, dx: np.ndarray, p: float) -> None:
    windows, step, channels_last = problem.axes, problem.dilation, problem.channels_last
    if dx.size == 0:
        return
    if (p == 1 or p == 2) and _simple_norm_grad(problem, dy, x, y, dx, int(p)):
        return
    _, D, H, W, C = _split(dx, channels_last)
    flat = tuple(a.reshape(-1) for a in (dy, x, y, dx))
    rows = dx.size // (W * C)
    held = _held(windows, step, (D, H, W))
    lp_grad(team(rows, 8 * dx.size), rows, *flat, *held, (D, H, W, C), problem.out, float(p))


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
    starts, _ = _held(problem.axes, problem.dilation, problem.size)
    d, h, w = (start[1:] > start[:-1] for start in starts)
    if d.all() and h.all() and w.all():
        return True
    met = d[:, None, None] & h[:, None] & w
    return np.broadcast_to(met[..., None] if problem.channels_last else met, dx.shape)


def _keeps(shares: np.ndarray) -> bool:
    """True where all shares are 0 or far from the ends of float64: their products with elements are exact enough."""
    smallest = np.min(shares, where=shares > 0, initial=1.0)
    return bool(smallest > 1e-280 and np.max(shares) < 1e280)


def _split(dx: np.ndarray, channels_last: bool) -> tuple[int, int, int, int, int]:
    """dx as (planes or images, D, H, W, channels that lie side by side)."""
    if channels_last:
        return dx.shape  # type: ignore[return-value]
    return dx.shape[0] * dx.shape[1], dx.shape[2], dx.shape[3], dx.shape[4], 1


def _factors(windows: Windows, divisor: float | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For the three axes the factors of the windows: what a window's dy is multiplied by is their product."""
    first, second, third = (_shares(windows, axis, divisor is None) for axis in range(3))
    return first if divisor is None else first / divisor, second, third


@kept
def _shares(windows: Windows, axis: int, by_table: bool) -> np.ndarray:
    """The reciprocals of the divisors of an axis, or ones."""
    table = tables(windows)[axis]
    return 1.0 / np.maximum(table[:, 2], 1) if by_table else np.ones(len(table))


def _held(windows: Windows, step: Triple, size: Triple) -> tuple[Any, Any]:
    """For the three axes the starts, and the owners: see `covers`."""
    starts, owners = zip(*(_axis(windows, a, step[a], size[a]) for a in range(3)), strict=True)
    return starts, owners


@kept
def _axis(windows: Windows, axis: int, step: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    return covers(tables(windows)[axis], step, size)  # type: ignore[no-any-return]


@kept
def _spacing(windows: Windows, width: int) -> tuple[int, int, int]:
    """`spacing` of an axis without dilation."""
    return spacing(tables(windows)[2], 1, width)


@kept
def _spread_line(windows: Windows, step: int, width: int, lanes: int) -> tuple[Any, np.ndarray, np.ndarray]:
    """How `avg_grad_first` spreads a row of sums: (line, offsets, phases), see there."""
    table = tables(windows)[2]
    rounded = -(-len(table) // lanes) * lanes
    stride, before, window = spacing(table, step, width)
    if stride not in (1, 2):
        return (0, 0, rounded), np.zeros(0, np.int64), np.zeros(1, np.int64)
    lists = []
    for r in range(stride):
        places = r + before - step * np.arange(window - 1, -1, -1, dtype=np.int64)
        lists.append(places[places % stride == 0] // stride)
    offsets = np.concatenate(lists)
    margin = max(0, -int(offsets.min()))
    blocks = -(-width // (stride * lanes)) * lanes
    length = margin + max(rounded, blocks + max(0, int(offsets.max())))
    return (stride, margin, length), offsets + margin, np.cumsum([0, *map(len, lists)])
