"""The operators of Winograd's method, and what they cost."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...borders import fold_border
from ...problem import ConvProblem
from .. import activation as activations
from .counts import ENGINE, RATES, work
from .filters import prepare_filters
from .forward import forward_plans, sweep
from .weight_grad import conv_weight_grad

__all__ = ["ENGINE", "RATES", "conv", "conv_input_grad", "conv_weight_grad", "prepare", "work"]


def conv(
    problem: ConvProblem, x: np.ndarray, w: Any, b: np.ndarray | None, y: np.ndarray, *, activation: Any = None
) -> None:
    """Write the convolution of x with w (or what `prepare` made of it), plus b, through the activation, to y."""
    plans = forward_plans(problem)
    for plan, filters in zip(plans, w if problem.prepared else [w] * len(plans), strict=True):
        sweep(plan, x, filters, b, y, relu=activation == "relu")
    if activation is not None and activation != "relu":
        activations.apply(y, activation)


def prepare(problem: ConvProblem, w: np.ndarray) -> list[np.ndarray]:
    """The filters, transformed or packed, as each phase takes them."""
    return [prepare_filters(problem, plan.cut, w) for plan in forward_plans(problem)]


def conv_input_grad(problem: ConvProblem, dy: np.ndarray, w: np.ndarray, dx: np.ndarray) -> None:
    """Write the gradient to the input to dx: a convolution of dy with the filters turned around."""
    if problem.bordered:
        inside = problem.inside()
        padded = np.empty(inside.x_shape3, dx.dtype)
        conv_input_grad(inside, dy, w, padded)
        fold_border(padded, dx, problem.padding, problem.padding_mode, 1 if problem.channels_last else 2)
        return
    if problem.stride[0] > 1:
        dx[...] = 0  # no tap meets most of its planes
    for plan in forward_plans(problem):
        sweep(plan, dy, w, None, dx, relu=False)
