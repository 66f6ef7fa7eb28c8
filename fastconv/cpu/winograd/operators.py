"""The operators of Winograd's method, and what they cost."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...problem import ConvProblem
from .. import activation as activations
from ..folding import folding
from .counts import ENGINE, RATES, work
from .filters import prepare_filters
from .forward import forward_plans, sweep
from .forward_cut import cut_forward
from .grad_cut import cut_weight_grad
from .phases import phases
from .sheets import sheets
from .tiling import TileProblem
from .weight_grad import conv_weight_grad

__all__ = ["ENGINE", "RATES", "conv", "conv_input_grad", "conv_weight_grad", "describe", "prepare", "work"]


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


@folding
def conv_input_grad(problem: ConvProblem, dy: np.ndarray, w: np.ndarray, dx: np.ndarray) -> None:
    """Write the gradient to the input to dx: a convolution of dy with the filters turned around."""
    if problem.stride[0] > 1:
        dx[...] = 0  # no tap meets most of its planes
    for plan in forward_plans(problem):
        sweep(plan, dy, w, None, dx, relu=False)


def describe(problem: ConvProblem) -> str:
    """Which kernels serve, in words."""
    if problem.op == "conv_input_grad" and problem.bordered:
        problem = problem.inside()
    if problem.op == "conv_weight_grad":
        m = cut_weight_grad(TileProblem.of(problem, phases(problem)[0].out)).m
        return f"F({m}x{m}, 3x3) of x with dy"
    parts = sheets(problem)
    if not parts:
        return "zeros: no tap meets x"
    cut = cut_forward(parts[0].size(problem), problem.prepared)
    together = f", {parts[0].images} images together" if parts[0].images > 1 else ""
    return f"F({cut.m}x{cut.m}, 3x3), {'filters streamed' if cut.streamed else 'fused'}{together}"
