"""The operators of method "fft", and what they cost."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...borders import fold_border
from ...config import settings
from ...problem import ConvProblem
from .. import activation as activations
from . import run_channels, run_planes
from .channels_plan import ChannelsPlan
from .counts import ENGINE, RATES, work
from .problem import Tiled, convolution, transposed

__all__ = ["ENGINE", "RATES", "conv", "conv_input_grad", "conv_weight_grad", "describe", "prepare", "work"]


def conv(
    problem: ConvProblem, x: np.ndarray, w: Any, b: np.ndarray | None, y: np.ndarray, *, activation: Any = None
) -> None:
    """Write activation(conv(x, w) + b) to `y`; w is what `prepare` made of it where the problem is prepared."""
    if y.size == 0:
        return
    tiled = convolution(problem, settings.scratch_bytes)
    w, ready = (None, w) if problem.prepared else (w, None)
    _runner(tiled).convolve(tiled, x, w, ready, b, y)
    activations.apply(y, activation)


def conv_input_grad(problem: ConvProblem, dy: np.ndarray, w: np.ndarray, dx: np.ndarray) -> None:
    """Write the gradient of x to `dx`: dxp[n, c, i*stride + u*dilation] sums dy[n, o, i] * w[o, c, u], folded to x."""
    if dx.size == 0:
        return
    if problem.bordered:
        inside = problem.inside()
        padded = np.empty(inside.x_shape3, dx.dtype)
        conv_input_grad(inside, dy, w, padded)
        fold_border(padded, dx, problem.padding, problem.padding_mode, 1 if problem.channels_last else 2)
        return
    tiled = transposed(problem, settings.scratch_bytes)
    dx[...] = 0
    _runner(tiled).convolve(tiled, dy, w, None, None, dx)


def conv_weight_grad(problem: ConvProblem, x: np.ndarray, dy: np.ndarray, dw: np.ndarray) -> None:
    """Write the gradient of w to `dw`: dw[o, c, u] sums dy[n, o, i] * xp[n, c, i*stride + u*dilation]."""
    if dy.size == 0:
        dw[...] = 0
        return
    tiled = convolution(problem, settings.scratch_bytes)
    _runner(tiled).correlate(tiled, x, dy, dw)


def prepare(problem: ConvProblem, w: np.ndarray) -> list[np.ndarray]:
    """The spectra of the filters, for `conv` to use again and again."""
    tiled = convolution(problem, settings.scratch_bytes)
    return _runner(tiled).filter_spectra(tiled, w)  # type: ignore[no-any-return]


def describe(problem: ConvProblem) -> str:
    """Which kernels serve, in words."""
    inside = problem.inside() if problem.op == "conv_input_grad" else problem
    tiled = (transposed if problem.op == "conv_input_grad" else convolution)(inside, settings.scratch_bytes)
    lanes = "channels" if isinstance(tiled.plan, ChannelsPlan) else "columns of planes"
    return f"tiles of {'x'.join(map(str, tiled.plan.tile.lengths[3 - problem.rank :]))}, lanes are {lanes}"


def _runner(tiled: Tiled) -> Any:
    return run_channels if isinstance(tiled.plan, ChannelsPlan) else run_planes
