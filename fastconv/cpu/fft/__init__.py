"""Method "fft": convolution and its gradients by tiled Fourier transforms (overlap-save), on a transform of our own.

Input and filters are cut into tiles and transformed; frequency by frequency the channels are multiplied and summed; of
each tile transformed back, the positions that no wrapped-around tap has reached are the result:

    Y[t, f, o] = sum over c of X[t, f, c] * conj(W[f, c, o])          conv, and conv_input_grad with flipped taps
    DW[f, c, o] = sum over t of X[t, f, c] * conj(DY[t, f, o])        conv_weight_grad

Stride and dilation become phases (`phases`), so nothing is computed only to be thrown away; padding modes are index
tables (`lattice`), so nothing is padded. Two kinds of tiles serve all problems, the cheaper by `plan` is taken:

=========  =====================  =================================  ==========================================
module     lanes of a transform   product                            for
=========  =====================  =================================  ==========================================
planes     columns, then rows     lane by lane                       few channels, depthwise, long signals
channels   channels               the micro-kernel, half a spectrum  many channels
=========  =====================  =================================  ==========================================

Cost: about 2.5 log2(T) flops per real point of the tiles (T points each) and channel, there and back each; and 8 flops
per frequency and pair of channels, at half of the T frequencies for many channels.
Extra memory: at most ``settings.scratch_bytes`` (see the plans), as long as one tile of one channel fits; what a plan
keeps (`prepare`) takes 8 bytes (float32) for each frequency kept and pair of channels.
Error: each number is off by at most about eps * log2(T) * ||x|| * ||w||, norms over its tile and its filter: small
results beside large ones in the same tile lose digits, and one NaN or Inf spoils its whole tile. Two tiles (planes), or
two blocks of channels and of filters (channels), travel as one: the norms are those of both. Sums of a whole tile must
not leave the dtype's range. Typically the error relative to the largest result is below eps * log2(T), about 3e-7 in
float32.
The same bits come out for any number of threads.

Source: Vasilache et al., "Fast Convolutional Nets With fbfft" (2015); Oppenheim & Schafer, "Discrete-Time Signal
Processing", section 8.7.3 (overlap-save); Zlateski, Jia, Li & Durand, "The Anatomy of Efficient FFT and Winograd
Convolutions on Modern CPUs" (2019).
"""

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
