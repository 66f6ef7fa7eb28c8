"""Winograd convolution."""
from __future__ import annotations
from typing import Any
import numpy as np
from . import activation as activations
from . import winograd_sweep
from .operators import Geometry
from .lowering import lower_conv, weight_strides, spatial, lower_input_grad
from .winograd_sweep import sweep
from .winograd_weight_grad import accumulate
from ..borders import fold_border

def prepare(w, x_shape, y_shape, *, stride, dilation, padding, padding_mode, groups, channels_last, m=0):
    geometry = Geometry(stride, dilation, padding, padding_mode, groups, channels_last)
    low = lower_conv(x_shape, y_shape, geometry.kernel(w), stride, dilation, padding, padding_mode, groups, channels_last)
    return winograd_sweep.prepare(low, w, weight_strides(w.shape, groups, channels_last), m)

def conv(x, w, b, y, *, stride, dilation, padding, padding_mode, groups, channels_last, activation, prepared=None, m=0):
    geometry = Geometry(stride, dilation, padding, padding_mode, groups, channels_last)
    at = weight_strides(w.shape, groups, channels_last)
    sweep(geometry.lower(x, w, y), x, w, at, b, y, relu=activation == "relu", m=m, prepared=prepared)
    if activation != "relu":
        activations.apply(y, activation)


def conv_input_grad(dy, w, dx, *, stride, dilation, padding, padding_mode, groups, channels_last, m=0):
    """Write the gradient to the input to dx."""
    geometry = Geometry(stride, dilation, padding, padding_mode, groups, channels_last)
    if padding_mode != "zeros" and any(map(any, padding)):
        last = channels_last
        size = tuple(n + sum(p) for n, p in zip(spatial(dx.shape, last), padding, strict=True))
        padded = np.empty((dx.shape[0], *size, dx.shape[4]) if last else (*dx.shape[:2], *size), dx.dtype)
        conv_input_grad(dy, w, padded, **geometry._replace(padding=((0, 0),) * 3, padding_mode="zeros")._asdict(), m=m)
        fold_border(padded, dx, padding, padding_mode, 1 if last else 2)
        return
    at = weight_strides(w.shape, groups, channels_last, transposed=True)
    problems = lower_input_grad(
        dy.shape, dx.shape, geometry.kernel(w), stride, dilation, padding, groups, channels_last
    )
    if any(len(low.taps) == 0 for low in problems):
        dx[...] = 0
    for low in problems:
        if len(low.taps):
            sweep(low, dy, w, at, None, dx, relu=False, m=m)


def conv_weight_grad(x, dy, dw, *, stride, dilation, padding, padding_mode, groups, channels_last, m=0):
    """Write the gradient to the weights to dw."""
    geometry = Geometry(stride, dilation, padding, padding_mode, groups, channels_last)
    at = weight_strides(dw.shape, groups, channels_last)
    accumulate(geometry.lower(x, dw, dy), x, dy, dw, at, m)
