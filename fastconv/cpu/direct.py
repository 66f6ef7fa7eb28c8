"""Direct convolution and both gradients: the micro-kernel reads every tap from a packed strip of the input.

Twin: ``fastconv/cuda/direct.py``.

Cost: 2*N*O*OD*OH*OW*C/groups*taps operations. Extra memory: the packed weights, and per thread a strip of about
``FASTCONV_TILE_BYTES``; the weight gradient's partial sums take at most ``FASTCONV_SCRATCH_BYTES`` (or one copy of dw).
Error: below terms*eps*sum(|x|*|w|), in practice about its square root.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import operators


def conv(x: np.ndarray, w: np.ndarray, b: np.ndarray | None, y: np.ndarray, **problem: Any) -> None:
    """Write the convolution of x with w, plus b, through the activation, to y."""
    operators.convolve(x, w, b, y, **problem, unfold=False)


def conv_input_grad(dy: np.ndarray, w: np.ndarray, dx: np.ndarray, **problem: Any) -> None:
    """Write the gradient to the input to dx."""
    operators.input_grad(dy, w, dx, **problem, unfold=False)


def conv_weight_grad(x: np.ndarray, dy: np.ndarray, dw: np.ndarray, **problem: Any) -> None:
    """Write the gradient to the weights to dw."""
    operators.weight_grad(x, dy, dw, **problem, unfold=False)
