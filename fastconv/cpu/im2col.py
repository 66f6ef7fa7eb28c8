"""im2col: each task unfolds its block of the input into a matrix, a row per output pixel, and multiplies by w.

Twin: ``fastconv/cuda/im2col.py``. The whole matrix never exists: a block takes about ``FASTCONV_TILE_BYTES`` a thread.
Where rows are short the blocks' tiles are fuller than direct's, since they run across rows of pixels.

Cost, error and other memory: as direct, plus taps*C/groups elements written and read per output pixel.
Source: Chellapilla, Puri & Simard, "High performance convolutional neural networks for document processing" (2006).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import operators
from .lowering import Shape, Triple
from .operators import Geometry
from .sweep_work import sweep_work
from .work import Work


def conv(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None,
    y: np.ndarray,
    *,
    stride: Any,
    dilation: Any,
    padding: Any,
    padding_mode: str,
    groups: int,
    channels_last: bool,
    activation: Any,
    prepared: list[np.ndarray] | None = None,
) -> None:
    """Write the convolution of x with w (or what `prepare` made of it), plus b, through the activation, to y."""
    geometry = Geometry(stride, dilation, padding, padding_mode, groups, channels_last)
    operators.convolve(x, w, b, y, geometry, activation, unfold=True, prepared=prepared)


def prepare(
    w: np.ndarray,
    x_shape: Shape,
    y_shape: Shape,
    *,
    stride: Any,
    dilation: Any,
    padding: Any,
    padding_mode: str,
    groups: int,
    channels_last: bool,
) -> list[np.ndarray]:
    """The weights as `conv` needs them, packed in panels: for calls that share weights and shapes."""
    geometry = Geometry(stride, dilation, padding, padding_mode, groups, channels_last)
    return operators.prepare(w, x_shape, y_shape, geometry, unfold=True)


def conv_input_grad(
    dy: np.ndarray,
    w: np.ndarray,
    dx: np.ndarray,
    *,
    stride: Any,
    dilation: Any,
    padding: Any,
    padding_mode: str,
    groups: int,
    channels_last: bool,
) -> None:
    """Write the gradient to the input to dx."""
    geometry = Geometry(stride, dilation, padding, padding_mode, groups, channels_last)
    operators.input_grad(dy, w, dx, geometry, unfold=True)


def conv_weight_grad(
    x: np.ndarray,
    dy: np.ndarray,
    dw: np.ndarray,
    *,
    stride: Any,
    dilation: Any,
    padding: Any,
    padding_mode: str,
    groups: int,
    channels_last: bool,
) -> None:
    """Write the gradient to the weights to dw."""
    geometry = Geometry(stride, dilation, padding, padding_mode, groups, channels_last)
    operators.weight_grad(x, dy, dw, geometry, unfold=True)


def work(
    op: str, N: int, C: int, O: int, size: Triple, out: Triple, kernel: Triple, *, stride: Triple, dilation: Triple,
    groups: int, itemsize: int, channels_last: bool, prepared: bool,
) -> Work:  # fmt: skip
    """What a call has to do, for the cost model."""
    return sweep_work(
        op, N, C, O, size, out, kernel, stride=stride, dilation=dilation, groups=groups, itemsize=itemsize,
        channels_last=channels_last, prepared=prepared, unfold=True,
    )  # fmt: skip
