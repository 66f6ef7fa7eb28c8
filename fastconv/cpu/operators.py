"""The three convolution operators on lowered problems; direct and im2col differ in how they sweep one."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ..borders import fold_border
from . import activation as activations
from .correlate import Sweep, sweep
from .finite import is_finite
from .lowering import (
    Lowered,
    Pairs,
    Shape,
    Triple,
    WeightStrides,
    lower_conv,
    lower_input_grad,
    spatial,
    weight_strides,
)
from .nonfinite import sum_apart
from .planar import sweep as planar
from .planar import weight_grad as planar_weights
from .weight_grad import accumulate_weights


class Geometry(NamedTuple):
    """How windows lie on the input, and how arrays lie in memory."""

    stride: Triple
    dilation: Triple
    padding: Pairs
    padding_mode: str
    groups: int
    channels_last: bool

    def kernel(self, w_shape: Shape) -> Triple:
        """(KD, KH, KW) of the weights."""
        d, h, w = w_shape[:3] if self.channels_last else w_shape[2:]
        return d, h, w

    def lower(self, x_shape: Shape, w_shape: Shape, y_shape: Shape) -> Lowered:
        """The convolution of x with w to y as a lowered problem."""
        return lower_conv(
            x_shape, y_shape, self.kernel(w_shape), self.stride, self.dilation, self.padding, self.padding_mode,
            self.groups, self.channels_last,
        )  # fmt: skip


def convolve(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None,
    y: np.ndarray,
    geometry: Geometry,
    activation: Any,
    *,
    unfold: bool,
    prepared: np.ndarray | None = None,
) -> None:
    """Write the convolution of x with w, plus b, through the activation, to y."""
    swept, at = _forward(x.shape, w.shape, y.shape, geometry, x.itemsize, unfold)
    panels = swept.panels(w, at) if prepared is None else prepared
    swept.run(x, panels, b, y, relu=activation == "relu")
    if activation is not None and activation != "relu":
        activations.apply(y, activation)


def prepare(w: np.ndarray, x_shape: Shape, y_shape: Shape, geometry: Geometry, *, unfold: bool) -> np.ndarray:
    """The weights as `convolve` needs them."""
    swept, at = _forward(x_shape, w.shape, y_shape, geometry, w.itemsize, unfold)
    return swept.panels(w, at)


@lru_cache(maxsize=512)
def _forward(
    x_shape: Shape, w_shape: Shape, y_shape: Shape, geometry: Geometry, itemsize: int, unfold: bool
) -> tuple[Sweep | planar.PlanarSweep, WeightStrides]:
    """A convolution, lowered and cut, and where its weights lie."""
    at = weight_strides(w_shape, geometry.groups, geometry.channels_last)
    return _sweep(geometry.lower(x_shape, w_shape, y_shape), itemsize, unfold), at


def _sweep(low: Lowered, itemsize: int, unfold: bool) -> Sweep | planar.PlanarSweep:
    """The engine of a lowered problem: lanes of output channels, or planar where they would idle."""
    return (None if unfold else planar.plan(low, itemsize)) or sweep(low, itemsize, unfold)


def input_grad(dy: np.ndarray, w: np.ndarray, dx: np.ndarray, geometry: Geometry, *, unfold: bool) -> None:
    """Write the gradient to the input to dx: per phase of the stride a convolution of dy with the taps that meet it."""
    padding, groups, last = geometry.padding, geometry.groups, geometry.channels_last
    if geometry.padding_mode != "zeros" and any(map(any, padding)):
        size = tuple(n + sum(p) for n, p in zip(spatial(dx.shape, last), padding, strict=True))
        padded = np.empty((dx.shape[0], *size, dx.shape[4]) if last else (*dx.shape[:2], *size), dx.dtype)
        inside = geometry._replace(padding=((0, 0), (0, 0), (0, 0)), padding_mode="zeros")
        input_grad(dy, w, padded, inside, unfold=unfold)
        fold_border(padded, dx, padding, geometry.padding_mode, 1 if last else 2)
        return
    at = weight_strides(w.shape, groups, last, transposed=True)
    problems = lower_input_grad(
        dy.shape, dx.shape, geometry.kernel(w.shape), geometry.stride, geometry.dilation, padding, groups, last
    )
    if any(len(low.taps) == 0 for low in problems):
        dx[...] = 0

    def run(dy: np.ndarray, w: np.ndarray, dx: np.ndarray) -> None:
        for low in problems:
            if len(low.taps):
                swept = _sweep(low, dy.itemsize, unfold)
                swept.run(dy, swept.panels(w, at), None, dx, relu=False)

    if any(low.fills for low in problems) and not is_finite(w):
        sum_apart(run, dy, w, dx)
    else:
        run(dy, w, dx)


def weight_grad(x: np.ndarray, dy: np.ndarray, dw: np.ndarray, geometry: Geometry, *, unfold: bool) -> None:
    """Write the gradient to the weights to dw."""
    at = weight_strides(dw.shape, geometry.groups, geometry.channels_last)
    low = geometry.lower(x.shape, dw.shape, dy.shape)
    cut = None if unfold else planar_weights.plan(low, x.itemsize)
    if cut is None or not planar_weights.accumulate_planar(cut, low, x, dy, dw, at):
        accumulate_weights(low, x, dy, dw, at, unfold=unfold)
