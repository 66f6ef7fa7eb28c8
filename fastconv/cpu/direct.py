"""Direct convolution and both gradients: the micro-kernel reads every tap from a packed strip of the input.

Twin: ``fastconv/cuda/direct.py``.

Cost: 2*N*O*OD*OH*OW*C/groups*taps operations. Extra memory: the packed weights, and per thread a strip of about
``FASTCONV_TILE_BYTES``; the weight gradient's partial sums take at most ``FASTCONV_SCRATCH_BYTES`` (or one copy of dw).
Error: below terms*eps*sum(|x|*|w|), in practice about its square root.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..problem import ConvProblem
from . import operators
from .planar.work import planar_work
from .sweep_work import SWEEP_RATES, sweep_work
from .work import Work

ENGINE, RATES = "sweep", SWEEP_RATES


def conv(
    problem: ConvProblem, x: np.ndarray, w: Any, b: np.ndarray | None, y: np.ndarray, *, activation: Any = None
) -> None:
    """Write the convolution of x with w (or what `prepare` made of it), plus b, through the activation, to y."""
    operators.convolve(problem, x, w, b, y, activation, unfold=False)


def prepare(problem: ConvProblem, w: np.ndarray) -> list[np.ndarray]:
    """The weights packed in panels."""
    return operators.prepare(problem, w, unfold=False)


def conv_input_grad(problem: ConvProblem, dy: np.ndarray, w: np.ndarray, dx: np.ndarray) -> None:
    """Write the gradient to the input to dx."""
    operators.input_grad(problem, dy, w, dx, unfold=False)


def conv_weight_grad(problem: ConvProblem, x: np.ndarray, dy: np.ndarray, dw: np.ndarray) -> None:
    """Write the gradient to the weights to dw."""
    operators.weight_grad(problem, x, dy, dw, unfold=False)


def describe(problem: ConvProblem) -> str:
    """Which engine serves, in words."""
    if planar_work(problem):
        return "planar: lanes are pixels, or channels with a filter each"
    return "panels: lanes are output channels"


def work(problem: ConvProblem) -> Work:
    """What a call has to do, for the cost model."""
    return planar_work(problem) or sweep_work(problem, unfold=False)
