"""Method "fft"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...borders import fold_border
from ...config import settings
from .. import activation as activations
from ..lowering import Pairs, Shape, Triple, spatial
from . import run_channels, run_planes
from .channels_plan import ChannelsPlan
from .counts import work
from .problem import Options, Problem, convolution, transposed

__all__ = ["conv", "conv_input_grad", "conv_weight_grad", "prepare", "work"]


def conv(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None,
    y: np.ndarray,
    *,
    stride: Triple,
    dilation: Triple,
    padding: Pairs,
    padding_mode: str,
    groups: int,
    channels_last: bool,
    activation: str | Callable[..., Any] | None,
    prepared: Any = None,
) -> None:
    """Write activation(conv(x, w) + b) to `y`."""
    if y.size == 0:
        return
    options = Options(stride, dilation, padding, padding_mode, groups, channels_last)
    problem = convolution(
        x.shape, w.shape, y.shape, options, x.itemsize, settings.scratch_bytes, prepared=prepared is not None
    )
    _runner(problem).convolve(problem, x, w, prepared, b, y)
    activations.apply(y, activation)


def conv_input_grad(
    dy: np.ndarray,
    w: np.ndarray,
    dx: np.ndarray,
    *,
    stride: Triple,
    dilation: Triple,
    padding: Pairs,
    padding_mode: str,
    groups: int,
    channels_last: bool,
) -> None:
    """Write the gradient of x to `dx`: dxp[n, c, i*stride + u*dilation] sums dy[n, o, i] * w[o, c, u], folded to x."""
    if dx.size == 0:
        return
    if padding_mode != "zeros" and any(map(any, padding)):
        size = tuple(n + sum(p) for n, p in zip(spatial(dx.shape, channels_last), padding, strict=True))
        shape = (dx.shape[0], *size, dx.shape[4]) if channels_last else (*dx.shape[:2], *size)
        padded = np.empty(shape, dx.dtype)
        conv_input_grad(
            dy, w, padded, stride=stride, dilation=dilation, padding=((0, 0),) * 3, padding_mode="zeros",
            groups=groups, channels_last=channels_last,
        )  # fmt: skip
        fold_border(padded, dx, padding, padding_mode, 1 if channels_last else 2)
        return
    options = Options(stride, dilation, padding, "zeros", groups, channels_last)
    problem = transposed(dy.shape, w.shape, dx.shape, options, dy.itemsize, settings.scratch_bytes)
    dx[...] = 0
    _runner(problem).convolve(problem, dy, w, None, None, dx)


def conv_weight_grad(
    x: np.ndarray,
    dy: np.ndarray,
    dw: np.ndarray,
    *,
    stride: Triple,
    dilation: Triple,
    padding: Pairs,
    padding_mode: str,
    groups: int,
    channels_last: bool,
) -> None:
    """Write the gradient of w to `dw`: dw[o, c, u] sums dy[n, o, i] * xp[n, c, i*stride + u*dilation]."""
    if dy.size == 0:
        dw[...] = 0
        return
    options = Options(stride, dilation, padding, padding_mode, groups, channels_last)
    problem = convolution(x.shape, dw.shape, dy.shape, options, x.itemsize, settings.scratch_bytes, gradient=True)
    _runner(problem).correlate(problem, x, dy, dw)


def prepare(
    w: np.ndarray,
    x_shape: Shape,
    y_shape: Shape,
    *,
    stride: Triple,
    dilation: Triple,
    padding: Pairs,
    padding_mode: str,
    groups: int,
    channels_last: bool,
) -> list[np.ndarray]:
    """The spectra of the filters, for `conv` to use again and again."""
    options = Options(stride, dilation, padding, padding_mode, groups, channels_last)
    problem = convolution(x_shape, w.shape, y_shape, options, w.itemsize, settings.scratch_bytes, prepared=True)
    return _runner(problem).filter_spectra(problem, w)


def _runner(problem: Problem) -> Any:
    return run_channels if isinstance(problem.plan, ChannelsPlan) else run_planes
