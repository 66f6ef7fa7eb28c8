"""The filters of a convolution layer, as images."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import InvalidArgument, shown
from ..nn.layers.convolution import Conv
from ..nn.layers.separable import DepthwiseConv2D, SeparableConv
from .figures import add_title, new_figure, styled
from .grids import plain, show_image
from .style import GREY

MOST_ROWS, MOST_CHANNELS = 16, 12  # where each filter has a row


def convolution_of(model: Any, layer: str | None = None) -> Conv:
    """A model's convolution layer of two spatial axes by its name; the first one without."""
    known = _with_filters(model)
    if not known:
        raise InvalidArgument("the model has no convolution of images, so there are no filters to draw")
    if layer is None:
        return known[0]
    chosen = model.get_layer(layer)
    if chosen not in known:
        names = ", ".join(each.name for each in known)
        raise InvalidArgument(f"layer {shown(layer)} is a {type(chosen).__name__}; those with filters are {names}")
    return chosen  # type: ignore[no-any-return]


def has_filters(model: Any) -> bool:
    """Whether a model has a convolution of images."""
    return bool(_with_filters(model))


def _with_filters(model: Any) -> list[Conv]:
    return [
        each
        for each in model.layers
        if isinstance(each, Conv) and each.rank == 2 and not isinstance(each, SeparableConv)
    ]


@styled
def draw_filters(model: Any, layer: str | None = None, most: int = 32) -> Any:
    """The kernels of a layer: of one channel in grey, of three in colours, of more a row for each filter.

    Parameters
    ----------
    model : Sequential
        Built.
    layer : str, optional
        Name of a convolution layer; by default the first.
    most : int
        Filters drawn at most.

    Returns
    -------
    Figure
    """
    chosen = convolution_of(model, layer)
    kernel = np.asarray(chosen.get_weights()[0], np.float32)  # (KH, KW, in, out)
    if isinstance(chosen, DepthwiseConv2D):
        kernel = kernel.reshape(*kernel.shape[:2], 1, -1)
    channels, filters = kernel.shape[2:]
    has_panel = channels in (1, 3)
    count = min(filters, most if has_panel else min(most, MOST_ROWS))
    figure = (_draw_single if has_panel else _draw_channels)(kernel[..., :count])
    words = f"{count} of {filters} filters" if count < filters else f"{filters} filters"
    size = f"{kernel.shape[0]}×{kernel.shape[1]}" + (f"×{channels}" if channels > 1 else "")
    add_title(figure, f"Layer {chosen.name}: {words} {size}")
    return figure


def _draw_single(kernel: np.ndarray) -> Any:
    """A panel for each filter."""
    count, colored = kernel.shape[3], kernel.shape[2] == 3
    columns = min(8, count)
    rows = math.ceil(count / columns)
    figure, axes = new_figure((1.15 * columns + 1.2, 1.25 * rows + 0.6), rows, columns)
    top = float(np.abs(kernel).max()) or 1.0
    for number, ax in enumerate(axes):
        ax.set_axis_off()
        if number >= count:
            continue
        values = kernel[..., number]
        if colored:
            show_image(ax, 0.5 + values / (2 * top), str(number))
        else:
            drawn = show_image(ax, values[..., 0], str(number), vmin=-top, vmax=top)
    if colored:
        figure.supxlabel("grey: weights of 0; the brighter a colour, the larger its weight", fontsize=9, color=GREY)
    else:
        _add_bar(figure, drawn, axes, top)
    return figure


def _draw_channels(kernel: np.ndarray) -> Any:
    """A row for each filter, a column for each of its first channels."""
    channels, count = min(kernel.shape[2], MOST_CHANNELS), kernel.shape[3]
    figure, axes = new_figure((0.72 * channels + 2.2, 0.72 * count + 1.2), count, channels)
    top = float(np.abs(kernel).max()) or 1.0
    for place, ax in enumerate(axes):
        number, channel = divmod(place, channels)
        drawn = show_image(ax, kernel[:, :, channel, number], vmin=-top, vmax=top)
        if channel == 0:
            ax.text(-0.25, 0.5, f"filter {number}", transform=ax.transAxes, ha="right", va="center", fontsize=8)
        if number == 0:
            ax.set_title(str(channel), fontsize=8, loc="center")
    words = f"input channel (the first {channels} of {kernel.shape[2]})" if channels < kernel.shape[2] else "channel"
    figure.supxlabel(words, fontsize=9)
    _add_bar(figure, drawn, axes, top)
    return figure


def _add_bar(figure: Any, drawn: Any, axes: Any, top: float) -> None:
    bar = figure.colorbar(drawn, ax=axes, fraction=0.03, pad=0.02, aspect=24)
    bar.set_label("weight")
    bar.set_ticks([-top, 0, top], labels=[plain(-top), "0", plain(top)])
    bar.outline.set_visible(False)
