"""Winograd convolution with 3x3 filters and both gradients: a quarter (or less than half) of the multiplications.

    y = A^T [ sum over c of (G w G^T) * (B^T x B) ] A      for each tile of m x m outputs

F(4x4, 3x3) takes 36 multiplications where direct convolution takes 144, F(2x2, 3x3) 16 for 36; which one serves a
problem follows from how many tiles its outputs need. The sums over channels are small matrix products, one for each
frequency, made by the same micro-kernel as everything else; see `points` for the transforms and
`plan` for the blocks.

Cost: 2*N*O*C/groups*tiles*(m + 2)^2 operations of the micro-kernel, and transforms of about 5 operations for each
element of the planes. Extra memory: per thread the planes of a block of tiles and either transformed filters (up to 3
MiB) or the inputs of a block that meets one panel of filters after another (up to about 4 MiB); prepared, the filters
take up to four times their size. The weight gradient has the planes of at most half ``FASTCONV_SCRATCH_BYTES`` at once.
Error: for data of one magnitude that of direct convolution for F(2x2), up to about twice that for F(4x4); of weight
gradients up to six times. But it is relative to the largest element of a tile of (m + 2)^2 inputs, not to those of a
window: each output is off by less than

    growth * C/groups * (C/groups + 30) * eps/2 * max |x| * max |w|      growth: 64 for F(2x2), 752 for F(4x4)

and each weight's gradient by less than growth * (tiles + 30) * eps/2 * sum over tiles of max |x| * max |dy|, growth 36
and 1096; typically by the square root of that. So small numbers lose digits beside large ones in their tile, and an
Inf, a NaN or a number within the growth of the dtype's largest reaches all outputs of the tiles that see it.
Source: Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks", arXiv:1509.09308, sections 4 and 4.2; the
points are those of `points`.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from ...borders import fold_border
from .. import activation as activations
from ..lowering import Shape, lower_input_grad, spatial, weight_strides
from ..operators import Geometry
from .counts import work
from .forward import Prepared, prepare_filters, sweep
from .sides import phases
from .weight_grad import accumulate

__all__ = ["conv", "conv_input_grad", "conv_weight_grad", "prepare", "work"]


def conv(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None,
    y: np.ndarray,
    *,
    stride: Any,
    dilation: Any,
    padding: Any,
    padding_mode: str,
    groups: int,
    channels_last: bool,
    activation: Any,
    prepared: list[Prepared] | None = None,
) -> None:
    """Write the convolution of x with w (or what `prepare` made of it), plus b, through the activation, to y."""
    geometry = Geometry(stride, dilation, padding, padding_mode, groups, channels_last)
    at = weight_strides(w.shape, groups, channels_last)
    problems = phases(geometry.lower(x.shape, w.shape, y.shape))
    for low, ready in zip(problems, prepared or itertools.repeat(None, len(problems)), strict=True):
        sweep(low, x, w, at, b, y, relu=activation == "relu", prepared=ready)
    if activation is not None and activation != "relu":
        activations.apply(y, activation)


def prepare(
    w: np.ndarray,
    x_shape: Shape,
    y_shape: Shape,
    *,
    stride: Any,
    dilation: Any,
    padding: Any,
    padding_mode: str,
    groups: int,
    channels_last: bool,
) -> list[Prepared]:
    """The filters as `conv` needs them, transformed or packed: for calls that share filters and shapes."""
    geometry = Geometry(stride, dilation, padding, padding_mode, groups, channels_last)
    at = weight_strides(w.shape, groups, channels_last)
    return [prepare_filters(low, w, at) for low in phases(geometry.lower(x_shape, w.shape, y_shape))]


def conv_input_grad(
    dy: np.ndarray,
    w: np.ndarray,
    dx: np.ndarray,
    *,
    stride: Any,
    dilation: Any,
    padding: Any,
    padding_mode: str,
    groups: int,
    channels_last: bool,
) -> None:
    """Write the gradient to the input to dx: a convolution of dy with the filters turned around."""
    geometry = Geometry(stride, dilation, padding, padding_mode, groups, channels_last)
    if padding_mode != "zeros" and any(map(any, padding)):
        size = tuple(n + sum(p) for n, p in zip(spatial(dx.shape, channels_last), padding, strict=True))
        padded = np.empty((dx.shape[0], *size, dx.shape[4]) if channels_last else (*dx.shape[:2], *size), dx.dtype)
        inside = geometry._replace(padding=((0, 0), (0, 0), (0, 0)), padding_mode="zeros")
        conv_input_grad(dy, w, padded, **inside._asdict())
        fold_border(padded, dx, padding, padding_mode, 1 if channels_last else 2)
        return
    at = weight_strides(w.shape, groups, channels_last, transposed=True)
    problems = lower_input_grad(
        dy.shape, dx.shape, geometry.kernel(w.shape), stride, dilation, padding, groups, channels_last
    )
    if any(len(low.taps) == 0 for low in problems):
        dx[...] = 0
    for problem in problems:
        for low in phases(problem) if len(problem.taps) else ():
            sweep(low, dy, w, at, None, dx, relu=False)


def conv_weight_grad(
    x: np.ndarray,
    dy: np.ndarray,
    dw: np.ndarray,
    *,
    stride: Any,
    dilation: Any,
    padding: Any,
    padding_mode: str,
    groups: int,
    channels_last: bool,
) -> None:
    """Write the gradient to the weights to dw."""
    geometry = Geometry(stride, dilation, padding, padding_mode, groups, channels_last)
    at = weight_strides(dw.shape, groups, channels_last)
    accumulate(phases(geometry.lower(x.shape, dw.shape, dy.shape)), x, dy, dw, at)
