"""Winograd convolution."""
from __future__ import annotations
from typing import Any
import numpy as np
from . import activation as activations
from .operators import Geometry
from .lowering import lower_conv, weight_strides
from .winograd_sweep import sweep

def conv(x, w, b, y, *, stride, dilation, padding, padding_mode, groups, channels_last, activation, prepared=None, m=0):
    geometry = Geometry(stride, dilation, padding, padding_mode, groups, channels_last)
    at = weight_strides(w.shape, groups, channels_last)
    sweep(geometry.lower(x, w, y), x, w, at, b, y, relu=activation == "relu", m=m, filters=prepared)
    if activation != "relu":
        activations.apply(y, activation)
