"""im2col: each task unfolds its block of the input into a matrix, a row per output pixel, and multiplies by the weights.

Twin: ``fastconv/cuda/im2col.py``. The whole matrix never exists: a block takes about ``FASTCONV_TILE_BYTES`` per thread.
Where rows are short the blocks' tiles are fuller than direct's, since they run across rows of pixels.

Cost, error and other memory: as direct, plus taps*C/groups elements written and read per output pixel.
Source: Chellapilla, Puri & Simard, "High performance convolutional neural networks for document processing" (2006).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import operators


def conv(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, y: np.ndarray, **problem: Any) -> None:
    """Write the convolution of x with w, plus b, through the activation, to y."""
    operators.convolve(x, w, b, y, **problem, unfold=True)


def conv_input_grad(dy: np.ndarray, w: np.ndarray, dx: np.ndarray, **problem: Any) -> None:
    """Write the gradient to the input to dx."""
    operators.input_grad(dy, w, dx, **problem, unfold=True)


def conv_weight_grad(x: np.ndarray, dy: np.ndarray, dw: np.ndarray, **problem: Any) -> None:
    """Write the gradient to the weights to dw."""
    operators.weight_grad(x, dy, dw, **problem, unfold=True)
