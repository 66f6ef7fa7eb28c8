"""Convolution problems."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from ..errors import InvalidArgument, shown
from .arguments import (
    LAYOUTS,
    parse_axes,
    parse_groups,
    parse_layout,
    parse_padding,
    parse_padding_mode,
    parse_shape,
)
from .shapes import AXES, Pairs, Triple, arrange, form, lift, missing_axes, short, split, triple


@dataclass(frozen=True)
class ConvSpec:
    """One convolution problem: y[n,o,i] = b[o] + sum over c,u of xp[n, c, i*stride + u*dilation] * w[o,c,u]."""

    rank: int
    N: int
    C: int
    O: int  # noqa: E741 - the field's name for output channels
    size: Triple
    kernel: Triple
    stride: Triple
    dilation: Triple
    padding: Pairs
    padding_mode: str
    groups: int
    channels_last: bool
    dtype: str

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:  # computed once: a specification is the key of every cache that a call looks into
        sizes = (self.N, self.C, self.O, self.size, self.kernel, self.stride, self.padding)
        return hash((*sizes, self.rank, self.channels_last, self.dtype))

    @cached_property
    def extent(self) -> Triple:
        """Input pixels that one output pixel's window spans, on each axis."""
        return triple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    @cached_property
    def padded(self) -> Triple:
        """Input size with its border."""
        return triple(n + sum(p) for n, p in zip(self.size, self.padding, strict=True))

    @cached_property
    def out(self) -> Triple:
        """Output size (OD, OH, OW)."""
        return triple((n - e) // s + 1 for n, e, s in zip(self.padded, self.extent, self.stride, strict=True))

    @property
    def taps(self) -> int:
        """Weights of one filter in one channel."""
        return math.prod(self.kernel)

    @property
    def flops(self) -> int:
        """Multiplications and additions of the direct method."""
        return 2 * self.N * self.O * math.prod(self.out) * (self.C // self.groups) * self.taps

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return np.dtype(self.dtype).itemsize

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of x as the caller has it."""
        return arrange(self.N, self.C, self.size[3 - self.rank :], self.channels_last)

    @cached_property
    def y_shape(self) -> tuple[int, ...]:
        """Shape of y as the caller has it."""
        return arrange(self.N, self.O, self.out[3 - self.rank :], self.channels_last)

    @property
    def w_shape(self) -> tuple[int, ...]:
        """Shape of w as the caller has it."""
        kernel, inner = self.kernel[3 - self.rank :], self.C // self.groups
        return (*kernel, inner, self.O) if self.channels_last else (self.O, inner, *kernel)

    def __str__(self) -> str:
        """Problem string, such as ``n8c16h32w32_o32k3s1p1``: a name for tables and the command line."""
        names = "dhw"[3 - self.rank :]
        size = "".join(f"{a}{n}" for a, n in zip(names, self.size[3 - self.rank :], strict=True))
        text = f"n{self.N}c{self.C}{size}_o{self.O}k{short(self.kernel, self.rank)}s{short(self.stride, self.rank)}"
        before = tuple(p[0] for p in self.padding)
        after = tuple(p[1] for p in self.padding)
        text += f"p{short(before, self.rank)}" + (f"-{short(after, self.rank)}" if after != before else "")
        if self.dilation != (1, 1, 1):
            text += f"d{short(self.dilation, self.rank)}"
        if self.groups != 1:
            text += f"g{self.groups}"
        if self.padding_mode != "zeros":
            text += f"_{self.padding_mode}"
        return text


def conv_spec(
    x_shape: Sequence[int],
    w_shape: Sequence[int],
    b_shape: Sequence[int] | None = None,
    *,
    rank: int,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    layout: str | None = None,
    padding_mode: str = "zeros",
    dtype: Any = "float32",
) -> ConvSpec:
    """Parse and check the arguments of a convolution; every fault is one `InvalidArgument`."""
    return _parse(x_shape, w_shape, b_shape, rank, stride, padding, dilation, groups, layout, padding_mode, dtype)


def known_spec(
    x_shape: tuple[int, ...], w_shape: tuple[int, ...], b_shape: tuple[int, ...] | None, rank: int, stride: Any,
    padding: Any, dilation: Any, groups: Any, layout: Any, padding_mode: Any, dtype: Any,
) -> ConvSpec:  # fmt: skip
    """`conv_spec` for the shapes of arrays, parsed once for arguments that are plain numbers and words."""
    arguments = (stride, padding, dilation, groups, layout, padding_mode)
    parse = _known if all(map(_is_plain, arguments)) else _parse
    return parse(x_shape, w_shape, b_shape, rank, *arguments, dtype)


def _parse(
    x_shape: Sequence[int], w_shape: Sequence[int], b_shape: Sequence[int] | None, rank: int, stride: Any, padding: Any,
    dilation: Any, groups: Any, layout: Any, padding_mode: Any, dtype: Any,
) -> ConvSpec:  # fmt: skip
    channels_last = parse_layout(layout, rank)
    x_shape, w_shape = parse_shape(x_shape, "x"), parse_shape(w_shape, "w")
    shapes = f"(x: {shown(x_shape)}, w: {shown(w_shape)}, layout {LAYOUTS[rank][channels_last]})"
    x_form, w_form = form(rank, channels_last), "(KERNEL, C/groups, O)" if channels_last else "(O, C/groups, KERNEL)"
    if len(x_shape) != rank + 2:
        hint = missing_axes("x", len(x_shape), rank, channels_last)
        raise InvalidArgument(f"x has {len(x_shape)} axes but conv{rank}d needs {rank + 2}, {x_form} {shapes}{hint}")
    if len(w_shape) != rank + 2:
        raise InvalidArgument(f"w has {len(w_shape)} axes but conv{rank}d needs {rank + 2}, {w_form} {shapes}")
    N, C, size = split(x_shape, channels_last)
    kernel, inner, O = (
        (w_shape[:-2], w_shape[-2], w_shape[-1]) if channels_last else (w_shape[2:], w_shape[1], w_shape[0])
    )
    groups = parse_groups(groups, C, O, shapes)
    if inner * groups != C:
        raise InvalidArgument(
            f"w has {inner} input channels but x has {C} {shapes}; with groups={groups} w must have {C // groups}: "
            f"{w_form}"
        )
    if min(*kernel, C, O) < 1:
        raise InvalidArgument(f"every axis but the batch must have at least one element {shapes}")
    if b_shape is not None and tuple(b_shape) != (O,):
        raise InvalidArgument(f"b has shape {shown(b_shape)} but there are {O} output channels; expected ({O},)")
    stride, dilation = parse_axes(stride, "stride", rank), parse_axes(dilation, "dilation", rank)
    extent = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    pairs = parse_padding(padding, rank, size, extent, stride)
    for a, (n, e, (before, after)) in enumerate(zip(size, extent, pairs, strict=True)):
        if n + before + after < e or n < 1:
            raise InvalidArgument(
                f"the output would be empty along {AXES[3 - rank + a]}: the input has {n} + {before} + {after} "
                f"(padding) elements there but the dilated filter spans {e} {shapes}; pad more or use a smaller filter"
            )
    return ConvSpec(
        rank=rank,
        N=N,
        C=C,
        O=O,
        size=lift(size, 1),
        kernel=lift(kernel, 1),
        stride=lift(stride, 1),
        dilation=lift(dilation, 1),
        padding=lift(pairs, (0, 0)),
        padding_mode=parse_padding_mode(padding_mode),
        groups=groups,
        channels_last=channels_last,
        dtype=np.dtype(dtype).name,
    )


def _is_plain(value: Any) -> bool:
    """True for numbers, words, None and tuples of them: what equals such a value means the same, if of its type."""
    kind = type(value)
    return kind is int or kind is str or value is None or (kind is tuple and all(map(_is_plain, value)))


_known = lru_cache(maxsize=1024, typed=True)(_parse)  # typed: True is not 1


def transposed_spec(
    x_shape: Sequence[int],
    w_shape: Sequence[int],
    b_shape: Sequence[int] | None = None,
    *,
    rank: int,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    layout: str | None = None,
    dtype: Any = "float32",
) -> ConvSpec:
    """The forward convolution whose input gradient is this transposed convolution: its y is our x, its x our output."""
    channels_last = parse_layout(layout, rank)
    x_shape, w_shape = parse_shape(x_shape, "x"), parse_shape(w_shape, "w")
    shapes = f"(x: {shown(x_shape)}, w: {shown(w_shape)}, layout {LAYOUTS[rank][channels_last]})"
    w_form = "(KERNEL, O/groups, C)" if channels_last else "(C, O/groups, KERNEL)"
    if len(x_shape) != rank + 2 or len(w_shape) != rank + 2:
        hint = missing_axes("x", len(x_shape), rank, channels_last)
        raise InvalidArgument(
            f"conv_transpose{rank}d needs x with {rank + 2} axes, {form(rank, channels_last)}, and w with "
            f"{rank + 2} axes, {w_form} {shapes}{hint}"
        )
    N, C, size = split(x_shape, channels_last)
    kernel, inner, outer = (
        (w_shape[:-2], w_shape[-2], w_shape[-1]) if channels_last else (w_shape[2:], w_shape[1], w_shape[0])
    )
    if outer != C:
        raise InvalidArgument(f"w has {outer} input channels but x has {C} {shapes}; expected w as {w_form}")
    groups = parse_groups(groups, C, None, shapes)
    O = inner * groups
    if b_shape is not None and tuple(b_shape) != (O,):
        raise InvalidArgument(f"b has shape {shown(b_shape)} but there are {O} output channels; expected ({O},)")
    stride, dilation = parse_axes(stride, "stride", rank), parse_axes(dilation, "dilation", rank)
    extra = parse_axes(output_padding, "output_padding", rank, least=0)
    for a in range(rank):
        if extra[a] >= max(stride[a], dilation[a]):
            raise InvalidArgument(
                f"output_padding is {extra[a]} along {AXES[3 - rank + a]}; it must be below max(stride, dilation) = "
                f"{max(stride[a], dilation[a])}"
            )
    extent = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    if isinstance(padding, str) and padding == "same":
        full = [n * s for n, s in zip(size, stride, strict=True)]
        pairs = parse_padding("same", rank, full, extent, stride)
        extra = tuple(
            f - ((n - 1) * s + e - sum(p)) for f, n, s, e, p in zip(full, size, stride, extent, pairs, strict=True)
        )
    else:
        pairs = parse_padding(padding, rank, size, extent, stride)
    out = [(n - 1) * s + e - sum(p) + o for n, s, e, p, o in zip(size, stride, extent, pairs, extra, strict=True)]
    if min(out) < 1 or min(*size, C, O) < 1:
        raise InvalidArgument(f"the output would be empty: its size would be {tuple(out)} {shapes}; use less padding")
    spec = conv_spec(
        arrange(N, O, out, channels_last),
        w_shape,
        rank=rank,
        stride=stride,
        padding=pairs,
        dilation=dilation,
        groups=groups,
        layout=layout,
        dtype=dtype,
    )
    return spec
