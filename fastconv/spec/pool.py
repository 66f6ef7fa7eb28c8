"""Pooling problems."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InvalidArgument, shown
from ..windows import Adaptive, Sliding, Windows
from .arguments import parse_axes, parse_layout, parse_padding, parse_shape
from .shapes import AXES, Pairs, Triple, arrange, form, lift, missing_axes, split


@dataclass(frozen=True)
class PoolSpec:
    """One pooling problem: every window's real elements are reduced to one number, channel by channel."""

    rank: int
    N: int
    C: int
    size: Triple
    window: Triple
    stride: Triple
    padding: Pairs
    dilation: Triple
    out: Triple
    channels_last: bool
    dtype: str
    adaptive: bool = False

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of x as the caller has it."""
        return arrange(self.N, self.C, self.size[3 - self.rank :], self.channels_last)

    @property
    def y_shape(self) -> tuple[int, ...]:
        """Shape of y as the caller has it."""
        return arrange(self.N, self.C, self.out[3 - self.rank :], self.channels_last)

    @property
    def flops(self) -> int:
        """Elements read."""
        return self.N * self.C * math.prod(self.out) * math.prod(self.window)

    def windows(self, count_include_pad: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Tables of the windows along each axis, int64 (out, 3): first real element, number of real elements, divisor.

        The number of elements in a window, and what avg_pool divides by, are products over the axes; a tap beyond
        the padded input counts nowhere, a tap in the padding counts in the divisor if `count_include_pad`.
        Elements of a window lie `dilation` apart.
        """
        first, second, third = (rule.table() for rule in self.rules(count_include_pad))
        return first, second, third

    def rules(self, count_include_pad: bool = False) -> Windows:
        """The same as rules, which take no memory."""
        return tuple(self._rule(a, count_include_pad) for a in range(3))  # type: ignore[return-value]

    def _rule(self, a: int, count_include_pad: bool) -> Sliding | Adaptive:
        n, out, (before, after) = self.size[a], self.out[a], self.padding[a]
        if self.adaptive:
            return Adaptive(out, 0, n, out, n, 0)
        low, high = (-before, n + after) if count_include_pad else (0, n)
        return Sliding(out, -before, self.stride[a], self.window[a], self.dilation[a], n, low, high)


def pool_spec(
    x_shape: Sequence[int],
    window: Any,
    *,
    rank: int,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    layout: str | None = None,
    dtype: Any = "float32",
) -> PoolSpec:
    """Parse and check the arguments of a pooling; every fault is one `InvalidArgument`."""
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
    return PoolSpec(
        rank=rank,
        N=N,
        C=C,
        size=lift(size, 1),
        window=lift(window, 1),
        stride=lift(stride, 1),
        padding=lift(pairs, (0, 0)),
        dilation=lift(dilation, 1),
        out=lift(out, 1),
        channels_last=channels_last,
        dtype=np.dtype(dtype).name,
    )


def adaptive_spec(
    x_shape: Sequence[int], out: Any, *, rank: int, layout: str | None = None, dtype: Any = "float32"
) -> PoolSpec:
    """Pooling to a given output size: window i reaches from floor(i*n/o) to ceil((i+1)*n/o). None keeps an axis."""
    channels_last = parse_layout(layout, rank)
    N, C, size = _pool_input(x_shape, rank, channels_last)
    if out is None or isinstance(out, (tuple, list)):
        wanted = (out,) * rank if out is None else tuple(out)
        out = (
            tuple(n if o is None else o for o, n in zip(wanted, size, strict=False)) if len(wanted) == rank else wanted
        )
    out = parse_axes(out, "output size", rank)
    window = [-(-n // o) for n, o in zip(size, out, strict=True)]
    return PoolSpec(
        rank=rank,
        N=N,
        C=C,
        size=lift(size, 1),
        window=lift(window, 1),
        stride=(1, 1, 1),
        padding=((0, 0),) * 3,
        dilation=(1, 1, 1),
        out=lift(out, 1),
        channels_last=channels_last,
        dtype=np.dtype(dtype).name,
        adaptive=True,
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
