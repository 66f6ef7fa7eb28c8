"""How much of the input one unit of each layer sees: intervals, followed from a layer's output back to the input."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InvalidArgument, Unsupported, shown
from ..nn import layers as L
from ..nn.layers.convolution import Conv
from ..nn.layers.pooling import GlobalPooling, Pooling
from ..nn.layers.reshaping import ZeroPadding
from ..nn.layers.spatial import Spatial
from ..nn.layers.transposed import ConvTranspose

Interval = tuple[np.ndarray, np.ndarray]  # first and last element that each unit of an axis sees
Reach = Callable[[np.ndarray, np.ndarray], Interval]

FAR = 1024  # units over which a jump is taken: what upsampling rounds is then a thousandth
ELEMENTWISE = (L.Activation, L.BatchNormalization, L.Dropout, L.Softmax, L.InputLayer)


@dataclass(frozen=True)
class ReceptiveField:
    """What one unit of a layer sees of the model's input.

    Parameters
    ----------
    layer, kind : str
        The layer's name and class.
    output : tuple of int
        Units on each spatial axis; empty where the layer has none any more.
    size : tuple of int
        Elements of the input that a unit sees on each axis, those in the padding counted.
    jump : tuple of float
        Elements of the input from one unit's field to the next one's; 0 where there is one unit.
    centre : tuple of (int, int)
        First and last element on each axis that the unit in the middle sees.
    share : float
        Of the input, which a unit sees at most.
    """

    layer: str
    kind: str
    output: tuple[int, ...]
    size: tuple[int, ...]
    jump: tuple[float, ...]
    centre: tuple[tuple[int, int], ...]
    share: float


def receptive_fields(model: Any) -> list[ReceptiveField]:
    """The receptive field of every layer's units, from the layers' kernels, strides, dilations and padding.

    Parameters
    ----------
    model : Sequential
        Built, or with a known input shape.

    Returns
    -------
    list of ReceptiveField, a layer each

    Raises
    ------
    InvalidArgument
        The model is not built, or has no spatial axes.
    Unsupported
        Nobody knows what a layer of your own, or one that moves axes, looks at: the message names it.

    Notes
    -----
    Without dilation, and but for the border, layers of kernels k and strides s come to
    ``r[l] = r[l-1] + (k[l] - 1) * j[l-1]``, ``j[l] = j[l-1] * s[l]`` with ``r[0] = j[0] = 1``.

    Examples
    --------
    >>> from fastconv import nn as keras
    >>> model = keras.Sequential([keras.layers.Conv2D(2, 3, input_shape=(28, 28, 1))])
    >>> model.add(keras.layers.MaxPooling2D(2))
    >>> model.add(keras.layers.Conv2D(2, 3))
    >>> [field.size for field in receptive_fields(model)]
    [(3, 3), (4, 4), (8, 8)]
    """
    size, channels_last = input_size(model), is_channels_last(model)
    ways: list[list[Reach]] = [[] for _ in size]  # from a layer's output back to the input, on each axis
    output, is_flat = size, False
    fields: list[ReceptiveField] = []
    for layer in model.layers:
        reaches = _reaches(layer, output, is_flat, channels_last)
        for way, reach in zip(ways, reaches, strict=True):
            way.append(reach)
        is_flat = is_flat or isinstance(layer, L.Flatten)
        if any(reach is not _same for reach in reaches):
            shape = layer.output_shape
            is_flat = is_flat or len(shape) == 2
            output = (1,) * len(size) if is_flat else tuple(shape[1:-1] if channels_last else shape[2:])
        fields.append(_field(layer, ways, output, size))
    return fields


def is_channels_last(model: Any) -> bool:
    """Where the model's images have their channels."""
    return next((layer.channels_last for layer in model.layers if isinstance(layer, Spatial)), True)


def input_size(model: Any) -> tuple[int, ...]:
    """The spatial axes of a model's input."""
    _require_built(model)
    shape = model.input_shape[1:]
    size = tuple(shape[:-1] if is_channels_last(model) else shape[1:])
    if not size:
        raise InvalidArgument(f"the model's input has shape {model.input_shape}: it has no spatial axes to look at")
    return size


def _require_built(model: Any) -> None:
    if getattr(model, "built", False):
        return
    if getattr(model, "input_shape", None) is None:
        raise InvalidArgument("the model's input shape is not known; give its first layer input_shape=")
    model.build()


def _field(layer: Any, ways: Sequence[Sequence[Reach]], output: tuple[int, ...], size: tuple[int, ...]) -> Any:
    """What the units of a layer see, by the way back to the input of each axis."""
    spans, jumps, centres = [], [], []
    for way, units in zip(ways, output, strict=True):
        low = high = np.arange(max(units, FAR + 1))
        for reach in reversed(way):
            low, high = reach(low, high)
        spans.append(int((high - low).max()) + 1)
        jumps.append(float(low[FAR] - low[0]) / FAR)
        centres.append((int(low[units // 2]), int(high[units // 2])))
    seen = math.prod(min(span, n) for span, n in zip(spans, size, strict=True))
    share = seen / math.prod(size)
    return ReceptiveField(layer.name, type(layer).__name__, output, tuple(spans), tuple(jumps), tuple(centres), share)


def _same(low: np.ndarray, high: np.ndarray) -> Interval:
    return low, high


def _reaches(layer: Any, size: tuple[int, ...], is_flat: bool, channels_last: bool) -> Sequence[Reach]:
    """What each output unit sees of a layer's input of this size, on each axis."""
    if isinstance(layer, ConvTranspose):
        return [_spread(a) for a in _axes(layer)]
    if isinstance(layer, Conv):
        return [_window(a.before, a.extent, a.stride) for a in _axes(layer)]
    if isinstance(layer, Pooling):
        return [_window(-a.start, a.extent, a.stride) for a in _axes(layer)]
    if isinstance(layer, ZeroPadding):
        return [_window(before, 1, 1) for before, _ in layer.padding]
    if isinstance(layer, GlobalPooling) or (isinstance(layer, L.Dense) and is_flat):
        return [_whole(n) for n in size]
    if isinstance(layer, (*ELEMENTWISE, L.Flatten)) or (isinstance(layer, L.Dense) and channels_last):
        return [_same] * len(size)
    raise Unsupported(
        f"what a unit of layer {shown(layer.name)} (a {type(layer).__name__}) sees of its input is not known; "
        "receptive fields are those of convolutions, pools, zero padding, dense layers and what acts on each element"
    )


def _axes(layer: Any) -> Sequence[Any]:
    return layer.problem(layer.input_shape).axes[3 - layer.rank :]  # type: ignore[no-any-return]


def _window(before: int, extent: int, stride: int) -> Reach:
    """Unit i sees i * stride - before and the `extent` - 1 elements behind it."""
    return lambda low, high: (low * stride - before, high * stride - before + extent - 1)


def _spread(axis: Any) -> Reach:
    """Of a transposed convolution: unit i hears elements e with i = e * stride + u - before, 0 <= u < extent.

    `axis` is that of the convolution whose gradient it is.
    """

    def reach(low: np.ndarray, high: np.ndarray) -> Interval:
        first = -((axis.extent - 1 - axis.before - low) // axis.stride)
        return first, (high + axis.before) // axis.stride

    return reach


def _whole(size: int) -> Reach:
    return lambda low, high: (np.zeros_like(low), np.full_like(high, size - 1))
