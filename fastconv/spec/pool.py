"""Pooling problems."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import InvalidArgument, shown
from ..problem import PoolProblem
from ..windows import Adaptive, Sliding
from .arguments import parse_axes, parse_layout, parse_padding, parse_shape
from .shapes import AXES, form, lift, missing_axes, split

NO_AXIS = Sliding(1, 0, 1, 1, 1, 1, 0, 1)


def pool_problem(
    x_shape: Sequence[int],
    window: Any,
    *,
    rank: int,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    layout: str | None = None,
    dtype: Any = "float32",
    op: str = "max_pool",
) -> PoolProblem:
    """Parse and check the arguments of a pooling; every fault is one `InvalidArgument`.

    Elements of the border count in the divisors of windows with `count_include_pad`; what lies beyond it never does.
    """
    channels_last = parse_layout(layout, rank)
    N, C, size = _pool_input(x_shape, rank, channels_last)
    window = parse_axes(window, "size", rank)
    stride = window if stride is None else parse_axes(stride, "stride", rank)
    dilation = parse_axes(dilation, "dilation", rank)
    extent = [d * (k - 1) + 1 for k, d in zip(window, dilation, strict=True)]
    pairs = parse_padding(padding, rank, size, extent, stride)
    out = []
    for a, (n, e, s, (before, after)) in enumerate(zip(size, extent, stride, pairs, strict=True)):
        axis = AXES[3 - rank + a]
        if max(before, after) >= e:
            raise InvalidArgument(
                f"padding is ({before}, {after}) along {axis}; it must be below the dilated window's size, {e}"
            )
        room = n + before + after - e
        if room < 0:
            raise InvalidArgument(
                f"the output would be empty along {axis}: the input has {n} + {before} + {after} (padding) elements "
                f"there but the dilated window spans {e}; pad more or use a smaller window"
            )
        o = room // s + 1
        if ceil_mode:
            o = -(-room // s) + 1
            if (o - 1) * s >= n + before:  # the last window must start inside the input or its leading padding
                o -= 1
        out.append(o)
    axes = []
    for n, o, k, s, d, (before, after) in zip(size, out, window, stride, dilation, pairs, strict=True):
        low, high = (-before, n + after) if count_include_pad else (0, n)
        axes.append(Sliding(o, -before, s, k, d, n, low, high))
    return PoolProblem(
        op=op,
        rank=rank,
        N=N,
        C=C,
        axes=lift(axes, NO_AXIS),
        padding=lift(pairs, (0, 0)),
        channels_last=channels_last,
        dtype=np.dtype(dtype).name,
    )


def adaptive_problem(
    x_shape: Sequence[int],
    out: Any,
    *,
    rank: int,
    layout: str | None = None,
    dtype: Any = "float32",
    op: str = "max_pool",
) -> PoolProblem:
    """Pooling to a given output size: window i reaches from floor(i*n/o) to ceil((i+1)*n/o). None keeps an axis."""
    channels_last = parse_layout(layout, rank)
    N, C, size = _pool_input(x_shape, rank, channels_last)
    if out is None or isinstance(out, (tuple, list)):
        wanted = (out,) * rank if out is None else tuple(out)
        out = (
            tuple(n if o is None else o for o, n in zip(wanted, size, strict=False)) if len(wanted) == rank else wanted
        )
    out = parse_axes(out, "output size", rank)
    axes = [Adaptive(o, 0, n, o, n, 0) for n, o in zip(size, out, strict=True)]
    return PoolProblem(
        op=op,
        rank=rank,
        N=N,
        C=C,
        axes=lift(axes, NO_AXIS),
        padding=((0, 0), (0, 0), (0, 0)),
        channels_last=channels_last,
        dtype=np.dtype(dtype).name,
    )


def _pool_input(x_shape: Sequence[int], rank: int, channels_last: bool) -> tuple[int, int, tuple[int, ...]]:
    x_shape = parse_shape(x_shape, "x")
    if len(x_shape) != rank + 2:
        raise InvalidArgument(
            f"x has {len(x_shape)} axes but a {rank}-D pooling needs {rank + 2}, {form(rank, channels_last)} "
            f"(x: {shown(x_shape)}){missing_axes('x', len(x_shape), rank, channels_last)}"
        )
    N, C, size = split(x_shape, channels_last)
    if min(*size, C) < 1:
        raise InvalidArgument(f"every axis of x but the batch must have at least one element (x: {x_shape})")
    return N, C, size
