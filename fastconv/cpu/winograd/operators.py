"""The operators of Winograd's method, and what they cost."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from ...borders import fold_border
from ...problem import ConvProblem
from .. import activation as activations
from ..lowering import lower_conv, lower_input_grad, weight_strides
from . import forward, weight_grad
from .counts import ENGINE, RATES, work
from .forward import Prepared, prepare_filters, sweep
from .sides import phases
from .weight_grad import accumulate

__all__ = ["ENGINE", "RATES", "conv", "conv_input_grad", "conv_weight_grad", "describe", "prepare", "work"]


def conv(
    problem: ConvProblem, x: np.ndarray, w: Any, b: np.ndarray | None, y: np.ndarray, *, activation: Any = None
) -> None:
    """Write the convolution of x with w (or what `prepare` made of it), plus b, through the activation, to y."""
    at, lowered = weight_strides(problem), phases(lower_conv(problem))
    w, filters = (None, w) if problem.prepared else (w, itertools.repeat(None, len(lowered)))
    for low, ready in zip(lowered, filters, strict=True):
        sweep(low, x, w, at, b, y, relu=activation == "relu", prepared=ready)
    if activation is not None and activation != "relu":
        activations.apply(y, activation)


def prepare(problem: ConvProblem, w: np.ndarray) -> list[Prepared]:
    """The filters, transformed or packed."""
    at = weight_strides(problem)
    return [prepare_filters(low, w, at) for low in phases(lower_conv(problem))]


def conv_input_grad(problem: ConvProblem, dy: np.ndarray, w: np.ndarray, dx: np.ndarray) -> None:
    """Write the gradient to the input to dx: a convolution of dy with the filters turned around."""
    if problem.bordered:
        inside = problem.inside()
        padded = np.empty(inside.x_shape3, dx.dtype)
        conv_input_grad(inside, dy, w, padded)
        fold_border(padded, dx, problem.padding, problem.padding_mode, 1 if problem.channels_last else 2)
        return
    at, lowered = weight_strides(problem, transposed=True), lower_input_grad(problem)
    if any(len(phase.taps) == 0 for phase in lowered):
        dx[...] = 0
    for phase in lowered:
        for low in phases(phase) if len(phase.taps) else ():
            sweep(low, dy, w, at, None, dx, relu=False)


def conv_weight_grad(problem: ConvProblem, x: np.ndarray, dy: np.ndarray, dw: np.ndarray) -> None:
    """Write the gradient to the weights to dw."""
    accumulate(phases(lower_conv(problem)), x, dy, dw, weight_strides(problem))


def describe(problem: ConvProblem) -> str:
    """Which kernels serve, in words."""
    if problem.op == "conv_weight_grad":
        m = weight_grad.plan(phases(lower_conv(problem))[0], problem.itemsize).cut.m
        return f"F({m}x{m}, 3x3) of x with dy"
    inside = problem.inside()
    (low, *_) = phases(lower_input_grad(inside)[0] if problem.op == "conv_input_grad" else lower_conv(problem))
    cut = forward.plan(low, problem.itemsize, problem.prepared).cut
    return f"F({cut.m}x{cut.m}, 3x3), {'filters streamed' if cut.streamed else 'fused'}"
