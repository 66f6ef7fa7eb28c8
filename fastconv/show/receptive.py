"""How much of the input one unit of each layer sees: intervals, followed from a layer's output back to the input."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from ..errors import InvalidArgument, Unsupported, shown
from ..nn import layers as L
from ..nn.basics.structures import leaves
from ..nn.layers.base import Elementwise
from ..nn.layers.convolution import Conv
from ..nn.layers.merging import Broadcasting
from ..nn.layers.operations import Operation
from ..nn.layers.pooling import GlobalPooling, Pooling
from ..nn.layers.preprocessing import of_ratio
from ..nn.layers.reshaping import Cropping, Resized
from ..nn.layers.spatial import Spatial
from ..nn.layers.transposed import ConvTranspose
from ..nn.modelling.graph import Applied, Program

Interval = tuple[np.ndarray, np.ndarray]  # first and last element that each unit of an axis sees
Reach = Callable[[np.ndarray, np.ndarray], Interval]
Step = tuple[Applied, list[Reach], dict[int, "Map"]]

FAR = 1024  # units over which a jump is taken: what upsampling rounds is then a thousandth
PADDING = (L.ZeroPadding1D, L.ZeroPadding2D, L.ZeroPadding3D)
OPERATIONS = {"add", "subtract", "multiply", "divide", "maximum", "minimum", "negative", "abs", "exp", "log", "sqrt"}
OPERATIONS |= {"relu", "leaky_relu", "sigmoid", "tanh", "power", "clip", "where", "cast"}

#: How far from a place, in elements, those lie that an interpolation weighs.
SUPPORT = {"bilinear": 1, "bicubic": 2, "lanczos3": 3, "lanczos5": 5}


class Map(NamedTuple):
    """What a step of a model makes."""

    size: tuple[int, ...]
    """Units on each spatial axis."""
    is_flat: bool
    """Whether it has no spatial axes any more."""


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
    program = Program(model)
    if not isinstance(program.inputs, int):
        raise InvalidArgument("the model takes several inputs; receptive fields are those of models that take one")
    maps: dict[int, Map] = {program.inputs: Map(size, False)}
    ways: list[Step] = []
    fields = []
    for step in program.applied:
        taken = [slot for slot in leaves(step.args) if slot in maps]  # not numbers beside them
        if not taken:
            continue
        reaches, made = _walked(step.layer, [maps[slot] for slot in taken], channels_last)
        ways.append((step, reaches, {slot: maps[slot] for slot in taken}))
        maps[step.results] = made
        fields.append(_field(ways, maps[step.results].size, program.inputs, size))
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
    if None in size:
        raise InvalidArgument(
            f"the model's input has shape {model.input_shape}: make it with the sizes of its images to see their shares"
        )
    return size


def _require_built(model: Any) -> None:
    if getattr(model, "built", False):
        return
    if getattr(model, "input_shape", None) is None:
        raise InvalidArgument("the model's input shape is not known; give its first layer input_shape=")
    model.build()


def _field(ways: Sequence[Step], units: tuple[int, ...], start: int, size: tuple[int, ...]) -> Any:
    """What the units of the last step see."""
    layer = ways[-1][0].layer
    spans, jumps, centres = [], [], []
    for axis, count in enumerate(units):
        low, high = _seen(ways, axis, np.arange(max(count, FAR + 1)), start)
        spans.append(int((high - low)[:count].max()) + 1)
        jumps.append(float(low[FAR] - low[0]) / FAR)
        centres.append((int(low[count // 2]), int(high[count // 2])))
    seen = math.prod(min(span, n) for span, n in zip(spans, size, strict=True))
    share = seen / math.prod(size)
    return ReceptiveField(layer.name, type(layer).__name__, units, tuple(spans), tuple(jumps), tuple(centres), share)


def _seen(ways: Sequence[Step], axis: int, units: np.ndarray, start: int) -> Interval:
    """First and last element of the model's input that units of the last step see on an axis."""
    bounds: dict[int, Interval] = {ways[-1][0].results: (units, units)}
    for step, reaches, before in reversed(ways):
        if step.results not in bounds:
            continue
        seen = reaches[axis](*bounds[step.results])
        for slot, taken in before.items():
            is_repeated = len(before) > 1 and taken.size[axis] == 1
            low, high = (np.zeros_like(seen[0]),) * 2 if is_repeated else seen
            there = bounds.get(slot, (low, high))
            bounds[slot] = np.minimum(there[0], low), np.maximum(there[1], high)
    return bounds[start]


