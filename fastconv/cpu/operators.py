"""The three convolution operators on lowered problems; direct and im2col differ in how they sweep one."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..borders import fold_border
from . import activation as activations
from .correlate import correlate
from .lowering import lower_conv, lower_input_grad, spatial, weight_strides
from .weight_grad import accumulate_weights


def convolve(
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
    unfold: bool,
) -> None:
    """Write the convolution of x with w, plus b, through the activation, to y."""
    kernel = w.shape[:3] if channels_last else w.shape[2:]
    low = lower_conv(x.shape, y.shape, kernel, stride, dilation, padding, padding_mode, groups, channels_last)
    at = weight_strides(w.shape, groups, channels_last)
    correlate(low, x, w, at, b, y, relu=activation == "relu", unfold=unfold)
    if activation != "relu":
        activations.apply(y, activation)


def input_grad(
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
    unfold: bool,
) -> None:
    """Write the gradient to the input to dx: per phase of the stride a convolution of dy with the taps that meet it."""
    if padding_mode != "zeros" and any(map(any, padding)):
        size = tuple(n + sum(p) for n, p in zip(spatial(dx.shape, channels_last), padding, strict=True))
        padded = np.empty((dx.shape[0], *size, dx.shape[4]) if channels_last else (*dx.shape[:2], *size), dx.dtype)
        input_grad(
            dy, w, padded, stride=stride, dilation=dilation, padding=((0, 0),) * 3, padding_mode="zeros", groups=groups,
            channels_last=channels_last, unfold=unfold,
        )  # fmt: skip
        fold_border(padded, dx, padding, padding_mode, 1 if channels_last else 2)
        return
    kernel = w.shape[:3] if channels_last else w.shape[2:]
    at = weight_strides(w.shape, groups, channels_last, transposed=True)
    problems = lower_input_grad(dy.shape, dx.shape, kernel, stride, dilation, padding, groups, channels_last)
    if any(len(low.taps) == 0 for low in problems):
        dx[...] = 0
    for low in problems:
        if len(low.taps):
            correlate(low, dy, w, at, None, dx, relu=False, unfold=unfold)


def weight_grad(
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
    unfold: bool,
) -> None:
    """Write the gradient to the weights to dw."""
    kernel = dw.shape[:3] if channels_last else dw.shape[2:]
    low = lower_conv(x.shape, dy.shape, kernel, stride, dilation, padding, padding_mode, groups, channels_last)
    accumulate_weights(low, x, dy, dw, weight_strides(dw.shape, groups, channels_last), unfold=unfold)
