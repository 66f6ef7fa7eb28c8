"""Convolution problems."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from ..errors import InvalidArgument, shown
from ..problem import Axis, ConvProblem
from .arguments import (
    LAYOUTS,
    is_plain,
    parse_axes,
    parse_groups,
    parse_layout,
    parse_padding,
    parse_padding_mode,
    parse_shape,
)
from .shapes import AXES, form, lift, missing_axes, split

NO_AXIS = Axis(1, 1, 1, 1, 1, 0, 0)


def conv_problem(
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
    op: str = "conv",
) -> ConvProblem:
    """Parse and check the arguments of a convolution; every fault is one `InvalidArgument`."""
    return _parse(op, x_shape, w_shape, b_shape, rank, stride, padding, dilation, groups, layout, padding_mode, dtype)


def known_problem(
    op: str, x_shape: tuple[int, ...], w_shape: tuple[int, ...], b_shape: tuple[int, ...] | None, rank: int,
    stride: Any, padding: Any, dilation: Any, groups: Any, layout: Any, padding_mode: Any, dtype: Any,
) -> ConvProblem:  # fmt: skip
    """`conv_problem` for the shapes of arrays, parsed once for arguments that are plain numbers and words."""
    arguments = (stride, padding, dilation, groups, layout, padding_mode)
    parse = _known if is_plain(arguments) else _parse
    return parse(op, x_shape, w_shape, b_shape, rank, *arguments, dtype)


def _parse(
    op: str, x_shape: Sequence[int], w_shape: Sequence[int], b_shape: Sequence[int] | None, rank: int, stride: Any,
    padding: Any, dilation: Any, groups: Any, layout: Any, padding_mode: Any, dtype: Any,
) -> ConvProblem:  # fmt: skip
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
    axes = [
        Axis(n, (n + before + after - e) // s + 1, k, s, d, before, after)
        for n, e, k, s, d, (before, after) in zip(size, extent, kernel, stride, dilation, pairs, strict=True)
    ]
    return ConvProblem(
        op=op,
        rank=rank,
        N=N,
        C=C,
        O=O,
        groups=groups,
        axes=lift(axes, NO_AXIS),
        padding_mode=parse_padding_mode(padding_mode),
        channels_last=channels_last,
        dtype=_dtype(dtype),
    )


def _dtype(dtype: Any) -> str:
    """The dtype of the arrays that kernels get: complex ones go by their parts."""
    if isinstance(dtype, str) and dtype == "bfloat16":  # which NumPy need not know
        return dtype
    dtype = np.dtype(dtype)
    return f"float{4 * dtype.itemsize}" if dtype.kind == "c" else dtype.name


_known = lru_cache(maxsize=1024)(_parse)


def transposed_problem(
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
) -> ConvProblem:
    """The input gradient that this transposed convolution is: dy is our x, dx our output.

    With output padding the forward convolution could have more outputs than x has; they are not there.
    """
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
    if min(*kernel, inner, C) < 1:
        raise InvalidArgument(f"every axis but the batch must have at least one element {shapes}")
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
    axes = [
        Axis(o, n, k, s, d, before, after)
        for o, n, k, s, d, (before, after) in zip(out, size, kernel, stride, dilation, pairs, strict=True)
    ]
    return ConvProblem(
        op="conv_input_grad",
        rank=rank,
        N=N,
        C=O,
        O=C,
        groups=groups,
        axes=lift(axes, NO_AXIS),
        padding_mode="zeros",
        channels_last=channels_last,
        dtype=_dtype(dtype),
    )