def _walked(layer: Any, before: Sequence[Map], channels_last: bool) -> tuple[list[Reach], Map]:
    """How each output unit of a layer sees its input, on each axis, and what the layer makes."""
    (size, is_flat), merges = before[0], len(before) > 1
    if merges and _merges_units(layer, before, len(size) + 1 if channels_last else 1):
        largest = tuple(max(sizes) for sizes in zip(*(taken.size for taken in before), strict=True))
        return [_same] * len(size), Map(largest, is_flat)
    if isinstance(layer, L.Reshape) and set(size) == {1} and len(layer.output_shape) == len(size) + 2:
        return [_same] * len(size), Map(size, False)  # a unit that sees all, beside which there is none
    if isinstance(layer, L.Flatten):
        return [_same] * len(size), Map(size, True)
    if isinstance(layer, GlobalPooling) or (isinstance(layer, (L.Dense, L.Dot)) and is_flat):
        is_flat = not getattr(layer, "keepdims", False)
        return [_whole(n) for n in size], Map((1,) * len(size), is_flat)
    if isinstance(layer, (ConvTranspose, Conv, Pooling, *PADDING)):
        return _windows(layer, size)
    if isinstance(layer, Resized):
        return _resized(layer, size), Map(tuple(layer.new_size(size)), False)
    pointwise = isinstance(layer, Elementwise) or (isinstance(layer, L.Dense) and channels_last)
    if not merges and (pointwise or (isinstance(layer, Operation) and layer.operation.name in OPERATIONS)):
        return [_same] * len(size), before[0]
    raise Unsupported(
        f"what a unit of layer {shown(layer.name)} (a {type(layer).__name__}) sees of its input is not known; "
        "receptive fields are those of convolutions, pools, dense layers, of what pads, crops, resizes and merges, and "
        "of what acts on each element"
    )


def _merges_units(layer: Any, before: Sequence[Map], channel_axis: int) -> bool:
    """Whether a layer makes each unit of those at the same place in several maps; of an axis of size 1 of its one."""
    if len({taken.is_flat for taken in before}) > 1:
        return False
    if isinstance(layer, L.Concatenate):
        return layer.axis in (channel_axis, channel_axis - len(layer.output_shape))
    return isinstance(layer, Broadcasting) or (isinstance(layer, Operation) and layer.operation.name in OPERATIONS)


def _windows(layer: Any, size: tuple[int, ...]) -> tuple[list[Reach], Map]:
    """Of a layer whose windows slide."""
    if isinstance(layer, PADDING):
        after = tuple(n + sum(pair) for n, pair in zip(size, layer.padding, strict=True))
        return [_window(before, 1, 1) for before, _ in layer.padding], Map(after, False)
    axes = _axes(layer, size)
    if isinstance(layer, ConvTranspose):
        return [_spread(axis) for axis in axes], Map(tuple(axis.size for axis in axes), False)
    made = Map(tuple(axis.out for axis in axes), False)
    if isinstance(layer, Conv):
        return [_window(axis.before, axis.extent, axis.stride) for axis in axes], made
    return [_window(-axis.start, axis.extent, axis.stride) for axis in axes], made


def _resized(layer: Any, size: tuple[int, ...]) -> list[Reach]:
    """Of a layer that crops or resizes."""
    if isinstance(layer, Cropping):
        return [_window(-before, 1, 1) for before, _ in layer.cropping]
    method = getattr(layer, "interpolation", "bilinear" if isinstance(layer, L.CenterCrop) else "nearest")
    wanted, taken = tuple(layer.new_size(size)), size
    if isinstance(layer, L.CenterCrop):
        fits = all(n >= m for n, m in zip(size, wanted, strict=True))
        taken = wanted if fits else of_ratio(size, wanted, larger=False)
    elif getattr(layer, "crop_to_aspect_ratio", False) or getattr(layer, "pad_to_aspect_ratio", False):
        taken = of_ratio(size, wanted, larger=layer.pad_to_aspect_ratio)
    starts = [(n - m) // 2 if n >= m else -((m - n) // 2) for n, m in zip(size, taken, strict=True)]
    smooth = getattr(layer, "antialias", False)
    return [
        _interpolated(start, Fraction(n, m), None if method == "nearest" else SUPPORT[method], smooth)
        for start, n, m in zip(starts, taken, wanted, strict=True)
    ]


def _interpolated(start: int, ratio: Fraction, support: int | None, smooth: bool) -> Reach:
    """Unit i lies at start + (i + 1/2) ratio - 1/2: it sees the element there, or those within the support."""
    n, m = ratio.numerator, ratio.denominator

    def reach(low: np.ndarray, high: np.ndarray) -> Interval:
        if support is None:
            return start + (2 * low + 1) * n // (2 * m), start + (2 * high + 1) * n // (2 * m)
        # places and distances in units of 1/(2 m)
        far = 2 * support * (max(n, m) if smooth else m)
        ends = []
        for units, sign in ((low, -1), (high, 1)):
            place = (2 * units + 1) * n - m
            alone = (place % (2 * m) == 0) & (not smooth or n <= m)  # the others' weights are 0
            edge = -((-place - far) // (2 * m)) - 1 if sign > 0 else (place - far) // (2 * m) + 1
            ends.append(start + np.where(alone, place // (2 * m), edge))
        return ends[0], ends[1]

    return reach


def _same(low: np.ndarray, high: np.ndarray) -> Interval:
    return low, high


def _axes(layer: Any, size: tuple[int, ...]) -> Sequence[Any]:
    """The axes of what a layer computes for maps of this size."""
    shape = (None, *size, layer.input_shape[-1]) if layer.channels_last else (None, layer.input_shape[1], *size)
    return layer.problem(shape).axes[3 - layer.rank :]  # type: ignore[no-any-return]


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
