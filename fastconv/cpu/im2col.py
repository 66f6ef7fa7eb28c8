"""im2col: each task unfolds its block of the input into a matrix, a row per output pixel, and multiplies by w.

Twin: ``fastconv/cuda/im2col.py``. It is `direct` with one step more: the whole matrix never exists, a block takes about
``FASTCONV_TILE_BYTES`` a thread. Where rows are short the blocks' tiles are fuller than direct's, since they run across
rows of pixels.

Cost, error and other memory: as direct, plus taps*C/groups elements written and read per output pixel.
Source: Chellapilla, Puri & Simard, "High performance convolutional neural networks for document processing" (2006).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..problem import ConvProblem
from . import direct
from .counts import ENGINE, RATES, pairs_serve, panels_work
from .work import Work

__all__ = ["ENGINE", "RATES", "conv", "conv_input_grad", "conv_weight_grad", "prepare", "takes_halves", "work"]

takes_halves = pairs_serve


def conv(
    problem: ConvProblem, x: np.ndarray, w: Any, b: np.ndarray | None, y: np.ndarray, *, activation: Any = None
) -> None:
    """Write the convolution of x with w (or what `prepare` made of it), plus b, through the activation, to y."""
    direct.conv(problem, x, w, b, y, activation=activation, unfold=True)


def prepare(problem: ConvProblem, w: np.ndarray) -> list[np.ndarray]:
    """The weights packed in panels."""
    return direct.prepare(problem, w, unfold=True)


def conv_input_grad(problem: ConvProblem, dy: np.ndarray, w: np.ndarray, dx: np.ndarray) -> None:
    """Write the gradient to the input to dx."""
    direct.conv_input_grad(problem, dy, w, dx, unfold=True)


def conv_weight_grad(problem: ConvProblem, x: np.ndarray, dy: np.ndarray, dw: np.ndarray) -> None:
    """Write the gradient to the weights to dw."""
    direct.conv_weight_grad(problem, x, dy, dw, unfold=True)


def work(problem: ConvProblem) -> Work:
    """What a call has to do, for the cost model."""
    return panels_work(problem, unfold=True)
